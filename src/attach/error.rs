//! Why a program was not attached, or not removed.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::conflicts::{Finding, FindingKind, Location};
use crate::executable::NotExecutable;
use crate::hint::{Hint, ShellCommand};
use crate::interrupts::Interrupted;
use crate::log::reason;
use crate::services::{self, ServiceName};
use crate::systemd::{Place, ReadError, Scope, SystemctlError};

/// Why nothing was done. Its Display is the reason; [`Error::hint`] says how to go on.
#[derive(Debug)]
pub(crate) enum Error {
    /// An argument cannot be used.
    Invalid {
        /// The reason.
        problem: String,
        /// How to go on.
        hint: Hint,
    },
    /// The program cannot be executed.
    Program(NotExecutable),
    /// The name or the port is in use.
    InUse(Vec<Finding>),
    /// The service is attached with other options: the lines that differ, with `-` or `+` before them.
    Differs(Vec<String>),
    /// Unit files that were changed since they were written.
    Changed {
        paths: Vec<PathBuf>,
        /// How to go on.
        hint: Hint,
    },
    /// Another run of this program has the lock.
    Busy,
    /// The caller has no service manager.
    NoUserManager,
    /// systemd does not run.
    NoSystemManager,
    /// Root would change files below a directory of another user.
    HomeOfAnother(PathBuf),
    /// A file cannot be read or written.
    Io(PathBuf, io::Error),
    /// The units cannot be read.
    Units(ReadError),
    /// The entry in /etc/services cannot be changed.
    Services(services::Error),
    /// systemctl failed.
    Systemctl(SystemctlError),
    /// The socket does not start, or the program does not answer.
    NoAnswer(String),
    /// A signal came before it was done.
    Interrupted,
}

impl Error {
    pub(super) fn invalid(problem: impl Into<String>, hint: impl Into<String>) -> Error {
        Error::Invalid {
            problem: problem.into(),
            hint: Hint::new(hint),
        }
    }

    /// Unit files of a service were changed since they were written.
    pub(super) fn changed(place: &Place, name: &ServiceName, paths: Vec<PathBuf>) -> Error {
        let remove = ShellCommand::new(&["sockunit", "remove", "--force"]);
        let remove = place.with_root(remove.literals(place.scope.option()));
        let hint = Hint::new(format!(
            "move your changes to a drop-in (systemctl edit {name}.socket); then remove the service, and add it again"
        ));
        Error::Changed {
            paths,
            hint: hint.command(remove.arg(name.to_string())),
        }
    }

    /// There is no service manager to ask.
    pub(crate) fn no_manager(scope: Scope) -> Error {
        match scope {
            Scope::System => Error::NoSystemManager,
            Scope::User => Error::NoUserManager,
        }
    }

    /// How to go on, where there is something to do.
    pub(crate) fn hint(&self) -> Option<Hint> {
        Some(match self {
            Error::Invalid { hint, .. } => hint.clone(),
            Error::Program(error) => error.hint.clone(),
            Error::InUse(findings) => {
                let finding = findings.first()?;
                if let FindingKind::SuperServer {
                    program, service, ..
                } = &finding.kind
                {
                    return Some(switch_off(program, service, &finding.location));
                }
                if finding.claim.path.is_some() && finding.claim.name.is_none() {
                    return Some(Hint::new("use another path"));
                }
                let check = ShellCommand::new(&["sockunit", "check"]);
                let hint = Hint::new("use another name or port; this shows all that use these");
                match (&finding.claim.name, finding.claim.port) {
                    (Some(name), Some(port)) => hint.command(check.arg(name).arg(port.to_string())),
                    _ => {
                        Hint::new("use another name or port (sockunit check shows what uses them)")
                    }
                }
            }
            Error::Differs(_) => Hint::new("--replace applies the difference"),
            Error::Changed { hint, .. } => hint.clone(),
            Error::Busy => Hint::new("try again when it has ended"),
            Error::NoUserManager => Hint::new(
                "log in as that user (a shell from su or sudo has no service manager), or run this as root without --user",
            ),
            Error::HomeOfAnother(_) => Hint::new("run this as the user who owns the directory"),
            Error::Io(_, error) if error.kind() == io::ErrorKind::PermissionDenied => {
                Hint::new("run this as root, or with --user for your own services")
            }
            Error::Units(error) => error.hint()?.into(),
            Error::Services(error) => error.hint()?,
            Error::NoSystemManager
            | Error::Io(..)
            | Error::Systemctl(_)
            | Error::NoAnswer(_)
            | Error::Interrupted => return None,
        })
    }
}

/// How to disable a service of xinetd or inetd, so that systemd can listen on its port.
fn switch_off(program: &str, service: &str, location: &Location) -> Hint {
    match program {
        "xinetd" => Hint::new(format!(
            "to disable it there, set \"disable = yes\" in its block ({location}), and have xinetd read the file; \
             sockunit import converts the service instead"
        ))
        .command(ShellCommand::new(&["systemctl", "reload", "xinetd.service"])),
        _ => Hint::new("this disables it there")
            .command(ShellCommand::new(&["update-inetd", "--disable"]).arg(service)),
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Invalid { problem, .. } | Error::NoAnswer(problem) => f.write_str(problem),
            Error::Program(error) => error.fmt(f),
            Error::InUse(findings) => match findings.first() {
                Some(finding) => finding.fmt(f),
                None => f.write_str("the name or port is in use"),
            },
            Error::Differs(_) => f.write_str("it is attached with other options"),
            Error::Changed { paths, .. } => {
                for (index, path) in paths.iter().enumerate() {
                    let and = if index > 0 { " and " } else { "" };
                    write!(f, "{and}{}", path.display())?;
                }
                let (have, it) = match paths.len() {
                    0 | 1 => ("has", "it"),
                    _ => ("have", "them"),
                };
                write!(f, " {have} changed since sockunit wrote {it}")
            }
            Error::Busy => f.write_str("another sockunit command is running"),
            Error::NoUserManager => f.write_str("your user has no service manager here"),
            Error::NoSystemManager => f.write_str("systemd does not run here"),
            Error::HomeOfAnother(path) => {
                write!(f, "{}: belongs to another user", path.display())
            }
            Error::Io(path, error) => write!(f, "{}: {}", path.display(), reason(error)),
            Error::Units(error) => error.fmt(f),
            Error::Services(error) => error.fmt(f),
            Error::Systemctl(error) => error.fmt(f),
            Error::Interrupted => f.write_str("interrupted"),
        }
    }
}

impl std::error::Error for Error {}

impl From<NotExecutable> for Error {
    fn from(error: NotExecutable) -> Error {
        Error::Program(error)
    }
}

impl From<ReadError> for Error {
    fn from(error: ReadError) -> Error {
        Error::Units(error)
    }
}

impl From<services::Error> for Error {
    fn from(error: services::Error) -> Error {
        Error::Services(error)
    }
}

impl From<Interrupted> for Error {
    fn from(_: Interrupted) -> Error {
        Error::Interrupted
    }
}

impl From<SystemctlError> for Error {
    fn from(error: SystemctlError) -> Error {
        Error::Systemctl(error)
    }
}
