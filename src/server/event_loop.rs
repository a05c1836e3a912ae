//! The loop that serves everyone.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Instant;

use anyhow::Context;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use slab::Slab;

use super::admission::{Admission, Limits};
use super::host::Host;
use super::listener::Listener;
use super::options::Options;
use super::records::Records;
use crate::log::Log;
use crate::systemd::notify::Notifier;

/// Descriptors that are no connections: listeners, the log, the poll, and some to spare.
const OTHERS: u64 = 256;

const SIGNALS: Token = Token(usize::MAX - 1);
/// For a host that wakes the loop from another thread.
pub(super) const WAKER: Token = Token(usize::MAX - 2);

/// Serves connections until told to stop (SIGTERM, SIGINT), or until none came for
/// `--exit-idle-time`. The host is made once the loop's signals are blocked, for the threads that
/// it may have.
///
/// # Errors
///
/// What the loop itself needs cannot be had. Nothing that a client does is an error.
pub fn run<H: Host>(
    host: impl FnOnce(&Registry) -> anyhow::Result<H>,
    listeners: Vec<Listener>,
    options: &Options,
    limits: Limits,
    log: &mut Log,
) -> anyhow::Result<()> {
    allow_descriptors(options.max_connections);
    let failed = "cannot set up the event loop";
    let poll = Poll::new().context(failed)?;
    let signals = signals::<H>(&poll).context(failed)?;
    let host = host(poll.registry())?;
    let admission = Admission::new(options, limits);
    let mut server =
        Server::new(host, poll, signals, listeners, options, admission, log).context(failed)?;
    let result = server.serve().context("the event loop failed");
    server.host.finish();
    server.records.finish();
    result
}

/// A user's shell allows few descriptors, but more where one asks. No more than are needed: programs
/// inherit the limit, and some of them try every number below it.
fn allow_descriptors(connections: u32) {
    let needed = u64::from(connections) + OTHERS;
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        if soft < needed.min(hard) {
            // Where this fails there are fewer connections, and that is told then.
            let _ = setrlimit(Resource::RLIMIT_NOFILE, needed.min(hard), hard);
        }
    }
}

/// Has signals come as events.
fn signals<H: Host>(poll: &Poll) -> io::Result<SignalFd> {
    let mut mask = SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT]);
    mask.extend(H::SIGNALS.iter().copied());
    mask.thread_block()?;
    let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
    watch(poll.registry(), &signals, SIGNALS, Interest::READABLE)?;
    Ok(signals)
}

pub(super) struct Server<'a, H: Host> {
    pub(super) host: H,
    options: &'a Options,
    pub(super) poll: Poll,
    signals: SignalFd,
    pub(super) listeners: Vec<Listening>,
    /// Listeners have the first tokens, guests those from here on.
    pub(super) first_guest: usize,
    pub(super) guests: Slab<Tracked<H::Guest>>,
    pub(super) timers: BTreeSet<(Instant, usize)>,
    /// Guests that have more to do, and let others go first.
    pub(super) turns: Vec<usize>,
    pub(super) admission: Admission,
    /// Accepting pauses until then.
    pub(super) pause: Option<Instant>,
    pub(super) records: Records<'a>,
    manager: Notifier,
    pub(super) total: u64,
    /// Since when there has been no connection.
    pub(super) idle_since: Instant,
    stopping: Stopping,
}

pub(super) struct Listening {
    pub(super) listener: Listener,
    /// Somebody may have connected: the last accept did not say otherwise.
    pub(super) ready: bool,
}

pub(super) struct Tracked<G> {
    pub(super) guest: G,
    pub(super) timer: Option<Instant>,
    /// It waits for its turn already.
    pub(super) queued: bool,
}

/// How far stopping has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stopping {
    Not,
    /// Conversations go on until then.
    Draining(Instant),
    /// They were dismissed, and have until then.
    Dismissed(Instant),
}

