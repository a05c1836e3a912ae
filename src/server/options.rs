//! What the user says about a process that serves many connections.

use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::clock;

/// Options of every service program, for where one process serves all connections.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(next_help_heading = "Options of a process that serves many connections")]
#[group(skip)]
pub struct Options {
    /// Listen here, with no systemd: ADDRESS:PORT, or the path of an AF_UNIX socket; repeatable
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Vec<String>,
    /// Serve at most this many connections at once
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_connections: u32,
    /// Serve at most this many connections of one address (of one /64 network for IPv6)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub per_source: Option<u32>,
    /// What happens to a client that comes when there is no place for it
    #[arg(long, value_enum, default_value_t)]
    pub when_full: WhenFull,
    /// Leave when there was no connection for this long; systemd starts the service again
    #[arg(long, value_name = "DURATION", value_parser = clock::duration)]
    pub exit_idle_time: Option<Duration>,
    /// When told to stop, let conversations go on for this long
    #[arg(long, value_name = "DURATION", default_value = "20s", value_parser = clock::duration)]
    pub stop_timeout: Duration,
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

/// What happens to a client that comes when all places are taken, or that comes too soon.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum WhenFull {
    /// It waits in the listener's queue.
    #[default]
    Wait,
    /// It is told so in a sentence.
    Refuse,
}
