//! Replacing the options of an attached service.

use std::collections::BTreeSet;

use super::add::{Plan, write};
use super::probe::{self, Answer};
use super::remove::{self, Attached};
use super::store::{Content, Store, read_unit};
use super::{Attachment, Error, Kind};
use crate::services::{self, Run, ServiceName};
use crate::systemd::{Manager, Place, UnitFile, journalctl};

/// The lines of the units that differ, those of today with `-` before them and those of the plan with
/// `+`; empty if nothing differs.
pub fn difference(
    store: &Store,
    plan: &Plan,
    attached: &Attached,
    name: &ServiceName,
) -> Vec<String> {
    let mut lines = Vec::new();
    let text_of = |files: &[(String, String)], name: &str| {
        let file = files.iter().find(|(other, _)| other == name);
        file.map(|(_, text)| text.clone()).unwrap_or_default()
    };
    let planned: Vec<(String, String)> = plan
        .units
        .iter()
        .map(|unit| (unit.name.clone(), unit.text.clone()))
        .collect();
    let names: BTreeSet<&String> = attached
        .files
        .iter()
        .chain(&planned)
        .map(|(n, _)| n)
        .collect();
    for name in names {
        let (old, new) = (text_of(&attached.files, name), text_of(&planned, name));
        if old == new {
            continue;
        }
        lines.push(format!("  {name}"));
        // Comments go with the lines that they are about; the checksum always differs.
        let counts = |line: &&str| !line.is_empty() && !line.starts_with('#');
        let (old, new): (Vec<&str>, Vec<&str>) = (
            old.lines().filter(counts).collect(),
            new.lines().filter(counts).collect(),
        );
        let removed = old.iter().filter(|line| !new.contains(line));
        lines.extend(removed.map(|line| format!("- {line}")));
        let added = new.iter().filter(|line| !old.contains(line));
        lines.extend(added.map(|line| format!("+ {line}")));
    }
    // Without --enable, a link stays: the administrator may have enabled the socket.
    if plan.link.is_some() && !store.exists(&remove::link(&name.to_string())) {
        lines.push("+ started at boot".into());
    }
    lines
}

/// Writes the planned files over those of today, and has systemd use them. The socket keeps listening
/// if its addresses and the kind of service stay.
///
/// # Errors
///
/// See [`Error`]; the files of today are written again.
pub fn replace(
    place: &Place,
    store: &Store,
    manager: Option<&Manager>,
    plan: &Plan,
    attached: &Attached,
    attachment: &Attachment,
) -> Result<Option<Answer>, Error> {
    let link = remove::link(&attachment.name.to_string());
    let had_link = store.exists(&link);
    // The first error is the one to report.
    let restore = || restore(place, store, plan, attached, &link, had_link);
    exchange(place, store, plan, attached).inspect_err(|_| restore())?;
    let Some(manager) = manager else {
        return Ok(None);
    };
    let answer = apply(place, manager, plan, attached, attachment).inspect_err(|_| {
        restore();
        let _ = manager.daemon_reload();
        let _ = manager.restart(&format!("{}.socket", attachment.name));
    })?;
    Ok(Some(answer))
}

fn exchange(place: &Place, store: &Store, plan: &Plan, attached: &Attached) -> Result<(), Error> {
    if let Some(entry) = attached
        .line
        .as_ref()
        .filter(|old| Some(*old) != plan.line.as_ref())
    {
        services::remove(&place.root, entry, Run::Real)?;
    }
    write(place, store, plan)?;
    for (name, _) in &attached.files {
        if !plan.units.iter().any(|unit| unit.name == *name) {
            store.take(name)?;
        }
    }
    Ok(())
}

/// Writes the files of before, as far as it can.
fn restore(
    place: &Place,
    store: &Store,
    plan: &Plan,
    attached: &Attached,
    link: &str,
    had_link: bool,
) {
    for unit in &plan.units {
        if !attached.files.iter().any(|(name, _)| *name == unit.name) {
            let _ = store.take(&unit.name);
        }
    }
    for (name, text) in &attached.files {
        let current = read_unit(&place.root, store.folder(), name);
        if !current.is_ok_and(|current| current.as_deref() == Some(text.as_bytes())) {
            let _ = store.put(name, Content::Text(text));
        }
    }
    if plan.link.is_some() && !had_link {
        let _ = store.take(link);
    }
    if attached.line != plan.line {
        if let Some(entry) = &plan.line {
            let _ = services::remove(&place.root, entry, Run::Real);
        }
        if let Some(entry) = &attached.line {
            let _ = services::add(&place.root, entry, Run::Real);
        }
    }
}

fn apply(
    place: &Place,
    manager: &Manager,
    plan: &Plan,
    attached: &Attached,
    attachment: &Attachment,
) -> Result<Answer, Error> {
    let socket = format!("{}.socket", attachment.name);
    let since = journalctl::now();
    let [_, new] = &plan.units;
    let old = attached.files.iter().find(|(name, _)| *name == socket);
    let same = old.is_some_and(|(_, text)| listening(text) == listening(&new.text));
    if !same {
        // While the old service runs, systemd does not start the socket with the new one.
        remove::stop(place, manager, &attachment.name)?;
    }
    manager.daemon_reload()?;
    match (same, attachment.kind) {
        (false, _) => manager.restart(&socket)?,
        (true, Kind::Shared) => {
            manager.start(&socket)?;
            manager.try_restart(&attachment.kind.service(&attachment.name))?;
        }
        (true, Kind::PerConnection) => manager.start(&socket)?,
    }
    probe::connect_once(place, attachment, &since)
}

/// The directives of a socket unit that systemd applies only when it opens the socket.
fn listening(text: &str) -> Vec<(String, String)> {
    let file = UnitFile::parse(text.as_bytes());
    let keys = [
        "ListenStream",
        "BindIPv6Only",
        "FreeBind",
        "Accept",
        "SocketUser",
        "SocketGroup",
        "SocketMode",
    ];
    let assignments = file.assignments.into_iter();
    assignments
        .filter(|assignment| keys.contains(&assignment.key.as_str()))
        .map(|assignment| (assignment.key, assignment.value))
        .collect()
}
