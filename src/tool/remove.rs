//! `sockunit remove`: detaches a program, and removes what `sockunit add` wrote.

use std::fmt::Write;
use std::path::Path;

use clap::Args;

use super::place::PlaceOptions;
use super::{list_names, say, with_hint};
use crate::SHIPPED;
use crate::attach::{self, Stopping};
use crate::hint::{Hint, ShellCommand};
use crate::import;
use crate::interrupts::Interrupts;
use crate::log::Count;
use crate::services::ServiceName;
use crate::superserver::switch::Entry;
use crate::systemd::Place;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Name of the service
    name: ServiceName,
    /// Remove unit files even if they were edited after sockunit wrote them
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    place: PlaceOptions,
}

pub(super) fn run(options: &Options) -> anyhow::Result<()> {
    let place = options.place.place();
    let disabled = import::disabled(&place, &options.name);
    // They last until it is said what was done.
    let interrupts = Interrupts::block()?;
    let stopping = |stopping| {
        // If nobody can read it, the service is removed all the same.
        let _ = say(&waiting(&options.name, &stopping));
    };
    let removed = attach::remove(&place, &options.name, options.force, &interrupts, stopping);
    let removed = removed.map_err(|error| {
        let hint = error.hint(&place, &options.name);
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
        text += &unchanged(&place, &options.name);
    }
    for path in &removed.kept {
        let _ = writeln!(
            text,
            "{}: kept, because sockunit did not write it",
            path.display()
        );
    }
    if let Some((file, entry)) = disabled.filter(|_| !removed.files.is_empty()) {
        text += &still_disabled(&place, &options.name, &file, entry);
    }
    say(&text)
}

/// The service that was imported is not served by xinetd or inetd either.
fn still_disabled(place: &Place, name: &ServiceName, file: &Path, entry: Entry) -> String {
    let file = file.display();
    let note = format!("note: {name} stays disabled in {file}\n");
    let hint = match entry {
        Entry::Xinetd(_) => Hint::new(
            "to have xinetd serve it again, delete the two lines that sockunit import added after its {",
        )
        .command(ShellCommand::new(&["systemctl", "reload", "xinetd.service"])),
        Entry::Inetd(_) => Hint::new("to have inetd serve it again")
            .command(ShellCommand::new(&["update-inetd", "--enable"]).arg(name.to_string())),
    };
    match place.live() {
        true => format!("{note}{hint}\n"),
        false => note,
    }
}

/// There was nothing to remove.
fn unchanged(place: &Place, name: &ServiceName) -> String {
    let unit = name.to_string();
    let is_shipped = SHIPPED.contains(&&*unit) && attach::has_foreign_unit(place, &unit);
    if !is_shipped {
        return format!(
            "unchanged: {name} is not an attached service\n{}\n",
            list_names(place)
        );
    }
    let mut text = format!("unchanged: {name} belongs to the package\n");
    if place.live() {
        let stop = ShellCommand::new(&["systemctl", "disable", "--now"]);
        let hint = Hint::new("to stop it").command(stop.arg(format!("{name}.socket")));
        text += &format!("{hint}\n");
    }
    text
}

/// Why the command takes its time.
fn waiting(name: &ServiceName, stopping: &Stopping) -> String {
    let open = Count(stopping.connections, "connection");
    match &stopping.timeout {
        Some(timeout) => format!("{name}: stopping; waiting up to {timeout} for {open} to end\n"),
        None => format!("{name}: stopping; ending {open}\n"),
    }
}
