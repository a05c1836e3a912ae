//! Starts a program for each connection, as inetd does: the connection is its standard input and
//! output.

mod children;
mod client;
mod connection;
mod error_output;
mod isolation;
mod options;
mod orphans;
mod processes;
mod program_spec;
mod spawner;
mod stop_reason;
mod tag;
mod wait;

use std::collections::{HashSet, VecDeque};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use mio::{Interest, Registry, Waker};
use nix::errno::Errno;
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::Signal;

pub(super) use self::client::remote_environment;
pub(super) use self::connection::Timeouts;
pub(super) use self::isolation::Isolation;
pub(crate) use self::options::{ConnectionRules, ProgramOptions};
pub(crate) use self::program_spec::{ProgramError, ProgramSpec, file_name};
pub(super) use self::stop_reason::StopReason;
pub(super) use self::tag::Tag;
pub(super) use self::wait::ExitStatus;

use self::client::client_environment;
use self::connection::{Phase, ProgramConnection};
use self::error_output::ErrorOutput;
use self::processes::{Processes, ProgramEvent};
use self::program_spec::user;
use self::spawner::Spawner;
use super::acceptor::RESOURCE_PAUSE;
use super::connection_log::{ConnectionId, ConnectionLog};
use super::end::End;
use super::error::SetUpError;
use super::event_loop::WAKER;
use super::handler::{Connection, Context, Handler, Next};
use super::refuse::refuse;
use crate::connection::{TcpInfo, send_now};
use crate::log::{Count, reason};

/// How long programs may take to end after SIGKILL.
const KILL_TIMEOUT: Duration = Duration::from_secs(2);

/// Serves connections with programs.
pub(super) struct ProgramHandler {
    /// The program's path, for messages.
    program: String,
    processes: Processes,
    /// What the programs write to standard error, unless they inherit that of this process.
    error_output: Option<ErrorOutput>,
    timeouts: Timeouts,
    /// Sent before the program starts.
    banner: Vec<u8>,
    /// Sent if the program cannot be started.
    failure_message: Vec<u8>,
    /// The tags of the connections whose programs have not ended.
    open: HashSet<Tag>,
    /// The connections whose programs could not be started for lack of resources.
    delayed: VecDeque<usize>,
    /// How the last program ended, as an exit status.
    last_exit_code: u8,
}

impl ProgramHandler {
    /// Makes a handler that starts this program for each connection. With `logs_error_output`, what
    /// it writes to standard error is logged.
    ///
    /// # Errors
    ///
    /// A resource that this needs is not available.
    pub(super) fn new(
        mut program: ProgramSpec,
        logs_error_output: bool,
        timeouts: Timeouts,
        banner: Vec<u8>,
        failure_message: Vec<u8>,
        registry: &Registry,
    ) -> Result<ProgramHandler, SetUpError> {
        set_child_subreaper(true).map_err(SetUpError::Subreaper)?;
        let waker = Waker::new(registry, WAKER).map_err(SetUpError::Waker)?;
        let path = program.path();
        let mut error_output = None;
        if logs_error_output {
            let (output, fd) =
                ErrorOutput::new(registry, Instant::now()).map_err(SetUpError::ErrorOutput)?;
            error_output = Some(output);
            program.set_error_output(fd);
        }
        let spawner = Spawner::new(program, waker);
        Ok(ProgramHandler {
            program: path,
            processes: Processes::new(spawner, timeouts.grace),
            error_output,
            timeouts,
            banner,
            failure_message,
            open: HashSet::new(),
            delayed: VecDeque::new(),
            last_exit_code: 0,
        })
    }

    /// How the program of the connection that ended last has ended, as an exit status of a shell.
    pub(super) fn last_exit_code(&self) -> u8 {
        self.last_exit_code
    }
}

impl Handler for ProgramHandler {
    type Connection = ProgramConnection;
    type Event = ProgramEvent;

    const SIGNALS: &'static [Signal] = &[Signal::SIGCHLD];

