//! The bytes of one conversation, in and out, each with its deadline.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, Shutdown, send, setsockopt, shutdown, sockopt};
use nix::unistd;

use super::handed::{Peer, is_socket};

/// What a pipe that is ready takes without blocking (PIPE_BUF).
const PIPE_ATOMIC: usize = 4096;

/// What came of reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// So many bytes.
    Bytes(usize),
    /// The other end closed its sending half.
    End,
    /// The deadline passed.
    TimedOut,
    /// The other end is gone.
    Gone,
}

/// What came of writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// All of it.
    All,
    /// The deadline passed: the other end does not read.
    TimedOut,
    /// The other end is gone.
    Gone,
}

impl Written {
    /// How a conversation ended that could not be said to its end.
    pub fn lost(self) -> Option<&'static str> {
        match self {
            Written::All => None,
            Written::TimedOut => Some("write timed out"),
            Written::Gone => Some("client gone"),
        }
    }
}

/// Standard input and output as one stream: the connection, or the two ends of a command line.
///
/// Descriptors are left as they came, in blocking mode, because a terminal's are shared with the
/// shell that started the program.
#[derive(Debug)]
pub struct Stream<'a> {
    input: BorrowedFd<'a>,
    output: BorrowedFd<'a>,
    peer: Peer,
    begun: Instant,
    received: u64,
    sent: u64,
    /// There is nothing left to read, or nobody left who reads.
    over: bool,
}

impl<'a> Stream<'a> {
    /// A conversation with `peer` that begins now.
    pub fn new(input: BorrowedFd<'a>, output: BorrowedFd<'a>, peer: Peer) -> Stream<'a> {
        let begun = Instant::now();
        Stream {
            input,
            output,
            peer,
            begun,
            received: 0,
            sent: 0,
            over: false,
        }
    }

    /// Has what TCP calls urgent read in its place among the other bytes. Telnet sends the end of
    /// an interrupt that way; out of its place it would be missing.
    pub fn take_urgent_in_place(&self) {
        // Fails where the input is no TCP socket, and then nothing is urgent.
        let _ = setsockopt(&self.input, sockopt::OobInline, &true);
    }

    /// The other end.
    pub fn peer(&self) -> Peer {
        self.peer
    }

    /// Waits for input until `deadline`, and takes what is there.
    ///
    /// # Errors
    ///
    /// An input that is no connection and cannot be read.
    pub fn read(&mut self, buffer: &mut [u8], deadline: Instant) -> io::Result<Read> {
        loop {
            if !wait(self.input, PollFlags::POLLIN, deadline)? {
                return Ok(Read::TimedOut);
            }
            match unistd::read(self.input, buffer) {
                Ok(0) => {
                    self.over = true;
                    return Ok(Read::End);
                }
                Ok(n) => {
                    self.received += n as u64;
                    return Ok(Read::Bytes(n));
                }
                Err(Errno::EINTR | Errno::EAGAIN) => {}
                Err(errno) if left(self.input, errno) => {
                    self.over = true;
                    return Ok(Read::Gone);
                }
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Writes all of `bytes`, waiting until `deadline` where the other end is slow to read.
    ///
    /// # Errors
    ///
    /// An output that is no connection and cannot be written: a full disk.
    pub fn write(&mut self, bytes: &[u8], deadline: Instant) -> io::Result<Written> {
        let written = self.try_write(bytes, deadline)?;
        self.over |= written != Written::All;
        Ok(written)
    }

    fn try_write(&mut self, bytes: &[u8], deadline: Instant) -> nix::Result<Written> {
        let socket = is_socket(self.output);
        let mut rest = bytes;
        // A socket is asked first and waited for when it is full; anything else blocks when it is
        // full, so that it is waited for first.
        let mut ready = socket;
        while !rest.is_empty() {
            if !ready && !wait(self.output, PollFlags::POLLOUT, deadline)? {
                return Ok(Written::TimedOut);
            }
            match write_ready(self.output, rest) {
                Ok(n) => {
                    self.sent += n as u64;
                    rest = &rest[n..];
                    ready = socket;
                }
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => ready = false,
                Err(errno) if left(self.output, errno) => return Ok(Written::Gone),
                Err(errno) => return Err(errno),
            }
        }
        Ok(Written::All)
    }

    /// Tells a connection's peer that nothing more comes, and gives it so long to close its side,
    /// throwing away what it still sends.
    ///
    /// A socket that is closed with unread input resets the connection, which can cost the client
    /// the last words it was sent.
    pub fn close(&mut self, linger: Duration) {
        if is_socket(self.output) {
            // Fails where the peer is gone, and then there is nobody to tell.
            let _ = shutdown(self.output.as_raw_fd(), Shutdown::Write);
        }
        if self.over || !is_socket(self.input) {
            return;
        }
        let deadline = Instant::now() + linger;
        let mut scrap = [0; 4096];
        while wait(self.input, PollFlags::POLLIN, deadline) == Ok(true) {
            match unistd::read(self.input, &mut scrap) {
                Ok(1..) | Err(Errno::EINTR) if Instant::now() <= deadline => {}
                _ => return,
            }
        }
    }

    /// The record of the conversation so far; `end` says how it ended.
    pub fn summary<'s>(&self, end: &'s str) -> Summary<'s> {
        Summary {
            peer: self.peer,
            end,
            traffic: Some(Traffic {
                received: self.received,
                sent: self.sent,
            }),
            pid: None,
            lasted: self.begun.elapsed(),
        }
    }
}

