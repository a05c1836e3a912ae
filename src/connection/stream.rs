//! Standard input and output as a byte stream with deadlines.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, send, setsockopt, sockopt};
use nix::unistd;

use super::linger::{Discarded, Linger};
use super::stdio::is_socket;
use crate::log::reason;

/// What a pipe that is ready accepts without blocking, in bytes (PIPE_BUF).
const PIPE_ATOMIC: usize = 4096;

/// The result of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Read {
    /// This many bytes were read.
    Bytes(usize),
    /// The peer closed its sending half.
    End,
    /// The deadline passed.
    TimedOut,
    /// The peer closed or reset the connection.
    Gone,
}

/// The result of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    /// This many bytes were written.
    Bytes(usize),
    /// The deadline passed: the peer does not read.
    TimedOut,
    /// The peer closed or reset the connection.
    Gone,
}

/// Standard input or output is not a connection, and failed.
#[derive(Debug)]
pub(crate) enum StreamError {
    /// Standard input cannot be read.
    Read(io::Error),
    /// Standard output cannot be written, because a disk is full for example.
    Write(io::Error),
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StreamError::Read(error) => {
                write!(f, "cannot read from standard input: {}", reason(error))
            }
            StreamError::Write(error) => {
                write!(f, "cannot write to standard output: {}", reason(error))
            }
        }
    }
}

impl std::error::Error for StreamError {}

/// Standard input and output: a connection, or what the command line attached to them.
///
/// The descriptors stay in blocking mode, because a terminal's descriptors are shared with the
/// shell that started the program.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stream<'a> {
    input: BorrowedFd<'a>,
    output: BorrowedFd<'a>,
    input_is_socket: bool,
    output_is_socket: bool,
}

impl<'a> Stream<'a> {
    /// Makes a stream of two descriptors, which may be the same one.
    pub(crate) fn new(input: BorrowedFd<'a>, output: BorrowedFd<'a>) -> Stream<'a> {
        Stream {
            input,
            output,
            input_is_socket: is_socket(input),
            output_is_socket: is_socket(output),
        }
    }

    /// Makes the kernel deliver TCP urgent data in line with the other bytes. Telnet sends the end
    /// of an interrupt as urgent data; out of line it would be lost.
    pub(crate) fn receive_urgent_inline(&self) {
        // Fails if the input is not a TCP socket; then there is no urgent data.
        let _ = setsockopt(&self.input, sockopt::OobInline, &true);
    }

    /// Waits for input until `deadline`, and reads it.
    ///
    /// # Errors
    ///
    /// The input is not a connection, and reading it failed.
    pub(crate) fn read(&self, buffer: &mut [u8], deadline: Instant) -> Result<Read, StreamError> {
        let failed = |errno: Errno| StreamError::Read(errno.into());
        loop {
            if !wait(self.input, PollFlags::POLLIN, deadline).map_err(failed)? {
                return Ok(Read::TimedOut);
            }
            match unistd::read(self.input, buffer) {
                Ok(0) => return Ok(Read::End),
                Ok(n) => return Ok(Read::Bytes(n)),
                Err(Errno::EINTR | Errno::EAGAIN) => {}
                Err(errno) if is_disconnect(self.input_is_socket, errno) => return Ok(Read::Gone),
                Err(errno) => return Err(failed(errno)),
            }
        }
    }

    /// Writes as much of `bytes` as the peer accepts, and waits until `deadline` if it accepts
    /// nothing.
    ///
    /// # Errors
    ///
    /// The output is not a connection, and writing it failed.
    pub(crate) fn write(&self, bytes: &[u8], deadline: Instant) -> Result<Written, StreamError> {
        let failed = |errno: Errno| StreamError::Write(errno.into());
        // A write to a socket never blocks. Anything else blocks when it is full, so that poll has
        // to come first.
        let mut ready = self.output_is_socket;
        loop {
            if !ready && !wait(self.output, PollFlags::POLLOUT, deadline).map_err(failed)? {
                return Ok(Written::TimedOut);
            }
            match write_some(self.output, self.output_is_socket, bytes) {
                Ok(n) => return Ok(Written::Bytes(n)),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => ready = false,
                Err(errno) if is_disconnect(self.output_is_socket, errno) => {
                    return Ok(Written::Gone);
                }
                Err(errno) => return Err(failed(errno)),
            }
        }
    }

    /// Closes the sending half of a connection whose client sends nothing more.
    pub(crate) fn close_sending_half(&self) {
        Linger::start(&self.output, Instant::now());
    }

    /// Closes the sending half of a connection, and discards input until the client closes its
    /// side, at most for `linger`.
    pub(crate) fn close(&self, linger: Duration) {
        let linger = Linger::start(&self.output, Instant::now() + linger);
        if !self.input_is_socket {
            return;
        }
        while wait(self.input, PollFlags::POLLIN, linger.until()) == Ok(true) {
            if linger.discard(&self.input, Instant::now()) == Discarded::Done {
                return;
            }
        }
    }
}

