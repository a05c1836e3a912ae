//! The log of a process that serves many connections.

use std::fmt;
use std::time::{Duration, Instant};

use super::admission::{Penalty, Refusal};
use super::end::End;
use super::proxy::Via;
use crate::connection::{Peer, Summary, Traffic};
use crate::log::{Count, Log, Priority, Throttle};

/// Entries per second; the others are summed up. journald accepts 10,000 in 30 seconds from a
/// service and drops the others.
const ENTRIES_PER_SECOND: u32 = 200;

/// How often it is tried to report dropped entries.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// How often an error that may concern every connection is logged.
const ERROR_INTERVAL: Duration = Duration::from_secs(1);

/// How often a refusal is logged singly for each reason.
const REFUSAL_INTERVAL: Duration = Duration::from_secs(1);

/// A connection in the log. Its text is the journal field CONNECTION.
#[derive(Debug, Clone, Copy)]
pub(super) struct ConnectionId {
    /// Its number, from 1 in each process.
    pub number: u64,
    /// The client.
    pub peer: Peer,
    /// How it got here.
    pub via: Via,
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.number, self.peer)
    }
}

/// Writes one entry per event up to a rate, and one entry per second with the sum of the others.
#[derive(Debug)]
pub(super) struct ConnectionLog<'l> {
    log: &'l mut Log,
    throttle: Throttle,
    suppressed: Suppressed,
    /// When the next refusal for each reason is logged singly.
    next_refusal: Vec<(End, Instant)>,
    next_report: Instant,
    next_error: Option<Instant>,
}

/// The sum of what was not logged singly.
#[derive(Debug, Default)]
struct Suppressed {
    /// There are few different ends.
    ends: Vec<(End, u64)>,
    traffic: Traffic,
    exchanges: u64,
    penalties: u64,
}

impl Suppressed {
    fn add(&mut self, summary: &Summary<End>) {
        match self.ends.iter_mut().find(|(end, _)| *end == summary.end) {
            Some((_, count)) => *count += 1,
            None => self.ends.push((summary.end, 1)),
        }
        let traffic = summary.traffic.unwrap_or_default();
        self.traffic.received += traffic.received;
        self.traffic.sent += traffic.sent;
    }
}

impl fmt::Display for Suppressed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let connections = self.ends.iter().map(|(_, count)| count).sum();
        write!(f, "not logged singly: {}", Count(connections, "connection"))?;
        if connections > 0 {
            let mut ends: Vec<(String, u64)> = self
                .ends
                .iter()
                .map(|(end, count)| (end.to_string(), *count))
                .collect();
            ends.sort_unstable();
            let ends: Vec<String> = ends
                .into_iter()
                .map(|(end, count)| format!("{count} {end}"))
                .collect();
            let Traffic { received, sent } = self.traffic;
            write!(
                f,
                " ({}; {} received, {} sent)",
                ends.join(", "),
                Count(received, "byte"),
                Count(sent, "byte")
            )?;
        }
        write!(f, ", {}", Count(self.exchanges, "exchange"))?;
        match self.penalties {
            0 => Ok(()),
            1 => f.write_str(", 1 penalty"),
            penalties => write!(f, ", {penalties} penalties"),
        }
    }
}

