//! How a server begins a conversation with a client that says one thing or nothing, bounded in time and
//! bytes.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::socket::{MsgFlags, Shutdown, recv, shutdown};

use crate::connection::{poll_timeout, send_now};

/// After this long without a byte, the server has said what it has to say.
const PAUSE: Duration = Duration::from_millis(300);
/// What happens this soon after the half-close happens because of it.
const AT_ONCE: Duration = Duration::from_secs(1);
/// At most this many bytes are read.
const MAX_BYTES: usize = 2048;

/// What followed the last byte of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// It closed the connection.
    Closed,
    /// It closed the connection as soon as the client had closed its sending half.
    ClosedAtHalfClose,
    /// It is silent, and the connection is open.
    Waits,
    /// It sends more than is read here.
    GoesOn,
}

/// When a server sent its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum First {
    /// It has sent none.
    Never,
    /// This long after the connection.
    After(Duration),
    /// As soon as the client had closed its sending half, and not before.
    AtHalfClose,
}

/// A connection to a server, and what the server has sent.
#[derive(Debug)]
pub(crate) struct Conversation {
    stream: OwnedFd,
    begun: Instant,
    half_closed: Option<Instant>,
    deadline: Instant,
    /// What the server has sent.
    pub(crate) bytes: Vec<u8>,
    /// When it sent the first byte.
    pub(crate) first: First,
    /// What followed.
    pub(crate) then: Then,
}

impl Conversation {
    /// Begins a conversation: sends a line, if there is one. All that follows ends at the deadline.
    pub(crate) fn begin(stream: OwnedFd, line: Option<&str>, deadline: Instant) -> Conversation {
        if let Some(line) = line {
            // It fits into the send buffer of a new connection. If the server has gone, receiving
            // reports it.
            let _ = send_now(&stream, format!("{line}\n").as_bytes());
        }
        Conversation {
            stream,
            begun: Instant::now(),
            half_closed: None,
            deadline,
            bytes: Vec::new(),
            first: First::Never,
            then: Then::Waits,
        }
    }

    /// Receives until the server pauses, or for this long if it sends nothing.
    pub(crate) fn listen(&mut self, patience: Duration) {
        let mut until = self.deadline.min(Instant::now() + patience);
        let mut buffer = [0; MAX_BYTES];
        loop {
            if self.bytes.len() >= MAX_BYTES {
                self.then = Then::GoesOn;
                return;
            }
            let mut fds = [PollFd::new(self.stream.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, poll_timeout(Some(until))) {
                Ok(0) if Instant::now() >= until => {
                    // At the deadline it may not have finished.
                    self.then = match until < self.deadline || self.bytes.is_empty() {
                        true => Then::Waits,
                        false => Then::GoesOn,
                    };
                    return;
                }
                Ok(0) | Err(Errno::EINTR) => continue,
                _ => {}
            }
            let room = &mut buffer[self.bytes.len()..];
            match recv(self.stream.as_raw_fd(), room, MsgFlags::MSG_DONTWAIT) {
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                // A reset closes it too.
                Ok(0) | Err(_) => {
                    self.then = match self.is_at_half_close(Instant::now()) {
                        true => Then::ClosedAtHalfClose,
                        false => Then::Closed,
                    };
                    return;
                }
                Ok(n) => {
                    let now = Instant::now();
                    if self.bytes.is_empty() {
                        self.first = match self.is_at_half_close(now) {
                            true => First::AtHalfClose,
                            false => First::After(now - self.begun),
                        };
                    }
                    self.bytes.extend_from_slice(&room[..n]);
                    until = self.deadline.min(now + PAUSE);
                }
            }
        }
    }

    /// Closes the sending half of the connection, and receives what the server sends then.
    pub(crate) fn half_close(&mut self) {
        let _ = shutdown(self.stream.as_raw_fd(), Shutdown::Write);
        self.half_closed = Some(Instant::now());
        self.listen(self.deadline.saturating_duration_since(Instant::now()));
    }

    fn is_at_half_close(&self, now: Instant) -> bool {
        self.half_closed.is_some_and(|at| now < at + AT_ONCE)
    }

    /// Whether the server has sent nothing, and has not closed the connection.
    pub(crate) fn is_silent(&self) -> bool {
        self.bytes.is_empty() && self.then == Then::Waits
    }

    /// Whether the server has closed the connection without a byte, and not because of its client.
    pub(crate) fn closed_without_answer(&self) -> bool {
        self.bytes.is_empty() && self.then == Then::Closed
    }

    /// How long ago the conversation began.
    pub(crate) fn age(&self) -> Duration {
        self.begun.elapsed()
    }

    /// The connection.
    pub(crate) fn stream(&self) -> &OwnedFd {
        &self.stream
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::thread;

    /// The conversation with a server, in the way of all callers.
    fn with(server: impl FnOnce(TcpStream) + Send + 'static, deadline: u64) -> Conversation {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, _) = listener.accept().unwrap();
        let server = thread::spawn(move || server(stream));
        let deadline = Instant::now() + Duration::from_millis(deadline);
        let mut conversation = Conversation::begin(client.into(), Some("hello"), deadline);
        conversation.listen(Duration::from_millis(200));
        if conversation.is_silent() {
            conversation.half_close();
        }
        assert!(Instant::now() < deadline + Duration::from_secs(1));
        drop(server);
        conversation
    }

    #[test]
    fn a_server_that_answers_or_closes_at_once_needs_no_half_close() {
        let answered = with(
            |mut stream| {
                let mut line = [0; 6];
                stream.read_exact(&mut line).unwrap();
                stream.write_all(&line).unwrap();
                let _ = stream.read(&mut line);
            },
            5000,
        );
        assert_eq!(answered.bytes, b"hello\n");
        assert!(matches!(answered.first, First::After(_)) && answered.then == Then::Waits);
        let closed = with(drop, 5000);
        assert!(closed.closed_without_answer());
    }

    #[test]
    fn text_that_comes_with_the_end_of_input_was_kept_back_and_late_text_was_not() {
        let mut rest = String::new();
        let buffered = with(
            move |mut stream| {
                stream.read_to_string(&mut rest).unwrap();
                stream.write_all(b"name? ").unwrap();
            },
            5000,
        );
        assert_eq!(
            (buffered.first, buffered.then),
            (First::AtHalfClose, Then::ClosedAtHalfClose)
        );
        let late = with(
            |mut stream| {
                thread::sleep(Duration::from_millis(1800));
                stream.write_all(b"late").unwrap();
            },
            5000,
        );
        assert!(
            matches!(late.first, First::After(after) if after > Duration::from_secs(1)),
            "{late:?}"
        );
    }

    #[test]
    fn a_server_that_goes_on_or_is_silent_is_left_at_the_deadline() {
        let drips = with(
            |mut stream| {
                while stream.write_all(b".").is_ok() {
                    thread::sleep(Duration::from_millis(50));
                }
            },
            1000,
        );
        assert_eq!(drips.then, Then::GoesOn);
        assert!(drips.bytes.len() > 3);
        let silent = with(
            |mut stream| {
                let _ = stream.read_to_end(&mut Vec::new());
                thread::sleep(Duration::from_millis(1500));
            },
            1000,
        );
        assert_eq!((silent.first, silent.then), (First::Never, Then::Waits));
        assert!(silent.is_silent());
    }
}
