//! Which program reads inetd.conf: inetd, or xinetd with `-inetd_compat`.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::inetd::Dialect;
use crate::root::{read, trace};
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
    let has = |path: &str| trace(root, Path::new(path)).is_ok();
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

/// Whether the program of an active unit has an option on its command line; `None` if its process is not found. If
/// several processes could be it, one with the option counts.
fn runs_with(
    manager: &Manager,
    unit: &str,
    program: &str,
    is_option: fn(&str) -> bool,
) -> Option<bool> {
    let shown = manager.show(unit, &["ControlGroup", "MainPID"]).ok()?;
    let processes = match shown.get("MainPID") {
        // The main process of a script is not known to systemd.
        "" | "0" => members(shown.get("ControlGroup"), program)?,
        main => vec![Path::new("/proc").join(main)],
    };
    let options = processes.iter().filter_map(|process| {
        let command = fs::read(process.join("cmdline")).ok()?;
        let command = String::from_utf8_lossy(&command);
        Some(command.split('\0').skip(1).any(is_option))
    });
    options.reduce(|one, other| one || other)
}

/// The processes of root in a control group that run a program, as directories of /proc. The programs of its services
/// are in the group too, and can call themselves what they like.
fn members(group: &str, program: &str) -> Option<Vec<PathBuf>> {
    let processes = fs::read_dir("/proc").ok()?.filter_map(Result::ok);
    let processes = processes.map(|process| process.path());
    let members = processes.filter(|process| {
        let groups = fs::read_to_string(process.join("cgroup")).unwrap_or_default();
        let mut lines = groups.lines();
        lines.any(|line| line.splitn(3, ':').nth(2) == Some(group))
            && is_of_root(process)
            && runs(process, program)
    });
    Some(members.collect())
}

/// Whether all user ids of a process are those of root.
fn is_of_root(process: &Path) -> bool {
    let status = fs::read_to_string(process.join("status")).unwrap_or_default();
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    ids.is_some_and(|ids| ids.split_whitespace().all(|id| id == "0"))
}

/// Whether a process of root runs a program of this name.
fn runs(process: &Path, program: &str) -> bool {
    let name = match fs::read_link(process.join("exe")) {
        Ok(path) => path.file_name().map(OsStr::to_owned),
        // Only root can follow the link. No other user's program is asked for its name.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let command = fs::read(process.join("cmdline")).unwrap_or_default();
            let first = command.split(|byte| *byte == 0).next().unwrap_or_default();
            let first = Path::new(OsStr::from_bytes(first));
            first.file_name().map(OsStr::to_owned)
        }
        Err(_) => None,
    };
    let name = name.unwrap_or_default();
    let name = name.as_bytes();
    // The kernel adds this once the package has been upgraded.
    name.strip_suffix(b" (deleted)").unwrap_or(name) == program.as_bytes()
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
    if !trace(&place.root, Path::new(XINETD)).is_ok_and(|traced| traced.status.is_file()) {
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
