//! The event loop.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Instant;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token};
use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::acceptor::{Accepted, Acceptor};
use super::admission::{Admission, Limits};
use super::connection_log::{ConnectionId, ConnectionLog};
use super::connections::Connections;
use super::error::EventLoopError;
use super::handler::{Connection, Context, Handler, Next};
use super::listener::Listener;
use super::options::Options;
use super::proxy::{HeaderEnd, PendingConnection};
use crate::connection::Peer;
use crate::log::{Log, reason};
use crate::systemd::notify::Notifier;

/// File descriptors besides those of connections: listeners, log, epoll and a reserve.
const OTHER_DESCRIPTORS: rlim_t = 256;

/// How many connections are accepted before open connections are served.
const ACCEPT_BATCH: usize = 64;

const SIGNALS: Token = Token(usize::MAX - 1);
/// For what only wakes the loop, such as another thread: the handler finds out what happened.
pub(super) const WAKER: Token = Token(usize::MAX - 2);

/// What a process serves.
#[derive(Debug)]
pub(super) enum Sockets {
    /// The connections of these listeners.
    Listeners(Vec<Listener>),
    /// This connection alone.
    Connection(OwnedFd, Peer),
}

/// Serves connections until SIGTERM or SIGINT, or until there was none for `--exit-idle-time`; a
/// single connection until it has ended. Returns the handler.
///
/// `handler` makes the handler; the signals are blocked before, so that its threads inherit that.
///
/// # Errors
///
/// The loop or the handler cannot be set up, or the loop failed. Nothing that a client does is an
/// error.
pub(super) fn run<H: Handler, E: From<EventLoopError>>(
    handler: impl FnOnce(&Registry) -> Result<H, E>,
    sockets: Sockets,
    options: &Options,
    limits: Limits,
    log: &mut Log,
) -> Result<H, E> {
    raise_descriptor_limit(options.max_connections);
    let poll = Poll::new().map_err(EventLoopError::SetUp)?;
    let signals = signals::<H>(&poll).map_err(EventLoopError::SetUp)?;
    let handler = handler(poll.registry())?;
    let now = Instant::now();
    let (listeners, connection) = match sockets {
        Sockets::Listeners(listeners) => (listeners, None),
        Sockets::Connection(socket, peer) => (Vec::new(), Some((socket, peer))),
    };
    let connections = Connections::new(listeners.len());
    let admission = Admission::new(options, limits);
    let proxy = options.proxy.clone();
    let mut event_loop = EventLoop {
        handler,
        connections,
        acceptor: Acceptor::new(listeners, admission, proxy, poll.registry(), now)
            .map_err(EventLoopError::SetUp)?,
        poll,
        signals,
        log: ConnectionLog::new(log, now),
        notifier: Notifier::ready(now),
        shutdown: match connection {
            None => Shutdown::No,
            Some(_) => Shutdown::AfterLast,
        },
        options,
    };
    if let Some((socket, peer)) = connection {
        event_loop.take(socket, peer, now);
    }
    let result = event_loop.run();
    event_loop.handler.finish(&mut event_loop.log);
    event_loop.log.finish();
    result.map_err(EventLoopError::Poll)?;
    Ok(event_loop.handler)
}

/// Raises the soft limit on file descriptors as far as needed. Not further: programs inherit it,
/// and some of them close every number below it.
fn raise_descriptor_limit(connections: u32) {
    let needed = rlim_t::from(connections).saturating_add(OTHER_DESCRIPTORS);
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        if soft < needed.min(hard) {
            // If this fails, accepting pauses at the lower limit, and an error is logged then.
            let _ = setrlimit(Resource::RLIMIT_NOFILE, needed.min(hard), hard);
        }
    }
}

/// Blocks the signals of the loop and the handler, and registers a signalfd for them.
fn signals<H: Handler>(poll: &Poll) -> io::Result<SignalFd> {
    let mut mask = SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT]);
    mask.extend(H::SIGNALS.iter().copied());
    mask.thread_block()?;
    let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
    register(poll.registry(), &signals, SIGNALS, Interest::READABLE)?;
    Ok(signals)
}

struct EventLoop<'a, H: Handler> {
    handler: H,
    connections: Connections<Stage<H::Connection>>,
    acceptor: Acceptor,
    poll: Poll,
    signals: SignalFd,
    log: ConnectionLog<'a>,
    notifier: Notifier,
    shutdown: Shutdown,
    options: &'a Options,
}

/// An open connection.
enum Stage<C> {
    /// Its proxy has not sent the header yet.
    Pending(PendingConnection),
    /// The handler serves it.
    Served(C),
}

