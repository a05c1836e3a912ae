//! Isolation of the programs of different connections from each other and from this process.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use nix::libc::sock_filter;
use nix::sys::prctl::{set_dumpable, set_no_new_privs};

use crate::sys::isolation::{limits_filter, ruleset};

/// What the program of each connection gets of its own.
#[derive(Debug)]
pub(crate) struct Isolation {
    /// A Landlock ruleset.
    ruleset: nix::Result<OwnedFd>,
    /// A system call filter.
    filter: nix::Result<Vec<sock_filter>>,
}

impl Isolation {
    /// Keeps the programs that this process will start from reading its memory, and from gaining
    /// privileges.
    ///
    /// # Errors
    ///
    /// See prctl(2).
    pub(crate) fn set_up() -> nix::Result<Isolation> {
        set_dumpable(false)?;
        set_no_new_privs()?;
        Ok(Isolation {
            ruleset: ruleset(),
            filter: limits_filter(),
        })
    }

    /// Whether the programs get all of it.
    ///
    /// # Errors
    ///
    /// The kernel has no Landlock, or one that is too old, or there is no filter for the architecture.
    pub(crate) fn is_complete(&self) -> nix::Result<()> {
        let filter = self.filter.as_ref().map_err(|errno| *errno);
        self.ruleset.as_ref().map_err(|errno| *errno).and(filter)?;
        Ok(())
    }

    /// The ruleset, if there is one.
    pub(crate) fn ruleset(&self) -> Option<RawFd> {
        self.ruleset.as_ref().ok().map(OwnedFd::as_raw_fd)
    }

    /// The filter, if there is one.
    pub(crate) fn filter(&self) -> Option<&[sock_filter]> {
        self.filter.as_deref().ok()
    }
}
