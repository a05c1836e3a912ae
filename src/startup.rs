//! How a service program starts and exits.

use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use crate::connection::{self, Stdio, Stream, is_socket};
use crate::hint::Hint;
use crate::log::{self, JournalProtocol, Log, Priority};
use crate::server::{self, Listener};
use crate::session::Service;
use crate::systemd::notify;

/// Exit status: the program failed.
pub(crate) const FAILED: u8 = 1;
/// Exit status: usage error.
pub(crate) const USAGE: u8 = 2;

/// A service program: its parsed arguments.
///
/// Without arguments, which is how units start it for each connection, [`run`] takes the default
/// instead of parsing. Measured with hello, the parser makes a start 6 to 7 % more expensive.
pub(crate) trait ServiceProgram: Parser + Default {
    /// The service.
    type Service: Service;

    /// Makes the service.
    fn service(&self) -> Self::Service;

    /// How long a client may take to read pending output.
    fn write_timeout(&self) -> Duration;

    /// The options of a process that serves many connections.
    fn server_options(&self) -> &server::Options;
}

/// Runs a service program.
///
/// A client receives nothing but the output of its session. If standard input or output is a
/// socket, help, usage errors, errors and panics go to the log.
pub(crate) fn run<P: ServiceProgram>(name: &'static str) -> ExitCode {
    let parsed = match std::env::args_os().len() {
        0 | 1 => Ok(P::default()),
        _ => P::try_parse(),
    };
    let protocol = JournalProtocol::Stream;
    match parsed {
        Ok(program) => run_logged(name, name, protocol, |client, log| {
            serve(&program, client, log).map(|()| ExitCode::SUCCESS)
        }),
        Err(error) => usage_error(name, protocol, &error, None),
    }
}

/// Calls `work` with a log, and logs its error or panic. `work` receives the client's socket, if
/// standard input or output is one. At a command line, the error has the name of the command.
pub(crate) fn run_logged(
    command: &'static str,
    name: &'static str,
    protocol: JournalProtocol,
    work: impl FnOnce(Option<BorrowedFd<'_>>, &mut Log) -> anyhow::Result<ExitCode>,
) -> ExitCode {
    let (stdin, stdout) = (io::stdin(), io::stdout());
    let client = client_socket(stdin.as_fd(), stdout.as_fd());
    let on_socket = client.is_some();
    let open_log = move || Log::open(name, on_socket, io::stderr().as_fd(), protocol);
    let mut log = open_log();
    std::panic::set_hook(Box::new(move |panic| {
        open_log().write(Priority::Error, &panic.to_string());
    }));
    match work(client, &mut log) {
        Ok(code) => code,
        Err(error) => {
            let failed = error.downcast_ref::<server::Error>();
            let hint = failed.and_then(server::Error::hint);
            log.write_failure(command, &format!("{error:#}"), hint.as_ref());
            ExitCode::from(FAILED)
        }
    }
}

/// Reports a usage error of a service program, or prints its help: to the log if there is a client,
/// at the command line otherwise.
pub(crate) fn usage_error(
    name: &'static str,
    protocol: JournalProtocol,
    error: &clap::Error,
    hint: Option<&Hint>,
) -> ExitCode {
    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    let client = client_socket(stdin.as_fd(), stdout.as_fd());
    // With the native protocol, lines on the journal's stream may have no priority prefix.
    let native = protocol == JournalProtocol::Native
        && error.use_stderr()
        && log::is_journal(stderr.as_fd());
    if client.is_none() && !native {
        return print_usage(error, hint);
    }
    Log::open(name, client.is_some(), stderr.as_fd(), protocol)
        .write(Priority::Error, &one_line(error, hint));
    ExitCode::from(USAGE)
}

/// Returns standard input or output, if one of them is a socket to a client. Under systemd,
/// standard output may be the journal's socket.
fn client_socket<'a>(input: BorrowedFd<'a>, output: BorrowedFd<'a>) -> Option<BorrowedFd<'a>> {
    [input, output]
        .into_iter()
        .find(|fd| is_socket(fd) && !log::is_journal(*fd))
}

/// Serves the addresses of `--listen`, or the listening sockets passed by systemd, or the
/// connection on standard input and output.
fn serve<P: ServiceProgram>(
    program: &P,
    client: Option<BorrowedFd<'_>>,
    log: &mut Log,
) -> anyhow::Result<()> {
    let options = program.server_options();
    let listeners = Listener::find(&options.listen).map_err(server::Error::Listen)?;
    let (service, write_timeout) = (program.service(), program.write_timeout());
    if !listeners.is_empty() {
        log.use_journal_socket();
        server::serve_sessions(service, listeners, options, write_timeout, log)?;
        return Ok(());
    }
    let stdio = Stdio::identify(client).map_err(server::Error::Stdio)?;
    if stdio == Stdio::CommandLine && std::env::var_os("NOTIFY_SOCKET").is_some() {
        // systemd started the unit of a shared service, but its socket has Accept=yes now. This may
        // happen while an administrator switches between the two, and is not a failure.
        notify::nothing_to_serve();
        log.notice(
            "nothing to serve: systemd passed no listening socket; set Accept=no in the .socket \
             unit to pass it",
        );
        return Ok(());
    }
    let mut peer = stdio.peer();
    if let Some(socket) = client {
        match options.proxy.client(socket, peer, log) {
            Some(client) => peer = client,
            None => return Ok(()),
        }
    }
    let (stdin, stdout) = (io::stdin(), io::stdout());
    let stream = Stream::new(stdin.as_fd(), stdout.as_fd());
    connection::serve(service, stream, peer, write_timeout, log)?;
    Ok(())
}

/// Prints help or a usage error at the command line.
pub(crate) fn print_usage(error: &clap::Error, hint: Option<&Hint>) -> ExitCode {
    // If standard error is closed, there is nowhere to report that.
    let _ = error.print();
    if let Some(hint) = hint {
        let _ = io::stderr().write_all(format!("{hint}\n").as_bytes());
    }
    match error.exit_code() {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::from(USAGE),
    }
}

/// A usage error in one line, for the log.
fn one_line(error: &clap::Error, hint: Option<&Hint>) -> String {
    use clap::error::ErrorKind;
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            "cannot print help: --help and --version work at the command line only; remove them \
             from the command that starts this service"
                .into()
        }
        _ => error
            .to_string()
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .chain(hint.map(|hint| &*hint.text))
            .collect::<Vec<_>>()
            .join("; "),
    }
}
