//! Who has connected comes in here.

use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use mio::{Interest, Token};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, Shutdown, recv, shutdown};

use super::admission::Verdict;
use super::client::{Client, Next};
use super::records::Name;
use super::server::{Server, Tracked, watch};
use crate::connection::{Peer, Summary, send_now};
use crate::dialog::Service;
use crate::log::Priority;

/// Connections accepted before those that are there have their turn.
const ACCEPTED_AT_ONCE: usize = 64;

/// How long accepting pauses when there is no descriptor left, unless a connection ends before.
const PAUSE: Duration = Duration::from_secs(1);

/// How often a refused client is read, to throw away what it has sent.
const SCRAPS: usize = 16;

impl<S: Service> Server<'_, S> {
    /// Whether somebody may be let in now.
    pub(super) fn may_accept(&self) -> bool {
        self.pause.is_none()
            && self.admission.open()
            && self.listeners.iter().any(|listening| listening.ready)
    }

    /// Lets in who waits, a number of them at a time.
    pub(super) fn accept(&mut self, first_client: usize, now: Instant) {
        for _ in 0..ACCEPTED_AT_ONCE {
            if !self.may_accept() {
                return;
            }
            for index in 0..self.listeners.len() {
                if self.may_accept() && self.listeners[index].ready {
                    self.accept_from(index, first_client, now);
                }
            }
        }
    }

    fn accept_from(&mut self, index: usize, first_client: usize, now: Instant) {
        let listening = &mut self.listeners[index];
        let error = match listening.listener.accept() {
            Ok((socket, peer)) => return self.welcome(socket, peer, first_client, now),
            Err(error) => error,
        };
        match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::EAGAIN) => listening.ready = false,
            // The client has left already, or its network has a fault: the next one may come.
            Some(
                Errno::ECONNABORTED
                | Errno::EINTR
                | Errno::EPERM
                | Errno::EPROTO
                | Errno::ENETDOWN
                | Errno::ENETUNREACH
                | Errno::EHOSTDOWN
                | Errno::EHOSTUNREACH
                | Errno::ENONET
                | Errno::ENOPROTOOPT
                | Errno::EOPNOTSUPP,
            ) => {}
            // No descriptor or memory: go on with what there is. Whoever waits is not lost.
            _ => {
                let current = self.admission.current();
                let told = format!("no more connections than these {current} for now: {error}");
                self.records.note(Priority::Error, &told);
                self.pause = Some(now + PAUSE);
            }
        }
    }

    fn welcome(&mut self, socket: OwnedFd, peer: Peer, first_client: usize, now: Instant) {
        self.total += 1;
        let name = Name {
            number: self.total,
            peer,
        };
        if let Verdict::Refused(sentence, end) = self.admission.admit(peer) {
            let sent = refuse(&socket, sentence);
            let summary = Summary {
                peer,
                end,
                received: 0,
                sent,
                lasted: Duration::ZERO,
            };
            self.records.ended(name, summary, now);
            return;
        }
        let mut client = Client::new(socket, name, self.write_timeout, now, |out| {
            self.service.begin(now, out)
        });
        // Most of what is short is over before it would have been watched.
        let next = client.drive(&mut self.buffer, now, &mut self.records);
        if next == Next::Close {
            return self.leave(peer, now);
        }
        let key = self.clients.insert(Tracked {
            client,
            timer: None,
        });
        let tracked = &mut self.clients[key];
        let both = Interest::READABLE | Interest::WRITABLE;
        let token = Token(first_client + key);
        match watch(&self.poll, tracked.client.socket(), token, both) {
            // What has come meanwhile is told at once.
            Ok(()) => {
                self.with(key, now, |_, _, _, _| next);
            }
            Err(error) => {
                self.records.note(
                    Priority::Error,
                    &format!("{peer} cannot be served: {error}"),
                );
                self.with(key, now, |_, _, _, _| Next::Close);
            }
        }
    }
}

/// Tells a client that it is not served; how many bytes that took. It is not waited for.
fn refuse(socket: &OwnedFd, sentence: &str) -> u64 {
    let fd = socket.as_raw_fd();
    let sent = send_now(socket, sentence.as_bytes()).unwrap_or(0);
    let _ = shutdown(fd, Shutdown::Write);
    // What it has sent already would reset the connection, and the sentence with it. One that goes
    // on sending must not hold the others up.
    let mut scrap = [0; 4096];
    for _ in 0..SCRAPS {
        match recv(fd, &mut scrap, MsgFlags::MSG_DONTWAIT) {
            Ok(1..) => {}
            _ => break,
        }
    }
    sent as u64
}
