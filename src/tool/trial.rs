//! `sockunit try`: what does the program of a service do in its own sandbox?

use clap::Args;

use super::place::place;
use super::{say, with_hint};
use crate::doctor;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Name of the service or of one of its units
    name: String,
    /// Send the line TEXT to the program [default: send nothing]
    #[arg(long, value_name = "TEXT")]
    send: Option<String>,
    /// Add a line to the [Service] section for this run, such as PrivateTmp=yes; repeatable
    #[arg(long = "property", value_name = "KEY=VALUE", value_parser = property)]
    properties: Vec<String>,
    /// Try a unit of the calling user's service manager
    #[arg(long)]
    user: bool,
}

/// Parses a line of a unit file.
fn property(text: &str) -> Result<String, &'static str> {
    let key = text.split_once('=').map_or("", |(key, _)| key);
    let letters = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric());
    match letters && !text.chars().any(char::is_control) && !text.ends_with('\\') {
        true => Ok(text.to_string()),
        false => Err("a line of a unit file is KEY=VALUE"),
    }
}

/// Whether the program did not end with an error.
pub(super) fn run(options: &Options) -> anyhow::Result<bool> {
    let place = place("/", options.user);
    let name = doctor::name_of(&options.name);
    let line = options.send.as_deref();
    let trial = doctor::try_service(&place, name, line, &options.properties)
        .map_err(|problem| with_hint(problem.in_one_line(), Some(problem.hint)))?;
    say(&format!("{trial}\n"))?;
    Ok(trial.works())
}
