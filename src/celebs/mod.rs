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

/// Answers the first names of Linux celebrities on the connection on standard input and output.
///
/// Started by systemd, xinetd, inetd, tcpserver or socat for each connection; at the command line
/// it talks on the terminal. Handed a listening socket, or with --listen, it serves all
/// connections. A name that begins with q ends the conversation.
#[derive(Debug, PartialEq, Eq, clap::Parser)]
#[command(name = "celebs", version, max_term_width = 80)]
struct Options {
    /// Whose words to speak
    #[arg(long, value_enum, default_value_t)]
    edition: Edition,
    /// End the conversation with a client that types no name for this long
    #[arg(long, value_name = "DURATION", default_value = "5min", value_parser = clock::duration)]
    idle_timeout: Duration,
    /// Drop a client that does not read its answers for this long
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

/// The program.
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
    fn what_is_served_without_arguments_is_what_the_help_says() {
        assert_eq!(Options::parse_from(["celebs"]), Options::default());
    }
}
