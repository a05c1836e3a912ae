//! hello: says `Hello World:` and the time, and closes.

use std::convert::Infallible;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::clock;
use crate::server;
use crate::session;
use crate::startup::{self, Program};

/// How long the greeting may wait for room, which a new connection always has.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Says Hello World and the time to the connection on standard input and output.
///
/// Started by systemd, xinetd, inetd, tcpserver or socat for each connection; at the command line
/// it says the same on standard output. Handed a listening socket, or with --listen, it serves all
/// connections. The time zone is the system's, or that of TZ.
#[derive(Debug, Default, PartialEq, Eq, clap::Parser)]
#[command(name = "hello", version, max_term_width = 80)]
struct Options {
    #[command(flatten)]
    serve: server::Options,
}

impl Program for Options {
    type Service = Service;

    fn service(&self) -> Service {
        Service::default()
    }

    fn write_timeout(&self) -> Duration {
        WRITE_TIMEOUT
    }

    fn serve(&self) -> &server::Options {
        &self.serve
    }
}

/// The program.
pub fn main() -> ExitCode {
    startup::run::<Options>("hello")
}

/// The command line, for the manual page.
pub fn command() -> clap::Command {
    <Options as clap::CommandFactory>::command()
}

/// The dialog: one line, and nothing is read.
pub fn greeting(instant: Timestamp, zone: TimeZone) -> String {
    format!("Hello World:{}\n", clock::date(instant, zone))
}

/// The service. It says the same to all who come in the same second.
#[derive(Debug, Default)]
pub struct Service {
    second: Option<i64>,
    greeting: String,
}

impl session::Service for Service {
    type Talk = Infallible;

    fn begin(&mut self, _: Instant, out: &mut Vec<u8>) -> Option<Infallible> {
        let now = Timestamp::now();
        if self.second != Some(now.as_second()) {
            // The system's time zone may have changed as well.
            self.greeting = greeting(now, clock::local_zone());
            self.second = Some(now.as_second());
        }
        out.extend_from_slice(self.greeting.as_bytes());
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[test]
    fn what_is_served_without_arguments_is_what_the_help_says() {
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
