//! Accepts connections, within the limits.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use mio::{Interest, Registry, Token};
use nix::errno::Errno;

use super::admission::{Admission, Refusal};
use super::connection_log::{ConnectionId, ConnectionLog};
use super::end::End;
use super::event_loop::{deregister, register};
use super::listener::Listener;
use super::proxy::{HeaderEnd, PendingConnection, ProxyOptions, Via};
use super::refuse::refuse;
use crate::connection::{Peer, Summary, Traffic};
use crate::log::{Count, reason};
use crate::systemd::notify::ConnectionCounts;

/// How long accepting pauses if there is no file descriptor or memory left, unless a connection
/// ends before.
pub(super) const RESOURCE_PAUSE: Duration = Duration::from_secs(1);

/// The listening sockets, and the limits on connections.
#[derive(Debug)]
pub(super) struct Acceptor {
    listeners: Vec<ListenerState>,
    admission: Admission,
    proxy: ProxyOptions,
    paused_until: Option<Instant>,
    /// Connections accepted since the process started, refused ones included.
    accepted: u64,
    /// When the last connection ended.
    idle_since: Instant,
}

/// A connection that was accepted.
#[derive(Debug)]
pub(super) enum Accepted {
    /// The connection of a client that is admitted.
    Client(OwnedFd, ConnectionId),
    /// The connection of a proxy, which has to send a header.
    Proxy(PendingConnection),
}

#[derive(Debug)]
struct ListenerState {
    listener: Listener,
    /// The backlog may have a connection: the last accept did not return EAGAIN.
    ready: bool,
}

impl Acceptor {
    /// Registers the listeners with tokens from 0 on.
    pub(super) fn new(
        listeners: Vec<Listener>,
        admission: Admission,
        proxy: ProxyOptions,
        registry: &Registry,
        now: Instant,
    ) -> io::Result<Acceptor> {
        for (index, listener) in listeners.iter().enumerate() {
            listener.set_nonblocking()?;
            register(registry, listener, Token(index), Interest::READABLE)?;
        }
        Ok(Acceptor {
            listeners: listeners
                .into_iter()
                .map(|listener| ListenerState {
                    listener,
                    ready: true,
                })
                .collect(),
            admission,
            proxy,
            paused_until: None,
            accepted: 0,
            idle_since: now,
        })
    }

    /// How many listeners are open.
    pub(super) fn listeners(&self) -> usize {
        self.listeners.len()
    }

    /// The listener with this index is ready.
    pub(super) fn on_ready(&mut self, index: usize) {
        if let Some(state) = self.listeners.get_mut(index) {
            state.ready = true;
        }
    }

    /// Returns whether there may be a connection that can be accepted now.
    pub(super) fn may_accept(&mut self, now: Instant) -> bool {
        self.paused_until.is_none()
            && self.listeners.iter().any(|state| state.ready)
            && self.admission.may_accept(now)
    }

