//! The services database, /etc/services: one marked line for each service, and no other.
//!
//! Debian's policy gives the file to netbase, so every change keeps owner, mode and all other
//! bytes, replaces the file in one step, and can be taken back exactly.

mod entry;
mod line;
mod replace;
mod text;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

pub use entry::{Entry, InvalidName, Name};
pub use line::{Line, lines, port};
pub use text::Taken;

/// Where the database is, below the root.
pub const FILE: &str = "etc/services";

/// What a change did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The file was changed, or would be.
    Changed,
    /// Nothing was to be done.
    Unchanged,
}

/// Whether a change is made or only tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Run {
    /// Make it.
    Real,
    /// Find out whether it could be made.
    Dry,
}

/// Why a change was not made. The file is as it was.
#[derive(Debug)]
pub enum Error {
    /// The name or the port has an entry already.
    Taken(PathBuf, Taken),
    /// Not a plain file: a symbolic link, for one.
    NotPlain(PathBuf),
    /// Another run of this program is changing it.
    Busy,
    /// It could not be read or replaced.
    Io(PathBuf, io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Taken(path, taken) => write!(f, "{}, {taken}", path.display()),
            Error::NotPlain(path) => write!(
                f,
                "{} is not a plain file; make the change by hand in the file that it stands for",
                path.display()
            ),
            Error::Busy => f.write_str("another sockunit is at work; try again when it has ended"),
            Error::Io(path, error) => {
                write!(f, "{}: {error}", path.display())?;
                match error.kind() {
                    io::ErrorKind::PermissionDenied => f.write_str("; run this as root"),
                    io::ErrorKind::NotFound => {
                        f.write_str("; the package netbase brings the services database")
                    }
                    _ => Ok(()),
                }
            }
        }
    }
}

impl std::error::Error for Error {}

/// Adds the entry's line to the database below `root`. That it is there already is no error.
///
/// # Errors
///
/// See [`Error`]; the name or the port being taken is one.
pub fn add(root: &Path, entry: &Entry, run: Run) -> Result<Outcome, Error> {
    replace::replace(root, run, |text| text::add(text, entry))
}

/// Takes the entry's line away where it still is as [`add`] wrote it. A line that somebody
/// changed stays.
///
/// # Errors
///
/// See [`Error`].
pub fn remove(root: &Path, entry: &Entry, run: Run) -> Result<Outcome, Error> {
    replace::replace(root, run, |text| Ok(text::remove(text, entry)))
}
