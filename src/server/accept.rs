//! Who has connected comes in here.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::event_loop::{Server, Tracked, watch};
use super::farewell::farewell;
use super::host::{Guest, Host, Next, around};
use super::records::Name;
use crate::connection::{Peer, Summary, Traffic};

/// Connections accepted before those that are there have their turn.
const ACCEPTED_AT_ONCE: usize = 64;

/// How long accepting pauses when there is no descriptor left, unless a connection ends before.
pub const PAUSE: Duration = Duration::from_secs(1);

impl<H: Host> Server<'_, H> {
    /// Whether somebody may be let in now.
    pub(super) fn may_accept(&mut self, now: Instant) -> bool {
        self.pause.is_none()
            && self.listeners.iter().any(|listening| listening.ready)
            && self.admission.open(now)
    }

    /// Lets in who waits, a number of them at a time.
    pub(super) fn accept(&mut self, now: Instant) {
        for _ in 0..ACCEPTED_AT_ONCE {
            if !self.may_accept(now) {
                return;
            }
            for index in 0..self.listeners.len() {
                if self.listeners[index].ready && self.may_accept(now) {
                    self.accept_from(index, now);
                }
            }
        }
    }

    fn accept_from(&mut self, index: usize, now: Instant) {
        let listening = &mut self.listeners[index];
        let error = match listening.listener.accept() {
            Ok((socket, peer)) => return self.welcome(socket, peer, now),
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
                self.records.complain(&told, now);
                self.pause = Some(now + PAUSE);
            }
        }
    }

    fn welcome(&mut self, socket: OwnedFd, peer: Peer, now: Instant) {
        self.total += 1;
        let name = Name {
            number: self.total,
            peer,
        };
        if let Err(reason) = self.admission.admit(peer, now) {
            let sent = farewell(&socket, &self.admission.tell(reason));
            let summary = Summary {
                peer,
                end: reason.end(),
                pid: None,
                traffic: Some(Traffic { received: 0, sent }),
                lasted: Duration::ZERO,
            };
            self.records.ended(name, summary, now);
            return;
        }
        let key = self.guests.vacant_key();
        let mut around = around!(self, key, now);
        let token = around.token;
        let (guest, next) = self.host.welcome(socket, name, &mut around);
        if next == Next::Close {
            return self.leave(peer, now);
        }
        let interest = self.host.interest(&guest);
        let watched = watch(self.poll.registry(), guest.socket(), token, interest);
        self.guests.insert(Tracked {
            guest,
            timer: None,
            queued: false,
        });
        // What has come meanwhile is told at once.
        self.with(key, now, |_, _, _| next);
        if let Err(error) = watched {
            let told = format!("{peer} cannot be watched: {error}");
            self.records.complain(&told, now);
            self.with(key, now, H::dismiss);
        }
    }
}