/// The stages of a graceful shutdown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shutdown {
    No,
    /// The process exits when the last connection has ended.
    AfterLast,
    /// Connections may end by themselves until this time.
    Draining(Instant),
    /// The handler ends the connections; the process exits at this time at the latest.
    Ending(Instant),
}

impl<H: Handler> EventLoop<'_, H> {
    fn run(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        loop {
            let now = Instant::now();
            if self.is_done(now) {
                return Ok(());
            }
            let timeout = self
                .due_at(now)
                .map(|due| due.saturating_duration_since(now));
            match self.poll.poll(&mut events, timeout) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            let now = Instant::now();
            for event in &events {
                match event.token() {
                    SIGNALS => self.on_signals(now),
                    WAKER => {}
                    Token(index) if index < self.connections.first_token() => {
                        self.acceptor.on_ready(index);
                    }
                    token => self.step(self.connections.key(token), now, H::on_ready),
                }
            }
            for key in self.connections.take_yielded() {
                self.step(key, now, H::on_ready);
            }
            self.deliver_events(now);
            self.acceptor.end_pause(now);
            while let Some(key) = self.connections.expired(now) {
                self.step(key, now, H::on_timer);
            }
            self.accept(now);
            self.handler.maintain(now, &mut self.log);
            self.log.write_due(now);
            self.notifier.send_due(self.acceptor.counts(), now);
        }
    }

    /// Returns whether the process can exit. Ends the connections if their time is over.
    fn is_done(&mut self, now: Instant) -> bool {
        match self.shutdown {
            Shutdown::No => {}
            _ if self.connections.is_empty() => return true,
            Shutdown::Draining(until) if now >= until => self.shut_down(now),
            Shutdown::Ending(until) if now >= until => return true,
            Shutdown::AfterLast | Shutdown::Draining(_) | Shutdown::Ending(_) => {}
        }
        self.idle_exit_at(now).is_some_and(|at| now >= at)
    }

    /// When the process exits because there is no connection.
    fn idle_exit_at(&self, now: Instant) -> Option<Instant> {
        let time = self.options.exit_idle_time?;
        let idle = self.connections.is_empty();
        idle.then(|| self.acceptor.idle_until(time, now))
    }

    /// When the loop has to run even if nothing becomes ready; `now` if it has to run at once.
    fn due_at(&mut self, now: Instant) -> Option<Instant> {
        let at_once = self.connections.any_yielded() || self.acceptor.may_accept(now);
        let shutdown = match self.shutdown {
            Shutdown::No | Shutdown::AfterLast => None,
            Shutdown::Draining(until) | Shutdown::Ending(until) => Some(until),
        };
        at_once
            .then_some(now)
            .into_iter()
            .chain(self.connections.next_timer())
            .chain(self.acceptor.due_at(now))
            .chain(self.handler.maintenance_due_at(now))
            .chain(self.log.due_at())
            .chain(self.notifier.due_at(self.acceptor.counts()))
            .chain(self.idle_exit_at(now))
            .chain(shutdown)
            .min()
    }

    fn on_signals(&mut self, now: Instant) {
        while let Ok(Some(signal)) = self.signals.read_signal() {
            if H::SIGNALS.iter().any(|own| *own as u32 == signal.ssi_signo) {
                self.handler.on_signal();
                continue;
            }
            match self.shutdown {
                Shutdown::No => {
                    self.shutdown = Shutdown::Draining(now + self.options.stop_timeout);
                    self.acceptor.close_listeners(self.poll.registry());
                    self.notifier.stopping(self.acceptor.counts());
                    self.log
                        .draining(self.acceptor.counts().open, self.options.stop_timeout);
                }
                // A second signal ends the connections at once.
                Shutdown::AfterLast | Shutdown::Draining(_) => self.shut_down(now),
                Shutdown::Ending(_) => {}
            }
        }
    }

    /// Has the handler end all connections.
    fn shut_down(&mut self, now: Instant) {
        self.shutdown = Shutdown::Ending(now + self.handler.shutdown_timeout());
        for key in self.connections.keys() {
            self.step(key, now, H::shut_down);
        }
    }

    fn deliver_events(&mut self, now: Instant) {
        loop {
            let events = self.handler.events();
            if events.is_empty() {
                return;
            }
            for (key, event) in events {
                self.step(key, now, |handler, connection, context| {
                    handler.on_event(connection, event, context)
                });
            }
        }
    }

    fn accept(&mut self, now: Instant) {
        for _ in 0..ACCEPT_BATCH {
            if !self.acceptor.may_accept(now) {
                return;
            }
            for index in 0..self.acceptor.listeners() {
                if let Some(accepted) = self.acceptor.accept(index, now, &mut self.log) {
                    self.on_accepted(accepted, now);
                }
            }
        }
    }

    /// Serves a connection that the process was started with, within the limits.
    fn take(&mut self, socket: OwnedFd, peer: Peer, now: Instant) {
        if let Some(accepted) = self.acceptor.admit(socket, peer, now, &mut self.log) {
            self.on_accepted(accepted, now);
        }
    }

    fn on_accepted(&mut self, accepted: Accepted, now: Instant) {
        match accepted {
            Accepted::Client(socket, id) => self.start(socket, id, now),
            Accepted::Proxy(mut pending) => match pending.receive(now) {
                Some(end) => self.end_wait(pending, end, now),
                None => self.wait_for_header(pending, now),
            },
        }
    }

    fn wait_for_header(&mut self, pending: PendingConnection, now: Instant) {
        let key = self.connections.next_key();
        let token = self.connections.token(key);
        let registry = self.poll.registry();
        if let Err(error) = register(registry, &pending.socket, token, Interest::READABLE) {
            self.cannot_register(pending.id, &error, now);
            return self.end_wait(pending, HeaderEnd::Left, now);
        }
        let next = Next::Wait(Some(pending.deadline));
        self.connections.insert(Stage::Pending(pending));
        self.connections.update(key, next);
    }

    fn end_wait(&mut self, pending: PendingConnection, end: HeaderEnd, now: Instant) {
        if let Some((socket, id)) = self.acceptor.end_wait(pending, end, now, &mut self.log) {
            self.start(socket, id, now);
        }
    }

    /// More of a header may have arrived, its time may be over, or the service stops.
    fn receive_header(&mut self, key: usize, now: Instant) {
        let Some(Stage::Pending(pending)) = self.connections.get_mut(key) else {
            return;
        };
        let end = match self.shutdown {
            Shutdown::Ending(_) => HeaderEnd::Left,
            _ => match pending.receive(now) {
                Some(end) => end,
                None => return,
            },
        };
        if let Some(Stage::Pending(pending)) = self.connections.update(key, Next::Close) {
            deregister(self.poll.registry(), &pending.socket);
            self.end_wait(pending, end, now);
        }
    }

    fn cannot_register(&mut self, id: ConnectionId, error: &io::Error, now: Instant) {
        let message = format!(
            "cannot register the connection: {}: {}",
            id.peer,
            reason(error)
        );
        self.log.error(&message, now);
    }

    /// Starts to serve a connection that was accepted.
    fn start(&mut self, socket: OwnedFd, id: ConnectionId, now: Instant) {
        let key = self.connections.next_key();
        let token = self.connections.token(key);
        let mut context = Context {
            key,
            token,
            registry: self.poll.registry(),
            now,
            log: &mut self.log,
            acceptor: &mut self.acceptor,
        };
        let (connection, next) = self.handler.on_accept(socket, id, &mut context);
        if next == Next::Close {
            return self.acceptor.release(id, now);
        }
        let interest = self.handler.interest(&connection);
        // If the socket is ready already, the next poll reports it.
        let registered = register(self.poll.registry(), connection.socket(), token, interest);
        self.connections.insert(Stage::Served(connection));
        self.connections.update(key, next);
        if let Err(error) = registered {
            self.cannot_register(id, &error, now);
            self.step(key, now, H::shut_down);
        }
    }

    /// Has the handler do something for a connection, and stores what the connection waits for.
    fn step(
        &mut self,
        key: usize,
        now: Instant,
        step: impl FnOnce(&mut H, &mut H::Connection, &mut Context<'_, '_>) -> Next,
    ) {
        let token = self.connections.token(key);
        let connection = match self.connections.get_mut(key) {
            Some(Stage::Served(connection)) => connection,
            Some(Stage::Pending(_)) => return self.receive_header(key, now),
            None => return,
        };
        let mut context = Context {
            key,
            token,
            registry: self.poll.registry(),
            now,
            log: &mut self.log,
            acceptor: &mut self.acceptor,
        };
        let next = step(&mut self.handler, connection, &mut context);
        if let Some(Stage::Served(closed)) = self.connections.update(key, next) {
            // A program may still have a descriptor of the socket; then epoll would report it.
            deregister(self.poll.registry(), closed.socket());
            self.acceptor.release(closed.id(), now);
        }
    }
}

/// Makes the poll report when a descriptor is ready.
pub(super) fn register(
    registry: &Registry,
    fd: &impl AsFd,
    token: Token,
    interest: Interest,
) -> io::Result<()> {
    registry.register(&mut SourceFd(&fd.as_fd().as_raw_fd()), token, interest)
}

/// Makes the poll ignore a descriptor.
pub(super) fn deregister(registry: &Registry, fd: &impl AsFd) {
    // Fails if it is not registered.
    let _ = registry.deregister(&mut SourceFd(&fd.as_fd().as_raw_fd()));
}
