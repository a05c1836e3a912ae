//! `sockunit remove`: detaches a program, and removes what `sockunit add` wrote.

use std::fmt::Write;

use clap::Args;

use super::place::PlaceOptions;
use super::{say, with_hint};
use crate::attach::{self, Stopping};
use crate::log::Count;
use crate::services::ServiceName;

#[derive(Debug, Args)]
pub struct Options {
    /// Name of the service
    name: ServiceName,
    /// Remove unit files even if they were edited after add wrote them
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    place: PlaceOptions,
}

pub fn run(options: &Options) -> anyhow::Result<()> {
    let place = options.place.place();
    let removed = attach::remove(&place, &options.name, options.force, |stopping| {
        // If nobody can read it, the service is removed all the same.
        let _ = say(&waiting(&options.name, &stopping));
    });
    let removed = removed.map_err(|error| {
        let hint = error.hint();
        with_hint(format!("cannot remove {}: {error}", options.name), hint)
    })?;
    let mut text = String::new();
    // Writing to a String does not fail.
    for path in &removed.files {
        let _ = writeln!(text, "{}: removed", path.display());
    }
    if let Some(entry) = &removed.line {
        let path = place.path("/etc/services");
        let _ = writeln!(
            text,
            "{}: removed {} {}/tcp",
            path.display(),
            entry.name,
            entry.port
        );
    }
    if removed.interrupted {
        text += "removed the temporary files of an interrupted sockunit add\n";
    }
    if text.is_empty() {
        let _ = writeln!(
            text,
            "unchanged: sockunit add has not attached {}",
            options.name
        );
    }
    for path in &removed.kept {
        let _ = writeln!(
            text,
            "{}: kept, because sockunit add did not write it",
            path.display()
        );
    }
    say(&text)
}

/// Why the command takes its time.
fn waiting(name: &ServiceName, stopping: &Stopping) -> String {
    let open = Count(stopping.connections, "connection");
    match &stopping.timeout {
        Some(timeout) => format!("{name}: stopping; waiting up to {timeout} for {open} to end\n"),
        None => format!("{name}: stopping; ending {open}\n"),
    }
}
