//! `sockunit services`: the lines in /etc/services.

use std::num::NonZeroU16;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

use crate::services::{self, Entry, Name, Outcome, Run};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Add the line, unless the name or the port is taken
    Add(Line),
    /// Remove the line, unless it was edited
    Remove(Line),
}

#[derive(Debug, Args)]
pub struct Line {
    /// Name of the service
    name: Name,
    /// TCP port
    #[arg(value_parser = super::port)]
    port: NonZeroU16,
    /// Work on the system in this directory
    #[arg(long, value_name = "DIR", default_value = "/", value_hint = ValueHint::DirPath)]
    root: PathBuf,
    /// Print what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,
}

pub fn run(command: Command) -> anyhow::Result<()> {
    let (change, words, line): (fn(&_, &_, _) -> _, _, _) = match command {
        Command::Add(line) => (
            services::add,
            ["added", "would add", "is there already"],
            line,
        ),
        Command::Remove(line) => (
            services::remove,
            ["removed", "would remove", "is not there"],
            line,
        ),
    };
    let Line {
        name,
        port,
        root,
        dry_run,
    } = line;
    let entry = Entry { name, port };
    let run = if dry_run { Run::Dry } else { Run::Real };
    let outcome = change(&root, &entry, run)?;
    let [done, would, needless] = words;
    let Entry { name, port } = &entry;
    let file = root.join("etc/services");
    let file = file.display();
    super::say(&match (outcome, run) {
        (Outcome::Changed, Run::Real) => format!("{file}: {done} {name} {port}/tcp\n"),
        (Outcome::Changed, Run::Dry) => format!("{file}: {would}\n{entry}\n"),
        (Outcome::Unchanged, _) => {
            format!("{file}: the line of {name} {port}/tcp {needless}\n")
        }
    })
}
