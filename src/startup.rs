//! How a service program starts and ends, the same for all of them.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use crate::connection::{self, Handed, Stream, is_socket};
use crate::log::{self, Log, Priority};
use crate::server::{self, Listener};
use crate::session::Service;

/// The program could not do its work.
pub const FAILED: u8 = 1;
/// It was called the wrong way.
pub const USAGE: u8 = 2;

/// A service program, once its arguments are read.
///
/// Its default is what it is without arguments, as a unit starts it for each connection: the parser
/// is passed by then, which is a good part of what a start costs.
pub trait Program: Parser + Default {
    /// What it serves.
    type Service: Service;

    /// The service as the arguments want it.
    fn service(&self) -> Self::Service;

    /// How long a client may take to read.
    fn write_timeout(&self) -> Duration;

    /// How many connections are served by one process.
    fn serve(&self) -> &server::Options;
}

/// Finds out what the program was handed, opens its log, reads its arguments and serves.
///
/// Nothing but the dialog may reach a client: help, usage errors, errors and panics go to the log
/// where standard input or output is a socket, whatever standard error is.
pub fn run<P: Program>(name: &'static str) -> ExitCode {
    let parsed = match std::env::args_os().len() {
        0 | 1 => Ok(P::default()),
        _ => P::try_parse(),
    };
    match parsed {
        Ok(program) => logged(name, |client, log| serve(&program, client, log)),
        Err(error) => misused(name, &error),
    }
}

/// Does the work of a service with a log; the one place where an error becomes an exit status. The
/// work is told which of standard input and output is a client, if one of them is.
pub fn logged(
    name: &'static str,
    work: impl FnOnce(Option<BorrowedFd<'_>>, &mut Log) -> anyhow::Result<()>,
) -> ExitCode {
    let (stdin, stdout) = (io::stdin(), io::stdout());
    let client = client(stdin.as_fd(), stdout.as_fd());
    let on_socket = client.is_some();
    let mut log = Log::open(name, on_socket, io::stderr().as_fd());
    std::panic::set_hook(Box::new(move |panic| {
        Log::open(name, on_socket, io::stderr().as_fd()).write(Priority::Error, &panic.to_string());
    }));
    match work(client, &mut log) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log.write(Priority::Error, &format!("{error:#}"));
            ExitCode::from(FAILED)
        }
    }
}

/// Tells that a service was called the wrong way, or prints its help; at the command line if that is
/// where it was called.
pub fn misused(name: &'static str, error: &clap::Error) -> ExitCode {
    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    if client(stdin.as_fd(), stdout.as_fd()).is_none() {
        return explain(error);
    }
    Log::open(name, true, stderr.as_fd()).write(Priority::Error, &refusal(error));
    ExitCode::from(USAGE)
}

/// Which of standard input and output is a client. Under systemd standard output is the journal
/// where it is nothing else.
fn client<'a>(input: BorrowedFd<'a>, output: BorrowedFd<'a>) -> Option<BorrowedFd<'a>> {
    [input, output]
        .into_iter()
        .find(|fd| is_socket(fd) && !log::is_journal(*fd))
}

/// Serves what there is to serve: the addresses that the user named, the listening sockets that
/// systemd handed over, or the one connection on standard input and output.
fn serve<P: Program>(
    program: &P,
    client: Option<BorrowedFd<'_>>,
    log: &mut Log,
) -> anyhow::Result<()> {
    let options = program.serve();
    let listeners = match options.listen.as_slice() {
        [] => Listener::handed_over()?,
        addresses => Listener::open(addresses)?,
    };
    let (service, write_timeout) = (program.service(), program.write_timeout());
    if !listeners.is_empty() {
        log.serve_many();
        return server::converse(service, listeners, options, write_timeout, log);
    }
    let handed = Handed::identify(client)?;
    if handed == Handed::CommandLine && std::env::var_os("NOTIFY_SOCKET").is_some() {
        // A unit for many connections whose socket has gone over to a unit for each. That is no
        // failure: it may happen while an administrator switches from one to the other.
        crate::systemd::notify::nothing_to_serve();
        log.notice("no listening socket was handed over, so there is nothing to serve; Accept=no in the .socket unit would hand it over");
        return Ok(());
    }
    let (stdin, stdout) = (io::stdin(), io::stdout());
    let mut stream = Stream::new(stdin.as_fd(), stdout.as_fd(), handed.peer());
    connection::serve(service, &mut stream, write_timeout, log)
}

/// Prints help or a usage error at the command line.
pub fn explain(error: &clap::Error) -> ExitCode {
    // Nobody is left to tell where this fails.
    let _ = error.print();
    match error.exit_code() {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::from(USAGE),
    }
}

/// A usage error in one line, for the log.
fn refusal(error: &clap::Error) -> String {
    use clap::error::ErrorKind;
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            "--help and --version are for the command line; here a client is connected: take them \
             out of the command that starts this service"
                .into()
        }
        _ => error
            .to_string()
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect::<Vec<_>>()
            .join("; "),
    }
}
