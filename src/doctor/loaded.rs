//! Whether systemd has loaded the units as they are on disk.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::subject::{OF_SERVICE, OF_SOCKET, Subject};
use super::{Problem, Report, verify};
use crate::log::escape;
use crate::systemd::{Manager, Place, Properties, Unit, UnitName};

/// An instance whose properties are asked for, and which is never started.
const INSTANCE: &str = "doctor";

/// Asks the service manager, if one runs, for the properties of the units.
///
/// # Errors
///
/// It has not loaded them as they are on disk, or cannot load them.
pub(super) fn check(subject: &mut Subject<'_>, report: &mut Report<'_>) -> Result<(), Problem> {
    let Some(manager) = subject.manager else {
        return Ok(());
    };
    subject.loaded = ask(manager, &subject.socket.name, &OF_SOCKET)?;
    let service = &subject.service.name;
    let instance = UnitName::parse(service).and_then(|name| name.with_instance(INSTANCE));
    subject.started = ask(manager, instance.as_ref().unwrap_or(service), &OF_SERVICE)?;
    same(subject, &subject.socket, &subject.loaded)?;
    same(subject, &subject.service, &subject.started)?;
    report.ok("systemd has loaded both units as they are on disk".into());
    Ok(())
}

fn ask(manager: Manager, unit: &str, properties: &[&str]) -> Result<Properties, Problem> {
    manager.show(unit, properties).map_err(|error| {
        let hint = "see whether systemd itself works: systemctl status";
        Problem::new(error.to_string(), hint)
    })
}

fn same(subject: &Subject<'_>, unit: &Unit, loaded: &Properties) -> Result<(), Problem> {
    let state = loaded.get("LoadState");
    let reload = |what: String| {
        let problem = Problem::new(what, "have systemd read the unit files again");
        subject.fixer().by_reload(problem)
    };
    // systemd leaves out a drop-in that it cannot read to its end, and then says that it is to read it.
    let unreadable: BTreeSet<&Path> = unit
        .syntax_problems()
        .filter(|(_, problem)| problem.kind.ends_reading())
        .map(|(path, _)| path)
        .collect();
    if loaded.get("NeedDaemonReload") == "yes" && unreadable.is_empty() {
        return Err(reload(format!(
            "{} has changed on disk since systemd read it: the change has no effect yet",
            unit.name
        )));
    }
    match state {
        "loaded" => {}
        "not-found" | "masked" => {
            return Err(reload(format!(
                "{} exists, and systemd has not read it: its state is {state}",
                unit.fragment().unwrap_or(Path::new("")).display()
            )));
        }
        _ => {
            let why = loaded
                .get("LoadError")
                .split_once(' ')
                .map_or("", |(_, why)| why);
            let what = format!(
                "systemd cannot load {}: {state} {}",
                unit.name,
                why.trim_matches('"')
            );
            let hint = "correct the lines that it names, then have systemd read them: systemctl daemon-reload";
            return Err(Problem::new(what.trim(), hint).evidence(about(subject.place, &unit.name)));
        }
    }
    let known: BTreeSet<PathBuf> = loaded
        .get("DropInPaths")
        .split_whitespace()
        .map(|path| real(Path::new(path)))
        .collect();
    let unread = unit
        .sources
        .iter()
        .skip(1)
        .filter(|source| !unreadable.contains(source.path.as_path()))
        .find(|source| !known.contains(&real(&source.path)));
    match unread {
        Some(source) => Err(reload(format!(
            "{} exists, and systemd has not read it: it has no effect yet",
            source.path.display()
        ))),
        None => Ok(()),
    }
}

/// The real path: /lib is a link to usr/lib.
fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_path_buf())
}

/// The lines of systemd-analyze(1) about a unit.
fn about(place: &Place, unit: &str) -> Vec<String> {
    let lines = verify::lines(place, unit).unwrap_or_default();
    let own = lines.iter().filter(|line| line.contains(unit));
    own.take(5).map(|line| escape(line.as_bytes())).collect()
}
