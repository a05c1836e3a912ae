//! sockunit: the tool.

mod add;
mod check;
mod connect;
mod deferred;
mod doctor;
mod drain;
mod import;
mod list;
mod place;
mod remove;
mod services;
mod status;
mod table;
mod trial;

use std::fmt;
use std::io::{self, Write};
use std::num::NonZeroU16;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use self::deferred::Deferred;
use crate::attach;
use crate::hint::{Hint, ShellCommand};
use crate::log::{Plain, is_unprintable, reason};
use crate::serve;
use crate::startup::{self, FAILED};
use crate::systemd::Place;
use crate::usage;

/// Attach programs to network ports, with systemd as the listener
#[derive(Debug, Parser)]
#[command(
    name = "sockunit",
    version,
    arg_required_else_help = true,
    max_term_width = 80
)]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Answer an agent check of HAProxy: is this service ready?
    Agent(Deferred<drain::NameOptions>),
    /// Attach a program to a port
    Add(Deferred<add::Options>),
    /// Check whether a name and a port are free
    Check(Deferred<check::Options>),
    /// Connect to a service and exchange text with it
    Connect(Deferred<connect::Options>),
    /// Find out why a service does not work, and how to fix it
    Doctor(Deferred<doctor::Options>),
    /// Take a service out of a load balancer, and wait until no connection is left
    Drain(Deferred<drain::DrainOptions>),
    /// Convert services of xinetd and inetd to units
    Import(Deferred<import::Options>),
    /// List attached services with their addresses and connections
    List(Deferred<list::Options>),
    /// Detach a program and delete its units
    Remove(Deferred<remove::Options>),
    /// Bring a service back into a load balancer
    Resume(Deferred<drain::NameOptions>),
    /// Serve listening sockets, or one connection, and start a program for each connection
    ///
    /// The connection is the standard input and output of the program. systemd passes the listening
    /// sockets, or --listen names their addresses. Without either, the connection on standard input
    /// and output is served, as under xinetd, inetd and tcpserver.
    Serve(Deferred<serve::Options>),
    /// Add or remove a line in /etc/services
    #[command(subcommand)]
    Services(services::Command),
    /// Show the open connections of services, and what systemd has counted
    Status(Deferred<status::Options>),
    /// Run the program of a service once in its own sandbox, and show what it does
    Try(Deferred<trial::Options>),
}

/// The command line, for the manual pages and the completions.
pub fn command() -> clap::Command {
    Options::command()
}

/// What the arguments ask for.
fn parse() -> Result<Command, clap::Error> {
    match connect::Options::without_parser(std::env::args_os().skip(1)) {
        Some(options) => Ok(Command::Connect(Deferred(Box::new(options)))),
        None => Options::try_parse().map(|options| options.command),
    }
}

/// The program.
pub fn main() -> ExitCode {
    let command = match parse() {
        Ok(command) => command,
        Err(error) => {
            let arguments: Vec<_> = std::env::args_os().collect();
            let hint = usage::hint(&Options::command(), &arguments, &error);
            // If an inetd starts `sockunit serve`, its standard output is a client.
            return match arguments.get(1).is_some_and(|word| word == "serve") {
                true => serve::usage_error(&error, hint.as_ref()),
                false => startup::print_usage(&error, hint.as_ref()),
            };
        }
    };
    // False: the answer is no, and the reason was printed.
    let done = match command {
        Command::Agent(Deferred(options)) => drain::agent(&options).map(|()| true),
        Command::Drain(Deferred(options)) => drain::drain(&options).map(|()| true),
        Command::Resume(Deferred(options)) => drain::resume(&options).map(|()| true),
        Command::Add(Deferred(options)) => add::run(*options).map(|()| true),
        Command::Check(Deferred(options)) => check::run(&options),
        Command::Connect(Deferred(options)) => connect::run(&options).map(|()| true),
        Command::Doctor(Deferred(options)) => match doctor::run(&options) {
            Ok(status) => return status,
            Err(error) => Err(error),
        },
        Command::Import(Deferred(options)) => import::run(&options),
        Command::List(Deferred(options)) => list::run(&options).map(|()| true),
        Command::Remove(Deferred(options)) => remove::run(&options).map(|()| true),
        Command::Services(command) => services::run(command).map(|()| true),
        Command::Status(Deferred(options)) => status::run(&options).map(|()| true),
        Command::Try(Deferred(options)) => trial::run(&options),
        Command::Serve(Deferred(options)) => return serve::run(&options),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(FAILED),
        Err(error) => {
            // One write, so that the message stays together where others write there too.
            let message = format!("{error:#}");
            let mut text = format!("sockunit: {}\n", Plain(&message));
            let hint = error
                .downcast_ref::<Failed>()
                .and_then(|failed| failed.hint.as_ref());
            text.extend(hint.map(|hint| format!("{hint}\n")));
            let _ = io::stderr().write_all(text.as_bytes());
            ExitCode::from(FAILED)
        }
    }
}

