//! A limit on new connections per time from one source.

use std::time::{Duration, Instant};

use super::rate_limit::Rate;
use super::source::Source;
use super::source_table::SourceTable;

/// Counts the connections of each source.
///
/// A source may open as many connections at once as the rate allows per interval, and gets one back
/// each time that the interval divided by this number has passed. All that has to be known of a source
/// is when it will have all of them back.
#[derive(Debug)]
pub(super) struct SourceRateLimiter {
    interval: Duration,
    step: Duration,
    full_at: SourceTable<Instant>,
}

impl SourceRateLimiter {
    pub(super) fn new(rate: Rate) -> SourceRateLimiter {
        SourceRateLimiter {
            interval: rate.interval(),
            step: rate.interval() / rate.max(),
            full_at: SourceTable::default(),
        }
    }

    /// Until when the counted connections matter.
    pub(super) fn counts_until(&self) -> Option<Instant> {
        self.full_at.until()
    }

    /// Counts a connection; returns false if the source has reached its limit.
    pub(super) fn admit(&mut self, source: Source, now: Instant) -> bool {
        let full_at = self.full_at.get_mut(source, now).copied().unwrap_or(now);
        let full_at = full_at + self.step;
        if full_at > now + self.interval {
            return false;
        }
        self.full_at.insert(source, full_at, full_at, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_has_a_burst_and_then_one_connection_at_a_time() {
        let start = Instant::now();
        let mut limiter = SourceRateLimiter::new("5/10s".parse().unwrap());
        let mut admitted = |source, seconds| {
            let now = start + Duration::from_secs(seconds);
            (0..100)
                .filter(|_| limiter.admit(Source::User(source), now))
                .count()
        };
        assert_eq!(admitted(1, 0), 5);
        assert_eq!(admitted(2, 0), 5, "another source has a limit of its own");
        assert_eq!(admitted(1, 1), 0);
        assert_eq!(admitted(1, 2), 1);
        assert_eq!(admitted(1, 7), 2);
        assert_eq!(admitted(1, 1000), 5);
    }
}
