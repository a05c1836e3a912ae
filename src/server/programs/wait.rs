//! Waiting for children that have ended.
//!
//! nix tells how a child ended, but knows no name for a real-time signal: for one that was killed by
//! such a signal there is an error in place of its number. [`sys::reap`] has numbers only, and
//! cannot look without reaping.

use std::fmt;

use nix::errno::Errno;
use nix::libc::{WEXITSTATUS, WIFEXITED, WIFSIGNALED, WTERMSIG};
use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

use crate::sys;

/// How a process ended. Displayed as in `exited 3` or `killed by SIGTERM`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Status(i32);

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Status(status) = *self;
        if WIFEXITED(status) {
            return write!(f, "exited {}", WEXITSTATUS(status));
        }
        if !WIFSIGNALED(status) {
            return f.write_str("ended");
        }
        match Signal::try_from(WTERMSIG(status)) {
            Ok(signal) => write!(f, "killed by {}", signal.as_str()),
            Err(_) => write!(f, "killed by signal {}", WTERMSIG(status)),
        }
    }
}

/// A child that has ended and was not waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// This one.
    Pid(Pid),
    /// One that was killed by a real-time signal.
    Nameless,
}

/// Whether a child has ended. It is not waited for, so that its number stays its own.
pub fn ended() -> Option<Ended> {
    match look(Id::All) {
        Ok(pid) => pid.map(Ended::Pid),
        Err(Errno::EINVAL) => Some(Ended::Nameless),
        Err(_) => None,
    }
}

/// Whether this child is one that was killed by a real-time signal.
pub fn is_nameless(pid: Pid) -> bool {
    look(Id::Pid(pid)) == Err(Errno::EINVAL)
}

fn look(id: Id<'_>) -> nix::Result<Option<Pid>> {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    waitid(id, flags).map(|status| status.pid())
}

/// Waits for this child, which has ended.
pub fn wait_for(pid: Pid) -> Status {
    let reaped = sys::reap(pid).ok().flatten();
    Status(reaped.map_or(0, |(_, status)| status))
}

/// Waits for some child that has ended.
pub fn wait_for_any() -> Option<(Pid, Status)> {
    let (pid, status) = sys::reap(Pid::from_raw(-1)).ok()??;
    Some((pid, Status(status)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_process_is_told_in_words() {
        for (status, words) in [
            (0, "exited 0"),
            (3 << 8, "exited 3"),
            (15, "killed by SIGTERM"),
            (11 | 0x80, "killed by SIGSEGV"),
            (34, "killed by signal 34"),
        ] {
            assert_eq!(Status(status).to_string(), words);
        }
    }
}
