//! One connection of many.

use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, Shutdown, recv, setsockopt, shutdown, sockopt};

use super::super::host::Next;
use super::super::records::{Name, Records};
use crate::connection::{BATCH, LINGER, Summary, Traffic, send_now};
use crate::session::{Event, Talk};

/// How much is read at once.
pub const READ: usize = 4096;

/// How often one client is read before the others have their turn.
const ROUNDS: usize = 16;

/// Memory for answers that a silent client keeps.
const KEPT: usize = 512;

/// A connection and where its conversation stands.
#[derive(Debug)]
pub struct Client<T> {
    socket: OwnedFd,
    name: Name,
    begun: Instant,
    received: u64,
    sent: u64,
    phase: Phase<T>,
    /// How long the client may take to close its side, once all is said.
    linger: Duration,
    /// What was received and not yet taken by the conversation.
    input: Vec<u8>,
    input_ended: bool,
    out: Vec<u8>,
    /// How much of `out` is sent.
    gone: usize,
    /// When a client that does not read is given up.
    write_deadline: Option<Instant>,
    write_timeout: Duration,
}

#[derive(Debug)]
enum Phase<T> {
    Talking(Box<T>),
    /// The last words are said, and are to be sent.
    Ended(&'static str),
    /// They are sent. What still comes is thrown away until the client closes, or until then.
    Closing(Instant),
}

impl<T: Talk> Client<T> {
    /// A connection that was just accepted; `begin` says the first words.
    pub fn new(
        socket: OwnedFd,
        name: Name,
        write_timeout: Duration,
        now: Instant,
        begin: impl FnOnce(&mut Vec<u8>) -> Option<T>,
    ) -> Client<T> {
        let mut out = Vec::new();
        let (phase, linger) = match begin(&mut out) {
            Some(talk) => {
                // What TCP calls urgent stays in its place, as for a process of its own.
                let _ = setsockopt(&socket, sockopt::OobInline, &true);
                (Phase::Talking(Box::new(talk)), LINGER)
            }
            // Where nothing is asked, nothing is waited for.
            None => (Phase::Ended("served"), Duration::ZERO),
        };
        Client {
            socket,
            name,
            begun: now,
            received: 0,
            sent: 0,
            phase,
            linger,
            input: Vec::new(),
            input_ended: false,
            out,
            gone: 0,
            write_deadline: None,
            write_timeout,
        }
    }

    /// The connection's socket.
    pub fn socket(&self) -> &OwnedFd {
        &self.socket
    }

    /// Its name in the records.
    pub fn name(&self) -> Name {
        self.name
    }

    /// Moves what can be moved.
    pub fn drive(&mut self, buffer: &mut [u8; READ], now: Instant, records: &mut Records) -> Next {
        for _ in 0..ROUNDS {
            match self.flush() {
                Ok(true) => {}
                Ok(false) => {
                    let deadline = self.write_deadline.get_or_insert(now + self.write_timeout);
                    return Next::Wait(Some(*deadline));
                }
                Err(_) => return self.give_up("client gone", now, records),
            }
            let talk = match &mut self.phase {
                Phase::Talking(talk) => talk,
                &mut Phase::Ended(end) => {
                    self.record(end, now, records);
                    if self.input_ended {
                        return Next::Close;
                    }
                    // Fails where the client is gone, and then there is nobody to tell.
                    let _ = shutdown(self.socket.as_raw_fd(), Shutdown::Write);
                    self.phase = Phase::Closing(now + self.linger);
                    continue;
                }
                &mut Phase::Closing(until) => match self.receive(buffer) {
                    Ok(1..) if now <= until => continue,
                    Err(Errno::EAGAIN) if now < until => return Next::Wait(Some(until)),
                    _ => return Next::Close,
                },
            };
            if self.input.is_empty() && !self.input_ended {
                let deadline = talk.deadline();
                match self.receive(buffer) {
                    Ok(0) => self.input_ended = true,
                    Ok(n) => self.feed(&buffer[..n], now, records),
                    Err(Errno::EAGAIN) => return Next::Wait(Some(deadline)),
                    Err(Errno::EINTR) => {}
                    Err(_) => return self.give_up("client gone", now, records),
                }
            } else if self.input.is_empty() {
                self.end_of_input(now, records);
            } else {
                let input = std::mem::take(&mut self.input);
                self.feed(&input, now, records);
            }
        }
        Next::Turn
    }

