//! Unit files on disk, read as systemd reads them, below any root directory.
//!
//! [`Place`] says whose units and where they lie, [`File`] is one file read from its bytes,
//! [`Unit`] a fragment with its drop-ins, and [`command_lines`] what an `ExecStart=` means.

mod catalogue;
mod command;
mod drop_ins;
mod enabled;
mod file;
mod name;
mod path;
mod place;
#[cfg(test)]
mod tests;
mod unit;

use std::fmt;
use std::io;
use std::path::PathBuf;

pub use command::{CommandLine, Malformed, command_lines, split};
pub use enabled::Enablement;
pub use file::{Assignment, Fault, File, Flaw};
pub use name::Name;
pub use path::{read, resolve};
pub(crate) use place::runtime;
pub use place::{Place, Scope};
pub use unit::{Listen, Source, State, Unit, Value};

/// A file or folder of units that cannot be read.
#[derive(Debug)]
pub struct Error {
    /// Which.
    pub path: PathBuf,
    /// Why.
    pub error: io::Error,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.error)?;
        match self.error.kind() {
            io::ErrorKind::PermissionDenied => f.write_str("; run this as root"),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for Error {}
