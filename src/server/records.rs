//! The records of a process that serves many connections.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use crate::connection::{Peer, Summary, Traffic};
use crate::log::{Allowance, Log, Priority};

/// Records that are written singly in a second. journald takes 10,000 in 30 seconds from a
/// service and drops the others.
const A_SECOND: u32 = 200;

/// A connection, as its records name it.
#[derive(Debug, Clone, Copy)]
pub struct Name {
    /// Its number in the life of this process.
    pub number: u64,
    /// The other end.
    pub peer: Peer,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.number, self.peer)
    }
}

/// Writes records singly as far as the allowance goes, and once a second the sum of the others.
#[derive(Debug)]
pub struct Records<'l> {
    log: &'l mut Log,
    allowance: Allowance,
    left_out: Tally,
    /// When the log is asked again to take what it did not take.
    next_try: Instant,
    /// When something that is amiss may be told of again.
    next_complaint: Option<Instant>,
}

/// How long it is left in peace before.
const TRY_EVERY: Duration = Duration::from_secs(1);

/// How often something that is amiss is told of.
const COMPLAIN_EVERY: Duration = Duration::from_secs(1);

/// What was not written singly.
#[derive(Debug, Default)]
struct Tally {
    ends: BTreeMap<String, u64>,
    traffic: Traffic,
    exchanges: u64,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let connections: u64 = self.ends.values().sum();
        write!(f, "not logged singly: {connections} connections")?;
        if connections > 0 {
            let ends: Vec<String> = self
                .ends
                .iter()
                .map(|(end, count)| format!("{count} {end}"))
                .collect();
            let ends = ends.join(", ");
            write!(
                f,
                " ({ends}; {} bytes received, {} bytes sent)",
                self.traffic.received, self.traffic.sent
            )?;
        }
        write!(f, ", {} exchanges", self.exchanges)
    }
}

impl<'l> Records<'l> {
    /// Records into this log.
    pub fn new(log: &'l mut Log, now: Instant) -> Records<'l> {
        Records {
            log,
            allowance: Allowance::new(A_SECOND, now),
            left_out: Tally::default(),
            next_try: now,
            next_complaint: None,
        }
    }

    /// Something was said to and fro.
    pub fn exchange(&mut self, name: Name, exchange: impl fmt::Display, now: Instant) {
        self.sum_up(now);
        if self.allowance.pass(now) {
            self.write(name, &format!("{} {exchange}", name.peer));
        } else {
            self.left_out.exchanges += 1;
        }
    }

    /// A connection has ended. The ways to end, `summary.end`, are not many.
    pub fn ended(&mut self, name: Name, summary: Summary<'_>, now: Instant) {
        self.sum_up(now);
        if self.allowance.pass(now) {
            self.write(name, &summary.to_string());
            return;
        }
        let Tally { ends, traffic, .. } = &mut self.left_out;
        match ends.get_mut(summary.end) {
            Some(count) => *count += 1,
            None => {
                ends.insert(summary.end.into(), 1);
            }
        }
        let more = summary.traffic.unwrap_or_default();
        traffic.received += more.received;
        traffic.sent += more.sent;
    }

    /// Something is amiss that concerns no single connection. That may be so for each that comes, and
    /// is told once a second.
    pub fn complain(&mut self, text: &str, now: Instant) {
        if self.next_complaint.is_none_or(|next| next <= now) {
            self.log.write(Priority::Error, text);
            self.next_complaint = Some(now + COMPLAIN_EVERY);
        }
    }

    /// Writes the sum of what was left out, once the second is over, and of what was lost.
    pub fn sum_up(&mut self, now: Instant) {
        if self.allowance.due(now).is_some() {
            self.write_sum();
        }
        if self.log.has_lost() && now >= self.next_try {
            self.log.tell_lost();
            self.next_try = now + TRY_EVERY;
        }
    }

    /// When [`Records::sum_up`] has something to write.
    pub fn due(&self) -> Option<Instant> {
        let lost = self.log.has_lost().then_some(self.next_try);
        self.allowance.due_at().into_iter().chain(lost).min()
    }

    /// Writes what is left, at the end.
    pub fn finish(&mut self) {
        if self.allowance.rest().is_some() {
            self.write_sum();
        }
        self.log.tell_lost();
    }

    fn write_sum(&mut self) {
        let sum = std::mem::take(&mut self.left_out);
        self.log.notice(&sum.to_string());
    }

    fn write(&mut self, name: Name, text: &str) {
        let connection = name.to_string();
        let (address, port) = match name.peer {
            Peer::Tcp(address) => (address.ip().to_string(), address.port().to_string()),
            _ => (String::new(), String::new()),
        };
        let fields = [
            ("CONNECTION", connection.as_str()),
            ("REMOTE_ADDR", &address),
            ("REMOTE_PORT", &port),
        ];
        self.log.write_with(Priority::Notice, text, &fields);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_tells_what_was_left_out() {
        let mut tally = Tally {
            traffic: Traffic {
                received: 7,
                sent: 123,
            },
            exchanges: 4,
            ..Tally::default()
        };
        tally.ends.insert("served".into(), 3);
        tally.ends.insert("client gone".into(), 1);
        assert_eq!(
            tally.to_string(),
            "not logged singly: 4 connections (1 client gone, 3 served; 7 bytes received, 123 \
             bytes sent), 4 exchanges"
        );
    }
}
