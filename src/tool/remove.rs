//! `sockunit remove`: takes away what `sockunit add` made.

use std::fmt::Write;

use clap::Args;

use super::place::PlaceOptions;
use super::say;
use crate::attach;
use crate::services::Name;

#[derive(Debug, Args)]
pub struct Options {
    /// Name of the service
    name: Name,
    /// Remove unit files even if they were edited after add wrote them
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    place: PlaceOptions,
}

pub fn run(options: &Options) -> anyhow::Result<()> {
    let place = options.place.place();
    let removed = attach::remove(&place, &options.name, options.force)?;
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
    if text.is_empty() {
        text += "removed what a sockunit add that was cut off had left\n";
    }
    for path in &removed.kept {
        let _ = writeln!(
            text,
            "{}: not made by sockunit add, and kept",
            path.display()
        );
    }
    say(&text)
}
