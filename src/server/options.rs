//! Options of a process that serves many connections.

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::admission::{Rate, SourcePrefix};
use super::listener::SocketAddress;
use super::proxy::ProxyOptions;
use crate::clock::{self, duration_word};

/// Limits that a process for one connection cannot apply, because it does not know the others. `sockunit add` has
/// them too.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[group(skip)]
pub(crate) struct SharedLimits {
    /// Let a source open N connections at once, and then N per second or per DURATION (20/1min), evenly
    /// spaced; refuse further ones; see --source-prefix [default: no limit]
    #[arg(long, value_name = "N[/DURATION]")]
    pub rate_per_source: Option<Rate>,
    /// Treat addresses as one source if they have this many leading bits in common, for IPv4 and for
    /// IPv6
    #[arg(long, value_name = "V4,V6", default_value_t)]
    pub source_prefix: SourcePrefix,
    /// Refuse all connections of a source for this long after it exceeded --per-source or
    /// --rate-per-source, or timed out; twice as long if it does so again soon, and at most 64 times as
    /// long [default: no penalty]
    #[arg(long, value_name = "DURATION", value_parser = clock::duration)]
    pub penalty: Option<Duration>,
    /// Choose what happens to new connections at the limit on connections, rate or load
    #[arg(long, value_enum, default_value_t)]
    pub when_full: WhenFull,
}

impl SharedLimits {
    /// The limits that are not the default, as arguments of `sockunit serve`.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let defaults = SharedLimits::default();
        let mut words = Vec::new();
        let mut push = |option: &str, value: String| words.extend([option.to_owned(), value]);
        if let Some(rate) = self.rate_per_source {
            push("--rate-per-source", rate.to_string());
        }
        if self.source_prefix != defaults.source_prefix {
            push("--source-prefix", self.source_prefix.to_string());
        }
        if let Some(penalty) = self.penalty {
            push("--penalty", duration_word(penalty));
        }
        if self.when_full == WhenFull::Refuse {
            push("--when-full", "refuse".to_owned());
        }
        words
    }
}

/// Options of every service program, for a process that serves many connections.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(next_help_heading = "Options of a process that serves many connections")]
#[group(skip)]
pub(crate) struct Options {
    /// Listen on this address, or on an AF_UNIX socket at this path (it contains a slash), instead
    /// of sockets passed by systemd; repeatable
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Vec<SocketAddress>,
    #[command(flatten)]
    pub proxy: ProxyOptions,
    /// Serve at most N connections at the same time; see --when-full
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = at_least_one)]
    pub max_connections: u32,
    /// Refuse a connection if its source has N connections already; see --source-prefix [default: no
    /// limit]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub per_source: Option<u32>,
    #[command(flatten)]
    pub shared: SharedLimits,
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
            proxy: ProxyOptions::default(),
            max_connections: 10_000,
            per_source: None,
            shared: SharedLimits::default(),
            exit_idle_time: None,
            stop_timeout: Duration::from_secs(20),
        }
    }
}

/// What happens to new connections at the limit on connections, rate or load.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum WhenFull {
    /// Let them wait in the backlog
    #[default]
    Wait,
    /// Refuse them with a message
    Refuse,
}
