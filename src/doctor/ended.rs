//! How the program has ended so far, and what its last words mean.

use std::path::Path;

use super::case::Case;
use super::mend::shell;
use super::{Fault, Tell};
use crate::journal::{self, Of};
use crate::log::escape;

/// What is asked of each unit that may have failed.
const ASKED: [&str; 5] = [
    "Id",
    "ActiveState",
    "Result",
    "ExecMainCode",
    "ExecMainStatus",
];

/// Checks that nothing that serves connections has failed.
///
/// # Errors
///
/// Something has: how it ended, and its last words.
pub fn check(case: &Case<'_>, tell: &mut Tell<'_>) -> Result<(), Fault> {
    let Some(manager) = case.manager else {
        return Ok(());
    };
    let pattern = case.services();
    let shown = manager.show_all(&[&pattern], &ASKED).unwrap_or_default();
    let failed: Vec<_> = shown
        .iter()
        .filter(|unit| unit.get("ActiveState") == "failed")
        .collect();
    let Some(first) = failed.first() else {
        tell.good(match case.accept {
            true => "no connection has left a failed unit behind".to_string(),
            false => format!("{} has not failed", case.service.name),
        });
        return Ok(());
    };
    let id = first.get("Id");
    let words = journal::last(case.place, Of::Unit(id), None);
    let how = how(first.get("Result"), first.get("ExecMainStatus"));
    let reset = case.systemctl(&format!("reset-failed '{pattern}'"));
    if let Some(fault) = denied(case, &words.lines) {
        return Err(fault.seen(words.evidence()).command(reset));
    }
    let what = match failed.len() {
        1 => format!("{id} failed: {how}"),
        more => format!("{more} units of {pattern} failed, {id} among them: {how}"),
    };
    let advice = match case.accept {
        true => {
            "mend the program; this forgets the failed units, which count against MaxConnections="
        }
        false => "mend the program; this forgets that it failed, and the next connection starts it",
    };
    Err(Fault::new(what, advice)
        .seen(words.evidence())
        .command(reset))
}

/// A result of systemd's in words.
fn how(result: &str, status: &str) -> String {
    let meaning = match status {
        "200" => "its working directory cannot be entered (CHDIR)",
        "203" => "it could not be executed (EXEC)",
        "208" | "209" => "its standard input or output could not be set up",
        "216" | "217" => "its user or group could not be taken on (USER, GROUP)",
        "218" => "its capabilities could not be taken away",
        "226" => {
            "its view of the file system could not be made (NAMESPACE): a path in the unit is not there"
        }
        "228" => "its filter of system calls could not be made",
        _ => "",
    };
    match (result, meaning) {
        ("exit-code", "") => format!("its program ended with exit status {status}"),
        ("exit-code", meaning) => format!("exit status {status}: {meaning}"),
        ("signal" | "core-dump", _) => format!("its program was killed by signal {status}"),
        ("timeout", _) => "it took too long".to_string(),
        (other, _) => other.to_string(),
    }
}

/// The fault that a program's last words tell where it could not open a file.
pub fn denied(case: &Case<'_>, lines: &[String]) -> Option<Fault> {
    let (line, read_only) = lines.iter().rev().find_map(|line| {
        let read_only = line.contains("Read-only file system");
        (read_only || line.contains("Permission denied")).then_some((line, read_only))
    })?;
    let unit = &case.service.name;
    let Some(path) = path(case, line) else {
        return Some(Fault::new(
            format!(
                "the program of {unit} was denied something: {}",
                escape(line.as_bytes())
            ),
            "let the service's user have it, or have the program do without",
        ));
    };
    let shown = shell(&path);
    let user = match case.setting("User") {
        user if user.is_empty() => "root".to_string(),
        user => user,
    };
    let log = "What it writes to standard error is in the journal already, with the time and the unit: a file of its own \
               is not needed.";
    if read_only {
        let fault = Fault::new(
            format!("the program cannot write {path}: in the sandbox of {unit} the file system is read-only"),
            "have it write to standard error, or give it a place to write",
        )
        .means(log);
        let folder = Path::new(&path)
            .parent()
            .map_or("/".into(), |path| path.display().to_string());
        let line = match folder.as_str() {
            "/tmp" | "/var/tmp" => "PrivateTmp=yes".to_string(),
            _ => format!("ReadWritePaths={folder}"),
        };
        return Some(case.by_drop_in(fault, unit, "Service", &[&line]));
    }
    let dynamic = case.service.flag("Service", "DynamicUser") == Some(true);
    let there = case.path(&path).exists() && !dynamic;
    let fault = Fault::new(
        format!("the program may not write or read {path}: it runs as the user {user}"),
        match there {
            true => "have it write to standard error, or let that user have the file",
            false => "have it write to standard error, or to a folder that this user may write to",
        },
    )
    .means(format!(
        "The file is somebody else's, for one who tried the program out before. {log}"
    ));
    Some(match there {
        true => fault.command(format!("chown {} {shown}", shell(&user))),
        false => fault,
    })
}

/// The path in a line that is not the program's own.
fn path(case: &Case<'_>, line: &str) -> Option<String> {
    let own = case
        .service
        .value("Service", "ExecStart")
        .map_or("", |value| value.text);
    let parts = line.split(|c: char| c.is_whitespace() || "'\"‘’`(),;".contains(c));
    let paths = parts
        .map(|part| part.trim_end_matches([':', '.']))
        .filter(|part| part.len() > 1 && part.starts_with('/'));
    let mut others = paths.filter(|path| !own.contains(path));
    others.next().map(str::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_status_of_systemds_own_is_explained() {
        assert_eq!(
            how("exit-code", "1"),
            "its program ended with exit status 1"
        );
        assert!(how("exit-code", "203").contains("could not be executed"));
        assert_eq!(how("signal", "9"), "its program was killed by signal 9");
        assert_eq!(how("resources", "0"), "resources");
    }
}
