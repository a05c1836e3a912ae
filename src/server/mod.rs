//! A shared service: one process serves many connections, with sessions in the process or with a
//! program for each connection. systemd passes the listening sockets, or the process opens them.

mod acceptor;
pub(crate) mod admission;
mod connection_log;
mod connections;
pub(crate) mod datagrams;
mod end;
mod error;
mod event_loop;
mod handler;
mod listener;
mod one_program;
mod options;
mod programs;
mod proxy;
mod refuse;
mod sessions;

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) use admission::Refusal;
pub(crate) use admission::{Network, SourcePrefix};
pub(crate) use error::Error;
pub(crate) use listener::Listener;
pub(crate) use options::WhenFull;
pub(crate) use options::at_least_one;
pub(crate) use options::{Options, SharedLimits};
pub(crate) use programs::{ConnectionRules, ProgramOptions, file_name};
pub(crate) use proxy::ProxyOptions;
pub(crate) use proxy::ProxySource;

use nix::unistd::{dup2_stdin, dup2_stdout};

use self::admission::{Limits, RefusalMessages};
use self::event_loop::Sockets;
use self::one_program::{Kind, OneProgram};
use self::programs::{Isolation, ProgramHandler, ProgramSpec, Timeouts};
use self::sessions::SessionHandler;
use crate::connection::{Stdio, StdioError, is_udp_socket};
use crate::log::{Log, Priority, reason};
use crate::root;
use crate::session::Service;

/// The largest banner, in bytes. It has to fit into the send buffer of a new connection.
pub(crate) const MAX_BANNER: usize = 16 * 1024;

/// Serves connections with sessions in this process, until SIGTERM or SIGINT, or until there was
/// no connection for `--exit-idle-time`. A client may take `write_timeout` to read pending output.
///
/// # Errors
///
/// The event loop cannot be set up, or failed. Nothing that a client does is an error.
pub(crate) fn serve_sessions<S: Service>(
    service: S,
    listeners: Vec<Listener>,
    options: &Options,
    write_timeout: Duration,
    log: &mut Log,
) -> Result<(), Error> {
    let handler = SessionHandler::new(service, write_timeout);
    let limits = Limits::default();
    let sockets = Sockets::Listeners(listeners);
    event_loop::run(|_| Ok(handler), sockets, options, limits, log).map(drop)
}

/// Starts a program for each connection, until SIGTERM or SIGINT, or until there was no connection
/// for `--exit-idle-time`. Listens on the addresses of `--listen`, or else on the sockets that
/// systemd passed; without either it serves `client`, the connection on standard input and output. With
/// `--wait`, `client` is a listening or UDP socket, and the program gets it.
///
/// Returns the exit status: for one connection that of its program, otherwise 0.
///
/// # Errors
///
/// The program cannot be executed, there is no listening socket, a banner cannot be read, or the
/// event loop cannot be set up or failed.
pub(crate) fn serve_programs(
    options: &Options,
    program_options: &ProgramOptions,
    client: Option<BorrowedFd<'_>>,
    log: &mut Log,
) -> Result<u8, Error> {
    if program_options.wait {
        return wait(&options.shared, program_options, client, log).map(|()| 0);
    }
    let listeners = Listener::find(&options.listen)?;
    let sockets = match (listeners.is_empty(), Stdio::identify(client)) {
        (false, _) => Sockets::Listeners(listeners),
        (true, Ok(Stdio::CommandLine)) => return Err(Error::NoListener),
        (true, Err(error)) => return Err(Error::Stdio(error)),
        (true, Ok(Stdio::Connection(peer))) => Sockets::Connection(
            take_standard_streams().map_err(Error::StandardStreams)?,
            peer,
        ),
    };
    let mut program = program(program_options)?;
    match &sockets {
        Sockets::Listeners(listeners) => listeners.iter().for_each(Listener::set_keep_alive),
        Sockets::Connection(socket, _) => listener::set_keep_alive(socket),
    }
    let rules = &program_options.rules;
    let refused_banner = read_banners(&rules.refused_banner)?;
    let messages = RefusalMessages::new(rules.message.clone(), refused_banner);
    let limits = limits(rules, messages);
    let timeouts = Timeouts {
        idle: rules.idle_timeout,
        session: rules.time_limit,
        grace: program_options.grace,
    };
    let banner = read_banners(&rules.banner)?;
    let one = matches!(sockets, Sockets::Connection(..));
    let logs_error_output = match &sockets {
        Sockets::Listeners(_) => false,
        Sockets::Connection(..) => log.has_priority_prefixes(),
    };
    let failure_message = limits.messages.text(Refusal::Failure);
    if program_options.isolate {
        isolate(&mut program, one, log);
    }
    let handler = |registry: &_| {
        ProgramHandler::new(
            program,
            logs_error_output,
            timeouts,
            banner,
            failure_message,
            registry,
        )
        .map_err(Error::from)
    };
    let handler = event_loop::run(handler, sockets, options, limits, log)?;
    Ok(match one {
        true => handler.last_exit_code(),
        false => 0,
    })
}

