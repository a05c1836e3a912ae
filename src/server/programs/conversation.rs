//! One connection, and the program that talks on it.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::socket::{MsgFlags, Shutdown, recv, shutdown};
use nix::unistd::Pid;

use super::children;
use super::ending::Why;
use crate::connection::{LINGER, Peer, Summary, TcpInfo, Traffic};
use crate::server::host::{Around, Guest, Next};
use crate::server::records::Name;

/// How often a client is read that sends on after the end, before the others have their turn.
const ROUNDS: usize = 16;

/// How often it is looked whether a program runs now whose time is over already.
const AGAIN: Duration = Duration::from_millis(100);

/// How long conversations may take.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// Without a byte in either direction.
    pub idle: Option<Duration>,
    /// Altogether.
    pub limit: Option<Duration>,
    /// For what takes no time: for a program to end by itself whose client is gone, and for one to end
    /// that is told to.
    pub grace: Duration,
}

/// A connection, and where its program stands.
#[derive(Debug)]
pub struct Conversation {
    socket: OwnedFd,
    name: Name,
    begun: Instant,
    /// The same as processes have it.
    born: i64,
    pid: Option<Pid>,
    phase: Phase,
    /// Why the program was told to end.
    why: Option<Why>,
    /// When the client was found to be gone.
    gone: Option<Instant>,
    /// Since when nothing was said, as far as is known, and what had been said then.
    quiet: Instant,
    said: Traffic,
}

/// What a conversation is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Its program is being started.
    Starting,
    /// It could not be, for lack of memory or processes, and will be then.
    Short(Instant),
    /// The program runs.
    Running,
    /// It was told to end, and has until then.
    Told(Instant),
    /// It was killed.
    Killed,
    /// It has ended. What still comes is thrown away until the client closes, or until then.
    Closing(Instant),
}

impl Guest for Conversation {
    fn socket(&self) -> &OwnedFd {
        &self.socket
    }

    fn name(&self) -> Name {
        self.name
    }
}

impl Conversation {
    /// A connection that was just accepted.
    pub fn new(socket: OwnedFd, name: Name, now: Instant) -> Conversation {
        Conversation {
            socket,
            name,
            begun: now,
            born: children::now(),
            pid: None,
            phase: Phase::Starting,
            why: None,
            gone: None,
            quiet: now,
            said: Traffic::default(),
        }
    }

    /// When it began, as processes have it.
    pub fn born(&self) -> i64 {
        self.born
    }

    /// Whether the client has closed both directions, or has reset the connection.
    pub fn is_gone(&self) -> bool {
        gone(&self.socket)
    }

    /// What it is at.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Its program is being started (once more), or cannot be before this time.
    pub fn starting(&mut self, not_before: Option<Instant>) {
        self.phase = not_before.map_or(Phase::Starting, Phase::Short);
    }

    /// Its program runs.
    pub fn started(&mut self, pid: Pid, times: &Times, now: Instant) -> Next {
        self.pid = Some(pid);
        self.phase = Phase::Running;
        // What happened while it was started.
        if self.why.is_some() {
            return self.tell(times, now);
        }
        self.look(times, now)
    }

    /// Something happened at the socket, or a time has come.
    pub fn look(&mut self, times: &Times, now: Instant) -> Next {
        match self.phase {
            Phase::Starting => self.not_yet(times, now),
            Phase::Killed => Next::Wait(None),
            Phase::Short(at) => Next::Wait(Some(at)),
            Phase::Running => {
                if self.gone.is_none() && gone(&self.socket) {
                    self.gone = Some(now);
                }
                self.limits(times, now)
            }
            Phase::Told(until) if now < until => Next::Wait(Some(until)),
            Phase::Told(_) => {
                self.signal(Signal::SIGKILL);
                self.phase = Phase::Killed;
                Next::Wait(None)
            }
            Phase::Closing(until) => self.throw_away(until, now),
        }
    }

    /// The client has sent or taken something.
    pub fn moved(&mut self, now: Instant) {
        self.quiet = now;
    }

    /// Until its program runs, which is told when somebody wakes the loop, nothing can be ended. A limit
    /// wakes it.
    fn not_yet(&self, times: &Times, now: Instant) -> Next {
        if self.why.is_some() {
            return Next::Wait(Some(now + AGAIN));
        }
        let limits = [times.idle, times.limit].into_iter().flatten();
        let first = limits.min().map(|limit| self.begun + limit);
        Next::Wait(first.map(|at| if at > now { at } else { now + AGAIN }))
    }

    /// Ends what has gone on for too long; the time until which it has not.
    fn limits(&mut self, times: &Times, now: Instant) -> Next {
        let gone = self.gone.map(|gone| (gone + times.grace, Why::ClientGone));
        let limit = times
            .limit
            .map(|limit| (self.begun + limit, Why::TimeLimit));
        let mut idle = None;
        if let Some(time) = times.idle {
            if self.quiet + time <= now {
                self.listen(now);
            }
            idle = Some((self.quiet + time, Why::Idle));
        }
        let first = [gone, limit, idle]
            .into_iter()
            .flatten()
            .min_by_key(|(at, _)| *at);
        match first {
            Some((at, why)) if at <= now => self.end(why, times, now),
            first => Next::Wait(first.map(|(at, _)| at)),
        }
    }

