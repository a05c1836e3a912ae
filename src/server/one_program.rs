//! `--wait`: the program gets the socket on standard input, as under inetd with `wait`, and one process of it
//! runs at a time.

use std::ffi::CString;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::MsgFlags;
use nix::unistd::Pid;

use super::WhenFull;
use super::admission::{Admission, Limits};
use super::datagrams::{Datagram, receive};
use super::end::End;
use super::programs::{ExitStatus, ProgramSpec, StopReason, Tag, remote_environment};
use crate::connection::{Elapsed, Peer, poll_timeout};
use crate::log::{Count, Log};

/// How long to wait for a connection or datagram. systemd starts the service again for the next one.
const IDLE_TIME: Duration = Duration::from_secs(60);

/// How often refused datagrams are logged.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// How long connections that are refused wait in the backlog until they are considered again.
const REFUSED_PAUSE: Duration = Duration::from_secs(1);

/// What the program gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A listening socket, from which it accepts connections.
    Listener,
    /// A socket from which it receives datagrams.
    Datagrams,
}

/// What may happen while nothing runs.
enum Event {
    /// The program is to be started. Datagrams have a sender.
    Start(Option<SocketAddr>),
    /// Nothing arrived for a time, or the service is stopped.
    Exit,
}

/// The socket, and the program that gets it.
pub(super) struct OneProgram<'a> {
    socket: BorrowedFd<'a>,
    kind: Kind,
    program: ProgramSpec,
    admission: Admission,
    grace: Duration,
    signals: SignalFd,
    log: &'a mut Log,
    refused: u64,
    next_entry: Instant,
}