/// Starts the program for the socket on standard input, one process at a time.
fn wait(
    shared: &SharedLimits,
    options: &ProgramOptions,
    socket: Option<BorrowedFd<'_>>,
    log: &mut Log,
) -> Result<(), Error> {
    // Priorities on the stream of standard error would be the program's too.
    log.use_journal_socket();
    let socket = socket.ok_or(Error::NothingToWaitFor)?;
    let kind = match Stdio::identify(Some(socket)) {
        Err(StdioError::Listener) if options.rules.has_lists() => {
            return Err(Error::ListsOfListener);
        }
        Err(StdioError::Listener) if shared.rate_per_source.is_some() => {
            return Err(Error::SourcesOfListener);
        }
        Err(StdioError::Listener) => Kind::Listener,
        _ if is_udp_socket(&socket) => Kind::Datagrams,
        _ => return Err(Error::NothingToWaitFor),
    };
    let program = program(options)?;
    let limits = limits(&options.rules, RefusalMessages::default());
    let limits = (limits, shared.clone());
    OneProgram::new(socket, kind, program, limits, options.grace, log)
        .and_then(OneProgram::serve)
        .map_err(Error::Wait)
}

fn limits(rules: &ConnectionRules, messages: RefusalMessages) -> Limits {
    Limits {
        rate: rules.rate,
        rate_pause: rules.rate_pause.unwrap_or_default(),
        max_load: rules.max_load,
        access_times: rules.access_times.clone(),
        allow: rules.allow.clone(),
        deny: rules.deny.clone(),
        messages,
    }
}

fn program(options: &ProgramOptions) -> Result<ProgramSpec, Error> {
    let mut program = ProgramSpec::find(&options.command)?;
    if let Some(name) = &options.program_name {
        program.set_name(name)?;
    }
    Ok(program)
}

/// Isolates connections from each other as far as the kernel can. `one`: this process serves only one.
fn isolate(program: &mut ProgramSpec, one: bool, log: &mut Log) {
    let isolation = Isolation::set_up();
    let set_up = isolation.as_ref().map_err(|errno| *errno);
    if let Err(errno) = set_up.and_then(Isolation::is_complete) {
        let message = format!(
            "cannot isolate connections completely: {}",
            reason(&errno.into())
        );
        // With a process for each connection, clients could fill the journal with it.
        let priority = match one {
            true => Priority::Info,
            false => Priority::Error,
        };
        log.write(priority, &message);
    }
    if let Ok(isolation) = isolation {
        program.isolate(isolation);
    }
}

/// Takes the connection from standard input and output, so that closing it closes the last
/// descriptor of this process.
fn take_standard_streams() -> io::Result<OwnedFd> {
    let connection = io::stdin().as_fd().try_clone_to_owned()?;
    let null = File::options().read(true).write(true).open("/dev/null")?;
    dup2_stdin(&null)?;
    dup2_stdout(&null)?;
    Ok(connection)
}

/// Reads the files that are sent to clients.
fn read_banners(paths: &[PathBuf]) -> Result<Vec<u8>, Error> {
    let mut all = Vec::new();
    for path in paths {
        let left = MAX_BANNER + 1 - all.len();
        std::path::absolute(path)
            .and_then(|path| root::open_file(Path::new("/"), &path))
            .and_then(|file| file.take(left as u64).read_to_end(&mut all))
            .map_err(|error| Error::Banner(path.clone(), error))?;
        if all.len() > MAX_BANNER {
            return Err(Error::BannerTooLong(path.clone()));
        }
    }
    Ok(all)
}
