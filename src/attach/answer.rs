//! The first connection to a service that was just attached.

use std::fmt;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::socket::{MsgFlags, recv};

use super::{Attachment, Error, Listen};
use crate::connect::{Target, dial};
use crate::connection::poll_timeout;
use crate::log::escape;
use crate::systemd::Place;
use crate::systemd::journalctl::{self, Of};

/// How long connecting may take.
const CONNECTING: Duration = Duration::from_secs(5);
/// How long a service may take to say its first word.
const FIRST: Duration = Duration::from_secs(1);
/// When nothing has come for this long, it waits for an answer.
const SILENCE: Duration = Duration::from_millis(300);
/// So much of it is shown.
const MOST: usize = 2048;
/// What systemd writes into the journal when a process cannot be started (its message ID).
const NOT_STARTED: &str = "MESSAGE_ID=641257651c1b4ec9a8624d7a40a9e1e7";

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Where the connection went.
    pub address: String,
    /// The bytes, as many as are shown.
    pub bytes: Vec<u8>,
    /// How it went on.
    pub then: Then,
    /// What the program has told the journal, where it closed without a word.
    pub told: Vec<String>,
}

/// How a first connection went on after what came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// The service closed it.
    Closed,
    /// It waits for input.
    Waits,
    /// It goes on and on.
    GoesOn,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Answer { address, then, .. } = self;
        match (self.bytes.is_empty(), then) {
            (true, Then::Closed) => {
                write!(f, "{address} was closed without a word")?;
                match self.told.is_empty() {
                    true => f.write_str(" (that may be as it should: it was sent nothing)"),
                    false => f.write_str("; its records say:"),
                }?;
            }
            (true, _) => write!(f, "{address} waits for its client to speak first")?,
            (false, _) => write!(f, "{address} answers:")?,
        }
        let text = String::from_utf8_lossy(&self.bytes);
        for line in text.lines() {
            write!(f, "\n    {}", escape(line.as_bytes()))?;
        }
        for line in &self.told {
            write!(f, "\n    {}", escape(line.as_bytes()))?;
        }
        match then {
            Then::GoesOn => f.write_str("\n    ..."),
            _ => Ok(()),
        }
    }
}

/// Connects once, and takes what comes back; bounded in time and bytes.
pub fn try_once(place: &Place, attachment: &Attachment, since: &str) -> Result<Answer, Error> {
    let host = host(&attachment.listen);
    let target = Target::new(&host, &attachment.port.to_string());
    let stream = dial(&target, CONNECTING).map_err(|error| Error::NoAnswer(error.to_string()))?;
    let (bytes, then) = receive(&stream);
    drop(stream);
    let mut answer = Answer {
        address: target.to_string(),
        bytes,
        then,
        told: Vec::new(),
    };
    if answer.bytes.is_empty() && then == Then::Closed {
        let name = attachment.name.to_string();
        let failed = journalctl::last(place, Of::Field(NOT_STARTED), Some(since)).lines;
        if let Some(line) = failed
            .iter()
            .rev()
            .find(|line| begins_with_unit(line, &name))
        {
            return Err(Error::NoAnswer(format!(
                "the program was not started: {line}"
            )));
        }
        answer.told = journalctl::last(place, Of::Name(&name), Some(since)).lines;
    }
    Ok(answer)
}

/// Whether a line of systemd's is about a unit of this service.
fn begins_with_unit(line: &str, name: &str) -> bool {
    line.strip_prefix(name)
        .is_some_and(|rest| rest.starts_with(['@', '.']))
}

/// An address to reach the service by.
fn host(listen: &[Listen]) -> String {
    match listen.first() {
        None | Some(Listen::Everywhere) => "127.0.0.1".into(),
        Some(Listen::On(IpAddr::V4(address))) if address.is_unspecified() => "127.0.0.1".into(),
        Some(Listen::On(IpAddr::V6(address))) if address.is_unspecified() => "::1".into(),
        Some(Listen::On(address)) => address.to_string(),
    }
}

/// What a service says first, and how it goes on; bounded in time and bytes.
pub fn receive(stream: &OwnedFd) -> (Vec<u8>, Then) {
    let mut bytes = vec![0; MOST];
    let mut length = 0;
    let mut until = Instant::now() + FIRST;
    while length < MOST {
        let mut fds = [PollFd::new(stream.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, poll_timeout(Some(until))) {
            Ok(0) if Instant::now() >= until => {
                bytes.truncate(length);
                return (bytes, Then::Waits);
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
            // A reset ends it as well.
            Ok(0) | Err(_) => {
                bytes.truncate(length);
                return (bytes, Then::Closed);
            }
            Ok(n) => {
                length += n;
                until = Instant::now() + SILENCE;
            }
        }
    }
    (bytes, Then::GoesOn)
}
