//! What a kind of service brings to the loop that serves everyone.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use mio::{Interest, Registry, Token};
use nix::sys::signal::Signal;

use super::records::{Name, Records};

/// Serves those whom the loop lets in: by conversations in this process, or by programs.
pub trait Host {
    /// A connection that is served.
    type Guest: Guest;
    /// What may be heard of a guest from elsewhere than its socket.
    type News;

    /// Signals that are the host's, beside those that stop the process.
    const SIGNALS: &'static [Signal];

    /// What the poll is to tell of a guest's socket.
    fn interest(&self, guest: &Self::Guest) -> Interest;

    /// How long those may take to leave who were dismissed.
    fn last_words(&self) -> Duration;

    /// Takes in a connection that was just accepted.
    fn welcome(
        &mut self,
        socket: OwnedFd,
        name: Name,
        around: &mut Around<'_, '_>,
    ) -> (Self::Guest, Next);

    /// Something happened at the guest's socket, or it has its turn.
    fn drive(&mut self, guest: &mut Self::Guest, around: &mut Around<'_, '_>) -> Next;

    /// The time that [`Next::Wait`] named has come.
    fn expire(&mut self, guest: &mut Self::Guest, around: &mut Around<'_, '_>) -> Next;

    /// The service stops.
    fn dismiss(&mut self, guest: &mut Self::Guest, around: &mut Around<'_, '_>) -> Next;

    /// One of the host's signals has come.
    fn signalled(&mut self) {}

    /// What was heard, with the keys of whom it concerns; some of it at a time, until there is nothing.
    fn news(&mut self) -> Vec<(usize, Self::News)> {
        Vec::new()
    }

    /// Tells a guest what was heard of it.
    fn hear(
        &mut self,
        guest: &mut Self::Guest,
        news: Self::News,
        around: &mut Around<'_, '_>,
    ) -> Next;

    /// Does what concerns no guest, once it is due.
    fn tidy(&mut self, _now: Instant) {}

    /// When [`Host::tidy`] has something to do.
    fn due(&self) -> Option<Instant> {
        None
    }

    /// Nobody is served any more: leaves nothing behind.
    fn finish(&mut self) {}
}

/// A connection that is served.
pub trait Guest {
    /// Its socket.
    fn socket(&self) -> &OwnedFd;
    /// Its name in the records.
    fn name(&self) -> Name;
}

/// What a host finds around a guest.
#[derive(Debug)]
pub struct Around<'s, 'l> {
    /// The guest's number, as long as it is there.
    pub key: usize,
    /// The guest's name for the poll.
    pub token: Token,
    /// The poll.
    pub registry: &'s Registry,
    /// The time.
    pub now: Instant,
    /// What is told of guests.
    pub records: &'s mut Records<'l>,
    /// Accepting pauses until then, unless a guest leaves before.
    pub pause: &'s mut Option<Instant>,
}

/// What a guest waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Its socket, news, or this time.
    Wait(Option<Instant>),
    /// Its next turn.
    Turn,
    /// Nothing: it is done.
    Close,
}

/// What is around a guest of a server. No method: that would borrow all of the server.
macro_rules! around {
    ($server:expr, $key:expr, $now:expr) => {
        $crate::server::host::Around {
            key: $key,
            token: mio::Token($server.first_guest + $key),
            registry: $server.poll.registry(),
            now: $now,
            records: &mut $server.records,
            pause: &mut $server.pause,
        }
    };
}
pub(super) use around;