/// An error with what the user can do about it.
#[derive(Debug)]
struct Failed {
    message: String,
    hint: Option<Hint>,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failed {}

fn with_hint(error: impl fmt::Display, hint: Option<impl Into<Hint>>) -> anyhow::Error {
    anyhow::Error::new(Failed {
        message: error.to_string(),
        hint: hint.map(Into::into),
    })
}

/// What failed, for an error of `attach`.
fn failed(what: impl fmt::Display) -> impl Fn(attach::Error) -> anyhow::Error {
    move |error| with_hint(format!("{what}: {error}"), error.hint())
}

/// There is no service of this name.
fn unknown(failed: &str, place: &Place, name: &str) -> anyhow::Error {
    let message = format!("{failed}: there is no {name}.socket in any unit directory");
    with_hint(message, Some(list_names(place)))
}

/// How to find out the names of the services.
fn list_names(place: &Place) -> Hint {
    let list = ShellCommand::new(&["sockunit", "list"]).literals(place.scope.option());
    Hint::new("this shows the names").command(place.with_root(list))
}

/// A port as an argument.
fn port(text: &str) -> Result<NonZeroU16, &'static str> {
    text.parse()
        .map_err(|_| "a port is a number from 1 to 65535")
}

/// Prints lines. Control characters in them, which a file or a program may have chosen, are escaped.
/// It is not an error if the reader has closed the pipe.
fn say(text: &str) -> anyhow::Result<()> {
    let lines = text.split_inclusive('\n');
    let plain = |line: &str| match line.strip_suffix('\n') {
        Some(line) => format!("{}\n", Plain(line)),
        None => Plain(line).to_string(),
    };
    print(&lines.map(plain).collect::<String>())
}

/// Prints JSON on a line.
fn say_json(value: &serde_json::Value) -> anyhow::Result<()> {
    print(&format!("{}\n", escaped(value)))
}

/// JSON in which characters that a terminal acts on are escaped.
fn escaped(value: &serde_json::Value) -> String {
    let mut text = String::new();
    for c in value.to_string().chars() {
        match c.is_ascii() && !c.is_ascii_control() || !is_unprintable(c) {
            true => text.push(c),
            false => {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    text += &format!("\\u{unit:04x}");
                }
            }
        }
    }
    text
}

fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(anyhow::anyhow!(
            "cannot write to standard output: {}",
            reason(&error)
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_no_character_that_a_terminal_acts_on_and_reads_back_the_same() {
        // JSON needs a surrogate pair for the last one.
        let unprintable = ['\n', '\u{1b}', '\u{7f}', '\u{9b}', '\u{202e}', '\u{e0001}'];
        let printable = "aé漢 \\\"😀";
        let text = String::from_iter(unprintable) + printable;
        let value = serde_json::json!({ &text: [&text] });
        let json = escaped(&value);
        assert!(!json.contains(unprintable), "{json:?}");
        assert!(!json.contains(is_unprintable), "{json:?}");
        assert!(json.contains("é漢"), "{json}");
        let read: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(read, value);
    }

    #[test]
    fn the_parser_returns_the_same_options_as_the_by_pass() {
        for line in ["celebs", "3334", "::1 3334", "/run/socket", " ", "help"] {
            let words = || ["connect"].into_iter().chain(line.split(' '));
            let by_pass = connect::Options::without_parser(words().map(Into::into));
            let parsed = Options::try_parse_from(["sockunit"].into_iter().chain(words()));
            let Command::Connect(Deferred(parsed)) = parsed.unwrap().command else {
                panic!("{line} is not a connect");
            };
            assert_eq!(by_pass.as_ref(), Some(&*parsed), "{line}");
        }
    }

    #[test]
    fn other_command_lines_need_the_parser() {
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
            assert_eq!(connect::Options::without_parser(words), None, "{line}");
        }
    }
}
