//! Closing a connection so that the client receives everything that was sent.
//!
//! If a process closes a TCP socket that has unread input, or that receives more input later, the
//! kernel sends RST, and the client may lose the end of the answer. So the sending half is closed
//! first, and input is discarded until the client closes too.

use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, Shutdown, recv, shutdown};

/// How long a client may take to close its side after the end of a session.
pub(crate) const LINGER: Duration = Duration::from_secs(2);

/// How often one call reads: a client that keeps sending must not delay others.
const MAX_READS: usize = 16;

/// A connection that is being closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Linger {
    until: Instant,
}

/// The state of a connection that is being closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Discarded {
    /// All input so far; there may be more until this time.
    All(Instant),
    /// Only a part of the input.
    Some,
    /// The client closed its side, or the time is over: the connection can be closed.
    Done,
}

impl Linger {
    /// Closes the sending half; the client has until `until` to close its side.
    pub(crate) fn start(socket: &impl AsFd, until: Instant) -> Linger {
        // Fails if the client has disconnected; then there is nothing to wait for.
        let _ = shutdown(socket.as_fd().as_raw_fd(), Shutdown::Write);
        Linger { until }
    }

    /// When [`Linger::discard`] has to be called even if no input arrived.
    pub(crate) fn until(self) -> Instant {
        self.until
    }

    /// Reads and discards input, without blocking.
    pub(crate) fn discard(self, socket: &impl AsFd, now: Instant) -> Discarded {
        let fd = socket.as_fd().as_raw_fd();
        let mut buffer = [0; 4096];
        for _ in 0..MAX_READS {
            match recv(fd, &mut buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(1..) if now <= self.until => {}
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) if now < self.until => return Discarded::All(self.until),
                _ => return Discarded::Done,
            }
        }
        Discarded::Some
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    #[test]
    fn input_is_discarded_until_the_client_closes_or_the_time_is_over() {
        let (served, mut client) = UnixStream::pair().unwrap();
        let now = Instant::now();
        let until = now + LINGER;
        let linger = Linger::start(&served, until);
        assert_eq!(client.read(&mut [0]).unwrap(), 0, "end of file");
        assert_eq!(linger.discard(&served, now), Discarded::All(until));
        client.write_all(&[b'x'; 20 * 4096]).unwrap();
        assert_eq!(linger.discard(&served, now), Discarded::Some);
        assert_eq!(linger.discard(&served, now), Discarded::All(until));
        assert_eq!(linger.discard(&served, until), Discarded::Done);
        drop(client);
        assert_eq!(linger.discard(&served, now), Discarded::Done);
    }
}
