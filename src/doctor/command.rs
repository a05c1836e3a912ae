//! The program: there, and within reach of the service's user and in sight of its sandbox.

use std::path::{Path, PathBuf};

use super::fix::shell;
use super::subject::Case;
use super::{Fault, Tell};
use crate::executable::{self, PATH, RunAs, Visibility};
use crate::systemd::{CommandLine, Unit, Value, command_lines, split};

/// Checks each program that the service is to start.
///
/// # Errors
///
/// The first thing that is in the way of one.
pub fn check(case: &Case<'_>, tell: &mut Tell<'_>) -> Result<(), Fault> {
    let unit = &case.service;
    let values = unit.values("Service", "ExecStart");
    let Some(value) = values.first() else {
        return Err(Fault::new(
            format!(
                "{} says no ExecStart=, so that there is nothing to start",
                unit.name
            ),
            "name the program by its full path, as in ExecStart=-/usr/local/bin/program",
        ));
    };
    if let Some(more) = values.get(1) {
        let kind = unit.value("Service", "Type");
        if kind.is_none_or(|kind| kind.text != "oneshot") {
            return Err(twice(case, value, more));
        }
    }
    let at = format!("{}:{}", value.path.display(), value.line);
    let commands = command_lines(value.text).map_err(|why| {
        Fault::new(
            format!("{at}: ExecStart={}: {why}", value.text),
            "mend that line",
        )
    })?;
    let line = shown(value);
    for command in &commands {
        let Some(program) = full(case, &command.program) else {
            tell.note(format!(
                "{at}: {} stands for what only systemd knows",
                command.program
            ));
            continue;
        };
        one(case, &line, &program)?;
        tell.good(format!("{} can be started", program.display()));
        if let Some(program) = behind(command).and_then(|program| full(case, &program)) {
            one(case, &line, &program)?;
            tell.good(format!("{} can be started", program.display()));
        }
    }
    Ok(())
}

/// A command as it is written, with its place.
fn shown(value: &Value<'_>) -> String {
    format!(
        "{}:{}: ExecStart={}",
        value.path.display(),
        value.line,
        value.text
    )
}

/// A second command, where the first was to be replaced.
fn twice(case: &Case<'_>, first: &Value<'_>, second: &Value<'_>) -> Fault {
    let fault = Fault::new(
        format!(
            "{} says two times what is to be started, and systemd does not load such a service",
            case.service.name
        ),
        "put an empty ExecStart= before the later line; it takes the earlier one away",
    )
    .seen([shown(first), shown(second)])
    .command(format!(
        "sed -i '{}i ExecStart=' {}",
        second.line,
        shell(second.path)
    ));
    case.by_reload(fault)
}

/// The full path of a program; none where it has specifiers in it.
fn full(case: &Case<'_>, program: &str) -> Option<PathBuf> {
    if program.contains('%') || program.contains('$') {
        return None;
    }
    if program.contains('/') {
        return Some(PathBuf::from(program));
    }
    let mut folders = PATH.iter().map(|folder| Path::new(folder).join(program));
    let found = folders.find(|path| case.path(path).exists());
    Some(found.unwrap_or_else(|| Path::new("/usr/bin").join(program)))
}

/// The program that `sockunit serve` starts.
fn behind(command: &CommandLine) -> Option<String> {
    let argv = command.argv();
    let serves = argv.first()?.ends_with("/sockunit") && argv.get(1)? == "serve";
    let at = argv.iter().position(|word| word == "--")?;
    serves.then(|| argv.get(at + 1).cloned()).flatten()
}

