//! What systemd itself says about the lines of a unit.
//!
//! systemd-analyze(1) prints `PATH:LINE: MESSAGE` for a line that systemd ignores. Only the path and the
//! number are read; the message is quoted.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::Report;
use crate::log::escape;
use crate::systemd::{Answer, Limits, Place, Scope, Unit, run, runtime};

/// How long it may take, and how much of what it prints is read.
const LIMITS: Limits = Limits {
    time: Some(Duration::from_secs(10)),
    bytes: 1 << 20,
};

/// Reports each line of the unit's files that systemd ignores, as a note: the unit may serve clients
/// without it.
pub(super) fn check(place: &Place, unit: &Unit, report: &mut Report<'_>) {
    let Some(lines) = lines(place, &unit.name) else {
        let unknown = format!(
            "systemd-analyze cannot verify {}: lines that systemd ignores are not shown",
            unit.name
        );
        match place.live() {
            true => report.unchecked(unknown),
            false => report.note(unknown),
        }
        return;
    };
    let mut shown = Vec::new();
    for line in &lines {
        let Some((path, number, message)) = parse(line, unit) else {
            continue;
        };
        let assigned = unit.sources.iter().find_map(|source| {
            let mut assignments = source.file.assignments.iter();
            let found = assignments.find(|found| found.line == number && source.path == path)?;
            Some(format!("{}={}: ", found.key, found.value))
        });
        let text = format!(
            "{}:{number}: {}systemd reports {}; what it ignores has no effect",
            path.display(),
            assigned.unwrap_or_default(),
            escape(message.as_bytes())
        );
        // A file that is read for several units is reported once for each.
        if !shown.contains(&text) {
            report.note(text.clone());
            shown.push(text);
        }
    }
}

/// The lines of `systemd-analyze verify` about a unit and those that it needs; `None` if it cannot be run.
pub(super) fn lines(place: &Place, unit: &str) -> Option<Vec<String>> {
    let arguments = ["verify", "--man=no", "--recursive-errors=no", "--", unit];
    let output = analyze(place, "warning", &arguments)?;
    output.status.code()?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    Some(stderr.lines().map(str::to_string).collect())
}

/// Runs systemd-analyze(1), which prints messages from this level on.
pub(super) fn analyze(place: &Place, level: &str, arguments: &[&str]) -> Option<Answer> {
    let mut command = Command::new("systemd-analyze");
    if place.scope == Scope::User {
        command.arg("--user").env("XDG_RUNTIME_DIR", runtime());
    }
    if !place.live() {
        let mut root = std::ffi::OsString::from("--root=");
        root.push(&place.root);
        command.arg(root);
    }
    let own = std::env::vars_os().map(|(name, _)| name);
    for name in own.filter(|name| name.as_encoded_bytes().starts_with(b"SYSTEMD_")) {
        command.env_remove(name);
    }
    command
        .args(arguments)
        .env("LC_ALL", "C.UTF-8")
        .env("SYSTEMD_COLORS", "0")
        .env("SYSTEMD_LOG_LEVEL", level)
        .env("SYSTEMD_LOG_TARGET", "console")
        // A name is looked for in the working directory too.
        .current_dir("/");
    run(&mut command, LIMITS).ok()
}

/// The file of the unit, the number of the line and the message of a line `PATH:LINE: MESSAGE`.
fn parse<'u, 'l>(line: &'l str, unit: &'u Unit) -> Option<(&'u Path, usize, &'l str)> {
    let ends = line.match_indices(':').map(|(at, _)| at);
    ends.filter_map(|end| {
        let (number, message) = line[end + 1..].split_once(": ")?;
        let number = number.parse().ok()?;
        let path = real(Path::new(&line[..end]));
        let mut sources = unit.sources.iter();
        let source = sources.find(|source| real(&source.path) == path)?;
        Some((source.path.as_path(), number, message))
    })
    .next()
}

/// The real path: /lib is a link to usr/lib.
fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_path_buf())
}
