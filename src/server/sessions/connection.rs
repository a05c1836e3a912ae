//! One connection with its session.

use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, setsockopt, sockopt};

use super::super::connection_log::ConnectionId;
use super::super::end::End;
use super::super::handler::{Context, Next};
use crate::connection::{Discarded, LINGER, Linger, Summary, send_now};
use crate::session::{Driver, Service, Session, SessionEnd, Want};

/// The size of the read buffer, in bytes.
pub(super) const BUFFER: usize = 4096;

/// How many reads, writes and steps of a session happen before other connections are served.
const MAX_STEPS: usize = 32;

/// A connection and its session.
#[derive(Debug)]
pub(in crate::server) struct SessionConnection<S> {
    socket: OwnedFd,
    id: ConnectionId,
    accepted: Instant,
    driver: Driver<S>,
    /// The session has ended, and the connection is being closed.
    closing: Option<Linger>,
}

impl<S: Session> SessionConnection<S> {
    /// Starts a session on a connection that was accepted.
    pub(crate) fn start(
        service: &mut impl Service<Session = S>,
        socket: OwnedFd,
        id: ConnectionId,
        write_timeout: Duration,
        now: Instant,
    ) -> SessionConnection<S> {
        let driver = Driver::start(service, write_timeout, now);
        if driver.has_session() {
            // Deliver TCP urgent data in line; fails for AF_UNIX, which has none.
            let _ = setsockopt(&socket, sockopt::OobInline, &true);
        }
        SessionConnection {
            socket,
            id,
            accepted: now,
            driver,
            closing: None,
        }
    }

    pub(crate) fn socket(&self) -> &OwnedFd {
        &self.socket
    }

    pub(crate) fn id(&self) -> ConnectionId {
        self.id
    }

    /// Reads, writes and runs the session as far as possible without blocking.
    pub(crate) fn on_ready(
        &mut self,
        buffer: &mut [u8; BUFFER],
        context: &mut Context<'_, '_>,
    ) -> Next {
        let now = context.now;
        if let Some(linger) = self.closing {
            return self.discard(linger, now);
        }
        for _ in 0..MAX_STEPS {
            match self.driver.want() {
                Want::Write => match send_now(&self.socket, self.driver.output()) {
                    Ok(n) => self.driver.on_sent(n),
                    Err(Errno::EAGAIN) => {
                        return Next::Wait(Some(self.driver.write_deadline(now)));
                    }
                    Err(Errno::EINTR) => {}
                    Err(_) => self.driver.fail(SessionEnd::ClientGone),
                },
                Want::Read(deadline) => {
                    match recv(self.socket.as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT) {
                        Ok(0) => self.driver.end_input(),
                        Ok(n) => {
                            let mut input = &buffer[..n];
                            self.driver.on_received(n);
                            while let Some(exchange) = self.driver.receive(&mut input, now) {
                                context.log.exchange(self.id, exchange, now);
                            }
                        }
                        Err(Errno::EAGAIN) => return Next::Wait(Some(deadline)),
                        Err(Errno::EINTR) => {}
                        Err(_) => self.driver.fail(SessionEnd::ClientGone),
                    }
                }
                Want::Resume => {
                    while let Some(exchange) = self.driver.resume(now) {
                        context.log.exchange(self.id, exchange, now);
                    }
                }
                Want::Close(end) => return self.close(end, context),
            }
        }
        Next::Yield
    }

    /// The time of [`Next::Wait`] has come.
    pub(crate) fn on_timer(
        &mut self,
        buffer: &mut [u8; BUFFER],
        context: &mut Context<'_, '_>,
    ) -> Next {
        self.driver.on_timer(context.now);
        self.on_ready(buffer, context)
    }

    /// Ends the session because the service stops.
    pub(crate) fn shut_down(
        &mut self,
        buffer: &mut [u8; BUFFER],
        context: &mut Context<'_, '_>,
    ) -> Next {
        self.driver.shut_down();
        self.on_ready(buffer, context)
    }

    /// Logs the end of the session, and begins to close the connection.
    fn close(&mut self, end: SessionEnd, context: &mut Context<'_, '_>) -> Next {
        let now = context.now;
        let summary = Summary {
            peer: self.id.peer,
            end: End::Session(end),
            traffic: Some(self.driver.traffic().into()),
            pid: None,
            duration: now.saturating_duration_since(self.accepted),
        };
        context.log_end(self.id, summary);
        if self.driver.input_ended() {
            return Next::Close;
        }
        let time = match self.driver.has_session() {
            true => LINGER,
            false => Duration::ZERO,
        };
        let linger = Linger::start(&self.socket, now + time);
        self.closing = Some(linger);
        self.discard(linger, now)
    }

    fn discard(&self, linger: Linger, now: Instant) -> Next {
        match linger.discard(&self.socket, now) {
            Discarded::All(until) => Next::Wait(Some(until)),
            Discarded::Some => Next::Yield,
            Discarded::Done => Next::Close,
        }
    }
}
