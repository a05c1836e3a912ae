//! Options of a process that starts a program for each connection. Those that `sockunit add` has too are in a
//! struct of their own.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueHint};

use crate::clock::{self, duration_word};
use crate::server::admission::{Network, Rate, RefusalMessage, TimeRange, load};

/// The rules for connections, for `sockunit serve` and `sockunit add`.
#[derive(Debug, Clone, Default, PartialEq, Args)]
#[group(skip)]
pub(crate) struct ConnectionRules {
    /// Accept at most N new connections per second, or per DURATION (100/1min); see --when-full
    /// [default: no limit]
    #[arg(long, value_name = "N[/DURATION]")]
    pub rate: Option<Rate>,
    /// Once --rate is reached, accept no connection for at least this long [default: until the end of
    /// its DURATION]
    #[arg(long, value_name = "DURATION", requires = "rate", value_parser = clock::duration)]
    pub rate_pause: Option<Duration>,
    /// Accept no connection while the load average of the last minute is higher; see --when-full
    /// [default: no limit]
    #[arg(long, value_name = "LOAD", value_parser = load)]
    pub max_load: Option<f64>,
    /// Refuse connections outside these times of day, in the local time zone; repeatable
    /// [default: any time]
    #[arg(long, value_name = "HH:MM-HH:MM")]
    pub access_times: Vec<TimeRange>,
    /// Accept connections from this address or network only; repeatable [default: accept all]
    #[arg(long, value_name = "NETWORK")]
    pub allow: Vec<Network>,
    /// Refuse connections from this address or network, even if allowed; repeatable
    #[arg(long, value_name = "NETWORK")]
    pub deny: Vec<Network>,
    /// Send TEXT to clients that are refused for REASON (full, source, source-rate, penalty, rate, load,
    /// access-times, address or failure; all for each of them) instead of the default message; send nothing
    /// if TEXT is empty
    #[arg(long, value_name = "REASON=TEXT")]
    pub message: Vec<RefusalMessage>,
    /// Send this file to refused clients, before the message; repeatable
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub refused_banner: Vec<PathBuf>,
    /// Send this file to clients before the program starts; repeatable
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub banner: Vec<PathBuf>,
    /// Stop the program if no byte was sent or received for this long [default: never]
    #[arg(long, value_name = "DURATION", value_parser = clock::duration)]
    pub idle_timeout: Option<Duration>,
    /// Stop the program after this long [default: never]
    #[arg(long, value_name = "DURATION", value_parser = clock::duration)]
    pub time_limit: Option<Duration>,
}

/// Options of a process that starts a program for each connection.
#[derive(Debug, Clone, Args)]
#[group(skip)]
pub(crate) struct ProgramOptions {
    #[command(flatten)]
    pub rules: ConnectionRules,
    /// Wait this long for the program to exit after the client disconnects, then send SIGTERM and,
    /// after the same time again, SIGKILL
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = clock::duration)]
    pub grace: Duration,
    /// Keep the programs of different connections from reading and tracing each other and this process
    /// and, from Linux 6.12 on, from sending them signals; none of them can gain privileges
    #[arg(long)]
    pub isolate: bool,
    /// Pass the socket on standard input, a listening or a UDP socket, to one program at a time, as inetd does
    /// with wait: start the program when a connection or a datagram arrives, and again for what arrives after it
    /// has exited; only --rate, --rate-per-source, --max-load, --access-times, --allow and --deny limit the starts
    #[arg(long, conflicts_with_all = [
        "accept_proxy", "banner", "exit_idle_time", "idle_timeout", "isolate", "listen", "max_connections", "message",
        "penalty", "per_source", "proxy_timeout", "refused_banner", "stop_timeout",
        "time_limit", "when_full",
    ])]
    pub wait: bool,
    /// Pass this name to the program as its own (argv[0]) [default: PROGRAM]
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    pub program_name: Option<OsString>,
    /// The program to start for each connection, and its arguments
    #[arg(value_name = "PROGRAM", required = true, last = true)]
    pub command: Vec<OsString>,
}

impl ConnectionRules {
    /// Whether there are access lists.
    pub(crate) fn has_lists(&self) -> bool {
        !(self.allow.is_empty() && self.deny.is_empty())
    }

    /// The rules as arguments of `sockunit serve`. `None` if a path is not UTF-8.
    pub(crate) fn arguments(&self) -> Option<Vec<String>> {
        fn all<T: ToString>(values: &[T]) -> impl Iterator<Item = String> {
            values.iter().map(T::to_string)
        }
        let duration = |value: Option<Duration>| value.map(duration_word).into_iter();
        let paths = |values: &[PathBuf]| -> Option<Vec<String>> {
            let paths = values.iter().map(|path| Some(path.to_str()?.to_owned()));
            paths.collect()
        };
        let options: [(&str, Vec<String>); 11] = [
            ("--rate", all(self.rate.as_slice()).collect()),
            ("--rate-pause", duration(self.rate_pause).collect()),
            ("--max-load", all(self.max_load.as_slice()).collect()),
            ("--access-times", all(&self.access_times).collect()),
            ("--allow", all(&self.allow).collect()),
            ("--deny", all(&self.deny).collect()),
            ("--message", all(&self.message).collect()),
            ("--refused-banner", paths(&self.refused_banner)?),
            ("--banner", paths(&self.banner)?),
            ("--idle-timeout", duration(self.idle_timeout).collect()),
            ("--time-limit", duration(self.time_limit).collect()),
        ];
        let pairs = options.into_iter().flat_map(|(option, values)| {
            let pair = move |value| [option.to_owned(), value];
            values.into_iter().flat_map(pair)
        });
        Some(pairs.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        rules: ConnectionRules,
    }

    #[test]
    fn serve_reads_its_arguments_back_as_the_same_rules() {
        let words = [
            "--rate=50/90s",
            "--rate-pause=1h 30min",
            "--max-load=2.5",
            "--access-times=8:00-17:30",
            "--access-times=22:00-0:00",
            "--allow=192.0.2.0/24",
            "--allow=2001:db8::1",
            "--deny=192.0.2.9",
            "--message=address=Go away, 100%\n",
            "--message=load=",
            "--refused-banner=/etc/no thanks",
            "--banner=/etc/motd",
            "--banner=/etc/issue",
            "--idle-timeout=5min",
            "--time-limit=1500ms",
        ];
        let parse = |words: &[String]| {
            let words = [&["serve".to_owned()], words].concat();
            Command::try_parse_from(words).unwrap().rules
        };
        let rules = parse(&words.map(str::to_owned));
        let arguments = rules.arguments().unwrap();
        assert_eq!(arguments.len(), 2 * words.len());
        assert_eq!(parse(&arguments), rules);
        // Values have one spelling, so that another spelling makes no difference to a unit.
        for word in ["50/90s", "90min", "08:00-17:30", "192.0.2.9", "1500ms"] {
            assert!(arguments.iter().any(|other| other == word), "{arguments:?}");
        }
        assert_eq!(ConnectionRules::default().arguments().unwrap(), [""; 0]);
    }
}