/// Writes what a descriptor takes without blocking: a socket at any time, anything else where poll
/// has said that it is ready.
///
/// # Errors
///
/// Those of write(2) and send(2).
pub fn write_ready(fd: BorrowedFd<'_>, bytes: &[u8]) -> nix::Result<usize> {
    if is_socket(fd) {
        send_now(fd, bytes)
    } else {
        unistd::write(fd, &bytes[..bytes.len().min(PIPE_ATOMIC)])
    }
}

/// Sends what a socket takes at once.
///
/// # Errors
///
/// Those of send(2); EAGAIN where it takes nothing.
pub fn send_now(socket: impl AsFd, bytes: &[u8]) -> nix::Result<usize> {
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    send(socket.as_fd().as_raw_fd(), bytes, flags)
}

/// The time until `deadline` for poll, rounded up to its milliseconds, so that it does not return
/// early and spin. Past a month it is less, and the caller waits once more.
pub fn poll_timeout(deadline: Option<Instant>) -> PollTimeout {
    let Some(deadline) = deadline else {
        return PollTimeout::NONE;
    };
    let left = deadline.saturating_duration_since(Instant::now());
    PollTimeout::try_from(left.as_nanos().div_ceil(1_000_000)).unwrap_or(PollTimeout::MAX)
}

/// Whether this error means that the other end is gone, which is a normal end.
fn left(fd: BorrowedFd<'_>, errno: Errno) -> bool {
    // EIO is what a terminal says that was hung up. A socket has many words for it: reset, timed
    // out, unreachable, and more to come.
    matches!(errno, Errno::EPIPE | Errno::EIO) || is_socket(fd)
}

/// Waits until `fd` is ready, or in error, which the next call tells. False when the deadline
/// passed first.
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

/// The one record a connection leaves when it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary<'a> {
    /// The other end.
    pub peer: Peer,
    /// How it ended.
    pub end: &'a str,
    /// The process that it was for, where there was one.
    pub pid: Option<i32>,
    /// What went to and fro, where that is known.
    pub traffic: Option<Traffic>,
    /// How long it took.
    pub lasted: Duration,
}

