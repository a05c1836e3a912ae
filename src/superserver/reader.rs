//! Which program reads inetd.conf: inetd, or xinetd with `-inetd_compat`.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use super::inetd::Dialect;
use crate::root::{read, walk};
use crate::systemd::{Manager, Place, State, SystemctlError, Unit};

/// The units of Debian's packages of xinetd and inetd.
pub(crate) const XINETD_UNIT: &str = "xinetd.service";
pub(crate) const INETD_UNITS: [&str; 3] = [
    "inetd.service",
    "openbsd-inetd.service",
    "inetutils-inetd.service",
];

/// The option of xinetd with which it reads inetd.conf.
const COMPAT: &str = "-inetd_compat";

const XINETD: &str = "/usr/sbin/xinetd";
const SCRIPT: &str = "/etc/init.d/xinetd";
/// The settings of the script.
const DEFAULT: &str = "/etc/default/xinetd";

/// The program that reads inetd.conf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    Inetd,
    Xinetd,
}

/// Finds out which program reads inetd.conf: the one that runs, or the one that would by the system's
/// files. If that cannot be known, it is inetd.
pub(super) fn reader(place: &Place) -> Reader {
    let running = Manager::of(place).and_then(running);
    match running.unwrap_or_else(|| configured(place)) {
        true => Reader::Xinetd,
        false => Reader::Inetd,
    }
}

/// Which inetd a system has.
pub(super) fn dialect(root: &Path) -> Dialect {
    let has = |path: &str| walk(root, Path::new(path)).is_ok();
    match (
        has("/usr/sbin/inetutils-inetd"),
        has("/bin/freebsd-version"),
    ) {
        (true, _) => Dialect::Inetutils,
        (false, true) => Dialect::FreeBsd,
        (false, false) => Dialect::OpenBsd,
    }
}

/// Whether a unit is active. An alias has the state of its unit, and does not count: the script of xinetd
/// also provides inetd.service.
///
/// # Errors
///
/// systemctl failed.
pub(crate) fn is_active(manager: &Manager, unit: &str) -> Result<bool, SystemctlError> {
    let shown = manager.show(unit, &["ActiveState", "Id"])?;
    Ok(shown.get("ActiveState") == "active" && shown.get("Id") == unit)
}

/// Whether xinetd runs with the option; `None` if neither xinetd nor inetd runs.
fn running(manager: Manager) -> Option<bool> {
    if is_active(&manager, XINETD_UNIT).ok()? {
        return runs_with(&manager, XINETD_UNIT, "xinetd", |word| word == COMPAT);
    }
    let mut units = INETD_UNITS.iter();
    units
        .any(|unit| is_active(&manager, unit).unwrap_or(false))
        .then_some(false)
}

/// Whether the program of an active unit has an option on its command line. The main process of a script is
/// not known to systemd.
fn runs_with(
    manager: &Manager,
    unit: &str,
    program: &str,
    is_option: fn(&str) -> bool,
) -> Option<bool> {
    let shown = manager.show(unit, &["ControlGroup"]).ok()?;
    let group = shown.get("ControlGroup");
    let processes = fs::read_dir("/proc").ok()?.filter_map(Result::ok);
    let mut found = processes.filter_map(|process| {
        let groups = fs::read_to_string(process.path().join("cgroup")).ok()?;
        let is_member = groups
            .lines()
            .any(|line| line.splitn(3, ':').nth(2) == Some(group));
        let command = fs::read(process.path().join("cmdline")).ok()?;
        let command = String::from_utf8_lossy(&command);
        let mut words = command.split('\0');
        let is_it = Path::new(words.next()?).file_name() == Some(OsStr::new(program));
        (is_member && is_it).then(|| words.any(is_option))
    });
    found.next()
}

/// Whether inetd applies the rules of hosts.allow and hosts.deny, as openbsd-inetd does with `-l`.
pub(crate) fn inetd_wraps(place: &Place) -> bool {
    let is_option = |word: &str| {
        let letters = word.strip_prefix('-');
        letters.is_some_and(|letters| letters.contains('l') && !letters.starts_with('-'))
    };
    if let Some(manager) = Manager::of(place) {
        for unit in INETD_UNITS {
            if is_active(&manager, unit).unwrap_or(false) {
                return runs_with(&manager, unit, "inetd", is_option).unwrap_or(true);
            }
        }
    }
    let has_option = |unit: &Unit| {
        let commands = unit.values("Service", "ExecStart");
        let mut words = commands
            .iter()
            .flat_map(|command| command.text.split_whitespace());
        words.any(is_option)
    };
    let mut units = INETD_UNITS.iter();
    units.any(|unit| Unit::load(place, unit).is_ok_and(|unit| has_option(&unit)))
}

/// Whether xinetd has the option when the system starts it.
fn configured(place: &Place) -> bool {
    if !walk(&place.root, Path::new(XINETD)).is_ok_and(|way| way.end.is_file()) {
        return false;
    }
    // A unit file replaces the script. systemd makes a unit of a script that has none.
    let unit = Unit::load(place, XINETD_UNIT).ok();
    let commands = unit
        .as_ref()
        .map(|unit| unit.values("Service", "ExecStart"));
    let command = commands.and_then(|commands| Some(commands.first()?.text.to_owned()));
    match command {
        Some(command) if !command.contains(SCRIPT) => has_word(&command, COMPAT),
        None if unit.is_some_and(|unit| unit.state == State::Masked) => false,
        _ => place.path(SCRIPT).exists() && script_sets(place),
    }
}

/// Whether the script of Debian's package passes the option.
fn script_sets(place: &Place) -> bool {
    let text = read(&place.root, &place.path(DEFAULT)).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let value = |name: &str| {
        let mut lines = text.lines().rev();
        let value = lines.find_map(|line| line.trim().strip_prefix(name)?.strip_prefix('='));
        value.unwrap_or_default().trim_matches(['"', '\''])
    };
    value("INETD_COMPAT").starts_with(['Y', 'y']) || has_word(value("XINETD_OPTS"), COMPAT)
}

fn has_word(text: &str, word: &str) -> bool {
    text.split_whitespace().any(|other| other == word)
}
