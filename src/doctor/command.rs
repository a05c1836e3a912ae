//! The programs of `ExecStart=`: executable by the service's user, and visible in its sandbox.

use std::path::{Path, PathBuf};

use super::report::Impact;
use super::sandbox::Restriction;
use super::subject::Subject;
use super::{Problem, Report};
use crate::attach;
use crate::executable::{self, RunAs, Visibility, find_in_path};
use crate::systemd::quote::path_word;
use crate::systemd::{Unit, Value, command_lines, split};

/// What makes homes inaccessible, and hides them instead.
const INACCESSIBLE_HOMES: [Restriction; 2] = [
    Restriction::Switch {
        key: "ProtectHome",
        off: &["no", "false", "off", "0", "n", "f", "read-only", "tmpfs"],
        lift: &["ProtectHome=tmpfs"],
    },
    Restriction::Paths {
        key: "InaccessiblePaths",
        places: &["/home", "/root", "/run/user"],
        lift: &["ProtectHome=tmpfs"],
    },
];

/// Checks each program that the service starts.
///
/// # Errors
///
/// The first problem.
pub(super) fn check(subject: &Subject<'_>, report: &mut Report<'_>) -> Result<(), Problem> {
    let unit = &subject.service;
    let values = unit.values("Service", "ExecStart");
    let Some(value) = values.first() else {
        return Err(Problem::new(
            format!(
                "{} sets no ExecStart=: there is no program to start",
                unit.name
            ),
            "name the program by its absolute path, as in ExecStart=-/usr/local/bin/program",
        ));
    };
    if let Some(second) = values.get(1) {
        let kind = unit.value("Service", "Type");
        if kind.is_none_or(|kind| kind.text != "oneshot") {
            return Err(several(subject, value, second));
        }
    }
    let at = format!("{}:{}", value.path.display(), value.line);
    let commands = command_lines(value.text).map_err(|why| {
        Problem::new(
            format!("{at}: ExecStart={}: {why}", value.text),
            "correct the line",
        )
    })?;
    let line = shown(value);
    for command in &commands {
        let Some(program) = absolute(subject, &command.program) else {
            report.note(format!(
                "{at}: {} has a specifier or variable, which only systemd expands",
                command.program
            ));
            continue;
        };
        executable(subject, &line, &program, report)?;
        let served = attach::served(command).and_then(|words| absolute(subject, words.first()?));
        if let Some(program) = served {
            executable(subject, &line, &program, report)?;
        }
    }
    Ok(())
}

/// A command as written, with its file and line.
fn shown(value: &Value<'_>) -> String {
    format!(
        "{}:{}: ExecStart={}",
        value.path.display(),
        value.line,
        value.text
    )
}

/// A second command where the first was to be replaced.
fn several(subject: &Subject<'_>, first: &Value<'_>, second: &Value<'_>) -> Problem {
    let problem = Problem::new(
        format!(
            "{} has two ExecStart= lines, and systemd does not load such a service",
            subject.service.name
        ),
        "put an empty ExecStart= before the later line, which removes the earlier one",
    )
    .evidence([shown(first), shown(second)]);
    let fixer = subject.fixer();
    fixer.by_reset(problem, "ExecStart", second.line, second.path)
}

/// The absolute path of a program; `None` if it has specifiers or variables.
fn absolute(subject: &Subject<'_>, program: &str) -> Option<PathBuf> {
    if program.contains('%') || program.contains('$') {
        return None;
    }
    if program.contains('/') {
        return Some(PathBuf::from(program));
    }
    let found = find_in_path(&subject.place.root, program);
    Some(found.unwrap_or_else(|| Path::new("/usr/bin").join(program)))
}

