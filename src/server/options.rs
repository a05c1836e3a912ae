//! Options of a process that serves many connections.

use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::clock;

/// Options of every service program, for a process that serves many connections.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(next_help_heading = "Options of a process that serves many connections")]
#[group(skip)]
pub struct Options {
    /// Listen on this address, or on an AF_UNIX socket at this path (it contains a slash), instead
    /// of sockets passed by systemd; may be repeated
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Vec<String>,
    /// Serve at most N connections at the same time; see --when-full
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = at_least_one)]
    pub max_connections: u32,
    /// Refuse a connection if its remote address (for IPv6: its /64 network) has N connections
    /// already [default: no limit]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub per_source: Option<u32>,
    /// Choose what happens to new connections at the limit on connections, rate or load
    #[arg(long, value_enum, default_value_t)]
    pub when_full: WhenFull,
    /// Exit if there was no connection for this long; systemd starts the service again for the next
    /// one [default: never]
    #[arg(long, value_name = "DURATION", value_parser = clock::duration)]
    pub exit_idle_time: Option<Duration>,
    /// On SIGTERM, wait this long for open sessions to end, then end them
    #[arg(long, value_name = "DURATION", default_value = "20s", value_parser = clock::duration)]
    pub stop_timeout: Duration,
}

/// Parses a number of connections.
pub(crate) fn at_least_one(text: &str) -> Result<u32, &'static str> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or("give a whole number of at least 1")
}

impl Default for Options {
    fn default() -> Options {
        Options {
            listen: Vec::new(),
            max_connections: 10_000,
            per_source: None,
            when_full: WhenFull::default(),
            exit_idle_time: None,
            stop_timeout: Duration::from_secs(20),
        }
    }
}

/// What happens to new connections at the limit on connections, rate or load.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum WhenFull {
    /// Let them wait in the backlog
    #[default]
    Wait,
    /// Refuse them with a message
    Refuse,
}
