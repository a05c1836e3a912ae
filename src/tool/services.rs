//! `sockunit services`: adds and removes lines of /etc/services.

use std::num::NonZeroU16;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

use crate::services::{self, Entry, Outcome, Run, ServiceName};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Add the line, unless the name or the port is taken
    Add(Line),
    /// Remove the line, unless it was edited
    Remove(Line),
}

#[derive(Debug, Args)]
pub(super) struct Line {
    /// Name of the service
    name: ServiceName,
    /// TCP port
    #[arg(value_parser = super::port)]
    port: NonZeroU16,
    /// Work on the system in this directory
    #[arg(long, value_name = "DIR", default_value = "/", value_hint = ValueHint::DirPath, value_parser = super::place::root())]
    root: PathBuf,
    /// Print what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(command: Command) -> anyhow::Result<()> {
    let (change, texts, options): (fn(&_, &_, _) -> _, _, _) = match command {
        Command::Add(options) => (
            services::add,
            ["added", "would add", "it has the line", " already"],
            options,
        ),
        Command::Remove(options) => (
            services::remove,
            [
                "removed",
                "would remove",
                "it has no line",
                " that sockunit added",
            ],
            options,
        ),
    };
    let Line {
        name,
        port,
        root,
        dry_run,
    } = options;
    let entry = Entry { name, port };
    let run = if dry_run { Run::Dry } else { Run::Real };
    let outcome =
        change(&root, &entry, run).map_err(|error| super::with_hint(&error, error.hint()))?;
    let [done, would, before, after] = texts;
    let Entry { name, port } = &entry;
    let file = root.join(services::FILE);
    let file = file.display();
    super::say(&match (outcome, run) {
        (Outcome::Changed, Run::Real | Run::Trial) => format!("{file}: {done} {name} {port}/tcp\n"),
        (Outcome::Changed, Run::Dry) => format!("{file}: {would}\n{entry}\n"),
        (Outcome::Unchanged, _) => {
            format!("{file}: unchanged: {before} {name} {port}/tcp{after}\n")
        }
    })
}