impl<'l> ConnectionLog<'l> {
    pub(super) fn new(log: &'l mut Log, now: Instant) -> ConnectionLog<'l> {
        ConnectionLog {
            log,
            throttle: Throttle::new(ENTRIES_PER_SECOND, now),
            suppressed: Suppressed::default(),
            next_refusal: Vec::new(),
            next_report: now,
            next_error: None,
        }
    }

    /// Logs an exchange.
    pub(super) fn exchange(&mut self, id: ConnectionId, exchange: impl fmt::Display, now: Instant) {
        self.write_due(now);
        if self.throttle.admit(now) {
            self.write(id, None, &format!("{} {exchange}", id.peer), &[]);
        } else {
            self.suppressed.exchanges += 1;
        }
    }

    /// Logs that a connection ended.
    pub(super) fn ended(&mut self, id: ConnectionId, summary: Summary<End>, now: Instant) {
        self.write_due(now);
        if summary.end == End::Refused(Refusal::Penalty) {
            // The entry of the next penalty has the number of these.
            return;
        }
        if summary.end.is_refusal() && !self.may_log_refusal(summary.end, now) {
            self.throttle.suppress(now);
            self.suppressed.add(&summary);
            return;
        }
        if self.throttle.admit(now) {
            self.write(id, Some(summary.end.event()), &summary.to_string(), &[]);
        } else {
            self.suppressed.add(&summary);
        }
    }

    /// Returns whether a refusal is logged singly: for each reason one per interval, so that
    /// refusals never use up the entries of the connections that are served.
    fn may_log_refusal(&mut self, reason: End, now: Instant) -> bool {
        let next = now + REFUSAL_INTERVAL;
        match self.next_refusal.iter_mut().find(|(of, _)| *of == reason) {
            Some((_, at)) if now < *at => false,
            Some((_, at)) => {
                *at = next;
                true
            }
            None => {
                self.next_refusal.push((reason, next));
                true
            }
        }
    }

    /// Logs that a penalty begins, because a connection ended like this.
    pub(super) fn penalty(&mut self, id: ConnectionId, penalty: Penalty, end: End, now: Instant) {
        if !self.throttle.admit(now) {
            self.suppressed.penalties += 1;
            return;
        }
        let source = penalty.source.to_string();
        let seconds = penalty.length.as_secs_f64().to_string();
        let fields = [
            ("SOCKUNIT_SOURCE", source.as_str()),
            ("SOCKUNIT_PENALTY_SEC", &seconds),
        ];
        let cause = match end {
            End::Refused(reason) => reason.to_string(),
            end => end.to_string(),
        };
        self.write(id, Some("penalty"), &penalty.entry(&cause), &fields);
    }

    /// Logs an error that belongs to no single connection and may recur with each: at most once
    /// per second.
    pub(super) fn error(&mut self, message: &str, now: Instant) {
        if self.next_error.is_none_or(|next| next <= now) {
            self.log.write(Priority::Error, message);
            self.next_error = Some(now + ERROR_INTERVAL);
        }
    }

    /// Logs a message that its writer keeps to a rate of its own. Returns false if the log does not
    /// accept it now.
    pub(super) fn try_warning(&mut self, message: &str) -> bool {
        self.log.try_warning(message)
    }

    /// Logs that the process waits for open connections before it exits.
    pub(super) fn draining(&mut self, open: u64, timeout: Duration) {
        if open > 0 {
            let open = Count(open, "connection");
            self.log.notice(&format!(
                "stopping: waiting up to {timeout:?} for {open} to end; a second SIGINT (Ctrl-C) or SIGTERM ends the wait"
            ));
        }
    }

    /// Writes the sums that are due.
    pub(super) fn write_due(&mut self, now: Instant) {
        if self.throttle.take_due(now).is_some() {
            self.write_suppressed();
        }
        if self.log.has_dropped() && now >= self.next_report {
            self.log.report_dropped();
            self.next_report = now + REPORT_INTERVAL;
        }
    }

    /// When [`ConnectionLog::write_due`] has something to write.
    pub(super) fn due_at(&self) -> Option<Instant> {
        let report = self.log.has_dropped().then_some(self.next_report);
        self.throttle.due_at().into_iter().chain(report).min()
    }

    /// Writes the remaining sums when the process stops.
    pub(super) fn finish(&mut self) {
        if self.throttle.take().is_some() {
            self.write_suppressed();
        }
        self.log.report_dropped();
    }

    fn write_suppressed(&mut self) {
        let suppressed = std::mem::take(&mut self.suppressed);
        self.log.notice(&suppressed.to_string());
    }

    fn write(
        &mut self,
        id: ConnectionId,
        event: Option<&str>,
        message: &str,
        more: &[(&str, &str)],
    ) {
        let connection = id.to_string();
        let (address, port) = match id.peer {
            Peer::Tcp(address) => (address.ip().to_string(), address.port().to_string()),
            _ => (String::new(), String::new()),
        };
        let fields = [
            ("CONNECTION", connection.as_str()),
            ("REMOTE_ADDR", &address),
            ("REMOTE_PORT", &port),
            // `doctor` finds the entry by this field, which no client can forge.
            ("SOCKUNIT_EVENT", event.unwrap_or_default()),
        ];
        let fields = [&fields, more].concat();
        self.log.write_with(Priority::Notice, message, &fields);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::JournalProtocol;
    use crate::session::SessionEnd;
    use std::os::fd::AsFd;

    #[test]
    fn the_sum_has_the_ends_and_the_bytes() {
        let mut suppressed = Suppressed {
            exchanges: 4,
            ..Suppressed::default()
        };
        for (end, sent) in [
            (SessionEnd::Served, 41),
            (SessionEnd::ClientGone, 0),
            (SessionEnd::Served, 41),
            (SessionEnd::Served, 41),
        ] {
            suppressed.add(&Summary {
                peer: Peer::Unknown,
                end: End::Session(end),
                pid: None,
                traffic: Some(Traffic { received: 7, sent }),
                duration: Duration::ZERO,
            });
        }
        assert_eq!(
            suppressed.to_string(),
            "not logged singly: 4 connections (1 client gone, 3 served; 28 bytes received, 123 \
             bytes sent), 4 exchanges"
        );
    }

    #[test]
    fn refusals_are_logged_once_per_reason_and_interval() {
        let now = Instant::now();
        let stderr = std::io::stderr();
        let mut log = Log::open("test", false, stderr.as_fd(), JournalProtocol::Stream);
        let mut log = ConnectionLog::new(&mut log, now);
        let mut singly = |reason, after| {
            (0..1000)
                .filter(|_| log.may_log_refusal(End::Refused(reason), now + after))
                .count()
        };
        assert_eq!(singly(Refusal::Full, Duration::ZERO), 1);
        assert_eq!(singly(Refusal::Source, Duration::ZERO), 1);
        assert_eq!(singly(Refusal::Full, REFUSAL_INTERVAL), 1);
    }
}
