//! A limit on new connections per time.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::{Duration, Instant};

use crate::clock::{self, duration_word};

/// A number of connections per time: `50` is 50 per second, `50/1min` is 50 per minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    max: u32,
    interval: Duration,
}

impl Rate {
    pub(crate) fn max(self) -> u32 {
        self.max
    }

    pub(crate) fn interval(self) -> Duration {
        self.interval
    }

    /// A part of the rate, rounded down. `None` if that is 0.
    pub(crate) fn divided_by(self, divisor: NonZeroU32) -> Option<Rate> {
        let max = self.max / divisor;
        (max > 0).then_some(Rate { max, ..self })
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Rate, String> {
        let (max, interval) = match text.split_once('/') {
            Some((max, interval)) => (max, clock::duration(interval)?),
            None => (text, Duration::from_secs(1)),
        };
        match max.parse() {
            Ok(max @ 1..) => Ok(Rate { max, interval }),
            _ => Err(
                "give a number of connections such as 50, or one per time such as 50/1min".into(),
            ),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rate { max, interval } = self;
        match *interval == Duration::from_secs(1) {
            true => max.fmt(f),
            false => write!(f, "{max}/{}", duration_word(*interval)),
        }
    }
}

/// Counts connections in consecutive intervals.
#[derive(Debug)]
pub(super) struct RateLimiter {
    rate: Rate,
    /// The shortest time for which no connection is accepted once the limit is reached.
    pause: Duration,
    /// When the current interval started.
    interval_start: Option<Instant>,
    count: u32,
    limited_until: Option<Instant>,
}

impl RateLimiter {
    pub(super) fn new(rate: Rate, pause: Duration) -> RateLimiter {
        RateLimiter {
            rate,
            pause,
            interval_start: None,
            count: 0,
            limited_until: None,
        }
    }

    /// If the limit is reached, when the next connection may be accepted.
    pub(super) fn limited_until(&self, now: Instant) -> Option<Instant> {
        self.limited_until.filter(|until| now < *until)
    }

    /// Until when the counted connections matter. After that, a new process would accept the same
    /// connections as this one.
    pub(super) fn counts_until(&self, now: Instant) -> Option<Instant> {
        let interval_end = self.interval_start.map(|start| start + self.rate.interval);
        let until = interval_end.into_iter().chain(self.limited_until).max();
        until.filter(|until| now < *until)
    }

    /// Counts a connection.
    pub(super) fn count(&mut self, now: Instant) {
        let start = match self.interval_start {
            Some(start) if now < start + self.rate.interval => start,
            _ => {
                self.count = 0;
                now
            }
        };
        self.interval_start = Some(start);
        self.count += 1;
        if self.count >= self.rate.max {
            self.limited_until = Some((start + self.rate.interval).max(now + self.pause));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_rate_is_a_number_with_an_optional_interval() {
        let rate = |max, seconds| {
            Ok(Rate {
                max,
                interval: Duration::from_secs(seconds),
            })
        };
        assert_eq!("50".parse(), rate(50, 1));
        assert_eq!("50/1min".parse(), rate(50, 60));
        assert_eq!("1/10".parse(), rate(1, 10));
        for text in ["", "0", "-1", "many", "50/", "50/0s", "/s", "1.5"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }

    #[test]
    fn at_the_limit_no_connection_is_accepted_until_the_interval_ends() {
        let start = Instant::now();
        let mut limiter = RateLimiter::new("3/10s".parse().unwrap(), Duration::ZERO);
        for second in 0..3 {
            let now = start + SECOND * second;
            assert_eq!(limiter.limited_until(now), None);
            limiter.count(now);
        }
        assert_eq!(
            limiter.limited_until(start + SECOND * 3),
            Some(start + SECOND * 10)
        );
        let (before, after) = (start + SECOND * 9, start + SECOND * 10);
        assert_eq!(limiter.counts_until(before), Some(after));
        assert_eq!(limiter.counts_until(after), None);
        assert_eq!(limiter.limited_until(start + SECOND * 10), None);
        limiter.count(start + SECOND * 10);
        assert_eq!(limiter.limited_until(start + SECOND * 11), None);
    }

    #[test]
    fn a_pause_extends_the_time_without_connections() {
        let start = Instant::now();
        let mut limiter = RateLimiter::new("1".parse().unwrap(), SECOND * 30);
        limiter.count(start);
        assert_eq!(
            limiter.limited_until(start + SECOND * 2),
            Some(start + SECOND * 30)
        );
    }
}
