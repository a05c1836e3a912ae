//! The interface between a service's protocol and the code that moves its bytes.
//!
//! A service implements [`Service`] and [`Session`]: bytes in, bytes out, with the time passed in,
//! and no knowledge of sockets. [`Driver`] runs a session for a caller that reads and writes.

mod driver;

use std::convert::Infallible;
use std::fmt;
use std::time::Instant;

pub(crate) use driver::{Driver, Want};

/// A service, for one connection or for many.
pub(crate) trait Service {
    /// The service's conversation on one connection.
    type Session: Session;

    /// Starts a session: appends the first output to `output`. `None` if nothing follows it: then
    /// the connection is closed without reading.
    fn start(&mut self, now: Instant, output: &mut Vec<u8>) -> Option<Self::Session>;
}

/// A session. The caller sends what the session appends to `output`, in order, and calls no more
/// methods after [`Event::Ended`], [`Session::time_out`] or [`Session::shut_down`].
pub(crate) trait Session {
    /// A request and its answer, for the log.
    type Exchange<'a>: fmt::Display
    where
        Self: 'a;

    /// When the caller has to call [`Session::time_out`].
    fn deadline(&self) -> Instant;

    /// Processes input up to the first event, or all of it if it causes none. Returns the number
    /// of bytes processed, and the event. One call appends at most one answer to `output`, however
    /// long the input is.
    fn receive(
        &mut self,
        input: &[u8],
        now: Instant,
        output: &mut Vec<u8>,
    ) -> (usize, Option<Event<Self::Exchange<'_>>>);

    /// Processes the end of input. The caller repeats this until it returns [`Event::Ended`].
    fn end_of_input(&mut self, output: &mut Vec<u8>) -> Event<Self::Exchange<'_>>;

    /// Ends the session because its deadline has passed.
    fn time_out(&mut self, output: &mut Vec<u8>);

    /// Ends the session because the service stops.
    fn shut_down(&mut self, output: &mut Vec<u8>);
}

/// What a session did with its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event<E> {
    /// It answered a request.
    Exchange(E),
    /// It ended; its last output is in the buffer.
    Ended(SessionEnd),
}

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum SessionEnd {
    /// The service sent its output, and reads no input.
    Served,
    /// The client quit.
    Quit,
    /// The client closed its sending half.
    EndOfInput,
    /// The client sent an interrupt.
    Interrupted,
    /// The client sent nothing until the deadline.
    TimedOut,
    /// The service stops.
    ServiceStopped,
    /// The client closed or reset the connection before the end.
    ClientGone,
    /// The client did not read in time.
    WriteTimedOut,
}

impl fmt::Display for SessionEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SessionEnd::Served => "served",
            SessionEnd::Quit => "quit",
            SessionEnd::EndOfInput => "end of input",
            SessionEnd::Interrupted => "interrupted",
            SessionEnd::TimedOut => "timed out",
            SessionEnd::ServiceStopped => "service stopped",
            SessionEnd::ClientGone => "client gone",
            SessionEnd::WriteTimedOut => "write timed out",
        })
    }
}

/// The session type of a service that has no sessions.
impl Session for Infallible {
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

    fn time_out(&mut self, _: &mut Vec<u8>) {
        match *self {}
    }

    fn shut_down(&mut self, _: &mut Vec<u8>) {
        match *self {}
    }
}
