//! The services database, /etc/services: adds and removes one marked line per service.
//!
//! Debian policy (11.2) gives the file to netbase. So every change keeps the owner, the mode and all
//! other bytes, replaces the file in one step, and can be undone exactly.

mod entry;
mod line;
mod replace;
pub(crate) mod text;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

pub(crate) use entry::{Entry, ServiceName};
pub(crate) use line::{lines, port};
pub(crate) use text::EntryConflict;

use crate::hint::{Hint, ShellCommand};
use crate::log::reason;
use crate::systemd::{Place, Scope};

/// The path of the database, below the root directory.
pub(crate) const FILE: &str = "etc/services";

/// What a change did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The file was changed, or would be in a dry run.
    Changed,
    /// The file is already as wanted.
    Unchanged,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Run {
    /// Change the file.
    Real,
    /// Do all that the change needs, but leave the file as it is.
    Trial,
    /// Only check whether the file could be changed.
    Dry,
}

/// Why a change was not made; the file is unchanged. Its Display is one line, without the hint.
#[derive(Debug)]
pub(crate) enum Error {
    /// The name or the port has another entry already, in the database below this root directory.
    Conflict(PathBuf, EntryConflict),
    /// The path is not a regular file, but a symbolic link, for example.
    NotPlain(PathBuf),
    /// Another run of this program is changing the file.
    Busy,
    /// The file cannot be read or replaced.
    Io(PathBuf, io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Conflict(root, conflict) => write!(
                f,
                "cannot add the line: {}:{}: {conflict}",
                root.join(FILE).display(),
                conflict.line_number
            ),
            Error::NotPlain(path) => write!(
                f,
                "cannot change the services database: {}: not a regular file",
                path.display()
            ),
            Error::Io(path, error) => write!(
                f,
                "cannot change the services database: {}: {}",
                path.display(),
                reason(error)
            ),
            Error::Busy => f.write_str(
                "cannot change the services database: another sockunit command is running",
            ),
        }
    }
}

impl std::error::Error for Error {}

impl Error {
    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<Hint> {
        let text = match self {
            Error::Conflict(root, conflict) => match &conflict.own {
                Some(own) => return Some(remove_hint(root, own)),
                None => "choose another name or port, or edit that line",
            },
            Error::Busy => "try again when it has ended",
            Error::NotPlain(_) => "edit the file that the path leads to by hand",
            Error::Io(_, error) => match error.kind() {
                io::ErrorKind::PermissionDenied => "run this as root",
                io::ErrorKind::NotFound => {
                    "install the package netbase, which has the services database"
                }
                _ => return None,
            },
        };
        Some(Hint::new(text))
    }
}

/// How to remove a line that sockunit added to the database below `root`.
fn remove_hint(root: &Path, own: &Entry) -> Hint {
    let command = ShellCommand::new(&["sockunit", "services", "remove"]);
    let command = Place::new(root, Scope::System).with_root(command);
    let command = command.arg(own.name.to_string()).arg(own.port.to_string());
    Hint::new("sockunit added that line; this removes it").command(command)
}

/// Adds the entry's line to the database below `root`. If it has that line already, it stays
/// unchanged.
///
/// # Errors
///
/// See [`Error`].
pub(crate) fn add(root: &Path, entry: &Entry, run: Run) -> Result<Outcome, Error> {
    replace::replace(root, run, |text| text::add(text, entry))
}

/// Removes the entry's line from the database below `root`. A line that was edited since [`add`]
/// wrote it is kept.
///
/// # Errors
///
/// See [`Error`].
pub(crate) fn remove(root: &Path, entry: &Entry, run: Run) -> Result<Outcome, Error> {
    replace::replace(root, run, |text| Ok(text::remove(text, entry)))
}