impl<'a, H: Host> Server<'a, H> {
    fn new(
        host: H,
        poll: Poll,
        signals: SignalFd,
        listeners: Vec<Listener>,
        options: &'a Options,
        admission: Admission,
        log: &'a mut Log,
    ) -> io::Result<Server<'a, H>> {
        for (index, listener) in listeners.iter().enumerate() {
            listener.set_nonblocking()?;
            watch(poll.registry(), listener, Token(index), Interest::READABLE)?;
        }
        let now = Instant::now();
        Ok(Server {
            host,
            options,
            poll,
            signals,
            first_guest: listeners.len(),
            listeners: listeners
                .into_iter()
                .map(|listener| Listening {
                    listener,
                    ready: true,
                })
                .collect(),
            guests: Slab::new(),
            timers: BTreeSet::new(),
            turns: Vec::new(),
            admission,
            pause: None,
            records: Records::new(log, now),
            manager: Notifier::ready(now),
            total: 0,
            idle_since: now,
            stopping: Stopping::Not,
        })
    }

    fn serve(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        loop {
            let now = Instant::now();
            if self.over(now) {
                return Ok(());
            }
            let timeout = self.due(now).map(|due| due.saturating_duration_since(now));
            match self.poll.poll(&mut events, timeout) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            let now = Instant::now();
            for event in &events {
                match event.token() {
                    SIGNALS => self.take_signals(now),
                    WAKER => {}
                    Token(index) if index < self.first_guest => {
                        if let Some(listening) = self.listeners.get_mut(index) {
                            listening.ready = true;
                        }
                    }
                    Token(token) => self.drive(token - self.first_guest, now),
                }
            }
            for key in std::mem::take(&mut self.turns) {
                if let Some(tracked) = self.guests.get_mut(key) {
                    tracked.queued = false;
                }
                self.drive(key, now);
            }
            self.spread_news(now);
            self.expire(now);
            self.accept(now);
            self.host.tidy(now);
            self.records.sum_up(now);
            self.manager.tell(self.admission.current(), self.total, now);
        }
    }

    /// Whether there is nothing left to do.
    fn over(&mut self, now: Instant) -> bool {
        match self.stopping {
            Stopping::Not => {}
            _ if self.guests.is_empty() => return true,
            Stopping::Draining(until) if now >= until => self.dismiss(now),
            Stopping::Dismissed(until) if now >= until => return true,
            Stopping::Draining(_) | Stopping::Dismissed(_) => {}
        }
        self.leaves_at().is_some_and(|at| now >= at)
    }

    /// When the process leaves because nobody comes.
    fn leaves_at(&self) -> Option<Instant> {
        let time = self
            .options
            .exit_idle_time
            .filter(|_| self.guests.is_empty())?;
        let counted = self.admission.counts_until(Instant::now());
        Some((self.idle_since + time).max(counted.unwrap_or(self.idle_since)))
    }

    /// When something is due even if nothing happens; the past where something is due now.
    fn due(&mut self, now: Instant) -> Option<Instant> {
        let more = !self.turns.is_empty() || self.may_accept(now);
        let opens = if self.listeners.is_empty() {
            None
        } else {
            self.admission.opens_at(now)
        };
        let stop = match self.stopping {
            Stopping::Not => None,
            Stopping::Draining(until) | Stopping::Dismissed(until) => Some(until),
        };
        more.then_some(now)
            .into_iter()
            .chain(self.timers.first().map(|(at, _)| *at))
            .chain(self.pause)
            .chain(opens)
            .chain(self.host.due())
            .chain(self.records.due())
            .chain(self.manager.due(self.admission.current(), self.total))
            .chain(self.leaves_at())
            .chain(stop)
            .min()
    }

    fn take_signals(&mut self, now: Instant) {
        while let Ok(Some(signal)) = self.signals.read_signal() {
            if H::SIGNALS.iter().any(|own| *own as u32 == signal.ssi_signo) {
                self.host.signalled();
                continue;
            }
            match self.stopping {
                Stopping::Not => {
                    self.stopping = Stopping::Draining(now + self.options.stop_timeout);
                    self.close_listeners();
                    self.manager.stopping(self.admission.current());
                }
                // Asked twice: at once.
                Stopping::Draining(_) => self.dismiss(now),
                Stopping::Dismissed(_) => {}
            }
        }
    }

    /// systemd keeps its own descriptors of these, and with them whoever waits. That is why they
    /// have to be taken out of the poll as well: closed here, they are still open there.
    fn close_listeners(&mut self) {
        for listening in self.listeners.drain(..) {
            unwatch(self.poll.registry(), &listening.listener);
        }
    }

    fn dismiss(&mut self, now: Instant) {
        self.stopping = Stopping::Dismissed(now + self.host.last_words());
        let keys: Vec<usize> = self.guests.iter().map(|(key, _)| key).collect();
        for key in keys {
            self.with(key, now, H::dismiss);
        }
    }
}

/// Has the poll tell when a descriptor is ready.
pub(super) fn watch(
    registry: &Registry,
    fd: &impl AsFd,
    token: Token,
    interest: Interest,
) -> io::Result<()> {
    registry.register(&mut SourceFd(&fd.as_fd().as_raw_fd()), token, interest)
}

/// Has it tell no more.
pub(super) fn unwatch(registry: &Registry, fd: &impl AsFd) {
    // Fails where it was not watched.
    let _ = registry.deregister(&mut SourceFd(&fd.as_fd().as_raw_fd()));
}
