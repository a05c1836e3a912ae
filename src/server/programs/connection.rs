//! One connection with its program.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::socket::{MsgFlags, Shutdown, recv, shutdown};
use nix::unistd::{Pid, getpgid};

use super::stop_reason::StopReason;
use super::tag::Tag;
use crate::connection::{Discarded, LINGER, Linger, Peer, Summary, TcpInfo, Traffic};
use crate::server::connection_log::ConnectionId;
use crate::server::end::End;
use crate::server::handler::{Connection, Context, Next};
use crate::server::proxy::Via;

/// How often it is checked whether a program that has to be stopped has been started.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// The timeouts of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeouts {
    /// Without a byte in either direction.
    pub idle: Option<Duration>,
    /// For the whole connection.
    pub session: Option<Duration>,
    /// For the program to exit after the client disconnected, and again after SIGTERM.
    pub grace: Duration,
}

/// A connection, and the state of its program.
#[derive(Debug)]
pub(crate) struct ProgramConnection {
    socket: OwnedFd,
    id: ConnectionId,
    accepted: Instant,
    /// The tag of its processes.
    tag: Tag,
    pid: Option<Pid>,
    phase: Phase,
    /// Why the program was stopped.
    reason: Option<StopReason>,
    /// When the client was found to have disconnected.
    client_gone: Option<Instant>,
    /// The last known time at which a byte was sent or received, and the byte counts then.
    last_active: Instant,
    last_traffic: Traffic,
}

/// The phase of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// A thread starts the program.
    Starting,
    /// There was not enough memory or there were too many processes; the start is tried again at
    /// this time.
    Delayed(Instant),
    /// The program runs.
    Running,
    /// The program received SIGTERM; it receives SIGKILL at this time.
    Terminating(Instant),
    /// The program received SIGKILL.
    Killed,
    /// The program has exited, and the connection is being closed.
    Closing(Linger),
}

impl Connection for ProgramConnection {
    fn socket(&self) -> &OwnedFd {
        &self.socket
    }

    fn id(&self) -> ConnectionId {
        self.id
    }
}

impl ProgramConnection {
    /// Makes the state of a connection that was accepted.
    pub(crate) fn new(socket: OwnedFd, id: ConnectionId, now: Instant) -> ProgramConnection {
        ProgramConnection {
            socket,
            id,
            accepted: now,
            tag: Tag::random(),
            pid: None,
            phase: Phase::Starting,
            reason: None,
            client_gone: None,
            last_active: now,
            last_traffic: Traffic::default(),
        }
    }

    /// The tag of its processes.
    pub(crate) fn tag(&self) -> Tag {
        self.tag
    }

    /// When the processes that its program leaves receive SIGKILL, if it ends now: there is one grace
    /// period for all of them.
    pub(crate) fn kill_at(&self, timeouts: &Timeouts, now: Instant) -> Instant {
        match self.phase {
            Phase::Terminating(until) => until,
            Phase::Killed => now,
            _ => now + timeouts.grace,
        }
    }

