//! celebs: answers the first names of Linux celebrities with their surnames.

mod name;
mod session;
mod telnet;

use std::process::ExitCode;
use std::time::Duration;

pub use name::LIMIT as NAME_LIMIT;
pub use session::{Answer, Conversation, Edition, Exchange, Service};

use crate::clock;
use crate::server;
use crate::startup::{self, Program};

/// Answer first names of Linux celebrities on the connection on standard input and output
///
/// systemd, xinetd, inetd, tcpserver or socat starts the program for each connection. At the
/// command line it reads and writes the terminal. With listening sockets from systemd, or with
/// --listen, one process serves all connections. A name that begins with q ends the session.
#[derive(Debug, PartialEq, Eq, clap::Parser)]
#[command(name = "celebs", version, max_term_width = 80)]
struct Options {
    /// Use the words of this server
    #[arg(long, value_enum, default_value_t)]
    edition: Edition,
    /// End the session when the client completes no line for this long
    #[arg(long, value_name = "DURATION", default_value = "5min", value_parser = clock::duration)]
    idle_timeout: Duration,
    /// Disconnect a client that does not read its answers for this long
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = clock::duration)]
    write_timeout: Duration,
    #[command(flatten)]
    serve: server::Options,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            edition: Edition::default(),
            idle_timeout: Duration::from_secs(5 * 60),
            write_timeout: Duration::from_secs(30),
            serve: server::Options::default(),
        }
    }
}

impl Program for Options {
    type Service = Service;

    fn service(&self) -> Service {
        Service {
            edition: self.edition,
            idle_timeout: self.idle_timeout,
        }
    }

    fn write_timeout(&self) -> Duration {
        self.write_timeout
    }

    fn serve(&self) -> &server::Options {
        &self.serve
    }
}

/// The command line, for the manual page.
pub fn command() -> clap::Command {
    <Options as clap::CommandFactory>::command()
}

/// The program.
pub fn main() -> ExitCode {
    startup::run::<Options>("celebs")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[test]
    fn what_is_served_without_arguments_is_what_the_help_says() {
        assert_eq!(Options::parse_from(["celebs"]), Options::default());
    }
}