    /// Asks whether something was said, and when.
    fn listen(&mut self, now: Instant) {
        let Some(info) = TcpInfo::of(&self.socket) else {
            return;
        };
        let said = Traffic {
            received: info.received,
            sent: info.sent,
        };
        if said != self.said {
            self.said = said;
            self.quiet = now.checked_sub(info.quiet).unwrap_or(now).max(self.quiet);
        }
    }

    /// Tells the program to end, where there is one. Where there is none, it is never started.
    pub fn end(&mut self, why: Why, times: &Times, now: Instant) -> Next {
        match self.phase {
            Phase::Running => {
                self.why = Some(why);
                self.tell(times, now)
            }
            Phase::Starting => {
                self.why = Some(why);
                Next::Wait(Some(now + AGAIN))
            }
            Phase::Short(_) | Phase::Closing(_) => Next::Close,
            Phase::Told(until) => Next::Wait(Some(until)),
            Phase::Killed => Next::Wait(None),
        }
    }

    fn tell(&mut self, times: &Times, now: Instant) -> Next {
        self.signal(Signal::SIGTERM);
        // One that was stopped would not notice.
        self.signal(Signal::SIGCONT);
        let until = now + times.grace;
        self.phase = Phase::Told(until);
        Next::Wait(Some(until))
    }

    /// To the program and its group.
    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid {
            // It has not been waited for, so that the number is still its own. It may have left its group
            // with somebody else in it.
            let _ = killpg(pid, signal);
            let _ = kill(pid, signal);
        }
    }

    /// Why it was told to end.
    pub fn why(&self) -> Option<Why> {
        self.why
    }

    /// What was said so far, as far as the kernel knows.
    pub fn traffic(&self) -> Option<Traffic> {
        TcpInfo::of(&self.socket).map(|info| info.traffic())
    }

    /// Leaves the record of it.
    pub fn record(&self, end: &str, traffic: Option<Traffic>, around: &mut Around<'_, '_>) {
        let summary = Summary {
            peer: self.name.peer,
            end,
            pid: self.pid.map(Pid::as_raw),
            traffic,
            lasted: around.now.max(self.begun).duration_since(self.begun),
        };
        around.records.ended(self.name, summary, around.now);
    }

    /// The program has ended: closes the connection, whoever else has descriptors of it.
    pub fn close(&mut self, info: Option<&TcpInfo>, around: &mut Around<'_, '_>) -> Next {
        let fd = self.socket.as_raw_fd();
        // What is not read would reset the connection, and what the program said last with it: so would
        // what the client has still to say while that is on its way.
        let on_its_way = info.is_some_and(|info| info.unsent > 0 || info.in_flight > 1);
        let unread = recv(fd, &mut [0; 1], MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_PEEK);
        let over = match unread {
            Ok(1) => false,
            Err(Errno::EAGAIN) => !on_its_way,
            _ => true,
        };
        if over {
            let _ = shutdown(fd, Shutdown::Both);
            return Next::Close;
        }
        let _ = shutdown(fd, Shutdown::Write);
        let until = around.now + LINGER;
        self.phase = Phase::Closing(until);
        let mut source = mio::unix::SourceFd(&fd);
        let readable = mio::Interest::READABLE;
        match around
            .registry
            .reregister(&mut source, around.token, readable)
        {
            Ok(()) => self.throw_away(until, around.now),
            Err(_) => Next::Close,
        }
    }

    fn throw_away(&mut self, until: Instant, now: Instant) -> Next {
        let mut scrap = [0; 4096];
        for _ in 0..ROUNDS {
            match recv(self.socket.as_raw_fd(), &mut scrap, MsgFlags::MSG_DONTWAIT) {
                Ok(1..) if now <= until => {}
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) if now < until => return Next::Wait(Some(until)),
                _ => {
                    let _ = shutdown(self.socket.as_raw_fd(), Shutdown::Both);
                    return Next::Close;
                }
            }
        }
        Next::Turn
    }

    /// Whether it is a connection of which the kernel does not tell what was said.
    pub fn is_local(&self) -> bool {
        !matches!(self.name.peer, Peer::Tcp(_))
    }
}

/// Whether both directions of a connection are closed, or it is in error.
fn gone(socket: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(socket.as_fd(), PollFlags::empty())];
    let ready = poll(&mut fds, PollTimeout::ZERO);
    let over = PollFlags::POLLHUP | PollFlags::POLLERR;
    ready == Ok(1)
        && fds[0]
            .revents()
            .is_some_and(|events| events.intersects(over))
}
