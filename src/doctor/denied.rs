//! What a program was denied, by its last words.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use super::Fault;
use super::command::runner;
use super::fix::shell;
use super::subject::Case;
use crate::executable::Want;
use crate::log::escape;

/// The words of the C library, and of everyone who has them from there.
const DENIED: &str = "Permission denied";
const READ_ONLY: &str = "Read-only file system";

/// Where programs keep what they write. What lies elsewhere is given to nobody.
const WRITTEN: [&str; 7] = [
    "/srv",
    "/tmp",
    "/var/cache",
    "/var/lib",
    "/var/log",
    "/var/spool",
    "/var/tmp",
];

/// The fault that a program's last words tell where it could not open a file.
pub fn denied(case: &Case<'_>, lines: &[String]) -> Option<Fault> {
    let (line, words) = lines.iter().rev().find_map(|line| {
        let words = [READ_ONLY, DENIED]
            .into_iter()
            .find(|words| line.contains(words))?;
        Some((line, words))
    })?;
    let unit = &case.service.name;
    let own = case
        .service
        .value("Service", "ExecStart")
        .map_or("", |value| value.text);
    let Some(path) = path(own, line, words) else {
        return Some(Fault::new(
            format!(
                "the program of {unit} was denied something: {}",
                escape(line.as_bytes())
            ),
            "let the service's user have it, or have the program do without",
        ));
    };
    let log = "What it writes to standard error is in the journal already, with the time and the unit: a file of its own \
               is not needed.";
    if words == READ_ONLY {
        let fault = Fault::new(
            format!("the program cannot write {path}: in the sandbox of {unit} the file system is read-only"),
            "have it write to standard error, or give it a place to write",
        )
        .means(log);
        let folder = Path::new(path)
            .parent()
            .map_or("/".into(), |path| path.display().to_string());
        let line = match folder.as_str() {
            "/tmp" | "/var/tmp" => "PrivateTmp=yes".to_string(),
            _ => format!("ReadWritePaths={folder}"),
        };
        return Some(case.by_drop_in(fault, unit, "Service", &[&line]));
    }
    let user = match case.setting("User") {
        user if user.is_empty() => "root".to_string(),
        user => user,
    };
    let what = format!("the program may not write or read {path}: it runs as the user {user}");
    if is_anothers_log(case, Path::new(path)) {
        let fault = Fault::new(
            what,
            "have it write to standard error, or let that user have the file",
        )
        .means(format!(
            "The file is somebody else's, for one who tried the program out before. {log}"
        ));
        return Some(fault.command(format!("chown {} {}", shell(&user), shell(path))));
    }
    Some(
        Fault::new(
            what,
            "have it write to standard error or to a folder that this user may write to, and read what this user may read",
        )
        .means(log),
    )
}

/// The path that the words are about: the nearest before them that is not the program's own, or else
/// the first behind them.
fn path<'l>(own: &str, line: &'l str, words: &str) -> Option<&'l str> {
    let (before, behind) = line.split_once(words)?;
    let paths = |text: &'l str| {
        let parts = text.split(|c: char| c.is_whitespace() || "'\"‘’`(),;".contains(c));
        let paths = parts
            .map(|part| part.trim_end_matches([':', '.']))
            .filter(|part| part.len() > 1 && part.starts_with('/') && !own.contains(part));
        paths.collect::<Vec<_>>()
    };
    let before = paths(before).pop();
    before.or_else(|| paths(behind).first().copied())
}

/// Whether a path is one of a file that somebody else has written there, and that would serve the
/// program if it were its user's. A program or what else somebody may run is none.
fn is_anothers_log(case: &Case<'_>, path: &Path) -> bool {
    let Ok(runner) = runner(case) else {
        return false;
    };
    // What is made up has no user that a file could be given to.
    if case.service.flag("Service", "DynamicUser") == Some(true) {
        return false;
    }
    let Ok(stat) = fs::symlink_metadata(path) else {
        return false;
    };
    let plain = !path.components().any(|part| part.as_os_str() == "..");
    let passes = path.ancestors().skip(1).all(|folder| {
        fs::symlink_metadata(folder)
            .is_ok_and(|stat| stat.is_dir() && runner.may_here(Want::Execute, folder, &stat))
    });
    plain
        && WRITTEN.iter().any(|folder| path.starts_with(folder))
        && stat.is_file()
        && stat.nlink() == 1
        && stat.permissions().mode() & 0o111 == 0
        && runner.class(&stat) != 'u'
        && passes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_is_the_one_that_the_words_are_about() {
        let own = "-/usr/local/bin/tick --quiet";
        for (line, about) in [
            (
                "/usr/local/bin/tick: 2: cannot create /tmp/tick.log: Permission denied",
                Some("/tmp/tick.log"),
            ),
            (
                "/srv/helper.bash: line 2: /var/log/tick.log: Permission denied",
                Some("/var/log/tick.log"),
            ),
            (
                "PermissionError: [Errno 13] Permission denied: '/var/log/tick.log'",
                Some("/var/log/tick.log"),
            ),
            ("grep: /etc/shadow: Permission denied", Some("/etc/shadow")),
            ("/usr/local/bin/tick: Permission denied", None),
            ("tick: Permission denied", None),
        ] {
            assert_eq!(path(own, line, DENIED), about, "{line}");
        }
    }
}
