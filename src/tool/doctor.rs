//! `sockunit doctor`: why does a service not work?

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::place::PlaceOptions;
use super::{say, say_json};
use crate::attach;
use crate::doctor::{self, CheckResult, Outcome, Selection};
use crate::systemd::Place;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Name of the service or of one of its units [default: every service that was attached or
    /// imported, or that the package ships]
    name: Option<String>,
    /// Send the line TEXT to the service, for one that waits for its client to speak first [default: send
    /// nothing]
    #[arg(long, value_name = "TEXT", requires = "name")]
    send: Option<String>,
    #[command(flatten)]
    place: PlaceOptions,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// The exit status if something could not be checked.
const UNCHECKED: u8 = 3;

/// Returns the exit status.
pub(super) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let place = options.place.place();
    let (names, selection) = match &options.name {
        Some(name) => (vec![name.clone()], Selection::Named),
        None => {
            let own = attach::own(&place)?;
            let names = own.iter().map(|(name, _)| name.to_string()).collect();
            (names, Selection::All)
        }
    };
    let line = options.send.as_deref();
    let outcome = match options.json {
        true => as_json(&place, &names, selection, line)?,
        false => as_text(&place, &names, selection, line)?,
    };
    Ok(match outcome {
        Outcome::Works => ExitCode::SUCCESS,
        Outcome::Unchecked => ExitCode::from(UNCHECKED),
        Outcome::Problem => ExitCode::FAILURE,
    })
}

fn as_text(
    place: &Place,
    names: &[String],
    selection: Selection,
    line: Option<&str>,
) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::Works;
    for (index, name) in names.iter().enumerate() {
        if names.len() > 1 {
            let gap = if index > 0 { "\n" } else { "" };
            say(&format!("{gap}{name}\n"))?;
        }
        let mut written = Ok(());
        outcome = outcome.max(doctor::examine(
            place,
            name,
            selection,
            line,
            &mut |result| {
                if written.is_ok() {
                    written = say(&format!("{result}\n"));
                }
            },
        ));
        written?;
    }
    if names.is_empty() {
        say("no service of sockunit is installed here; name another: sockunit doctor NAME\n")?;
    }
    Ok(outcome)
}

fn as_json(
    place: &Place,
    names: &[String],
    selection: Selection,
    line: Option<&str>,
) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::Works;
    let mut services = Vec::new();
    for name in names {
        let mut checks: Vec<Value> = Vec::new();
        let of_service =
            doctor::examine(place, name, selection, line, &mut |result: &CheckResult| {
                checks.push(doctor::json(result))
            });
        outcome = outcome.max(of_service);
        let works = of_service != Outcome::Problem;
        services.push(json!({"name": doctor::name_of(name), "works": works, "checks": checks}));
    }
    let works = outcome != Outcome::Problem;
    say_json(&json!({"works": works, "services": services}))?;
    Ok(outcome)
}