    /// The time that [`Next::Wait`] named has come.
    pub fn expire(&mut self, buffer: &mut [u8; READ], now: Instant, records: &mut Records) -> Next {
        if self.write_deadline.is_some_and(|deadline| deadline <= now) {
            return self.give_up("write timed out", now, records);
        }
        match &mut self.phase {
            Phase::Closing(_) => return Next::Close,
            Phase::Talking(talk) if talk.deadline() <= now => {
                self.phase = Phase::Ended(talk.time_out(&mut self.out));
            }
            Phase::Talking(_) | Phase::Ended(_) => {}
        }
        self.drive(buffer, now, records)
    }

    /// Ends the conversation because the service stops.
    pub fn dismiss(
        &mut self,
        buffer: &mut [u8; READ],
        now: Instant,
        records: &mut Records,
    ) -> Next {
        if let Phase::Talking(talk) = &mut self.phase {
            self.phase = Phase::Ended(talk.dismiss(&mut self.out));
        }
        self.drive(buffer, now, records)
    }

    /// Gives input to the conversation, as long as the answers are taken.
    fn feed(&mut self, mut input: &[u8], now: Instant, records: &mut Records) {
        let Phase::Talking(talk) = &mut self.phase else {
            return;
        };
        while !input.is_empty() && self.out.len() < BATCH {
            let (taken, ended) = match talk.receive(input, now, &mut self.out) {
                (taken, Some(Event::Ended(end))) => (taken, Some(end)),
                (taken, Some(Event::Exchange(exchange))) => {
                    records.exchange(self.name, exchange, now);
                    (taken, None)
                }
                (taken, None) => (taken, None),
            };
            input = &input[taken..];
            if let Some(end) = ended {
                self.phase = Phase::Ended(end);
                return;
            }
        }
        self.input.extend_from_slice(input);
    }

    fn end_of_input(&mut self, now: Instant, records: &mut Records) {
        if let Phase::Talking(talk) = &mut self.phase {
            let end = match talk.end_of_input(&mut self.out) {
                Event::Ended(end) => end,
                Event::Exchange(exchange) => {
                    return records.exchange(self.name, exchange, now);
                }
            };
            self.phase = Phase::Ended(end);
        }
    }

    fn receive(&mut self, buffer: &mut [u8; READ]) -> nix::Result<usize> {
        let n = recv(self.socket.as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT)?;
        // After the end the client is no longer listened to.
        if matches!(self.phase, Phase::Talking(_)) {
            self.received += n as u64;
        }
        Ok(n)
    }

    /// Sends what is to be said; whether all of it is sent.
    fn flush(&mut self) -> nix::Result<bool> {
        while self.gone < self.out.len() {
            match send_now(&self.socket, &self.out[self.gone..]) {
                Ok(n) => {
                    self.gone += n;
                    self.sent += n as u64;
                }
                Err(Errno::EAGAIN) => return Ok(false),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        self.write_deadline = None;
        self.gone = 0;
        self.out.clear();
        self.out.shrink_to(KEPT);
        Ok(true)
    }

    fn give_up(&mut self, end: &'static str, now: Instant, records: &mut Records) -> Next {
        if !matches!(self.phase, Phase::Closing(_)) {
            self.record(end, now, records);
        }
        Next::Close
    }

    fn record(&self, end: &'static str, now: Instant, records: &mut Records) {
        let summary = Summary {
            peer: self.name.peer,
            end,
            traffic: Some(Traffic {
                received: self.received,
                sent: self.sent,
            }),
            pid: None,
            lasted: now.max(self.begun).duration_since(self.begun),
        };
        records.ended(self.name, summary, now);
    }
}
