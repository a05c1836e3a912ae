//! sockunit: the tool.

mod add;
mod check;
mod connect;
mod deferred;
mod doctor;
mod list;
mod place;
mod remove;
mod serve;
mod services;

use std::io::{self, Write};
use std::num::NonZeroU16;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use self::deferred::Deferred;
use crate::log::JournalProtocol;
use crate::startup::{self, FAILED};

/// Looks after services that systemd starts when a client connects.
#[derive(Debug, Parser)]
#[command(name = "sockunit", version, arg_required_else_help = true)]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Attach a program to a port
    Add(Deferred<add::Options>),
    /// Find out whether a name and a port are free, and who has them
    Check(Deferred<check::Options>),
    /// Talk to a service, and end when it does
    Connect(Deferred<connect::Options>),
    /// Say why a service does not work: the first fault, what shows it and what mends it
    Doctor(Deferred<doctor::Options>),
    /// Say what is attached, where, and how many connections there are
    List(Deferred<list::Options>),
    /// Take away what add has attached
    Remove(Deferred<remove::Options>),
    /// Serve listening sockets, and start a program for each connection
    ///
    /// The connection is the program's standard input and output. systemd passes the listening
    /// sockets, or --listen opens them.
    Serve(Deferred<serve::Options>),
    /// Add or remove the line of a service in /etc/services
    #[command(subcommand)]
    Services(services::Command),
}

/// The command line, for what describes it: completions, and the tests of the manual.
pub fn command() -> clap::Command {
    Options::command()
}

/// What the arguments ask for.
fn parse() -> Result<Command, clap::Error> {
    // A conversation may be over sooner than the parser has its definitions together.
    match connect::Options::plain(std::env::args_os().skip(1)) {
        Some(options) => Ok(Command::Connect(Deferred(Box::new(options)))),
        None => Options::try_parse().map(|options| options.command),
    }
}

/// The program.
pub fn main() -> ExitCode {
    let command = match parse() {
        Ok(command) => command,
        // Where this one is started by an inetd, its standard output is a client.
        Err(error)
            if std::env::args_os()
                .nth(1)
                .is_some_and(|word| word == "serve") =>
        {
            return startup::usage_error("sockunit", JournalProtocol::Native, &error);
        }
        Err(error) => return startup::print_usage(&error),
    };
    // Whether what was asked holds; what speaks against it has been told.
    let done = match command {
        Command::Add(Deferred(options)) => add::run(*options).map(|()| true),
        Command::Check(Deferred(options)) => check::run(&options),
        Command::Connect(Deferred(options)) => connect::run(&options).map(|()| true),
        Command::Doctor(Deferred(options)) => doctor::run(&options),
        Command::List(Deferred(options)) => list::run(&options).map(|()| true),
        Command::Remove(Deferred(options)) => remove::run(&options).map(|()| true),
        Command::Services(command) => services::run(command).map(|()| true),
        Command::Serve(Deferred(options)) => return serve::run(&options),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(FAILED),
        Err(error) => {
            // In one write, so that it stays in one piece where others write there too.
            let _ = io::stderr().write_all(format!("sockunit: {error:#}\n").as_bytes());
            ExitCode::from(FAILED)
        }
    }
}

/// A port as an argument.
fn port(text: &str) -> Result<NonZeroU16, &'static str> {
    text.parse()
        .map_err(|_| "a port is a number from 1 to 65535")
}

/// Prints. Whoever closed the pipe has read enough.
fn say(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(anyhow::Error::new(error).context("cannot write to standard output"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_plain_is_what_the_parser_makes_of_it() {
        for line in ["celebs", "3334", "::1 3334", "/run/socket", " ", "help"] {
            let words = || ["connect"].into_iter().chain(line.split(' '));
            let plain = connect::Options::plain(words().map(Into::into));
            let parsed = Options::try_parse_from(["sockunit"].into_iter().chain(words()));
            let Command::Connect(Deferred(parsed)) = parsed.unwrap().command else {
                panic!("{line} is no connect");
            };
            assert_eq!(plain.as_ref(), Some(&*parsed), "{line}");
        }
    }

    #[test]
    fn what_needs_the_parser_is_not_plain() {
        for line in [
            "connect",
            "connect a b c",
            "connect --crlf celebs",
            "connect celebs -h",
            "connect -- celebs",
            "connect -",
            "check celebs",
            "celebs",
            "",
        ] {
            let words = line.split(' ').map(Into::into);
            assert_eq!(connect::Options::plain(words), None, "{line}");
        }
    }
}
