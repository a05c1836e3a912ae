//! The loop that serves everyone.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use anyhow::Context;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use slab::Slab;

use super::admission::Admission;
use super::client::{Client, Next, READ};
use super::listener::Listener;
use super::manager::Manager;
use super::options::Options;
use super::records::Records;
use crate::connection::Peer;
use crate::dialog::Service;
use crate::log::Log;

/// How long a conversation that was dismissed may take to end.
const LAST_WORDS: Duration = Duration::from_secs(3);

const SIGNALS: Token = Token(usize::MAX - 1);

/// Serves connections until told to stop (SIGTERM, SIGINT), or until none came for
/// `--exit-idle-time`.
///
/// # Errors
///
/// What the loop itself needs cannot be had. Nothing that a client does is an error.
pub fn run<S: Service>(
    service: S,
    listeners: Vec<Listener>,
    options: &Options,
    write_timeout: Duration,
    log: &mut Log,
) -> anyhow::Result<()> {
    raise_descriptor_limit();
    let mut server = Server::new(service, listeners, options, write_timeout, log)
        .context("cannot set up the event loop")?;
    let result = server.serve().context("the event loop failed");
    server.records.finish();
    result
}

/// A user's shell allows few descriptors, but more where one asks.
fn raise_descriptor_limit() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // Where this fails there are fewer connections, and that is told then.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

pub(super) struct Server<'a, S: Service> {
    pub(super) service: S,
    options: &'a Options,
    pub(super) write_timeout: Duration,
    pub(super) poll: Poll,
    signals: SignalFd,
    pub(super) listeners: Vec<Listening>,
    pub(super) clients: Slab<Tracked<S::Talk>>,
    timers: BTreeSet<(Instant, usize)>,
    /// Clients that have more to do, and let others go first.
    turns: Vec<usize>,
    pub(super) admission: Admission,
    /// Accepting pauses until then.
    pub(super) pause: Option<Instant>,
    pub(super) records: Records<'a>,
    manager: Manager,
    pub(super) total: u64,
    /// Since when there has been no connection.
    idle_since: Instant,
    stopping: Stopping,
    pub(super) buffer: Box<[u8; READ]>,
}

pub(super) struct Listening {
    pub(super) listener: Listener,
    /// Somebody may have connected: the last accept did not say otherwise.
    pub(super) ready: bool,
}

pub(super) struct Tracked<T> {
    pub(super) client: Client<T>,
    pub(super) timer: Option<Instant>,
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

impl<'a, S: Service> Server<'a, S> {
    fn new(
        service: S,
        listeners: Vec<Listener>,
        options: &'a Options,
        write_timeout: Duration,
        log: &'a mut Log,
    ) -> io::Result<Server<'a, S>> {
        let poll = Poll::new()?;
        let mut mask = SigSet::empty();
        mask.add(Signal::SIGTERM);
        mask.add(Signal::SIGINT);
        mask.thread_block()?;
        let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        watch(&poll, &signals, SIGNALS, Interest::READABLE)?;
        for (index, listener) in listeners.iter().enumerate() {
            listener.set_nonblocking()?;
            watch(&poll, listener, Token(index), Interest::READABLE)?;
        }
        let now = Instant::now();
        Ok(Server {
            service,
            options,
            write_timeout,
            poll,
            signals,
            listeners: listeners
                .into_iter()
                .map(|listener| Listening {
                    listener,
                    ready: true,
                })
                .collect(),
            clients: Slab::new(),
            timers: BTreeSet::new(),
            turns: Vec::new(),
            admission: Admission::new(options),
            pause: None,
            records: Records::new(log, now),
            manager: Manager::ready(now),
            total: 0,
            idle_since: now,
            stopping: Stopping::Not,
            buffer: Box::new([0; READ]),
        })
    }

    fn serve(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        // Listeners have the first tokens, clients those behind.
        let first_client = self.listeners.len();
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
                    Token(index) if index < first_client => {
                        if let Some(listening) = self.listeners.get_mut(index) {
                            listening.ready = true;
                        }
                    }
                    Token(token) => self.drive(token - first_client, now),
                }
            }
            for key in std::mem::take(&mut self.turns) {
                self.drive(key, now);
            }
            self.expire(now);
            self.accept(first_client, now);
            self.records.sum_up(now);
            self.manager.tell(self.admission.current(), self.total, now);
        }
    }

    /// Whether there is nothing left to do.
    fn over(&mut self, now: Instant) -> bool {
        match self.stopping {
            Stopping::Not => {}
            _ if self.clients.is_empty() => return true,
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
            .filter(|_| self.clients.is_empty())?;
        Some(self.idle_since + time)
    }

    /// When something is due even if nothing happens; the past where something is due now.
    fn due(&self, now: Instant) -> Option<Instant> {
        let more = !self.turns.is_empty() || self.may_accept();
        let stop = match self.stopping {
            Stopping::Not => None,
            Stopping::Draining(until) | Stopping::Dismissed(until) => Some(until),
        };
        more.then_some(now)
            .into_iter()
            .chain(self.timers.first().map(|(at, _)| *at))
            .chain(self.pause)
            .chain(self.records.due())
            .chain(self.manager.due(self.admission.current(), self.total))
            .chain(self.leaves_at())
            .chain(stop)
            .min()
    }

    fn take_signals(&mut self, now: Instant) {
        while let Ok(Some(_)) = self.signals.read_signal() {
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
            let fd = listening.listener.as_fd().as_raw_fd();
            let _ = self.poll.registry().deregister(&mut SourceFd(&fd));
        }
    }

    fn dismiss(&mut self, now: Instant) {
        self.stopping = Stopping::Dismissed(now + LAST_WORDS);
        let keys: Vec<usize> = self.clients.iter().map(|(key, _)| key).collect();
        for key in keys {
            self.with(key, now, Client::dismiss);
        }
    }

    fn drive(&mut self, key: usize, now: Instant) {
        self.with(key, now, Client::drive);
    }

    fn expire(&mut self, now: Instant) {
        self.pause = self.pause.filter(|until| now < *until);
        while let Some((at, key)) = self.timers.first().copied() {
            if at > now {
                break;
            }
            self.with(key, now, Client::expire);
        }
    }

    /// Has a client do something, and sees to what it waits for then.
    pub(super) fn with(
        &mut self,
        key: usize,
        now: Instant,
        step: impl FnOnce(&mut Client<S::Talk>, &mut [u8; READ], Instant, &mut Records) -> Next,
    ) {
        // An event may be for a client that has ended since.
        let Some(tracked) = self.clients.get_mut(key) else {
            return;
        };
        let next = step(
            &mut tracked.client,
            &mut self.buffer,
            now,
            &mut self.records,
        );
        let timer = match next {
            Next::Wait(at) => Some(at),
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
            Next::Turn => self.turns.push(key),
            Next::Close => {
                let peer = self.clients.remove(key).client.name().peer;
                self.leave(peer, now);
            }
        }
    }

    pub(super) fn leave(&mut self, peer: Peer, now: Instant) {
        self.admission.leave(peer);
        self.pause = None;
        if self.admission.current() == 0 {
            self.idle_since = now;
        }
    }
}

/// Has the poll tell when a descriptor is ready.
pub(super) fn watch(
    poll: &Poll,
    fd: &impl AsFd,
    token: Token,
    interest: Interest,
) -> io::Result<()> {
    poll.registry()
        .register(&mut SourceFd(&fd.as_fd().as_raw_fd()), token, interest)
}