/// Bytes of a conversation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes received.
    pub received: u64,
    /// Bytes sent.
    pub sent: u64,
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: ", self.peer, self.end)?;
        if let Some(pid) = self.pid {
            write!(f, "pid {pid}, ")?;
        }
        if let Some(Traffic { received, sent }) = self.traffic {
            write!(f, "{received} bytes received, {sent} bytes sent, ")?;
        }
        match self.lasted.as_secs() {
            0 => write!(f, "{:.1} ms", self.lasted.as_secs_f64() * 1000.0),
            _ => write!(f, "{:.3} s", self.lasted.as_secs_f64()),
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
        Stream::new(socket.as_fd(), socket.as_fd(), Peer::Unknown)
    }

    #[test]
    fn reading_tells_bytes_silence_and_the_end_apart() {
        let (served, mut client) = UnixStream::pair().unwrap();
        let mut stream = stream(&served);
        let mut buffer = [0; 16];
        assert_eq!(stream.read(&mut buffer, soon()).unwrap(), Read::TimedOut);
        client.write_all(b"linus\n").unwrap();
        assert_eq!(stream.read(&mut buffer, soon()).unwrap(), Read::Bytes(6));
        drop(client);
        assert_eq!(stream.read(&mut buffer, soon()).unwrap(), Read::End);
    }

    #[test]
    fn a_peer_that_does_not_read_is_given_up_at_the_deadline() {
        let (served, client) = UnixStream::pair().unwrap();
        let flood = vec![b'x'; 8 << 20];
        assert_eq!(
            stream(&served).write(&flood, soon()).unwrap(),
            Written::TimedOut
        );
        drop(client);
        assert_eq!(stream(&served).write(b"x", soon()).unwrap(), Written::Gone);
    }

    #[test]
    fn a_pipe_that_nobody_reads_is_given_up_at_the_deadline() {
        let (reader, writer) = unistd::pipe().unwrap();
        let mut stream = Stream::new(writer.as_fd(), writer.as_fd(), Peer::CommandLine);
        let flood = vec![b'x'; 8 << 20];
        assert_eq!(stream.write(&flood, soon()).unwrap(), Written::TimedOut);
        drop(reader);
        assert_eq!(stream.write(b"x", soon()).unwrap(), Written::Gone);
    }

    #[test]
    fn a_reset_connection_is_gone_and_no_error() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (served, _) = listener.accept().unwrap();
        (&served).write_all(b"unread").unwrap();
        // Wait until it is there: closing with unread input resets.
        client.peek(&mut [0; 1]).unwrap();
        drop(client);
        let mut stream = stream(&served);
        assert_eq!(stream.read(&mut [0; 16], soon()).unwrap(), Read::Gone);
        assert_eq!(stream.write(b"x", soon()).unwrap(), Written::Gone);
    }

    #[test]
    fn closing_spares_the_client_a_reset() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (served, _) = listener.accept().unwrap();
        client.write_all(&[b'x'; 100_000]).unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        let mut stream = stream(&served);
        assert_eq!(stream.write(b"Finished\n", soon()).unwrap(), Written::All);
        stream.close(Duration::from_secs(5));
        drop(served);
        let mut words = String::new();
        client.read_to_string(&mut words).unwrap();
        assert_eq!(words, "Finished\n");
    }

    #[test]
    fn the_summary_tells_peer_end_bytes_and_duration() {
        let summary = Summary {
            peer: Peer::Tcp("127.0.0.1:40112".parse().unwrap()),
            end: "quit",
            pid: None,
            traffic: Some(Traffic {
                received: 11,
                sent: 131,
            }),
            lasted: Duration::from_micros(2_314_400),
        };
        assert_eq!(
            summary.to_string(),
            "127.0.0.1:40112 quit: 11 bytes received, 131 bytes sent, 2.314 s"
        );
        let summary = Summary {
            lasted: Duration::from_micros(240),
            ..summary
        };
        assert!(summary.to_string().ends_with(", 0.2 ms"));
        let of_a_program = Summary {
            end: "exited 0",
            pid: Some(812),
            traffic: None,
            ..summary
        };
        assert_eq!(
            of_a_program.to_string(),
            "127.0.0.1:40112 exited 0: pid 812, 0.2 ms"
        );
    }
}
