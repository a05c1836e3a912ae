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

use super::admission::{Admission, Limits};
use super::datagrams::{Datagram, receive};
use super::end::End;
use super::programs::{ExitStatus, ProgramSpec, StopReason, Tag, remote_environment};
use super::{SharedLimits, WhenFull};
use crate::connection::{Elapsed, Peer, poll_timeout};
use crate::log::{Count, Log, Throttle};

/// How long to wait for a connection or datagram. systemd starts the service again for the next one.
const IDLE_TIME: Duration = Duration::from_secs(60);

/// How often refused datagrams are logged.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// How long connections that are refused wait in the backlog until they are considered again.
const REFUSED_PAUSE: Duration = Duration::from_secs(1);

/// How long nothing is started after the program could not be started. What arrived for it is still in the socket.
const FAILED_PAUSE: Duration = Duration::from_secs(1);

/// The same after a program that failed and left what arrived in the socket. The pause doubles each time, up to
/// [`FAILED_PAUSE`].
const LEFT_PAUSE: Duration = Duration::from_millis(10);

/// How much of a datagram is compared, in bytes, to find out whether a program has read it.
const COMPARED: usize = 64;

/// Entries per second for starts; one more entry counts the others. A program that succeeds without reading what arrived
/// is started again at once.
const ENTRIES_PER_SECOND: u32 = 10;

/// What the program gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A listening socket, from which it accepts connections.
    Listener,
    /// A socket from which it receives datagrams.
    Datagrams,
}

/// The sender and the first bytes of a datagram.
type Head = (SocketAddr, [u8; COMPARED]);

