//! Signals that would end the process between two changes that belong together.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::panic::resume_unwind;
use std::thread;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::pipe2;

/// Blocks SIGINT, SIGTERM and SIGHUP. Once it is dropped, one that came meanwhile ends the process.
#[derive(Debug)]
pub(crate) struct Interrupts {
    blocked: SigSet,
    pending: SignalFd,
}

/// A signal came before something was done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Interrupted;

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
        let pending =
            SignalFd::with_flags(&blocked, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        blocked.thread_block()?;
        Ok(Interrupts { blocked, pending })
    }

    /// Whether one has come. It is not taken.
    pub(crate) fn has_come(&self) -> bool {
        let mut files = [PollFd::new(self.pending.as_fd(), PollFlags::POLLIN)];
        poll(&mut files, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
    }

    /// # Errors
    ///
    /// One has come.
    pub(crate) fn none_has_come(&self) -> Result<(), Interrupted> {
        match self.has_come() {
            true => Err(Interrupted),
            false => Ok(()),
        }
    }

    /// Takes those that have come, which then do not end the process.
    pub(crate) fn take(&self) {
        while let Ok(Some(_)) = self.pending.read_signal() {}
    }

    /// Does something that may take long, unless one comes before it is done: then it goes on in a thread of its own,
    /// as long as this process lives.
    ///
    /// # Errors
    ///
    /// There is no free file descriptor, or no thread can be started.
    pub(crate) fn unless_one_comes<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<Result<T, Interrupted>> {
        let (done, end) = pipe2(OFlag::O_CLOEXEC)?;
        let worker = thread::Builder::new().spawn(move || {
            // It is closed even if the work panics.
            let _end = end;
            work()
        })?;
        let mut files = [
            PollFd::new(self.pending.as_fd(), PollFlags::POLLIN),
            PollFd::new(done.as_fd(), PollFlags::POLLIN),
        ];
        // The signals are blocked, so that none of them interrupts it.
        while let Err(Errno::EINTR) = poll(&mut files, PollTimeout::NONE) {}
        if files[1].any() != Some(true) {
            return Ok(Err(Interrupted));
        }
        let done = worker.join().unwrap_or_else(|panic| resume_unwind(panic));
        // Ctrl-C has ended the programs that it started too.
        Ok(self.none_has_come().map(|()| done))
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
        assert_eq!(interrupts.none_has_come(), Ok(()));
        raise(Signal::SIGTERM).unwrap();
        assert!(interrupts.has_come());
        assert_eq!(interrupts.none_has_come(), Err(Interrupted));
        // Else it would end the tests.
        interrupts.take();
        assert!(!interrupts.has_come());
    }

    #[test]
    fn work_ends_or_is_left_behind_when_a_signal_comes() {
        let interrupts = Interrupts::block().unwrap();
        assert_eq!(interrupts.unless_one_comes(|| 1).unwrap(), Ok(1));
        let (release, wait) = std::sync::mpsc::channel::<()>();
        raise(Signal::SIGTERM).unwrap();
        assert_eq!(
            interrupts.unless_one_comes(move || wait.recv()).unwrap(),
            Err(Interrupted)
        );
        interrupts.take();
        drop(release);
    }
}
