//! Options of a process that starts a program for each connection.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::clock;
use crate::server::admission::{Network, Rate, RefusalMessage, TimeRange, load};

/// Options of a process that starts a program for each connection.
#[derive(Debug, Clone, Args)]
#[group(skip)]
pub struct ProgramOptions {
    /// Accept at most N new connections per second, or per DURATION (100/1min); see --when-full
    /// [default: no limit]
    #[arg(long, value_name = "N[/DURATION]")]
    pub rate: Option<Rate>,
    /// Accept no connection for this long once --rate is reached, if that is longer than until the
    /// end of its DURATION
    #[arg(long, value_name = "DURATION", requires = "rate", value_parser = clock::duration)]
    pub rate_pause: Option<Duration>,
    /// Accept no connection while the load average of the last minute is higher; see --when-full
    /// [default: no limit]
    #[arg(long, value_name = "LOAD", value_parser = load)]
    pub max_load: Option<f64>,
    /// Refuse connections outside these times of day, in the local time zone; may be repeated
    /// [default: any time]
    #[arg(long, value_name = "HH:MM-HH:MM")]
    pub access_times: Vec<TimeRange>,
    /// Accept connections from this address or network only; may be repeated [default: accept all]
    #[arg(long, value_name = "NETWORK")]
    pub allow: Vec<Network>,
    /// Refuse connections from this address or network, even if allowed; may be repeated
    #[arg(long, value_name = "NETWORK")]
    pub deny: Vec<Network>,
    /// Send TEXT to clients that are refused for REASON (full, source, source-rate, penalty, rate, load,
    /// access-times, address or failure) instead of the default message; send nothing if TEXT is empty
    #[arg(long, value_name = "REASON=TEXT")]
    pub message: Vec<RefusalMessage>,
    /// Send this file to refused clients, before the message
    #[arg(long, value_name = "FILE")]
    pub refused_banner: Option<PathBuf>,
    /// Send this file to clients before the program starts
    #[arg(long, value_name = "FILE")]
    pub banner: Option<PathBuf>,
    /// Stop the program if no byte was sent or received for this long [default: never]
    #[arg(long, value_name = "DURATION", value_parser = clock::duration)]
    pub idle_timeout: Option<Duration>,
    /// Stop the program after this long [default: never]
    #[arg(long, value_name = "DURATION", value_parser = clock::duration)]
    pub time_limit: Option<Duration>,
    /// Wait this long for the program to exit after the client disconnects, then send SIGTERM and,
    /// after the same time again, SIGKILL
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = clock::duration)]
    pub grace: Duration,
    /// Keep the programs of different connections from reading and tracing each other and this process
    /// and, from Linux 6.12 on, from sending them signals; none of them can gain privileges
    #[arg(long)]
    pub isolate: bool,
    /// The program to start for each connection, and its arguments
    #[arg(value_name = "PROGRAM", required = true, last = true)]
    pub command: Vec<OsString>,
}
