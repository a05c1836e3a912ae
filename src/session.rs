//! What a service says, as those see it who move its bytes: bytes in, bytes out, the time handed
//! to it, and no idea of sockets.

use std::convert::Infallible;
use std::fmt;
use std::time::Instant;

/// A service, whichever process it is served from.
pub trait Service {
    /// A conversation with one client.
    type Talk: Talk;

    /// Says the first words, by putting them into `out`. There is no conversation where they are
    /// the last words too.
    fn begin(&mut self, now: Instant, out: &mut Vec<u8>) -> Option<Self::Talk>;
}

/// A conversation. Whoever drives it writes what it puts into `out`, in order, and asks no more of
/// it after [`Event::Ended`].
pub trait Talk {
    /// What was said to and fro, for the log.
    type Exchange<'a>: fmt::Display
    where
        Self: 'a;

    /// When [`Talk::time_out`] is due.
    fn deadline(&self) -> Instant;

    /// Takes input up to the first event and says how much that was. So one step puts at most one
    /// answer into `out`, however much is received at once.
    fn receive(
        &mut self,
        input: &[u8],
        now: Instant,
        out: &mut Vec<u8>,
    ) -> (usize, Option<Event<Self::Exchange<'_>>>);

    /// Takes the end of input, to be called until it returns [`Event::Ended`].
    fn end_of_input(&mut self, out: &mut Vec<u8>) -> Event<Self::Exchange<'_>>;

    /// Ends a conversation in which nothing was said for too long; says how it ended.
    fn time_out(&mut self, out: &mut Vec<u8>) -> &'static str;

    /// Ends a conversation because the service stops; says how it ended.
    fn dismiss(&mut self, out: &mut Vec<u8>) -> &'static str;
}

/// What happened in a step of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<E> {
    /// The client said something and was answered.
    Exchange(E),
    /// The last words were said; the text says how it ended.
    Ended(&'static str),
}

/// The conversation of a service that has none.
impl Talk for Infallible {
    type Exchange<'a> = Infallible;

    fn deadline(&self) -> Instant {
        match *self {}
    }

    fn receive(
        &mut self,
        _: &[u8],
        _: Instant,
        _: &mut Vec<u8>,
    ) -> (usize, Option<Event<Infallible>>) {
        match *self {}
    }

    fn end_of_input(&mut self, _: &mut Vec<u8>) -> Event<Infallible> {
        match *self {}
    }

    fn time_out(&mut self, _: &mut Vec<u8>) -> &'static str {
        match *self {}
    }

    fn dismiss(&mut self, _: &mut Vec<u8>) -> &'static str {
        match *self {}
    }
}