/// Writes what a descriptor accepts without blocking. If it is not a socket, poll must have
/// reported it as ready.
///
/// # Errors
///
/// Those of write(2) and send(2).
pub(crate) fn write_ready(fd: BorrowedFd<'_>, bytes: &[u8]) -> nix::Result<usize> {
    write_some(fd, is_socket(fd), bytes)
}

fn write_some(fd: BorrowedFd<'_>, is_socket: bool, bytes: &[u8]) -> nix::Result<usize> {
    if is_socket {
        send_now(fd, bytes)
    } else {
        unistd::write(fd, &bytes[..bytes.len().min(PIPE_ATOMIC)])
    }
}

/// Sends what a socket accepts without blocking.
///
/// # Errors
///
/// Those of send(2); EAGAIN if the socket accepts nothing.
pub(crate) fn send_now(socket: impl AsFd, bytes: &[u8]) -> nix::Result<usize> {
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    send(socket.as_fd().as_raw_fd(), bytes, flags)
}

/// The time until `deadline` for poll(2), rounded up to milliseconds so that poll does not return
/// early. It is cut at poll's maximum, about a month: then the caller has to poll again.
pub(crate) fn poll_timeout(deadline: Option<Instant>) -> PollTimeout {
    let Some(deadline) = deadline else {
        return PollTimeout::NONE;
    };
    let left = deadline.saturating_duration_since(Instant::now());
    PollTimeout::try_from(left.as_nanos().div_ceil(1_000_000)).unwrap_or(PollTimeout::MAX)
}

/// Returns whether an error means that the peer disconnected, which is a normal end.
fn is_disconnect(is_socket: bool, errno: Errno) -> bool {
    // A terminal that was hung up returns EIO. A socket has many such errors: reset, timed out,
    // unreachable and others.
    is_socket || matches!(errno, Errno::EPIPE | Errno::EIO)
}

/// Waits until `fd` is ready or has an error, which the next call on it returns. False if the
/// deadline passed before.
fn wait(fd: BorrowedFd<'_>, ready: PollFlags, deadline: Instant) -> nix::Result<bool> {
    loop {
        match poll(
            &mut [PollFd::new(fd.as_fd(), ready)],
            poll_timeout(Some(deadline)),
        ) {
            Ok(0) if deadline <= Instant::now() => return Ok(false),
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => return Ok(true),
            Err(errno) => return Err(errno),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::UnixStream;

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(50)
    }

    fn stream(socket: &impl AsFd) -> Stream<'_> {
        Stream::new(socket.as_fd(), socket.as_fd())
    }

    /// Writes until the peer does not accept more.
    fn flood(stream: &Stream<'_>) -> Written {
        let bytes = vec![b'x'; 1 << 20];
        loop {
            match stream.write(&bytes, soon()).unwrap() {
                Written::Bytes(_) => {}
                other => return other,
            }
        }
    }

    #[test]
    fn a_read_returns_bytes_a_timeout_or_the_end() {
        let (served, mut client) = UnixStream::pair().unwrap();
        let stream = stream(&served);
        let mut buffer = [0; 16];
        assert_eq!(stream.read(&mut buffer, soon()).unwrap(), Read::TimedOut);
        client.write_all(b"linus\n").unwrap();
        assert_eq!(stream.read(&mut buffer, soon()).unwrap(), Read::Bytes(6));
        drop(client);
        assert_eq!(stream.read(&mut buffer, soon()).unwrap(), Read::End);
    }

    #[test]
    fn a_write_to_a_peer_that_does_not_read_times_out() {
        let (served, client) = UnixStream::pair().unwrap();
        assert_eq!(flood(&stream(&served)), Written::TimedOut);
        drop(client);
        assert_eq!(stream(&served).write(b"x", soon()).unwrap(), Written::Gone);
    }

    #[test]
    fn a_write_to_a_pipe_that_nobody_reads_times_out() {
        let (reader, writer) = unistd::pipe().unwrap();
        let stream = Stream::new(writer.as_fd(), writer.as_fd());
        assert_eq!(flood(&stream), Written::TimedOut);
        drop(reader);
        assert_eq!(stream.write(b"x", soon()).unwrap(), Written::Gone);
    }

    #[test]
    fn a_reset_connection_is_not_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (served, _) = listener.accept().unwrap();
        (&served).write_all(b"unread").unwrap();
        // Wait until it has arrived: closing with unread input resets the connection.
        client.peek(&mut [0; 1]).unwrap();
        drop(client);
        let stream = stream(&served);
        assert_eq!(stream.read(&mut [0; 16], soon()).unwrap(), Read::Gone);
        assert_eq!(stream.write(b"x", soon()).unwrap(), Written::Gone);
    }

    #[test]
    fn closing_does_not_reset_the_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (served, _) = listener.accept().unwrap();
        client.write_all(&[b'x'; 100_000]).unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        let stream = stream(&served);
        assert_eq!(
            stream.write(b"Finished\n", soon()).unwrap(),
            Written::Bytes(9)
        );
        stream.close(Duration::from_secs(5));
        drop(served);
        let mut received = String::new();
        client.read_to_string(&mut received).unwrap();
        assert_eq!(received, "Finished\n");
    }
}
