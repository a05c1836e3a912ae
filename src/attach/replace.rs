//! Replacing the options of an attached service.

use std::collections::BTreeSet;

use super::add::{Plan, write};
use super::changing::Changing;
use super::failure::{Failure, Left};
use super::probe::Answer;
use super::remove::{self, Attached};
use super::store::{Content, Store, read_unit};
use super::{Error, Kind, stop};
use crate::services::{self, Run, ServiceName};
use crate::systemd::{Manager, Place, UnitFile, journalctl};

/// The lines of the units that differ, those of today with `-` before them and those of the plan with
/// `+`; empty if nothing differs.
pub(super) fn difference(
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
/// unless its addresses or the kind of service change.
///
/// # Errors
///
/// See [`Error`]; the files of today are written again, and systemd uses them.
pub(super) fn replace(
    change: &Changing<'_>,
    plan: &Plan,
    attached: &Attached,
) -> Result<Option<Answer>, Failure> {
    let link = remove::link(&change.attachment.name.to_string());
    let had_link = change.store.exists(&link);
    // What runs may not be what the files say.
    let unfinished = change.is_unfinished();
    let mut applying = change
        .manager
        .map(|manager| Applying::new(change, manager, plan, attached, !unfinished))
        .transpose()?;
    let done = change.begin().and_then(|()| {
        exchange(change.place, change.store, plan, attached)?;
        applying.as_mut().map(Applying::apply).transpose()
    });
    change.end(done, "the service keeps its previous options", || {
        let mut left = Vec::new();
        if let Err(error) = restore(change.place, change.store, plan, attached, &link, had_link) {
            left.push(Left::Former(error));
        }
        if let Some(Err(error)) = applying.as_ref().map(Applying::undo) {
            left.push(Left::Stopped(error));
        }
        left
    })
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

/// Writes the files of before, as far as it can. Returns the first error.
fn restore(
    place: &Place,
    store: &Store,
    plan: &Plan,
    attached: &Attached,
    link: &str,
    had_link: bool,
) -> Result<(), Error> {
    let mut done = Vec::new();
    let is_new = |name: &String| !attached.files.iter().any(|(old, _)| old == name);
    let units = plan.units.iter().map(|unit| &unit.name);
    let mut new: Vec<&str> = units
        .filter(|name| is_new(name))
        .map(String::as_str)
        .collect();
    if plan.link.is_some() && !had_link {
        new.push(link);
    }
    // On a read-only file system, removing what does not exist fails too.
    let new = new.into_iter().filter(|name| store.exists(name));
    done.extend(new.map(|name| store.take(name).map(drop)));
    for (name, text) in &attached.files {
        let current = read_unit(&place.root, store.folder(), name);
        if !current.is_ok_and(|current| current.as_deref() == Some(text.as_bytes())) {
            done.push(store.put(name, Content::Text(text)));
        }
    }
    if attached.line != plan.line {
        let new = plan.line.iter();
        done.extend(
            new.map(|entry| Ok(services::remove(&place.root, entry, Run::Real).map(drop)?)),
        );
        let old = attached.line.iter();
        done.extend(old.map(|entry| Ok(services::add(&place.root, entry, Run::Real).map(drop)?)));
    }
    done.into_iter().collect()
}

/// Has systemd use the new files.
struct Applying<'a> {
    change: &'a Changing<'a>,
    manager: Manager,
    own: Vec<String>,
    socket: String,
    /// Whether the socket goes on listening.
    same: bool,
    /// Whether the socket listened.
    was_active: bool,
    /// systemd may use the new files.
    begun: bool,
}

impl<'a> Applying<'a> {
    fn new(
        change: &'a Changing<'_>,
        manager: Manager,
        plan: &Plan,
        attached: &Attached,
        known: bool,
    ) -> Result<Applying<'a>, Error> {
        let socket = format!("{}.socket", change.attachment.name);
        let [_, new] = &plan.units;
        let old = attached.files.iter().find(|(name, _)| *name == socket);
        let same = old.is_some_and(|(_, text)| listening(text) == listening(&new.text));
        let state = manager.show(&socket, &["ActiveState"])?;
        Ok(Applying {
            change,
            manager,
            own: attached.names(),
            same: same && known,
            was_active: state.get("ActiveState") == "active" || !known,
            begun: false,
            socket,
        })
    }

    fn apply(&mut self) -> Result<Answer, Error> {
        let Changing {
            place,
            attachment,
            interrupts,
            ..
        } = *self.change;
        let name = &attachment.name;
        let since = journalctl::now();
        interrupts.none_has_come()?;
        if !self.same {
            // While the old service runs, systemd does not start the socket with the new one.
            stop::stop(place, &self.manager, name, &self.own, Some(interrupts))?;
        }
        self.begun = true;
        self.manager.daemon_reload()?;
        interrupts.none_has_come()?;
        let (manager, socket, same) = (self.manager, self.socket.clone(), self.same);
        let service = attachment.kind.service(name);
        let shared = attachment.kind == Kind::Shared;
        self.change.patiently(move || match (same, shared) {
            (false, _) => manager.restart(&socket),
            (true, true) => manager
                .start(&socket)
                .and_then(|()| manager.try_restart(&service)),
            (true, false) => manager.start(&socket),
        })??;
        self.change.probe(since)
    }

    /// Has systemd use the previous files, which are restored. After a signal, it is not waited for: a service that
    /// stops ends its connections first.
    fn undo(&self) -> Result<(), Error> {
        self.manager.daemon_reload()?;
        let call = |verb| {
            let waits = !self.change.interrupts.has_come();
            move |unit: &str| self.manager.change(verb, unit, waits)
        };
        match (self.was_active, self.same, self.begun) {
            (false, ..) => call("stop")(&self.socket)?,
            (true, false, true) => call("restart")(&self.socket)?,
            (true, ..) => call("start")(&self.socket)?,
        }
        let attachment = self.change.attachment;
        if self.same && self.begun && attachment.kind == Kind::Shared {
            call("try-restart")(&attachment.kind.service(&attachment.name))?;
        }
        Ok(())
    }
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
