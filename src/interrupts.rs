//! Signals that would end the process between two changes that belong together.

use std::fs;
use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// Blocks SIGINT, SIGTERM and SIGHUP. Once it is dropped, one that came meanwhile ends the process.
#[derive(Debug)]
pub(crate) struct Interrupts {
    blocked: SigSet,
    pending: SignalFd,
}

impl Interrupts {
    /// # Errors
    ///
    /// There is no free file descriptor.
    pub(crate) fn block() -> nix::Result<Interrupts> {
        let ignored = ignored();
        let signals = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];
        // The kernel also keeps signals that are blocked and ignored, as after nohup(1).
        let signals = signals.into_iter();
        let signals = signals.filter(|signal| ignored & (1 << (*signal as u32 - 1)) == 0);
        let blocked: SigSet = signals.collect();
        let pending = SignalFd::with_flags(&blocked, SfdFlags::SFD_CLOEXEC)?;
        blocked.thread_block()?;
        Ok(Interrupts { blocked, pending })
    }

    /// Whether one has come. It is not taken.
    pub(crate) fn has_come(&self) -> bool {
        let mut files = [PollFd::new(self.pending.as_fd(), PollFlags::POLLIN)];
        poll(&mut files, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        let _ = self.blocked.thread_unblock();
    }
}

/// The signals that this process ignores, as bits.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mut lines = status.lines();
    let mask = lines.find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::raise;

    #[test]
    fn a_signal_that_has_come_is_seen_and_not_taken() {
        let interrupts = Interrupts::block().unwrap();
        assert!(!interrupts.has_come());
        raise(Signal::SIGTERM).unwrap();
        assert!(interrupts.has_come());
        assert!(interrupts.has_come());
        // Else it would end the tests.
        interrupts.pending.read_signal().unwrap();
        assert!(!interrupts.has_come());
    }
}