/// What may happen while nothing runs.
enum Event {
    /// The program is to be started, for a connection or a datagram.
    Start(Option<Head>),
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
    /// Counts the starts that have no entry of their own.
    throttle: Throttle,
    refused: u64,
    next_entry: Instant,
    /// How often in succession the program has failed and left what arrived in the socket.
    failures: u32,
    /// Nothing is started before.
    paused_until: Option<Instant>,
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
        (limits, shared): (Limits, SharedLimits),
        grace: Duration,
        log: &'a mut Log,
    ) -> io::Result<OneProgram<'a>> {
        let mask = SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT, Signal::SIGCHLD]);
        mask.thread_block()?;
        let now = Instant::now();
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        // Connections stay in the backlog, because this process accepts none.
        let shared = SharedLimits {
            when_full: match kind {
                Kind::Listener => WhenFull::Wait,
                Kind::Datagrams => WhenFull::Refuse,
            },
            ..shared
        };
        Ok(OneProgram {
            socket,
            kind,
            program,
            admission: Admission::of_events(limits, shared),
            grace,
            signals: SignalFd::with_flags(&mask, flags)?,
            log,
            throttle: Throttle::new(ENTRIES_PER_SECOND, now),
            refused: 0,
            next_entry: now,
            failures: 0,
            paused_until: None,
        })
    }

    /// Starts the program whenever something arrives and it does not run, until SIGTERM or SIGINT, or until
    /// nothing arrived for a minute. A signal ends the program too.
    ///
    /// # Errors
    ///
    /// Those of poll(2), read(2) and recvmsg(2).
    pub(super) fn serve(mut self) -> io::Result<()> {
        while let Event::Start(arrived) = self.next()? {
            if self.run(arrived)? {
                break;
            }
        }
        let starts = self.throttle.take();
        self.write_sum(starts);
        Ok(())
    }

    /// Waits for what arrives and is admitted. Discards refused datagrams.
    fn next(&mut self) -> io::Result<Event> {
        let mut now = Instant::now();
        loop {
            let limits = self.admission.limits_until(now).into_iter();
            let exit_at = limits.fold(now + IDLE_TIME, Instant::max);
            let limited_until = self.admission.may_accept_at(now);
            let paused_until = self.paused_until.max(limited_until);
            self.paused_until = paused_until.filter(|until| now < *until);
            let socket = self.paused_until.is_none().then_some(self.socket);
            let until = self.paused_until.unwrap_or(exit_at);
            let (has_signal, is_ready) = self.wait(socket, until)?;
            now = Instant::now();
            if has_signal && self.stop_requested()? || now >= exit_at && !is_ready {
                return Ok(Event::Exit);
            }
            match self.kind {
                _ if !is_ready => {}
                Kind::Datagrams => {
                    if let Some(arrived) = self.admitted(now)? {
                        return Ok(Event::Start(Some(arrived)));
                    }
                }
                Kind::Listener => match self.admission.admit_event(Peer::Unknown, now) {
                    Ok(()) => return Ok(Event::Start(None)),
                    Err(_) => self.paused_until = Some(now + REFUSED_PAUSE),
                },
            }
        }
    }

    /// The head of the next datagram, which stays in the socket. `None` if it was refused.
    fn admitted(&mut self, now: Instant) -> io::Result<Option<Head>> {
        let Some((from, bytes)) = self.head(now)? else {
            return Ok(None);
        };
        let Err(reason) = self.admission.admit_event(Peer::Tcp(from), now) else {
            return Ok(Some((from, bytes)));
        };
        receive(self.socket, &mut [], &mut [], MsgFlags::empty(), now)?;
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
    fn run(&mut self, arrived: Option<Head>) -> io::Result<bool> {
        let started = Instant::now();
        let sender = arrived.map(|(from, _)| from);
        let client: Vec<CString> = sender.map(remote_environment).unwrap_or_default();
        let who = sender.map_or("the program".to_owned(), |sender| sender.to_string());
        let pid = match self
            .program
            .start(self.socket.as_raw_fd(), &client, Tag::random())
        {
            Ok(pid) => pid,
            Err(errno) => {
                self.paused_until = Some(started + FAILED_PAUSE);
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
        if is_stopped || self.throttle.admit(Instant::now()) {
            self.log
                .notice(&format!("{who} {end}: pid {pid}, {duration}"));
        }
        if status.code() == 0 || self.head(Instant::now())? != arrived {
            self.failures = 0;
        } else {
            let pause = LEFT_PAUSE * (1 << self.failures.min(7));
            self.failures += 1;
            self.paused_until = Some(Instant::now() + pause.min(FAILED_PAUSE));
        }
        Ok(is_stopped)
    }

    /// The head of the next datagram; always `None` for a listening socket.
    fn head(&self, now: Instant) -> nix::Result<Option<Head>> {
        if self.kind == Kind::Listener {
            return Ok(None);
        }
        let mut bytes = [0; COMPARED];
        let datagram = receive(self.socket, &mut bytes, &mut [], MsgFlags::MSG_PEEK, now)?;
        Ok(datagram.map(|Datagram { from, .. }| {
            let from = SocketAddr::new(from.ip().to_canonical(), from.port());
            (from, bytes)
        }))
    }

    /// Logs the number of starts without an entry of their own.
    fn write_sum(&mut self, starts: Option<u64>) {
        if let Some(starts) = starts {
            let starts = Count(starts, "start");
            self.log.notice(&format!("not logged singly: {starts}"));
        }
    }

    /// Waits until a signal has arrived or this socket is ready, but not beyond a deadline. Returns which. Writes a sum
    /// that is due meanwhile.
    fn wait(&mut self, socket: Option<BorrowedFd<'_>>, until: Instant) -> io::Result<(bool, bool)> {
        let starts = self.throttle.take_due(Instant::now());
        self.write_sum(starts);
        let until = self.throttle.due_at().into_iter().fold(until, Instant::min);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::JournalProtocol;
    use std::net::UdpSocket;
    use std::os::unix::fs::PermissionsExt;

    /// Runs `test` with a service whose program is this one, and which has received a datagram.
    fn with_datagram(program: ProgramSpec, test: impl FnOnce(OneProgram<'_>)) {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client
            .send_to(b"one", server.local_addr().unwrap())
            .unwrap();
        let stderr = io::stderr();
        let mut log = Log::open("test", false, stderr.as_fd(), JournalProtocol::Stream);
        let limits = (Limits::default(), SharedLimits::default());
        let (kind, grace) = (Kind::Datagrams, Duration::ZERO);
        let one = OneProgram::new(server.as_fd(), kind, program, limits, grace, &mut log);
        test(one.unwrap());
    }

    /// Starts the program, and returns how long it is not started again.
    fn pause_after_start(one: &mut OneProgram<'_>) -> Option<Duration> {
        let paused_until = one.paused_until;
        let Event::Start(arrived) = one.next().unwrap() else {
            panic!("the datagram is still in the socket");
        };
        let started = Instant::now();
        assert!(paused_until.is_none_or(|until| until <= started));
        assert!(!one.run(arrived).unwrap());
        one.paused_until.map(|until| until - started)
    }

    #[test]
    fn after_a_program_could_not_be_started_nothing_is_started_for_a_time() {
        let path = std::env::temp_dir().join(format!("sockunit-wait-{}", std::process::id()));
        std::fs::write(&path, "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        let program = ProgramSpec::find(&[path.clone().into()]).unwrap();
        std::fs::remove_file(&path).unwrap();
        with_datagram(program, |mut one| {
            for _ in 0..2 {
                assert!(pause_after_start(&mut one) >= Some(FAILED_PAUSE));
            }
        });
    }
}