    /// Accepts a connection from the listener with this index. `None` if it has none, or if the
    /// connection was refused.
    pub(super) fn accept(
        &mut self,
        index: usize,
        now: Instant,
        log: &mut ConnectionLog<'_>,
    ) -> Option<Accepted> {
        if !(self.listeners.get(index)?.ready && self.may_accept(now)) {
            return None;
        }
        let state = &mut self.listeners[index];
        let error = match state.listener.accept() {
            Ok((socket, peer)) => return self.admit(socket, peer, now, log),
            Err(error) => error,
        };
        match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::EAGAIN) => state.ready = false,
            // The client has disconnected, or its network failed: the next accept may succeed.
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
            // No file descriptor or memory. New connections wait in the backlog meanwhile.
            _ => {
                let open = Count(u64::from(self.admission.open()), "connection");
                log.error(
                    &format!("cannot accept connections: {open} open: {}", reason(&error)),
                    now,
                );
                self.pause(now + RESOURCE_PAUSE);
            }
        }
        None
    }

    /// Counts a connection, or refuses it if a limit or rule says so.
    pub(super) fn admit(
        &mut self,
        socket: OwnedFd,
        peer: Peer,
        now: Instant,
        log: &mut ConnectionLog<'_>,
    ) -> Option<Accepted> {
        self.accepted += 1;
        let id = ConnectionId {
            number: self.accepted,
            peer,
            via: Via::Direct,
        };
        let reserved = match self.proxy.expects_header(peer) {
            Ok(false) => {
                let admitted = self.admit_client(socket, id, now, log);
                return admitted.map(|(socket, id)| Accepted::Client(socket, id));
            }
            Ok(true) => self.admission.reserve(peer),
            Err(reason) => Err(reason),
        };
        if let Err(reason) = reserved {
            self.refuse(&socket, id, reason, now, log);
            return None;
        }
        let timeout = self.proxy.proxy_timeout;
        let pending = PendingConnection::new(socket, id, timeout, now);
        Some(Accepted::Proxy(pending))
    }

    /// Counts the connection of a client, or refuses it if a limit or rule says so.
    fn admit_client(
        &mut self,
        socket: OwnedFd,
        id: ConnectionId,
        now: Instant,
        log: &mut ConnectionLog<'_>,
    ) -> Option<(OwnedFd, ConnectionId)> {
        if let Err(reason) = self.admission.admit(id.peer, now) {
            self.refuse(&socket, id, reason, now, log);
            return None;
        }
        Some((socket, id))
    }

    /// The wait for a header has ended. Returns the connection of its client if it is admitted.
    pub(super) fn end_wait(
        &mut self,
        pending: PendingConnection,
        end: HeaderEnd,
        now: Instant,
        log: &mut ConnectionLog<'_>,
    ) -> Option<(OwnedFd, ConnectionId)> {
        if let HeaderEnd::Client(
            id @ ConnectionId {
                via: Via::Check, ..
            },
        ) = end
        {
            return Some((pending.socket, id));
        }
        self.admission.unreserve(pending.id.peer);
        match end {
            HeaderEnd::Client(id) => return self.admit_client(pending.socket, id, now, log),
            HeaderEnd::Left => {}
            HeaderEnd::Invalid(error) => {
                refuse(&pending.socket, b"", now);
                let summary = Summary {
                    peer: pending.id.peer,
                    end: End::NoHeader(error),
                    pid: None,
                    traffic: None,
                    duration: now.saturating_duration_since(pending.accepted),
                };
                self.log_end(pending.id, summary, now, log);
            }
        }
        None
    }

    fn refuse(
        &mut self,
        socket: &OwnedFd,
        id: ConnectionId,
        reason: Refusal,
        now: Instant,
        log: &mut ConnectionLog<'_>,
    ) {
        let sent = refuse(socket, &self.admission.message(reason), now);
        let summary = Summary {
            peer: id.peer,
            end: End::Refused(reason),
            pid: None,
            traffic: Some(Traffic { received: 0, sent }),
            duration: Duration::ZERO,
        };
        self.log_end(id, summary, now, log);
    }

    /// Logs how a connection ended, and begins a penalty of its source if it has to.
    pub(super) fn log_end(
        &mut self,
        id: ConnectionId,
        summary: Summary<End>,
        now: Instant,
        log: &mut ConnectionLog<'_>,
    ) {
        if id.via == Via::Check {
            return;
        }
        log.ended(id, summary, now);
        if summary.end.is_offence() {
            if let Some(penalty) = self.admission.penalise(id.peer, now) {
                log.penalty(id, penalty, summary.end, now);
            }
        }
    }

    /// A connection that was accepted has ended.
    pub(super) fn release(&mut self, id: ConnectionId, now: Instant) {
        match id.via {
            Via::Check => self.admission.unreserve(id.peer),
            _ => self.admission.release(id.peer),
        }
        self.paused_until = None;
        if self.admission.open() == 0 {
            self.idle_since = now;
        }
    }

    /// Accepts nothing until this time, unless a connection ends before.
    pub(super) fn pause(&mut self, until: Instant) {
        self.paused_until = Some(until);
    }

    /// Ends a pause whose time is over.
    pub(super) fn end_pause(&mut self, now: Instant) {
        self.paused_until = self.paused_until.filter(|until| now < *until);
    }

    /// When a connection may be accepted again, if accepting pauses.
    pub(super) fn due_at(&mut self, now: Instant) -> Option<Instant> {
        let admission = match self.listeners.is_empty() {
            true => None,
            false => self.admission.may_accept_at(now),
        };
        self.paused_until.into_iter().chain(admission).min()
    }

    /// Until when the process counts as busy though no connection is open: since the last one
    /// ended, this time has to pass, and the limits must have forgotten all connections.
    pub(super) fn idle_until(&self, idle_time: Duration, now: Instant) -> Instant {
        let limits = self.admission.limits_until(now);
        (self.idle_since + idle_time).max(limits.unwrap_or(self.idle_since))
    }

    /// The open connections and their total.
    pub(super) fn counts(&self) -> ConnectionCounts {
        ConnectionCounts {
            open: u64::from(self.admission.open()),
            total: self.accepted,
        }
    }

    /// Closes the listening sockets. systemd keeps its descriptors of them, and new connections
    /// wait in the backlog. As the sockets stay open there, they have to be deregistered.
    pub(super) fn close_listeners(&mut self, registry: &Registry) {
        for state in self.listeners.drain(..) {
            deregister(registry, &state.listener);
        }
    }
}