    /// Returns whether the client has closed both directions, or has reset the connection.
    pub(crate) fn is_client_gone(&self) -> bool {
        is_hung_up(&self.socket)
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    /// The program is being started, or will be started again at this time.
    pub(crate) fn set_starting(&mut self, retry_at: Option<Instant>) {
        self.phase = retry_at.map_or(Phase::Starting, Phase::Delayed);
    }

    /// The program was started.
    pub(crate) fn on_started(&mut self, pid: Pid, timeouts: &Timeouts, now: Instant) -> Next {
        self.pid = Some(pid);
        self.phase = Phase::Running;
        // It had to be stopped while it was started.
        if self.reason.is_some() {
            return self.terminate(timeouts, now);
        }
        self.check(timeouts, now)
    }

    /// Checks what to do after the socket became ready, or after a timer expired.
    pub(crate) fn check(&mut self, timeouts: &Timeouts, now: Instant) -> Next {
        match self.phase {
            Phase::Starting => self.wait_for_start(timeouts, now),
            Phase::Killed => Next::Wait(None),
            Phase::Delayed(at) => Next::Wait(Some(at)),
            Phase::Running => {
                if self.client_gone.is_none() && is_hung_up(&self.socket) {
                    self.client_gone = Some(now);
                }
                self.check_timeouts(timeouts, now)
            }
            Phase::Terminating(until) if now < until => Next::Wait(Some(until)),
            Phase::Terminating(_) => {
                self.signal(Signal::SIGKILL);
                self.phase = Phase::Killed;
                Next::Wait(None)
            }
            Phase::Closing(linger) => self.discard(linger, now),
        }
    }

    /// The client has sent or received something.
    pub(crate) fn on_activity(&mut self, now: Instant) {
        self.last_active = now;
    }

    /// A program cannot be stopped before it has started. The event loop learns of the start only
    /// when it wakes up, so that a timeout has to wake it.
    fn wait_for_start(&self, timeouts: &Timeouts, now: Instant) -> Next {
        if self.reason.is_some() {
            return Next::Wait(Some(now + RETRY_INTERVAL));
        }
        let first = timeouts.idle.into_iter().chain(timeouts.session).min();
        let timeout = first.map(|timeout| self.accepted + timeout);
        Next::Wait(timeout.map(|at| if at > now { at } else { now + RETRY_INTERVAL }))
    }

    /// Stops the program if a timeout has expired; waits for the first timeout otherwise.
    fn check_timeouts(&mut self, timeouts: &Timeouts, now: Instant) -> Next {
        let gone = self
            .client_gone
            .map(|gone| (gone + timeouts.grace, StopReason::ClientGone));
        let limit = timeouts
            .session
            .map(|limit| (self.accepted + limit, StopReason::TimeLimit));
        let mut idle = None;
        if let Some(timeout) = timeouts.idle {
            if self.last_active + timeout <= now {
                self.update_activity(now);
            }
            idle = Some((self.last_active + timeout, StopReason::IdleTimeout));
        }
        let first = [gone, limit, idle]
            .into_iter()
            .flatten()
            .min_by_key(|(at, _)| *at);
        match first {
            Some((at, reason)) if at <= now => self.stop(reason, timeouts, now),
            first => Next::Wait(first.map(|(at, _)| at)),
        }
    }

    /// Asks the kernel when a byte was sent or received.
    fn update_activity(&mut self, now: Instant) {
        let Some(info) = TcpInfo::of(&self.socket) else {
            return;
        };
        let traffic = Traffic {
            received: info.received,
            sent: info.sent,
        };
        if traffic != self.last_traffic {
            self.last_traffic = traffic;
            let active = now.checked_sub(info.idle).unwrap_or(now);
            self.last_active = active.max(self.last_active);
        }
    }

    /// Stops the program. If it is not started yet, it is never started.
    pub(crate) fn stop(&mut self, reason: StopReason, timeouts: &Timeouts, now: Instant) -> Next {
        match self.phase {
            Phase::Running => {
                self.reason = Some(reason);
                self.terminate(timeouts, now)
            }
            Phase::Starting => {
                self.reason = Some(reason);
                Next::Wait(Some(now + RETRY_INTERVAL))
            }
            Phase::Delayed(_) | Phase::Closing(_) => Next::Close,
            Phase::Terminating(until) => Next::Wait(Some(until)),
            Phase::Killed => Next::Wait(None),
        }
    }

    fn terminate(&mut self, timeouts: &Timeouts, now: Instant) -> Next {
        self.signal(Signal::SIGTERM);
        // A stopped process handles SIGTERM only once it continues.
        self.signal(Signal::SIGCONT);
        let until = now + timeouts.grace;
        self.phase = Phase::Terminating(until);
        Next::Wait(Some(until))
    }

    /// Sends a signal to the program and to its process group.
    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid {
            // It has not been waited for, so that no other process has its ID. It may have moved to
            // another process group, and otherwise must not get the signal twice.
            let _ = killpg(pid, signal);
            if getpgid(Some(pid)) != Ok(pid) {
                let _ = kill(pid, signal);
            }
        }
    }

