//! Serves connections with sessions in this process.

mod connection;

use std::convert::Infallible;
use std::os::fd::OwnedFd;
use std::time::Duration;

use mio::Interest;
use nix::sys::signal::Signal;

use self::connection::{BUFFER, SessionConnection};
use super::connection_log::ConnectionId;
use super::handler::{Connection, Context, Handler, Next};
use crate::session::{Service, Session};

/// How long a session may take to end when the service stops.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(3);

/// Serves connections with the sessions of a service.
#[derive(Debug)]
pub(super) struct SessionHandler<S> {
    service: S,
    write_timeout: Duration,
    /// The read buffer for all connections.
    buffer: Box<[u8; BUFFER]>,
}

impl<S: Service> SessionHandler<S> {
    /// Makes a handler. A client may take `write_timeout` to read pending output.
    pub(super) fn new(service: S, write_timeout: Duration) -> SessionHandler<S> {
        SessionHandler {
            service,
            write_timeout,
            buffer: Box::new([0; BUFFER]),
        }
    }
}

impl<S: Service> Handler for SessionHandler<S> {
    type Connection = SessionConnection<S::Session>;
    type Event = Infallible;

    const SIGNALS: &'static [Signal] = &[];

    fn interest(&self, _: &Self::Connection) -> Interest {
        Interest::READABLE.add(Interest::WRITABLE)
    }

    fn shutdown_timeout(&self) -> Duration {
        SHUTDOWN_TIMEOUT
    }

    fn on_accept(
        &mut self,
        socket: OwnedFd,
        id: ConnectionId,
        context: &mut Context<'_, '_>,
    ) -> (Self::Connection, Next) {
        let mut connection = SessionConnection::start(
            &mut self.service,
            socket,
            id,
            self.write_timeout,
            context.now,
        );
        // A short session ends here, before its socket is registered.
        let next = connection.on_ready(&mut self.buffer, context);
        (connection, next)
    }

    fn on_ready(
        &mut self,
        connection: &mut Self::Connection,
        context: &mut Context<'_, '_>,
    ) -> Next {
        connection.on_ready(&mut self.buffer, context)
    }

    fn on_timer(
        &mut self,
        connection: &mut Self::Connection,
        context: &mut Context<'_, '_>,
    ) -> Next {
        connection.on_timer(&mut self.buffer, context)
    }

    fn shut_down(
        &mut self,
        connection: &mut Self::Connection,
        context: &mut Context<'_, '_>,
    ) -> Next {
        connection.shut_down(&mut self.buffer, context)
    }

    fn on_event(
        &mut self,
        _: &mut Self::Connection,
        event: Infallible,
        _: &mut Context<'_, '_>,
    ) -> Next {
        match event {}
    }
}

impl<S: Session> Connection for SessionConnection<S> {
    fn socket(&self) -> &OwnedFd {
        SessionConnection::socket(self)
    }

    fn id(&self) -> ConnectionId {
        SessionConnection::id(self)
    }
}
