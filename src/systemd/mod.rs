//! systemd: its unit files, its service manager and its journal.
//!
//! [`Place`] selects a service manager and a root directory. [`UnitFile`] parses one file, [`Catalogue`]
//! lists all unit files, [`Unit`] merges one with its drop-ins, [`command_lines`] parses `ExecStart=`, and [`quote`] quotes
//! words for unit files. [`Manager`] calls systemctl, [`journalctl`] reads the journal, [`run()`] bounds what both may
//! take, and [`notify`] is the service's side of sd_notify(3).

mod catalogue;
mod command;
mod drop_ins;
mod enabled;
mod file;
pub(crate) mod journalctl;
mod name;
pub(crate) mod notify;
mod place;
pub(crate) mod quote;
mod run;
mod systemctl;
#[cfg(test)]
mod tests;
mod unit;

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::log::reason;

pub(crate) use catalogue::Catalogue;
pub(crate) use command::{CommandLine, command_lines, split};
pub(crate) use enabled::Enablement;
pub(crate) use file::{SyntaxProblem, SyntaxProblemKind, UnitFile};
pub(crate) use name::{UnitName, other_service, service_units};
pub(crate) use place::runtime;
pub(crate) use place::{Place, Scope};
pub(crate) use run::{Answer, Limits, PATIENCE, RunError, run};
pub(crate) use systemctl::{Listening, Manager, Properties, SystemctlError};
pub(crate) use unit::{ListenDirective, State, Unit, Value};

/// A unit file or a unit directory cannot be read. Its Display is one line, without the hint.
#[derive(Debug)]
pub(crate) struct ReadError {
    pub(crate) path: PathBuf,
    pub(crate) error: io::Error,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "cannot read: {}: {}",
            self.path.display(),
            reason(&self.error)
        )
    }
}

impl std::error::Error for ReadError {}

impl ReadError {
    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        let denied = self.error.kind() == io::ErrorKind::PermissionDenied;
        denied.then_some("run this as root")
    }
}
