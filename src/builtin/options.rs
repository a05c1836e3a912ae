//! The command line of the program.

use std::time::Duration;

use clap::{Args, Parser, ValueEnum};

use super::BuiltIn;
use crate::clock;
use crate::server::admission::{Limits, Network, Rate, SourcePrefix, TimeRange, load};
use crate::server::{SharedLimits, WhenFull};

/// Serve echo, discard, chargen, daytime or time
///
/// Serves the connection on standard input and output, as started by sockunit serve, systemd or an
/// inetd. If standard input is a datagram socket, answers datagrams, and exits when none arrives for
/// --idle-timeout. Never answers a datagram that comes from a port below 1024, and never with more bytes than it
/// has. At the command line, uses standard input and output.
#[derive(Debug, Parser)]
#[command(name = "builtin", version, max_term_width = 80)]
pub(super) struct Options {
    /// The service
    #[arg(value_enum, value_name = "SERVICE")]
    pub(super) built_in: BuiltIn,
    /// Send the bytes that this program sends, where the RFCs leave the choice
    #[arg(long, value_enum, default_value_t)]
    pub(super) edition: Edition,
    #[command(flatten)]
    pub(super) rules: Rules,
    /// Exit if no datagram arrived for this long
    #[arg(long, value_name = "DURATION", default_value = "1min", value_parser = clock::duration)]
    pub(super) idle_timeout: Duration,
}

/// The rules for datagrams, with the names that `sockunit serve` has for those of connections.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options for datagrams")]
#[group(skip)]
pub(super) struct Rules {
    /// Answer at most N datagrams per second, or per DURATION (100/1min) [default: no limit]
    #[arg(long, value_name = "N[/DURATION]")]
    rate: Option<Rate>,
    /// Once --rate is reached, answer no datagram for at least this long [default: until the end of its
    /// DURATION]
    #[arg(long, value_name = "DURATION", requires = "rate", value_parser = clock::duration)]
    rate_pause: Option<Duration>,
    /// Answer N datagrams of a source at once, and then N per second or per DURATION (20/1min), evenly
    /// spaced, and not the others; see --source-prefix [default: no limit]
    #[arg(long, value_name = "N[/DURATION]")]
    rate_per_source: Option<Rate>,
    /// Treat addresses as one source if they have this many leading bits in common, for IPv4 and for
    /// IPv6
    #[arg(long, value_name = "V4,V6", default_value_t)]
    source_prefix: SourcePrefix,
    /// Answer no datagram while the load average of the last minute is higher [default: no limit]
    #[arg(long, value_name = "LOAD", value_parser = load)]
    max_load: Option<f64>,
    /// Answer no datagram outside these times of day, in the local time zone; repeatable
    /// [default: any time]
    #[arg(long, value_name = "HH:MM-HH:MM")]
    access_times: Vec<TimeRange>,
    /// Answer datagrams from this address or network only; repeatable [default: answer all]
    #[arg(long, value_name = "NETWORK")]
    allow: Vec<Network>,
    /// Answer no datagram from this address or network, even if allowed; repeatable
    #[arg(long, value_name = "NETWORK")]
    deny: Vec<Network>,
}

impl Rules {
    /// The limits on all datagrams and those on each source.
    pub(super) fn limits(self) -> (Limits, SharedLimits) {
        let limits = Limits {
            rate: self.rate,
            rate_pause: self.rate_pause.unwrap_or_default(),
            max_load: self.max_load,
            access_times: self.access_times,
            allow: self.allow,
            deny: self.deny,
            ..Limits::default()
        };
        let shared = SharedLimits {
            rate_per_source: self.rate_per_source,
            source_prefix: self.source_prefix,
            penalty: None,
            when_full: WhenFull::Refuse,
        };
        (limits, shared)
    }
}

/// Which program's bytes are sent where the RFCs leave the choice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Edition {
    /// xinetd 2.3.15
    #[default]
    Xinetd,
    /// openbsd-inetd, inetutils-inetd and the inetd of FreeBSD
    Inetd,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::ConnectionRules;

    #[test]
    fn rules_have_the_options_of_those_for_connections() {
        let rules = ConnectionRules {
            rate: "50/90s".parse().ok(),
            rate_pause: Some(Duration::from_secs(10)),
            max_load: Some(2.5),
            access_times: vec!["08:00-17:30".parse().unwrap()],
            allow: vec!["192.0.2.0/24".parse().unwrap()],
            deny: vec!["192.0.2.9".parse().unwrap()],
            ..ConnectionRules::default()
        };
        let shared = SharedLimits {
            rate_per_source: "20/1min".parse().ok(),
            source_prefix: "24,48".parse().unwrap(),
            ..SharedLimits::default()
        };
        let words = [rules.arguments().unwrap(), shared.arguments()].concat();
        let words = [vec!["builtin".into()], words, vec!["echo".into()]].concat();
        let parsed = Options::try_parse_from(words).unwrap();
        let (limits, of_sources) = parsed.rules.limits();
        assert_eq!(of_sources.rate_per_source, shared.rate_per_source);
        assert_eq!(of_sources.source_prefix, shared.source_prefix);
        assert_eq!(limits.rate, rules.rate);
        assert_eq!(Some(limits.rate_pause), rules.rate_pause);
        assert_eq!(limits.max_load, rules.max_load);
        assert_eq!(limits.access_times, rules.access_times);
        assert_eq!((limits.allow, limits.deny), (rules.allow, rules.deny));
    }
}
