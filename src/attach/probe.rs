//! The first connection to a service that was just attached.

use std::fmt;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::socket::{MsgFlags, recv};

use super::listen::{Endpoint, endpoints};
use super::{Attachment, Error};
use crate::connect::dial;
use crate::connection::{Peer, poll_timeout, send_now};
use crate::log::escape;
use crate::systemd::journalctl::{self, Filter};
use crate::systemd::{Place, Unit};

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the service may take to send its first byte.
const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(1);
/// After this long without a byte, the service waits for its client.
const SILENCE: Duration = Duration::from_millis(300);
/// How long all bytes may take.
const TIMEOUT: Duration = Duration::from_secs(3);
/// At most this many bytes are read, and this many lines shown.
const MAX_BYTES: usize = 2048;
const MAX_LINES: usize = 10;
/// A header of the PROXY protocol without a client.
const NO_CLIENT: &[u8] = b"PROXY UNKNOWN\r\n";
/// The message ID of systemd's entry for a process that it cannot start.
const NOT_STARTED: &str = "MESSAGE_ID=641257651c1b4ec9a8624d7a40a9e1e7";

/// What the service answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The address that was connected to.
    pub address: String,
    /// The first bytes.
    pub bytes: Vec<u8>,
    /// What followed.
    pub then: Then,
    /// The program's journal entries, if the connection was closed without a byte.
    pub entries: Vec<String>,
    /// Why there is no connection. An address may exist only later.
    pub unreachable: Option<String>,
    /// A drop-in that has the socket listen elsewhere.
    pub elsewhere: Option<PathBuf>,
}

/// What followed the first bytes of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// The service closed the connection.
    Closed,
    /// It waits for input.
    Waits,
    /// It sends more than is read here.
    GoesOn,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Answer { address, then, .. } = self;
        match (&self.unreachable, &self.elsewhere) {
            (Some(_), Some(path)) => {
                let path = path.display();
                return write!(
                    f,
                    "{address}: nothing listens there, because {path} sets other addresses"
                );
            }
            (Some(why), None) => return write!(f, "not reachable yet: {why}"),
            (None, _) => {}
        }
        match (self.bytes.is_empty(), then) {
            (true, Then::Closed) => {
                write!(f, "{address} closes the connection without a byte")?;
                match self.entries.is_empty() {
                    true => f.write_str(" (some programs do, because they were sent nothing)"),
                    false => f.write_str("; its journal entries:"),
                }?;
            }
            (true, _) => write!(f, "{address} waits for its client to speak first")?,
            (false, _) => write!(f, "{address} answers:")?,
        }
        let text = String::from_utf8_lossy(&self.bytes);
        for line in text.lines().take(MAX_LINES) {
            write!(f, "\n    {}", escape(line.as_bytes()))?;
        }
        for line in self.entries.iter().take(MAX_LINES) {
            write!(f, "\n    {}", escape(line.as_bytes()))?;
        }
        let more = text.lines().count().max(self.entries.len()) > MAX_LINES;
        match *then == Then::GoesOn || more {
            true => f.write_str("\n    ..."),
            false => Ok(()),
        }
    }
}

/// Connects once and reads the answer, bounded in time and bytes.
pub fn connect_once(place: &Place, attachment: &Attachment, since: &str) -> Result<Answer, Error> {
    let Some(target) = endpoints(attachment).first().map(Endpoint::target) else {
        return Err(Error::NoAnswer("it has no address".into()));
    };
    let mut answer = Answer {
        address: target.to_string(),
        bytes: Vec::new(),
        then: Then::Closed,
        entries: Vec::new(),
        unreachable: None,
        elsewhere: None,
    };
    let stream = match dial(&target, CONNECT_TIMEOUT) {
        Ok(stream) => stream,
        Err(error) => {
            answer.unreachable = Some(error.to_string());
            answer.elsewhere = elsewhere(place, attachment)?;
            return Ok(answer);
        }
    };
    // To a local address, the peer's address is that of this process too.
    if attachment.proxy.expects_header(Peer::of(stream.as_fd())) == Ok(true) {
        // If this fails, so does receiving.
        let _ = send_now(&stream, NO_CLIENT);
    }
    (answer.bytes, answer.then) = receive(&stream);
    drop(stream);
    if answer.bytes.is_empty() && answer.then == Then::Closed {
        let name = attachment.name.to_string();
        // A forged entry can make this fail, and nothing else.
        let failed = journalctl::last(place, Filter::Fields(&[NOT_STARTED]), Some(since));
        let mut failed = failed.messages.iter().rev();
        if let Some(line) = failed.find(|line| is_about_unit(line, &name)) {
            return Err(Error::NoAnswer(format!(
                "systemd cannot start the program: {}",
                escape(line.as_bytes())
            )));
        }
        answer.entries = journalctl::last(place, Filter::Identifier(&name), Some(since)).messages;
    }
    Ok(answer)
}

/// The drop-in, of an administrator or left by an earlier service, that sets the addresses of the socket.
fn elsewhere(place: &Place, attachment: &Attachment) -> Result<Option<PathBuf>, Error> {
    let unit = Unit::load(place, &format!("{}.socket", attachment.name))?;
    let mut drop_ins = unit.sources.iter().skip(1);
    let found = drop_ins.find(|source| {
        let mut assignments = source.file.assignments.iter();
        assignments.any(|a| a.section == "Socket" && a.key == "ListenStream")
    });
    Ok(found.map(|source| source.path.clone()))
}

/// Whether a message of systemd's begins with a unit of the service.
fn is_about_unit(line: &str, name: &str) -> bool {
    line.strip_prefix(name)
        .is_some_and(|rest| rest.starts_with(['@', '.']))
}

/// The first bytes of a service and what follows, bounded in time and bytes.
pub fn receive(stream: &OwnedFd) -> (Vec<u8>, Then) {
    let mut bytes = vec![0; MAX_BYTES];
    let mut length = 0;
    let begin = Instant::now();
    let mut until = begin + FIRST_BYTE_TIMEOUT;
    while length < MAX_BYTES {
        let mut fds = [PollFd::new(stream.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, poll_timeout(Some(until))) {
            Ok(0) if Instant::now() >= until => {
                bytes.truncate(length);
                let slow = until >= begin + TIMEOUT;
                return (bytes, if slow { Then::GoesOn } else { Then::Waits });
            }
            Ok(0) | Err(Errno::EINTR) => continue,
            _ => {}
        }
        match recv(
            stream.as_raw_fd(),
            &mut bytes[length..],
            MsgFlags::MSG_DONTWAIT,
        ) {
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            // A reset closes it too.
            Ok(0) | Err(_) => {
                bytes.truncate(length);
                return (bytes, Then::Closed);
            }
            Ok(n) => {
                length += n;
                until = (Instant::now() + SILENCE).min(begin + TIMEOUT);
            }
        }
    }
    (bytes, Then::GoesOn)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::net::UnixStream;
    use std::thread;

    #[test]
    fn a_program_that_sends_byte_by_byte_is_read_for_a_bounded_time() {
        let (own, mut program) = UnixStream::pair().unwrap();
        let sending = thread::spawn(move || {
            while program.write_all(b"x").is_ok() {
                thread::sleep(Duration::from_millis(250));
            }
        });
        let own = own.into();
        let begin = Instant::now();
        let (bytes, then) = receive(&own);
        assert!(begin.elapsed() < TIMEOUT + Duration::from_secs(1));
        assert_eq!(then, Then::GoesOn);
        assert!(bytes.len() > 2, "{bytes:?}");
        drop(own);
        sending.join().unwrap();
    }
}