impl<'a> OneProgram<'a> {
    /// Blocks the signals that the service handles.
    ///
    /// # Errors
    ///
    /// See pthread_sigmask(3) and signalfd(2).
    pub(super) fn new(
        socket: BorrowedFd<'a>,
        kind: Kind,
        program: ProgramSpec,
        limits: Limits,
        grace: Duration,
        log: &'a mut Log,
    ) -> io::Result<OneProgram<'a>> {
        let mask = SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT, Signal::SIGCHLD]);
        mask.thread_block()?;
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        // Connections stay in the backlog, because this process accepts none.
        let when_full = match kind {
            Kind::Listener => WhenFull::Wait,
            Kind::Datagrams => WhenFull::Refuse,
        };
        Ok(OneProgram {
            socket,
            kind,
            program,
            admission: Admission::of_events(limits, when_full),
            grace,
            signals: SignalFd::with_flags(&mask, flags)?,
            log,
            refused: 0,
            next_entry: Instant::now(),
        })
    }

    /// Starts the program whenever something arrives and it does not run, until SIGTERM or SIGINT, or until
    /// nothing arrived for a minute. A signal ends the program too.
    ///
    /// # Errors
    ///
    /// Those of poll(2), read(2) and recvmsg(2).
    pub(super) fn serve(mut self) -> io::Result<()> {
        while let Event::Start(sender) = self.next()? {
            if self.run(sender)? {
                break;
            }
        }
        Ok(())
    }

    /// Waits for what arrives and is admitted. Discards refused datagrams.
    fn next(&mut self) -> io::Result<Event> {
        let mut now = Instant::now();
        let mut paused_until = None;
        loop {
            let limits = self.admission.limits_until(now).into_iter();
            let exit_at = limits.fold(now + IDLE_TIME, Instant::max);
            let limited_until = self.admission.may_accept_at(now);
            paused_until = paused_until.max(limited_until).filter(|until| now < *until);
            let socket = paused_until.is_none().then_some(self.socket);
            let (has_signal, is_ready) = self.wait(socket, paused_until.unwrap_or(exit_at))?;
            now = Instant::now();
            if has_signal && self.stop_requested()? || now >= exit_at && !is_ready {
                return Ok(Event::Exit);
            }
            match self.kind {
                _ if !is_ready => {}
                Kind::Datagrams => {
                    if let Some(sender) = self.sender(now)? {
                        return Ok(Event::Start(Some(sender)));
                    }
                }
                Kind::Listener => match self.admission.admit_event(Peer::Unknown, now) {
                    Ok(()) => return Ok(Event::Start(None)),
                    Err(_) => paused_until = Some(now + REFUSED_PAUSE),
                },
            }
        }
    }

    /// The sender of the next datagram, which stays in the socket. `None` if it was refused.
    fn sender(&mut self, now: Instant) -> io::Result<Option<SocketAddr>> {
        let datagram = receive(self.socket, &mut [], MsgFlags::MSG_PEEK, now)?;
        let Some(Datagram { from, .. }) = datagram else {
            return Ok(None);
        };
        let from = SocketAddr::new(from.ip().to_canonical(), from.port());
        let Err(reason) = self.admission.admit_event(Peer::Tcp(from), now) else {
            return Ok(Some(from));
        };
        receive(self.socket, &mut [], MsgFlags::empty(), now)?;
        self.refused += 1;
        if now >= self.next_entry {
            let count = Count(self.refused, "datagram");
            let entry = format!("{count} refused, the last from {from}: {reason}");
            self.log.notice(&entry);
            self.refused = 0;
            self.next_entry = now + LOG_INTERVAL;
        }
        Ok(None)
    }

    /// Runs the program until it has ended. Returns whether the service is stopped.
    fn run(&mut self, sender: Option<SocketAddr>) -> io::Result<bool> {
        let started = Instant::now();
        let client: Vec<CString> = sender.map(remote_environment).unwrap_or_default();
        let who = sender.map_or("the program".to_owned(), |sender| sender.to_string());
        let pid = match self
            .program
            .start(self.socket.as_raw_fd(), &client, Tag::random())
        {
            Ok(pid) => pid,
            Err(errno) => {
                self.log
                    .notice(&format!("{who} {}", End::NotStarted(errno)));
                return Ok(false);
            }
        };
        let mut stopped_at = None;
        let status = loop {
            if let Some(status) = ExitStatus::of(pid) {
                break status;
            }
            let kill_at = stopped_at.map(|at: Instant| at + self.grace);
            let now = Instant::now();
            if kill_at.is_some_and(|at| now >= at) {
                send(pid, Signal::SIGKILL);
                stopped_at = Some(now);
            }
            let next = kill_at.unwrap_or(now + IDLE_TIME);
            if self.wait(None, next)?.0 && self.stop_requested()? && stopped_at.is_none() {
                send(pid, Signal::SIGTERM);
                stopped_at = Some(Instant::now());
            }
        };
        let is_stopped = stopped_at.is_some();
        let end = End::Exited(is_stopped.then_some(StopReason::ServiceStopped), status);
        let duration = Elapsed(started.elapsed());
        self.log
            .notice(&format!("{who} {end}: pid {pid}, {duration}"));
        Ok(is_stopped)
    }

    /// Waits until a signal has arrived or this socket is ready, but not beyond a deadline. Returns which.
    fn wait(&self, socket: Option<BorrowedFd<'_>>, until: Instant) -> io::Result<(bool, bool)> {
        let fds = [Some(self.signals.as_fd()), socket].into_iter().flatten();
        let mut fds: Vec<PollFd<'_>> = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        match poll(&mut fds, poll_timeout(Some(until))) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let is_ready = |fd: Option<&PollFd<'_>>| fd.and_then(PollFd::any).unwrap_or(false);
        Ok((is_ready(fds.first()), is_ready(fds.get(1))))
    }

    /// Reads the signals. Returns whether one of them stops the service.
    fn stop_requested(&self) -> io::Result<bool> {
        let mut stops = false;
        while let Some(signal) = self.signals.read_signal()? {
            stops |= signal.ssi_signo != Signal::SIGCHLD as u32;
        }
        Ok(stops)
    }
}

/// Sends a signal to a program that has not been waited for. One that has other privileges ends by itself.
fn send(pid: Pid, signal: Signal) {
    let _ = kill(pid, signal);
}
