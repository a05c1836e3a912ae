//! What the user says about programs that are started for connections.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::clock;
use crate::server::admission::{Message, Range, Rate, Span, load};

/// Options of a process that starts a program for each connection.
#[derive(Debug, Clone, Args)]
#[group(skip)]
pub struct Options {
    /// Take so many new connections in a second, or in another time: 100/1min
    #[arg(long, value_name = "N[/DURATION]")]
    pub rate: Option<Rate>,
    /// Once --rate is reached, take nobody for this long
    #[arg(long, value_name = "DURATION", requires = "rate", value_parser = clock::duration)]
    pub rate_pause: Option<Duration>,
    /// Take nobody while the load average of the last minute is higher
    #[arg(long, value_name = "LOAD", value_parser = load)]
    pub max_load: Option<f64>,
    /// Serve at these times of the day only, by the system's time zone; repeatable
    #[arg(long, value_name = "HH:MM-HH:MM")]
    pub access_times: Vec<Span>,
    /// Serve these addresses or networks only; repeatable
    #[arg(long, value_name = "RANGE")]
    pub allow: Vec<Range>,
    /// Refuse these addresses or networks, allowed or not; repeatable
    #[arg(long, value_name = "RANGE")]
    pub deny: Vec<Range>,
    /// Tell clients this who are refused because of full, source, rate, load, hours, address or
    /// failure; an empty text tells them nothing
    #[arg(long, value_name = "REASON=TEXT")]
    pub message: Vec<Message>,
    /// Send this file to clients who are refused, before the message
    #[arg(long, value_name = "FILE")]
    pub refused_banner: Option<PathBuf>,
    /// Send this file before the program starts
    #[arg(long, value_name = "FILE")]
    pub banner: Option<PathBuf>,
    /// End a conversation in which nothing was said for this long
    #[arg(long, value_name = "DURATION", value_parser = clock::duration)]
    pub idle_timeout: Option<Duration>,
    /// End a conversation after this long
    #[arg(long, value_name = "DURATION", value_parser = clock::duration)]
    pub time_limit: Option<Duration>,
    /// How long a program may go on whose client is gone, and how long it may take to end when it is
    /// told to
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = clock::duration)]
    pub grace: Duration,
    /// The program, with its arguments
    #[arg(value_name = "PROGRAM", required = true, last = true)]
    pub command: Vec<OsString>,
}