    fn interest(&self, connection: &ProgramConnection) -> Interest {
        if self.timeouts.idle.is_some() && connection.is_local() {
            // The kernel does not count the bytes of AF_UNIX connections, so that each message has
            // to wake the loop.
            Interest::READABLE.add(Interest::WRITABLE)
        } else {
            // Errors and hang-ups are always reported. Urgent data is rare, and mio needs an
            // interest.
            Interest::PRIORITY
        }
    }

    fn shutdown_timeout(&self) -> Duration {
        self.timeouts.grace + KILL_TIMEOUT
    }

    fn on_accept(
        &mut self,
        socket: OwnedFd,
        id: ConnectionId,
        context: &mut Context<'_, '_>,
    ) -> (ProgramConnection, Next) {
        if !self.banner.is_empty() {
            // It fits into the send buffer of a new connection.
            let _ = send_now(&socket, &self.banner);
        }
        let mut connection = ProgramConnection::new(socket, id, context.now);
        self.open.insert(connection.tag());
        let next = self.start(&mut connection, context);
        (connection, next)
    }

    fn on_ready(
        &mut self,
        connection: &mut ProgramConnection,
        context: &mut Context<'_, '_>,
    ) -> Next {
        if let (Phase::Delayed(_), true) = (connection.phase(), connection.is_client_gone()) {
            return self.close_unstarted(connection, StopReason::ClientGone, context);
        }
        if connection.phase() == Phase::Starting {
            // Readiness is handled once the program runs, and only the spawner reports that.
            self.processes.wake_on_next_start();
        }
        if connection.is_local() {
            connection.on_activity(context.now);
        }
        connection.check(&self.timeouts, context.now)
    }

    fn on_timer(
        &mut self,
        connection: &mut ProgramConnection,
        context: &mut Context<'_, '_>,
    ) -> Next {
        match connection.phase() {
            Phase::Delayed(at) if at <= context.now => self.start(connection, context),
            _ => connection.check(&self.timeouts, context.now),
        }
    }

    fn shut_down(
        &mut self,
        connection: &mut ProgramConnection,
        context: &mut Context<'_, '_>,
    ) -> Next {
        let reason = StopReason::ServiceStopped;
        match connection.phase() {
            Phase::Delayed(_) => self.close_unstarted(connection, reason, context),
            _ => connection.stop(reason, &self.timeouts, context.now),
        }
    }

    fn on_signal(&mut self) {
        self.processes.on_child_signal();
    }

    fn events(&mut self) -> Vec<(usize, ProgramEvent)> {
        let mut events = self.processes.events();
        // For each program that ended, one that could not be started for lack of resources is
        // started again.
        let is_end = |(_, event): &&(usize, ProgramEvent)| matches!(event, ProgramEvent::Ended(_));
        let retries = events.iter().filter(is_end).count().min(self.delayed.len());
        let retries = self.delayed.drain(..retries);
        events.extend(retries.map(|key| (key, ProgramEvent::Retry)));
        events
    }

    fn on_event(
        &mut self,
        connection: &mut ProgramConnection,
        event: ProgramEvent,
        context: &mut Context<'_, '_>,
    ) -> Next {
        match event {
            ProgramEvent::Started(Ok(pid)) => {
                connection.on_started(pid, &self.timeouts, context.now)
            }
            ProgramEvent::Started(Err(errno)) => self.on_start_failed(connection, errno, context),
            ProgramEvent::Ended(program) => {
                // When the connection has ended, the program's output is already in the log.
                if let Some(output) = &mut self.error_output {
                    output.log(context.log, context.now);
                }
                // Closing comes first, so that the client does not have to wait for the rest.
                let info = TcpInfo::of(connection.socket());
                let kill_at = connection.kill_at(&self.timeouts, context.now);
                let next = connection.close(info.as_ref(), context);
                let traffic = info.map(|info| connection.client_traffic(&info));
                self.open.remove(&connection.tag());
                let status = self.processes.wait_for(program, connection.tag(), kill_at);
                if let Some(output) = &mut self.error_output {
                    output.finish(context.log, context.now);
                }
                let end = End::Exited(connection.reason(), status);
                self.last_exit_code = end.exit_code();
                connection.log_end(end, traffic, context);
                next
            }
            ProgramEvent::Retry if matches!(connection.phase(), Phase::Delayed(_)) => {
                self.start(connection, context)
            }
            ProgramEvent::Retry => connection.check(&self.timeouts, context.now),
        }
    }

