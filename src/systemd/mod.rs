//! Everything that talks to systemd or reads its files.
//!
//! [`Place`] says whose units and below which root directory, [`UnitFile`] is one file parsed from
//! its bytes, [`Unit`] a fragment with its drop-ins, and [`command_lines`] parses `ExecStart=`.
//! [`Manager`] is the running service manager, through systemctl; [`journalctl`] reads the journal;
//! [`notify`] is the service's side of sd_notify(3); [`quote`] writes words of unit files.

mod catalogue;
mod command;
mod drop_ins;
mod enabled;
mod file;
pub mod journalctl;
mod name;
pub mod notify;
mod place;
pub(crate) mod quote;
mod systemctl;
#[cfg(test)]
mod tests;
mod unit;

use std::fmt;
use std::io;
use std::path::PathBuf;

pub use command::{CommandLine, Malformed, command_lines, split};
pub use enabled::Enablement;
pub use file::{Assignment, Flaw, SyntaxProblem, UnitFile};
pub use name::UnitName;
pub(crate) use place::runtime;
pub use place::{Place, Scope};
pub use systemctl::{Manager, Properties, SystemctlError};
pub use unit::{Listen, Source, State, Unit, Value};

/// A unit file or a directory of units that cannot be read.
#[derive(Debug)]
pub struct ReadError {
    /// The file or directory.
    pub path: PathBuf,
    /// Why it cannot be read.
    pub error: io::Error,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.error)?;
        match self.error.kind() {
            io::ErrorKind::PermissionDenied => f.write_str("; run this as root"),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for ReadError {}
