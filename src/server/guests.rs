//! Those who were let in, and what they wait for.

use std::time::Instant;

use super::event_loop::{Server, unwatch};
use super::host::{Around, Guest, Host, Next, around};
use crate::connection::Peer;

impl<H: Host> Server<'_, H> {
    /// Something happened at a guest's socket, or it has its turn.
    pub(super) fn drive(&mut self, key: usize, now: Instant) {
        self.with(key, now, H::drive);
    }

    /// Tells guests what was heard of them.
    pub(super) fn spread_news(&mut self, now: Instant) {
        loop {
            let news = self.host.news();
            if news.is_empty() {
                return;
            }
            for (key, news) in news {
                self.with(key, now, |host, guest, around| {
                    host.hear(guest, news, around)
                });
            }
        }
    }

    /// Sees to whoever's time has come.
    pub(super) fn expire(&mut self, now: Instant) {
        self.pause = self.pause.filter(|until| now < *until);
        while let Some((at, key)) = self.timers.first().copied() {
            if at > now {
                break;
            }
            self.with(key, now, H::expire);
        }
    }

    /// Has the host do something for a guest, and sees to what the guest waits for then.
    pub(super) fn with(
        &mut self,
        key: usize,
        now: Instant,
        step: impl FnOnce(&mut H, &mut H::Guest, &mut Around<'_, '_>) -> Next,
    ) {
        let mut around = around!(self, key, now);
        // An event may be for a guest that has left since.
        let Some(tracked) = self.guests.get_mut(key) else {
            return;
        };
        let next = step(&mut self.host, &mut tracked.guest, &mut around);
        let timer = match next {
            Next::Wait(at) => at,
            Next::Turn | Next::Close => None,
        };
        if tracked.timer != timer {
            if let Some(old) = tracked.timer {
                self.timers.remove(&(old, key));
            }
            if let Some(at) = timer {
                self.timers.insert((at, key));
            }
            tracked.timer = timer;
        }
        match next {
            Next::Wait(_) => {}
            // However often it is driven: its turns are those of one.
            Next::Turn if tracked.queued => {}
            Next::Turn => {
                tracked.queued = true;
                self.turns.push(key);
            }
            Next::Close => {
                let guest = self.guests.remove(key).guest;
                // Others may have descriptors of this socket, and then it would be told of still.
                unwatch(self.poll.registry(), guest.socket());
                self.leave(guest.name().peer, now);
            }
        }
    }

    /// One who was admitted has left.
    pub(super) fn leave(&mut self, peer: Peer, now: Instant) {
        self.admission.leave(peer);
        self.pause = None;
        if self.admission.current() == 0 {
            self.idle_since = now;
        }
    }
}
