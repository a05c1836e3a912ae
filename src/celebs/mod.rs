//! celebs: answers the first names of Linux celebrities with their surnames.

pub(crate) mod input;
pub(crate) mod session;
mod telnet;

use std::process::ExitCode;
use std::time::Duration;

use crate::clock;
use crate::server;
use crate::startup::{self, ServiceProgram};

use self::session::{Celebs, Edition};

/// Answer the first names of Linux celebrities with their surnames
///
/// Serves the connection on standard input and output, as started by systemd, xinetd, inetd,
/// tcpserver or socat. At the command line it uses the terminal. If systemd passes listening
/// sockets, or with --listen, one process serves all connections. A name that begins with q ends
/// the session.
#[derive(Debug, PartialEq, Eq, clap::Parser)]
#[command(name = "celebs", version, max_term_width = 80)]
struct Options {
    /// Choose the format of the answers
    #[arg(long, value_enum, default_value_t)]
    edition: Edition,
    /// End a session in which the client sends no complete line for this long
    #[arg(long, value_name = "DURATION", default_value = "5min", value_parser = clock::duration)]
    idle_timeout: Duration,
    /// Close a connection whose client does not read its answers for this long
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = clock::duration)]
    write_timeout: Duration,
    #[command(flatten)]
    server: server::Options,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            edition: Edition::default(),
            idle_timeout: Duration::from_secs(5 * 60),
            write_timeout: Duration::from_secs(30),
            server: server::Options::default(),
        }
    }
}

impl ServiceProgram for Options {
    type Service = Celebs;

    fn service(&self) -> Celebs {
        Celebs {
            edition: self.edition,
            idle_timeout: self.idle_timeout,
        }
    }

    fn write_timeout(&self) -> Duration {
        self.write_timeout
    }

    fn server_options(&self) -> &server::Options {
        &self.server
    }
}

/// Runs the program.
pub fn main() -> ExitCode {
    startup::run::<Options>("celebs")
}

/// The command line, for the manual page.
pub fn command() -> clap::Command {
    <Options as clap::CommandFactory>::command()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[test]
    fn the_defaults_are_those_of_the_parser() {
        assert_eq!(Options::parse_from(["celebs"]), Options::default());
    }
}