fn one(case: &Case<'_>, line: &str, program: &Path) -> Result<(), Fault> {
    let unit = &case.service;
    let root = root(case);
    let bound = bound(unit);
    let is_bound = |path: &Path| bound.iter().any(|bound| path.starts_with(bound));
    let view = Visibility {
        homes_hidden: hides_homes(unit),
        tmp_hidden: hides_tmp(unit) && !is_bound(program),
        native_only: unit
            .value("Service", "SystemCallArchitectures")
            .is_some_and(|value| value.text == "native"),
    };
    let sound = executable::check(&root, program, &runner(case)?, view).map_err(|fault| {
        // Some of its ways out are commands, with the paths of the system that is looked at.
        let command = fault.mend.strip_suffix(" mends that");
        let (advice, command) = match command {
            Some(command) if case.place.live() => ("this mends it".to_string(), Some(command)),
            Some(command) => (format!("in that system, this mends it: {command}"), None),
            None => (fault.mend.clone(), None),
        };
        let told = Fault::new(fault.what, advice)
            .seen([line.to_string()])
            .means("A client is connected, and the connection is closed without a byte.");
        match command {
            Some(command) => told.command(command),
            None => told,
        }
    })?;
    match sound.bind {
        Some(home) if !is_bound(&home) => {
            let shown = home.display().to_string();
            let hides = hidden_by(unit);
            let fault = Fault::new(
                format!(
                    "{shown} lies in a home, and {} sees no homes ({hides})",
                    unit.name
                ),
                "bind the program into its view, alone",
            )
            .means("A client is connected, and the connection is closed without a byte.");
            let bind = format!("BindReadOnlyPaths={shown}");
            Err(case.by_drop_in(fault, &unit.name, "Service", &[&bind]))
        }
        _ => Ok(()),
    }
}

/// The directory that the service takes for the root.
pub fn root(case: &Case<'_>) -> PathBuf {
    let own = case.service.value("Service", "RootDirectory");
    match own.filter(|value| value.text.starts_with('/')) {
        Some(value) => case.path(value.text),
        None => case.place.root.clone(),
    }
}

/// The user that the service runs as.
pub fn runner(case: &Case<'_>) -> Result<RunAs, Fault> {
    let unit = &case.service;
    if !case.of_system() {
        return Ok(match case.place.live() {
            true => RunAs::own().without_privileges(),
            false => RunAs::dynamic(),
        });
    }
    let dynamic = unit.flag("Service", "DynamicUser") == Some(true);
    let user = unit
        .value("Service", "User")
        .map_or("root", |value| value.text);
    if dynamic {
        return Ok(RunAs::dynamic());
    }
    let runner = RunAs::named(&case.place.root, user).unwrap_or_else(RunAs::dynamic);
    let bounded = unit.value("Service", "CapabilityBoundingSet");
    Ok(
        match bounded.is_some_and(|value| !value.text.contains("CAP_DAC")) {
            true => runner.without_privileges(),
            false => runner,
        },
    )
}

/// Paths that are bound into the service's view.
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

fn hides_homes(unit: &Unit) -> bool {
    !hidden_by(unit).is_empty()
}

/// The line that hides homes; empty where none does.
fn hidden_by(unit: &Unit) -> String {
    let protect = unit.value("Service", "ProtectHome");
    if let Some(value) =
        protect.filter(|value| !["no", "false", "off", "0", "read-only"].contains(&value.text))
    {
        return format!(
            "{}:{}: ProtectHome={}",
            value.path.display(),
            value.line,
            value.text
        );
    }
    let masks = ["TemporaryFileSystem", "InaccessiblePaths"];
    let mut values = masks.iter().flat_map(|key| {
        unit.values("Service", key)
            .into_iter()
            .map(move |value| (key, value))
    });
    let hiding = values.find(|(_, value)| {
        let mut paths = value
            .text
            .split_whitespace()
            .map(|path| path.trim_start_matches(['-', '+']));
        paths.any(|path| path.split(':').next() == Some("/home"))
    });
    hiding.map_or(String::new(), |(key, value)| {
        format!(
            "{}:{}: {key}={}",
            value.path.display(),
            value.line,
            value.text
        )
    })
}

fn hides_tmp(unit: &Unit) -> bool {
    let on = |key: &str| unit.flag("Service", key) == Some(true);
    let over = unit.values("Service", "TemporaryFileSystem");
    on("PrivateTmp")
        || on("DynamicUser")
        || over.iter().any(|value| {
            value
                .text
                .split_whitespace()
                .any(|path| path.split(':').next() == Some("/tmp"))
        })
}
