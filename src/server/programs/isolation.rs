//! Isolation of the programs of different connections from each other and from this process.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use nix::libc::sock_filter;
use nix::sys::prctl::{set_dumpable, set_no_new_privs};

use crate::sys::isolation::{limits_filter, ruleset};

/// What the program of each connection gets of its own.
#[derive(Debug)]
pub struct Isolation {
    /// A Landlock ruleset.
    ruleset: nix::Result<OwnedFd>,
    /// A system call filter.
    filter: Vec<sock_filter>,
}

impl Isolation {
    /// Keeps the programs that this process will start from reading its memory, and from gaining
    /// privileges.
    ///
    /// # Errors
    ///
    /// See prctl(2).
    pub fn set_up() -> nix::Result<Isolation> {
        set_dumpable(false)?;
        set_no_new_privs()?;
        Ok(Isolation {
            ruleset: ruleset(),
            filter: limits_filter(),
        })
    }

    /// The ruleset.
    ///
    /// # Errors
    ///
    /// The kernel has no Landlock, or one that is too old.
    pub fn ruleset(&self) -> nix::Result<RawFd> {
        self.ruleset
            .as_ref()
            .map(OwnedFd::as_raw_fd)
            .map_err(|errno| *errno)
    }

    /// The filter.
    pub fn filter(&self) -> &[sock_filter] {
        &self.filter
    }
}
