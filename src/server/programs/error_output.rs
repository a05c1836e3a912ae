//! The standard error of the program of a single connection.
//!
//! The standard error of this process is a stream to the journal on which each line starts with its
//! priority. The program gets a pipe instead: its lines become entries at priority warning, and it cannot
//! choose another priority. It also cannot crowd out the entry of the connection, because journald accepts
//! 10,000 entries in 30 seconds from a service. While journald accepts none, the program has to wait.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use mio::{Interest, Registry};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::pipe2;

use crate::log::{Count, Throttle};
use crate::server::connection_log::ConnectionLog;
use crate::server::event_loop::{WAKER, register};

/// Entries per second; one more entry counts the other lines.
const ENTRIES_PER_SECOND: u32 = 300;

/// Longer lines, in bytes, are logged as several entries.
const MAX_LINE: usize = 8 * 1024;

/// How much is read at once: the capacity of the pipe. Other events come first then.
const BATCH: usize = 64 * 1024;

/// How long the last lines may wait for journald.
const LAST_LINES: Duration = Duration::from_secs(1);

/// The reading end of the pipe.
#[derive(Debug)]
pub(super) struct ErrorOutput {
    pipe: File,
    /// The start of a line whose end was not read yet.
    line: Vec<u8>,
    /// Entries that the log has not accepted yet.
    entries: VecDeque<String>,
    throttle: Throttle,
    /// There may be more to read, and nothing else wakes the loop.
    pending: bool,
}

impl ErrorOutput {
    /// Makes the pipe. Returns its reading end, which wakes the event loop, and its writing end.
    ///
    /// # Errors
    ///
    /// See pipe(2) and epoll_ctl(2).
    pub(super) fn new(registry: &Registry, now: Instant) -> io::Result<(ErrorOutput, OwnedFd)> {
        let (pipe, writer) = pipe2(OFlag::O_CLOEXEC)?;
        fcntl(&pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        register(registry, &pipe, WAKER, Interest::READABLE)?;
        register(registry, &io::stderr(), WAKER, Interest::WRITABLE)?;
        let output = ErrorOutput {
            pipe: pipe.into(),
            line: Vec::new(),
            entries: VecDeque::new(),
            throttle: Throttle::new(ENTRIES_PER_SECOND, now),
            pending: false,
        };
        Ok((output, writer))
    }

    /// Logs what the program has written, as far as the log accepts it.
    pub(super) fn log(&mut self, log: &mut ConnectionLog<'_>, now: Instant) {
        if let Some(lines) = self.throttle.take_due(now) {
            self.entries.push_back(not_logged(lines));
        }
        let mut buffer = [0; 4096];
        let mut left = BATCH;
        self.pending = loop {
            if !self.write(log) {
                break false;
            }
            if left == 0 {
                break true;
            }
            match self.pipe.read(&mut buffer) {
                Ok(0) => break false,
                Ok(count) => self.append(&buffer[..count], now),
                Err(error) => break error.kind() == io::ErrorKind::Interrupted,
            }
            left = left.saturating_sub(buffer.len());
        };
    }

    /// Logs what is left, and the number of lines that were not logged.
    pub(super) fn finish(&mut self, log: &mut ConnectionLog<'_>, now: Instant) {
        let until = now + LAST_LINES;
        self.log(log, now);
        while self.pending || !self.entries.is_empty() {
            let left = until.saturating_duration_since(Instant::now());
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
            let stderr = io::stderr();
            let mut fds = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
            if left.is_zero() || poll(&mut fds, timeout) == Ok(0) {
                break;
            }
            self.log(log, now);
        }
        self.end_line(now);
        let lines = self.throttle.take();
        self.entries.extend(lines.map(not_logged));
        self.write(log);
    }

    /// When [`ErrorOutput::log`] has something to do although nothing wakes the loop.
    pub(super) fn due_at(&self, now: Instant) -> Option<Instant> {
        self.pending.then_some(now).or(self.throttle.due_at())
    }

    /// Writes entries; returns false if the log does not accept all of them.
    fn write(&mut self, log: &mut ConnectionLog<'_>) -> bool {
        while let Some(entry) = self.entries.front() {
            if !log.try_warning(entry) {
                return false;
            }
            self.entries.pop_front();
        }
        true
    }

    fn append(&mut self, mut bytes: &[u8], now: Instant) {
        while !bytes.is_empty() {
            let room = MAX_LINE - self.line.len();
            let (taken, ends) = match bytes.iter().take(room).position(|byte| *byte == b'\n') {
                Some(end) => (end, true),
                None => (bytes.len().min(room), bytes.len() >= room),
            };
            self.line.extend_from_slice(&bytes[..taken]);
            bytes = &bytes[taken..];
            if ends {
                self.end_line(now);
                bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
            }
        }
    }

    fn end_line(&mut self, now: Instant) {
        let line = std::mem::take(&mut self.line);
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end();
        if !text.is_empty() && self.throttle.admit(now) {
            self.entries.push_back(text.to_owned());
        }
    }
}

/// The entry for lines that got none of their own.
fn not_logged(lines: u64) -> String {
    format!(
        "not logged: {} on standard error",
        Count(lines, "more line")
    )
}
