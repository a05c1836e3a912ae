//! hello: sends `Hello World:` and the time, and closes the connection.

use std::convert::Infallible;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::clock;
use crate::server;
use crate::session::Service;
use crate::startup::{self, ServiceProgram};

/// How long sending the greeting may take. The send buffer of a new connection is empty, so that it
/// takes no time.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Send Hello World and the time, and close the connection
///
/// Serves the connection on standard input and output, as started by systemd, xinetd, inetd,
/// tcpserver or socat. At the command line it writes to standard output. If systemd passes
/// listening sockets, or with --listen, one process serves all connections. The time zone is that
/// of TZ, or else the system's.
#[derive(Debug, Default, PartialEq, Eq, clap::Parser)]
#[command(name = "hello", version, max_term_width = 80)]
struct Options {
    #[command(flatten)]
    server: server::Options,
}

impl ServiceProgram for Options {
    type Service = Hello;

    fn service(&self) -> Hello {
        Hello::default()
    }

    fn write_timeout(&self) -> Duration {
        WRITE_TIMEOUT
    }

    fn server_options(&self) -> &server::Options {
        &self.server
    }
}

/// Runs the program.
pub fn main() -> ExitCode {
    startup::run::<Options>("hello")
}

/// The command line, for the manual page.
pub fn command() -> clap::Command {
    <Options as clap::CommandFactory>::command()
}

/// The greeting: one line.
fn greeting(instant: Timestamp, zone: TimeZone) -> String {
    format!("Hello World:{}\n", clock::date(instant, zone))
}

/// The service. It formats the time once per second.
#[derive(Debug, Default)]
pub(crate) struct Hello {
    second: Option<i64>,
    greeting: String,
}

impl Service for Hello {
    type Session = Infallible;

    fn start(&mut self, _: Instant, output: &mut Vec<u8>) -> Option<Infallible> {
        let now = Timestamp::now();
        if self.second != Some(now.as_second()) {
            // Read the time zone again: it may have changed.
            self.greeting = greeting(now, clock::local_zone());
            self.second = Some(now.as_second());
        }
        output.extend_from_slice(self.greeting.as_bytes());
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[test]
    fn the_defaults_are_those_of_the_parser() {
        assert_eq!(Options::parse_from(["hello"]), Options::default());
    }

    #[test]
    fn the_greeting_is_one_line_with_the_time() {
        let instant = "2001-01-23T18:33:55Z".parse().unwrap();
        assert_eq!(
            greeting(instant, TimeZone::UTC),
            "Hello World:Tue Jan 23 18:33:55 UTC 2001\n"
        );
    }
}
