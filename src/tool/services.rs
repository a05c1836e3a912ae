//! `sockunit services`: adds and removes lines of /etc/services.

use std::num::NonZeroU16;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::services::{self, Entry, Outcome, Run, ServiceName};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Add the line, unless the name or the port is taken
    Add(Line),
    /// Take the line away, unless somebody changed it
    Remove(Line),
}

#[derive(Debug, Args)]
pub struct Line {
    /// The service's name
    name: ServiceName,
    /// Its TCP port
    #[arg(value_parser = super::port)]
    port: NonZeroU16,
    /// Work on the system in this directory
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
}

pub fn run(command: Command) -> anyhow::Result<()> {
    let (change, texts, options): (fn(&_, &_, _) -> _, _, _) = match command {
        Command::Add(options) => (
            services::add,
            ["added", "would add", "exists already"],
            options,
        ),
        Command::Remove(options) => (
            services::remove,
            ["removed", "would remove", "does not exist"],
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
    let [done, would, unchanged] = texts;
    let Entry { name, port } = &entry;
    let file = root.join(services::FILE);
    let file = file.display();
    super::say(&match (outcome, run) {
        (Outcome::Changed, Run::Real) => format!("{file}: {done} {name} {port}/tcp\n"),
        (Outcome::Changed, Run::Dry) => format!("{file}: {would}\n{entry}\n"),
        (Outcome::Unchanged, _) => {
            format!("{file}: unchanged: the line of {name} {port}/tcp {unchanged}\n")
        }
    })
}
