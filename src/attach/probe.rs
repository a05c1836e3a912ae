//! The first connection to a service that was just attached.

use std::fmt;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::unistd::Uid;

use super::listen::{Endpoint, endpoints};
use super::{Attachment, Error};
use crate::clock::duration_word;
use crate::connect::{Conversation, First, Then, dial};
use crate::connection::{Peer, send_now};
use crate::log::escape;
use crate::systemd::journalctl::{self, Filter};
use crate::systemd::{Place, Unit};

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the service may take to send its first byte.
const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(1);
/// How long the conversation may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// At most this many lines are shown.
const MAX_LINES: usize = 10;
/// A header of the PROXY protocol without a client.
pub(crate) const NO_CLIENT: &[u8] = b"PROXY UNKNOWN\r\n";
/// What it means if the first bytes come with the end of input ...
pub(crate) const BUFFERED: &str =
    "sends its output only after the client has closed its sending half";
/// ... and what to do about it.
pub(crate) const UNBUFFER: &str =
    "if the program buffers its output, use stdbuf -oL (C library), python -u or $| = 1 (Perl)";
/// The message ID of systemd's entry for a process that it cannot start.
const NOT_STARTED: &str = "MESSAGE_ID=641257651c1b4ec9a8624d7a40a9e1e7";

/// What the service answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The address that was connected to.
    pub address: String,
    /// The first bytes.
    pub bytes: Vec<u8>,
    /// When the first of them came.
    pub first: First,
    /// What followed.
    pub then: Then,
    /// The program's journal entries, if the connection was closed without a byte, quoted.
    pub entries: Vec<String>,
    /// Why there is no connection. An address may exist only later.
    pub unreachable: Option<String>,
    /// A drop-in that has the socket listen elsewhere.
    pub elsewhere: Option<PathBuf>,
}

impl Answer {
    /// Whether the service closed the connection without a byte, and not because of its client.
    pub(crate) fn closed_without_answer(&self) -> bool {
        self.unreachable.is_none() && self.first == First::Never && self.then == Then::Closed
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Answer {
            address,
            first,
            then,
            ..
        } = self;
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
        match (first, then) {
            (First::Never, Then::Closed) => {
                write!(f, "{address} closes the connection without a byte")?;
                match self.entries.is_empty() {
                    true => f.write_str(" (some programs do, because they were sent nothing)"),
                    false => f.write_str("; its journal entries:"),
                }?;
            }
            (First::Never, Then::ClosedAtHalfClose) => {
                write!(f, "{address} waits for its client to speak first")?;
            }
            (First::Never, _) => {
                write!(
                    f,
                    "{address} has sent nothing for {}",
                    duration_word(TIMEOUT)
                )?;
            }
            (First::AtHalfClose, _) => write!(f, "{address} {BUFFERED}:")?,
            (First::After(_), _) => write!(f, "{address} answers:")?,
        }
        let text = String::from_utf8_lossy(&self.bytes);
        for line in text.lines().take(MAX_LINES) {
            write!(f, "\n    {}", escape(line.as_bytes()))?;
        }
        for line in self.entries.iter().take(MAX_LINES) {
            write!(f, "\n    {line}")?;
        }
        let more = text.lines().count().max(self.entries.len()) > MAX_LINES;
        match *then == Then::GoesOn || more {
            true => f.write_str("\n    ..."),
            false => Ok(()),
        }
    }
}

/// Connects once and reads the answer, bounded in time and bytes.
pub(super) fn connect_once(
    place: &Place,
    attachment: &Attachment,
    since: &str,
) -> Result<Answer, Error> {
    let Some(target) = endpoints(attachment).first().map(Endpoint::target) else {
        return Err(Error::NoAnswer("it has no address".into()));
    };
    let mut answer = Answer {
        address: target.to_string(),
        bytes: Vec::new(),
        first: First::Never,
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
    let mut conversation = Conversation::begin(stream, None, Instant::now() + TIMEOUT);
    conversation.listen(FIRST_BYTE_TIMEOUT);
    if conversation.is_silent() {
        conversation.half_close();
    }
    let no_answer = conversation.closed_without_answer();
    answer.first = conversation.first;
    answer.then = conversation.then;
    answer.bytes = conversation.bytes;
    if no_answer {
        let name = attachment.name.to_string();
        // The process that was to become the program writes it while it is still root's or, with --user, the caller's.
        // It is often gone before journald looks for anything else about it.
        let writer = format!("_UID={}", Uid::effective());
        let filter = Filter::Fields(&[NOT_STARTED, &writer]);
        let failed = journalctl::last(place, filter, Some(since));
        let mut failed = failed.messages().rev();
        if let Some(line) = failed.find(|line| is_about_unit(line, &name)) {
            return Err(Error::NoAnswer(format!(
                "systemd cannot start the program: {}",
                escape(line.as_bytes())
            )));
        }
        let entries = journalctl::last(place, Filter::Identifier(&name), Some(since));
        answer.entries = entries.quoted();
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
