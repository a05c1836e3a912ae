//! The interface between the event loop and what serves the connections.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use mio::{Interest, Registry, Token};
use nix::sys::signal::Signal;

use super::acceptor::Acceptor;
use super::connection_log::{ConnectionId, ConnectionLog};
use super::end::End;
use crate::connection::Summary;

/// Serves accepted connections: with sessions in this process, or with a program for each.
pub(super) trait Handler {
    /// The state of a connection.
    type Connection: Connection;
    /// An event of a connection that does not come from its socket.
    type Event;

    /// Signals that this handler receives, besides those that stop the process.
    const SIGNALS: &'static [Signal];

    /// Which readiness of the connection's socket wakes the loop.
    fn interest(&self, connection: &Self::Connection) -> Interest;

    /// How long connections may take to end after [`Handler::shut_down`].
    fn shutdown_timeout(&self) -> Duration;

    /// Starts to serve a connection that was accepted.
    fn on_accept(
        &mut self,
        socket: OwnedFd,
        id: ConnectionId,
        context: &mut Context<'_, '_>,
    ) -> (Self::Connection, Next);

    /// The connection's socket is ready, or the connection returned [`Next::Yield`].
    fn on_ready(
        &mut self,
        connection: &mut Self::Connection,
        context: &mut Context<'_, '_>,
    ) -> Next;

    /// The time of [`Next::Wait`] has come.
    fn on_timer(
        &mut self,
        connection: &mut Self::Connection,
        context: &mut Context<'_, '_>,
    ) -> Next;

    /// Ends a connection because the service stops.
    fn shut_down(
        &mut self,
        connection: &mut Self::Connection,
        context: &mut Context<'_, '_>,
    ) -> Next;

    /// One of the handler's signals arrived.
    fn on_signal(&mut self) {}

    /// Returns events with the keys of their connections. The loop calls this until it returns
    /// nothing.
    fn events(&mut self) -> Vec<(usize, Self::Event)> {
        Vec::new()
    }

    /// Handles an event that [`Handler::events`] returned.
    fn on_event(
        &mut self,
        connection: &mut Self::Connection,
        event: Self::Event,
        context: &mut Context<'_, '_>,
    ) -> Next;

    /// Does periodic work that belongs to no connection, if it is due.
    fn maintain(&mut self, _now: Instant, _log: &mut ConnectionLog<'_>) {}

    /// When [`Handler::maintain`] has something to do.
    fn maintenance_due_at(&self, _now: Instant) -> Option<Instant> {
        None
    }

    /// Cleans up when the loop has ended.
    fn finish(&mut self, _log: &mut ConnectionLog<'_>) {}
}

/// The state of a connection, as far as the event loop uses it.
pub(super) trait Connection {
    /// The connection's socket.
    fn socket(&self) -> &OwnedFd;
    /// The connection's identity in the log.
    fn id(&self) -> ConnectionId;
}

/// What a handler may use while it serves a connection.
#[derive(Debug)]
pub(super) struct Context<'c, 'l> {
    /// The connection's key, unique among open connections.
    pub key: usize,
    /// The connection's token for mio.
    pub token: Token,
    /// mio's registry.
    pub registry: &'c Registry,
    /// The time of the current iteration of the loop.
    pub now: Instant,
    /// The log.
    pub log: &'c mut ConnectionLog<'l>,
    /// Accepts connections; may be paused.
    pub acceptor: &'c mut Acceptor,
}

impl Context<'_, '_> {
    /// Logs how a connection ended.
    pub(super) fn log_end(&mut self, id: ConnectionId, summary: Summary<End>) {
        self.acceptor.log_end(id, summary, self.now, self.log);
    }
}

/// What a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Readiness of its socket, an event, or this time.
    Wait(Option<Instant>),
    /// Nothing, but other connections come first.
    Yield,
    /// Nothing: it has ended.
    Close,
}
