//! Why something was not attached, or not taken away.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::systemd::{ReadError, SystemctlError};
use crate::{conflicts, services};

use crate::executable::NotExecutable;

/// Why it was not done. Its Display is the sentence for the user, the way out included. Nothing is
/// left of what had been done.
#[derive(Debug)]
pub enum Error {
    /// The name, the program, or a value cannot be used.
    Refused(String),
    /// The program cannot be started.
    Program(NotExecutable),
    /// The name or the port is somebody's.
    Taken(Vec<conflicts::Finding>),
    /// There is no attachment of this name.
    Unknown(String),
    /// Files that somebody has changed since they were made.
    Changed(Vec<PathBuf>),
    /// Another run of this program is at work.
    Busy(PathBuf),
    /// A file could not be read or written.
    Io(PathBuf, io::Error),
    /// The units could not be read.
    Units(ReadError),
    /// The line in /etc/services could not be changed.
    Services(services::Error),
    /// The service manager refused.
    Manager(SystemctlError),
    /// The socket started, and the program did not answer.
    NoAnswer(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Refused(sentence) | Error::NoAnswer(sentence) => f.write_str(sentence),
            Error::Program(fault) => fault.fmt(f),
            Error::Taken(findings) => {
                if let Some(finding) = findings.first() {
                    write!(f, "{finding}; ")?;
                }
                f.write_str("choose another name or port (sockunit check says who has which)")
            }
            Error::Unknown(name) => write!(
                f,
                "there is no {name} that sockunit add made; sockunit list says what there is"
            ),
            Error::Changed(paths) => {
                for (index, path) in paths.iter().enumerate() {
                    let and = if index > 0 { " and " } else { "" };
                    write!(f, "{and}{}", path.display())?;
                }
                let was = if paths.len() > 1 { "were" } else { "was" };
                write!(
                    f,
                    " {was} changed since sockunit add made it; keep a copy if you need it, and give \
                     --force to remove it all the same"
                )
            }
            Error::Busy(path) => write!(
                f,
                "another sockunit is at work ({} is locked); try again when it has ended",
                path.display()
            ),
            Error::Io(path, error) => {
                write!(f, "{}: {error}", path.display())?;
                match error.kind() {
                    io::ErrorKind::PermissionDenied => {
                        f.write_str("; run this as root, or with --user for your own services")
                    }
                    _ => Ok(()),
                }
            }
            Error::Units(error) => match error.hint() {
                Some(hint) => write!(f, "{error}\nhint: {hint}"),
                None => error.fmt(f),
            },
            Error::Services(error) => match error.hint() {
                Some(hint) => write!(f, "{error}\nhint: {hint}"),
                None => error.fmt(f),
            },
            Error::Manager(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

impl From<NotExecutable> for Error {
    fn from(fault: NotExecutable) -> Error {
        Error::Program(fault)
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

impl From<SystemctlError> for Error {
    fn from(error: SystemctlError) -> Error {
        Error::Manager(error)
    }
}