    fn maintain(&mut self, now: Instant, log: &mut ConnectionLog<'_>) {
        if let Some(output) = &mut self.error_output {
            output.log(log, now);
        }
        self.processes.maintain(|tag| self.open.contains(&tag), now);
    }

    fn maintenance_due_at(&self, now: Instant) -> Option<Instant> {
        let output = self.error_output.as_ref();
        let output = output.and_then(|output| output.due_at(now));
        self.processes.due_at().into_iter().chain(output).min()
    }

    fn finish(&mut self, log: &mut ConnectionLog<'_>) {
        let is_open = |tag| self.open.contains(&tag);
        self.processes
            .stop_all(is_open, self.timeouts.grace, KILL_TIMEOUT);
        if let Some(output) = &mut self.error_output {
            output.finish(log, Instant::now());
        }
    }
}

impl ProgramHandler {
    /// Starts the program for a connection.
    fn start(&mut self, connection: &mut ProgramConnection, context: &mut Context<'_, '_>) -> Next {
        self.delayed.retain(|key| *key != context.key);
        let fd = connection.socket().as_raw_fd();
        let client = client_environment(connection.id(), fd);
        connection.set_starting(None);
        match self
            .processes
            .start(context.key, fd, client, connection.tag())
        {
            None => connection.check(&self.timeouts, context.now),
            Some(Ok(pid)) => connection.on_started(pid, &self.timeouts, context.now),
            Some(Err(errno)) => self.on_start_failed(connection, errno, context),
        }
    }

    /// The program could not be started. Tries again later if only resources are missing.
    fn on_start_failed(
        &mut self,
        connection: &mut ProgramConnection,
        errno: Errno,
        context: &mut Context<'_, '_>,
    ) -> Next {
        let out_of_resources = matches!(
            errno,
            Errno::EAGAIN | Errno::ENOMEM | Errno::ENFILE | Errno::EMFILE
        );
        if !out_of_resources {
            self.open.remove(&connection.tag());
            let message = format!(
                "cannot execute: {}: {} (user: {})",
                self.program,
                reason(&errno.into()),
                user()
            );
            context.log.error(&message, context.now);
            let traffic = connection.traffic();
            let end = End::NotStarted(errno);
            self.last_exit_code = end.exit_code();
            connection.log_end(end, traffic, context);
            refuse(connection.socket(), &self.failure_message, context.now);
            return Next::Close;
        }
        if let Some(reason) = connection.reason() {
            return self.close_unstarted(connection, reason, context);
        }
        let running = Count(self.processes.running() as u64, "program");
        let message = format!(
            "cannot start a program: {running} running: {}",
            reason(&errno.into())
        );
        context.log.error(&message, context.now);
        self.delayed.push_back(context.key);
        let retry_at = context.now + RESOURCE_PAUSE;
        context.acceptor.pause(retry_at);
        connection.set_starting(Some(retry_at));
        Next::Wait(Some(retry_at))
    }

    /// Closes a connection whose program was never started.
    fn close_unstarted(
        &mut self,
        connection: &mut ProgramConnection,
        reason: StopReason,
        context: &mut Context<'_, '_>,
    ) -> Next {
        self.delayed.retain(|key| *key != context.key);
        self.open.remove(&connection.tag());
        connection.log_end(End::Stopped(reason), connection.traffic(), context);
        refuse(connection.socket(), b"", context.now);
        Next::Close
    }
}