    /// Why the program was stopped.
    pub(crate) fn reason(&self) -> Option<StopReason> {
        self.reason
    }

    /// The byte counts so far, if the kernel has them.
    pub(crate) fn traffic(&self) -> Option<Traffic> {
        TcpInfo::of(&self.socket).map(|info| self.client_traffic(&info))
    }

    /// The byte counts without what a proxy sent by itself.
    pub(crate) fn client_traffic(&self, info: &TcpInfo) -> Traffic {
        let Traffic { received, sent } = info.traffic();
        let header = match self.id.via {
            Via::Proxy { header, .. } => header,
            Via::Direct | Via::Check => 0,
        };
        Traffic {
            received: received.saturating_sub(header),
            sent,
        }
    }

    /// Logs how the connection ended.
    pub(crate) fn log_end(
        &self,
        end: End,
        traffic: Option<Traffic>,
        context: &mut Context<'_, '_>,
    ) {
        let summary = Summary {
            peer: self.id.peer,
            end,
            pid: self.pid.map(Pid::as_raw),
            traffic,
            duration: context.now.saturating_duration_since(self.accepted),
        };
        context.log_end(self.id, summary);
    }

    /// The program has exited: closes the connection, even if other processes have descriptors of
    /// its socket.
    pub(crate) fn close(&mut self, info: Option<&TcpInfo>, context: &mut Context<'_, '_>) -> Next {
        let fd = self.socket.as_raw_fd();
        // Unread input would reset the connection, and the client could lose the end of the output.
        // So would input that arrives while output is on its way.
        let output_pending = info.is_some_and(|info| info.unsent > 0 || info.in_flight > 1);
        let unread = recv(fd, &mut [0; 1], MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_PEEK);
        let can_close = match unread {
            Ok(1) => false,
            Err(Errno::EAGAIN) => !output_pending,
            _ => true,
        };
        if can_close {
            let _ = shutdown(fd, Shutdown::Both);
            return Next::Close;
        }
        let linger = Linger::start(&self.socket, context.now + LINGER);
        self.phase = Phase::Closing(linger);
        let mut source = mio::unix::SourceFd(&fd);
        let readable = mio::Interest::READABLE;
        match context
            .registry
            .reregister(&mut source, context.token, readable)
        {
            Ok(()) => self.discard(linger, context.now),
            Err(_) => Next::Close,
        }
    }

    fn discard(&self, linger: Linger, now: Instant) -> Next {
        match linger.discard(&self.socket, now) {
            Discarded::All(until) => Next::Wait(Some(until)),
            Discarded::Some => Next::Yield,
            Discarded::Done => {
                let _ = shutdown(self.socket.as_raw_fd(), Shutdown::Both);
                Next::Close
            }
        }
    }

    /// Returns whether the kernel does not count the bytes of this connection (AF_UNIX).
    pub(crate) fn is_local(&self) -> bool {
        let peer = match self.id.via {
            Via::Proxy { proxy, .. } => proxy,
            Via::Direct | Via::Check => self.id.peer,
        };
        !matches!(peer, Peer::Tcp(_))
    }
}

/// Returns whether both directions of a connection are closed, or it has an error.
fn is_hung_up(socket: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(socket.as_fd(), PollFlags::empty())];
    let ready = poll(&mut fds, PollTimeout::ZERO);
    let hung_up = PollFlags::POLLHUP | PollFlags::POLLERR;
    ready == Ok(1)
        && fds[0]
            .revents()
            .is_some_and(|events| events.intersects(hung_up))
}
