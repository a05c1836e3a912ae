//! Waiting for child processes that have ended.
//!
//! waitid(2) of nix returns EINVAL instead of the process ID for a child that was killed by a
//! real-time signal, because nix has no name for such a signal. [`sys::reap`] returns numbers, but
//! cannot look at a child without waiting for it.

use std::fmt;

use nix::errno::Errno;
use nix::libc::{WEXITSTATUS, WIFEXITED, WIFSIGNALED, WTERMSIG};
use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

use crate::sys;

/// How a process ended. Its text is `exited 3` or `killed by SIGTERM`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ExitStatus(i32);

impl ExitStatus {
    /// How this child ended, and waits for it. `None` if it runs.
    pub(crate) fn of(pid: Pid) -> Option<ExitStatus> {
        match sys::reap(pid) {
            Ok(reaped) => reaped.map(|(_, status)| ExitStatus(status)),
            // Somebody else has waited for it.
            Err(_) => Some(ExitStatus::default()),
        }
    }

    /// The status as a shell has it: 128 and the number of the signal that killed the process.
    pub(crate) fn code(self) -> u8 {
        let ExitStatus(status) = self;
        // Both fit into eight bits.
        match WIFSIGNALED(status) {
            true => 128 + WTERMSIG(status) as u8,
            false => WEXITSTATUS(status) as u8,
        }
    }

    /// Whether the process was killed by SIGPIPE.
    pub(crate) fn is_broken_pipe(self) -> bool {
        WIFSIGNALED(self.0) && WTERMSIG(self.0) == Signal::SIGPIPE as i32
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ExitStatus(status) = *self;
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

/// A child that has ended and has not been waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Zombie {
    /// This process.
    Pid(Pid),
    /// A process that was killed by a real-time signal; its ID is not known.
    Unknown,
}

/// Finds a child that has ended, without waiting for it, so that its process ID stays valid.
pub(super) fn find_zombie() -> Option<Zombie> {
    match look(Id::All) {
        Ok(pid) => pid.map(Zombie::Pid),
        Err(Errno::EINVAL) => Some(Zombie::Unknown),
        Err(_) => None,
    }
}

/// Returns whether this child was killed by a real-time signal.
pub(super) fn was_killed_by_realtime_signal(pid: Pid) -> bool {
    look(Id::Pid(pid)) == Err(Errno::EINVAL)
}

fn look(id: Id<'_>) -> nix::Result<Option<Pid>> {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    waitid(id, flags).map(|status| status.pid())
}

/// Waits for this child, which has ended.
pub(super) fn wait_for(pid: Pid) -> ExitStatus {
    ExitStatus::of(pid).unwrap_or_default()
}

/// Waits for some child that has ended.
pub(super) fn wait_for_any() -> Option<(Pid, ExitStatus)> {
    let (pid, status) = sys::reap(Pid::from_raw(-1)).ok()??;
    Some((pid, ExitStatus(status)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_status_has_a_text_and_the_code_of_a_shell() {
        for (status, text, code) in [
            (0, "exited 0", 0),
            (3 << 8, "exited 3", 3),
            (255 << 8, "exited 255", 255),
            (15, "killed by SIGTERM", 143),
            (11 | 0x80, "killed by SIGSEGV", 139),
            (34, "killed by signal 34", 162),
        ] {
            let status = ExitStatus(status);
            assert_eq!((status.to_string().as_str(), status.code()), (text, code));
        }
    }
}
