//! Limits on connections.

use std::time::Duration;

use super::super::units::{Socket, Start, UNLIMITED, rate_of_source};
use super::{Converter, Dialect, Fate};
use crate::server::SourcePrefix;
use crate::superserver::inetd::Limits;

/// How long a port is closed.
const PAUSE: Duration = Duration::from_secs(600);

impl Converter<'_> {
    /// The concurrency limits: of all connections, and of those of an address.
    pub(super) fn limits(&mut self) -> (u32, u32) {
        let limits = &self.service.limits;
        if self.start == Start::Datagrams {
            if *limits != Limits::default() {
                self.entry(Fate::Kept, "limits", "inetd counts no datagrams");
            }
            return (1, 1);
        }
        let per_minute = limits.per_minute;
        if let Start::Waits(_) = self.start {
            self.starts(per_minute);
            return (1, 1);
        }
        match per_minute {
            Some(0) => self.entry(Fate::Kept, ".0", "no limit"),
            Some(number) => self.per_minute(number),
            None => self.default(
                Fate::Lost,
                "limit per minute",
                "inetd's default limit (256 in openbsd-inetd, 40 in inetutils-inetd) is not \
                 applied; .N after nowait sets one",
            ),
        }
        if let Some(number) = limits.per_source_per_minute.filter(|number| *number > 0) {
            self.shared.rate_per_source = format!("{number}/1min").parse().ok();
            self.entry(
                Fate::Kept,
                &format!("/{number} per minute for a source"),
                "--rate-per-source",
            );
        }
        let max = limits.instances.filter(|number| *number > 0);
        let per_source = limits.per_source.filter(|number| *number > 0);
        match max {
            Some(number) => self.entry(Fate::Kept, &format!("/{number}"), "--max-connections"),
            None => {
                let text = format!("at most {UNLIMITED} connections at once");
                self.default(Fate::Otherwise, "no limit on instances", &text);
            }
        }
        if let Some(number) = per_source {
            self.entry(
                Fate::Kept,
                &format!("/{number} for a source"),
                "--per-source",
            );
        }
        if per_source.is_some() || self.shared.rate_per_source.is_some() {
            self.shared.source_prefix = SourcePrefix::WHOLE;
        }
        let max = max.unwrap_or(UNLIMITED);
        (max, per_source.unwrap_or(max))
    }

    /// The most starts in a minute of a program that gets the listening socket. Without a limit, one that does not
    /// accept the connection would start again and again.
    fn starts(&mut self, limit: Option<u32>) {
        if limit == Some(0) {
            self.entry(Fate::Kept, ".0", "no limit");
            return;
        }
        let default = match self.service.dialect {
            Dialect::OpenBsd | Dialect::FreeBsd => 256,
            Dialect::Inetutils => 40,
        };
        let rate = limit.unwrap_or(default);
        self.rules.rate = format!("{rate}/1min").parse().ok();
        self.rules.rate_pause = Some(PAUSE);
        let text = match self.start {
            Start::Waits(Socket::Datagram) => {
                let (of_source, added) = rate_of_source(self.rules.rate);
                self.shared.rate_per_source = of_source;
                format!(
                    "--rate {rate}/1min and --rate-pause: in the pause, datagrams are discarded; inetd closes the port; {added}"
                )
            }
            _ => format!(
                "--rate {rate}/1min and --rate-pause: in the pause, connections wait; inetd closes the port"
            ),
        };
        match limit {
            Some(_) => self.entry(Fate::Otherwise, &format!(".{rate}"), &text),
            None => self.default(Fate::Otherwise, "limit per minute with wait", &text),
        }
    }

    /// The most connections in a minute.
    fn per_minute(&mut self, number: u32) {
        // openbsd-inetd refuses the connection with which its count reaches the number, but for the first.
        let is_openbsd = self.service.dialect == Dialect::OpenBsd;
        let rate = match is_openbsd {
            true => (number - 1).max(1),
            false => number,
        };
        self.rules.rate = format!("{rate}/1min").parse().ok();
        self.rules.rate_pause = Some(PAUSE);
        let mut text = format!(
            "--rate {rate}/1min and --rate-pause: new connections are closed at once in the pause; inetd closes the port"
        );
        if is_openbsd {
            text += "; openbsd-inetd serves one connection less than the number, counts IPv4 and \
                     IPv6 clients separately, and has no pause for IPv4 clients with source \
                     ports of 1024 and higher";
        }
        self.entry(Fate::Otherwise, &format!(".{number}"), &text);
    }
}