fn executable(
    subject: &Subject<'_>,
    line: &str,
    program: &Path,
    report: &mut Report<'_>,
) -> Result<(), Problem> {
    let unit = &subject.service;
    let root = root(subject);
    let bound = bound(unit);
    let is_bound = |path: &Path| bound.iter().any(|bound| path.starts_with(bound));
    let visible = Visibility {
        homes_hidden: hiding_homes(unit).is_some(),
        tmp_hidden: hides_tmp(unit) && !is_bound(program),
        native_only: unit
            .value("Service", "SystemCallArchitectures")
            .is_some_and(|value| value.text == "native"),
    };
    let found = executable::check(&root, program, &run_as(subject), visible);
    let found = match found {
        Ok(found) => found,
        Err(error) if error.denied => {
            report.unchecked(format!("{} ({})", error.problem, error.hint.text));
            return Ok(());
        }
        Err(error) => {
            return Err(Problem {
                what: error.problem,
                evidence: vec![line.to_string()],
                impact: Some(Impact::Closed),
                hint: error.hint,
                ..Problem::default()
            });
        }
    };
    match (found.bind, hiding_homes(unit)) {
        (Some(path), Some(hiding)) if !is_bound(&path) => {
            let shown = path.display().to_string();
            let problem = Problem::new(
                format!(
                    "{shown} is in a home directory, and home directories are hidden from {} ({hiding})",
                    unit.name
                ),
                "make the program alone visible, by a bind mount",
            )
            .impact(Impact::Closed);
            let bind = format!("BindReadOnlyPaths={}", path_word(&shown));
            // Nothing can be bound below a directory that is inaccessible.
            let lift = INACCESSIBLE_HOMES
                .iter()
                .filter_map(|homes| homes.find(unit));
            let mut lines: Vec<String> = lift.flat_map(|found| found.lift).collect();
            lines.push(bind);
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            let fixer = subject.fixer();
            Err(fixer.by_drop_in(problem, &unit.name, "Service", &lines))
        }
        _ => {
            report.ok(format!("{} can be executed", program.display()));
            Ok(())
        }
    }
}

/// The root directory of the service.
fn root(subject: &Subject<'_>) -> PathBuf {
    let own = subject.service.value("Service", "RootDirectory");
    match own.filter(|value| value.text.starts_with('/')) {
        Some(value) => subject.path(value.text),
        None => subject.place.root.clone(),
    }
}

/// The user that the service runs as.
fn run_as(subject: &Subject<'_>) -> RunAs {
    let unit = &subject.service;
    if !subject.of_system() {
        return match subject.place.live() {
            true => RunAs::own().without_privileges(),
            false => RunAs::dynamic(),
        };
    }
    if unit.flag("Service", "DynamicUser") == Some(true) {
        return RunAs::dynamic();
    }
    let user = unit.value("Service", "User");
    let user = user.map_or("root", |value| value.text);
    let user = RunAs::named(&subject.place.root, user).unwrap_or_else(RunAs::dynamic);
    let bounded = unit.value("Service", "CapabilityBoundingSet");
    match bounded.is_some_and(|value| !value.text.contains("CAP_DAC")) {
        true => user.without_privileges(),
        false => user,
    }
}

/// The paths that bind mounts make visible to the service.
fn bound(unit: &Unit) -> Vec<PathBuf> {
    let keys = ["BindReadOnlyPaths", "BindPaths"];
    let values = keys.iter().flat_map(|key| unit.values("Service", key));
    let words = values.filter_map(|value| split(value.text).ok()).flatten();
    words
        .map(|word| {
            let path = word.trim_start_matches('-');
            // SOURCE:DESTINATION:OPTIONS
            let mut parts = path.split(':');
            let source = parts.next().unwrap_or_default();
            PathBuf::from(parts.next().unwrap_or(source))
        })
        .collect()
}

/// The line that hides homes, if one does.
fn hiding_homes(unit: &Unit) -> Option<String> {
    let shown = |key: &str, value: &Value<'_>| {
        let path = value.path.display();
        format!("{path}:{}: {key}={}", value.line, value.text)
    };
    let visible = ["no", "false", "off", "0", "read-only"];
    let protect = unit.value("Service", "ProtectHome");
    if let Some(value) = protect.filter(|value| !visible.contains(&value.text)) {
        return Some(shown("ProtectHome", &value));
    }
    ["TemporaryFileSystem", "InaccessiblePaths"]
        .iter()
        .find_map(|key| {
            let values = unit.values("Service", key);
            let hiding = values.iter().find(|value| is_among(value.text, "/home"))?;
            Some(shown(key, hiding))
        })
}

/// Whether a path is in a list of paths with prefixes and options.
fn is_among(list: &str, path: &str) -> bool {
    list.split_whitespace().any(|word| {
        let word = word.trim_start_matches(['-', '+']);
        word.split(':').next() == Some(path)
    })
}

fn hides_tmp(unit: &Unit) -> bool {
    let on = |key: &str| unit.flag("Service", key) == Some(true);
    let over = unit.values("Service", "TemporaryFileSystem");
    on("PrivateTmp") || on("DynamicUser") || over.iter().any(|value| is_among(value.text, "/tmp"))
}
