//! Why a service was not installed, and what is left of the attempt.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::SuperServer;
use crate::attach;
use crate::hint::{Hint, ShellCommand};
use crate::interrupts::Interrupted;
use crate::log::{Plain, reason};
use crate::services::ServiceName;
use crate::systemd::{Place, SystemctlError};

/// Why a service was not installed, or not taken back.
#[derive(Debug)]
pub(crate) enum ApplyError {
    /// xinetd or inetd serve it, and it is not to be disabled there.
    Served(SuperServer),
    /// Unit files that were edited since they were written.
    Edited(Vec<PathBuf>),
    /// The units could not be written or removed.
    Units(attach::Error),
    /// The file of xinetd or inetd could not be changed.
    File(PathBuf, io::Error),
    /// The file is not the one that was read.
    Changed(PathBuf),
    /// systemctl failed.
    Systemctl(SystemctlError),
    /// Its port is still in use.
    PortInUse(u16),
    /// A signal came before it was installed.
    Interrupted,
}

impl fmt::Display for ApplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ApplyError::Served(program) => write!(f, "{} serves it", program.name()),
            ApplyError::Edited(paths) => {
                let paths: Vec<String> = paths.iter().map(|path| shown(path)).collect();
                write!(f, "edited since import wrote it: {}", paths.join(", "))
            }
            ApplyError::Units(error) => Plain(&error.to_string()).fmt(f),
            ApplyError::File(path, error) => write!(f, "{}: {}", shown(path), reason(error)),
            ApplyError::Changed(path) => write!(f, "{} has changed meanwhile", shown(path)),
            ApplyError::Systemctl(error) => Plain(&error.to_string()).fmt(f),
            ApplyError::PortInUse(port) => write!(f, "the port {port} is still in use"),
            ApplyError::Interrupted => f.write_str("interrupted"),
        }
    }
}

impl ApplyError {
    /// What to do about it in a place.
    pub(crate) fn hint(&self, place: &Place) -> Option<Hint> {
        Some(match self {
            ApplyError::Served(_) => {
                Hint::new("--disable-old disables it there in the same step")
            }
            ApplyError::Edited(paths) => {
                let hint = Hint::new("this removes it with your changes");
                let file = paths.first().and_then(|path| path.file_name())?;
                let remove = ShellCommand::new(&["sockunit", "remove", "--force"]);
                let remove = place.with_root(remove);
                hint.command(remove.arg(service_name(file.to_str()?)))
            }
            ApplyError::PortInUse(_) => Hint::new(
                "wait until the program that has the port exits, then run import again; this shows it",
            )
            .command(ShellCommand::new(&["ss", "-lnptu"])),
            ApplyError::Changed(_) | ApplyError::Interrupted => {
                Hint::new("run the same command again")
            }
            ApplyError::File(_, error) | ApplyError::Units(attach::Error::Io(_, error))
                if error.kind() == io::ErrorKind::PermissionDenied =>
            {
                Hint::new("run this as root")
            }
            ApplyError::Units(error) => return error.hint(),
            ApplyError::File(..) | ApplyError::Systemctl(_) => return None,
        })
    }
}

impl From<Interrupted> for ApplyError {
    fn from(_: Interrupted) -> ApplyError {
        ApplyError::Interrupted
    }
}

impl From<attach::Error> for ApplyError {
    fn from(error: attach::Error) -> ApplyError {
        match error {
            attach::Error::Changed { paths, .. } => ApplyError::Edited(paths),
            error => ApplyError::Units(error),
        }
    }
}

impl From<SystemctlError> for ApplyError {
    fn from(error: SystemctlError) -> ApplyError {
        ApplyError::Systemctl(error)
    }
}

/// A service that was not installed, and is as it was before it was imported, but for what is left.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: ApplyError,
    /// The files in which it was enabled again.
    pub(crate) enabled_again: Vec<PathBuf>,
    /// What could not be undone.
    pub(crate) left: Vec<Left>,
}

impl Failure {
    /// Nothing was changed.
    pub(super) fn before(error: ApplyError) -> Failure {
        Failure {
            error,
            enabled_again: Vec::new(),
            left: Vec::new(),
        }
    }
}

/// A change that could not be undone, and why.
#[derive(Debug)]
pub(crate) enum Left {
    /// Of the units of a service. These units of xinetd and inetd have not got its ports back.
    Units(ServiceName, attach::Left, Vec<&'static str>),
    /// The lines that disable services in a file.
    Line(ApplyError),
    /// A program that has not read its files again.
    Unread(&'static str, SystemctlError),
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Left::Units(name, left, _) => {
                let left = left.to_string();
                write!(f, "{name}: {}", Plain(&left))
            }
            Left::Line(error) => write!(f, "it is still disabled: {error}"),
            Left::Unread(unit, error) => {
                let error = error.to_string();
                write!(f, "{unit} has not read its files again: {}", Plain(&error))
            }
        }
    }
}

impl Left {
    /// The command that does it in a place.
    pub(crate) fn hint(&self, place: &Place) -> Hint {
        match self {
            Left::Units(name, left, waiting) => {
                let hint = left.hint(place, name);
                waiting
                    .iter()
                    .fold(hint, |hint, unit| hint.command(reload(unit)))
            }
            Left::Line(_) => {
                Hint::new("this enables it again, and undoes the import of all services")
                    .command(revert_command(place))
            }
            Left::Unread(unit, _) => Hint::new("this has it read them").command(reload(unit)),
        }
    }
}

fn reload(unit: &str) -> ShellCommand {
    ShellCommand::new(&["systemctl", "reload"]).arg(unit)
}

/// The command that undoes the import of all services.
pub(crate) fn revert_command(place: &Place) -> ShellCommand {
    place.with_root(ShellCommand::new(&["sockunit", "import", "--revert"]))
}

/// The name of the service that a unit file belongs to.
pub(in crate::import) fn service_name(file: &str) -> &str {
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    stem.strip_suffix('@').unwrap_or(stem)
}

/// A path on one line.
pub(crate) fn shown(path: &Path) -> String {
    Plain(&path.display().to_string()).to_string()
}
