//! Isolation of the programs of different connections from each other and from this process.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use nix::sys::prctl::{set_dumpable, set_no_new_privs};

use crate::sys::isolation;

/// A Landlock ruleset: the program of each connection gets a domain of it.
#[derive(Debug)]
pub struct Isolation(OwnedFd);

impl Isolation {
    /// Isolates this process from the programs that it will start, and makes the ruleset.
    ///
    /// # Errors
    ///
    /// The kernel lacks what this needs.
    pub fn set_up() -> nix::Result<Isolation> {
        // Without Landlock, this keeps programs of the same user from reading the memory of this
        // process at least.
        set_dumpable(false)?;
        set_no_new_privs()?;
        isolation::deny_limits_of_others()?;
        isolation::ruleset().map(Isolation)
    }

    pub fn ruleset(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
