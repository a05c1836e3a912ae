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
    /// The name or the port has another entry already.
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
            Error::Conflict(path, conflict) => write!(
                f,
                "cannot add the entry: {}:{}: {conflict}",
                path.display(),
                conflict.line_number
            ),
            Error::NotPlain(path) => write!(
                f,
                "cannot change the services database: {}: not a regular file",
                path.display()
            ),
            Error::Io(path, error) => write!(
                f,
                "cannot change the services database: {}: {error}",
                path.display()
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
    pub(crate) fn hint(&self) -> Option<&'static str> {
        match self {
            Error::Conflict(..) => Some("choose another name or port, or edit that line"),
            Error::Busy => Some("try again when it has ended"),
            Error::NotPlain(_) => Some("edit the file that the path leads to by hand"),
            Error::Io(_, error) => match error.kind() {
                io::ErrorKind::PermissionDenied => Some("run this as root"),
                io::ErrorKind::NotFound => {
                    Some("install the package netbase, which has the services database")
                }
                _ => None,
            },
        }
    }
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
