//! Whether what is on disk is what systemd has loaded.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::subject::{Case, OF_SERVICE, OF_SOCKET};
use super::{Fault, Tell};
use crate::log::escape;
use crate::systemd::{Manager, Properties};
use crate::systemd::{Place, Scope, Unit};

/// An instance that is looked at and never started.
const INSTANCE: &str = "doctor";

/// Asks the manager, where there is one, what it has of the units.
///
/// # Errors
///
/// It has something else than what is on disk, or cannot load that.
pub fn check(case: &mut Case<'_>, tell: &mut Tell<'_>) -> Result<(), Fault> {
    let Some(manager) = case.manager else {
        return Ok(());
    };
    case.loaded = ask(manager, &case.socket.name, &OF_SOCKET)?;
    let instance = case.service.name.replace("@.", &format!("@{INSTANCE}."));
    case.started = ask(manager, &instance, &OF_SERVICE)?;
    same(case, &case.socket, &case.loaded)?;
    same(case, &case.service, &case.started)?;
    tell.good("systemd has loaded both as they are on disk".into());
    Ok(())
}

fn ask(manager: Manager, unit: &str, properties: &[&str]) -> Result<Properties, Fault> {
    manager.show(unit, properties).map_err(|error| {
        let advice = "see whether systemd itself is well: systemctl status";
        Fault::new(error.to_string(), advice)
    })
}

fn same(case: &Case<'_>, unit: &Unit, loaded: &Properties) -> Result<(), Fault> {
    let state = loaded.get("LoadState");
    let anew = |what: String| {
        let fault = Fault::new(what, "have systemd read its unit files anew");
        case.by_reload(fault)
    };
    if loaded.get("NeedDaemonReload") == "yes" {
        return Err(anew(format!(
            "{} was changed on disk after systemd had read it, so that the change has no effect",
            unit.name
        )));
    }
    match state {
        "loaded" => {}
        "not-found" | "masked" => {
            return Err(anew(format!(
                "{} is there, and systemd has not read it: to systemd it is {state}",
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
            let advice =
                "mend what it names, then have it read the file anew: systemctl daemon-reload";
            return Err(Fault::new(what.trim(), advice).seen(verify(case.place, &unit.name)));
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
        .find(|source| !known.contains(&real(&source.path)));
    match unread {
        Some(source) => Err(anew(format!(
            "{} is there, and systemd has not read it, so that it has no effect",
            source.path.display()
        ))),
        None => Ok(()),
    }
}

/// /lib is usr/lib.
fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_path_buf())
}

/// What systemd itself has to say of a unit's files.
fn verify(place: &Place, unit: &str) -> Vec<String> {
    let mut command = Command::new("systemd-analyze");
    if place.scope == Scope::User {
        command.arg("--user");
    }
    let output = command.args(["verify", "--man=no", "--", unit]).output();
    let told = output.map(|output| output.stderr).unwrap_or_default();
    let told = String::from_utf8_lossy(&told);
    let lines = told.lines().filter(|line| line.contains(unit));
    lines.take(5).map(|line| escape(line.as_bytes())).collect()
}
