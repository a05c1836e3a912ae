//! How many connections in how much time.

use std::str::FromStr;
use std::time::{Duration, Instant};

use crate::clock;

/// A number of connections in a time, as a user writes it: `50` for 50 a second, or `50/1min`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    most: u32,
    time: Duration,
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Rate, String> {
        let (most, time) = match text.split_once('/') {
            Some((most, time)) => (most, clock::duration(time)?),
            None => (text, Duration::from_secs(1)),
        };
        match most.parse() {
            Ok(most @ 1..) => Ok(Rate { most, time }),
            _ => Err("give a number of connections, and a time such as in 50/1min".into()),
        }
    }
}

/// Counts connections against a rate.
#[derive(Debug)]
pub struct Meter {
    rate: Rate,
    /// How long it stays closed at least once the rate is reached.
    pause: Duration,
    /// Since when these are counted.
    since: Option<Instant>,
    count: u32,
    closed_until: Option<Instant>,
}

impl Meter {
    /// Nobody has come yet.
    pub fn new(rate: Rate, pause: Duration) -> Meter {
        Meter {
            rate,
            pause,
            since: None,
            count: 0,
            closed_until: None,
        }
    }

    /// When the next may come; `None` where that is now.
    pub fn closed_until(&self, now: Instant) -> Option<Instant> {
        self.closed_until.filter(|until| now < *until)
    }

    /// When those who came are forgotten, so that a process that begins anew would know no less; `None`
    /// where they are.
    pub fn counts_until(&self, now: Instant) -> Option<Instant> {
        let window = self.since.map(|since| since + self.rate.time);
        let until = window.into_iter().chain(self.closed_until).max();
        until.filter(|until| now < *until)
    }

    /// Counts one who came.
    pub fn count(&mut self, now: Instant) {
        let since = match self.since {
            Some(since) if now < since + self.rate.time => since,
            _ => {
                self.count = 0;
                now
            }
        };
        self.since = Some(since);
        self.count += 1;
        if self.count >= self.rate.most {
            self.closed_until = Some((since + self.rate.time).max(now + self.pause));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_rate_is_a_number_and_maybe_a_time() {
        let rate = |most, seconds| {
            Ok(Rate {
                most,
                time: Duration::from_secs(seconds),
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
    fn past_the_rate_it_is_closed_until_the_time_is_over() {
        let start = Instant::now();
        let mut meter = Meter::new("3/10s".parse().unwrap(), Duration::ZERO);
        for second in 0..3 {
            let now = start + SECOND * second;
            assert_eq!(meter.closed_until(now), None);
            meter.count(now);
        }
        assert_eq!(
            meter.closed_until(start + SECOND * 3),
            Some(start + SECOND * 10)
        );
        let (before, after) = (start + SECOND * 9, start + SECOND * 10);
        assert_eq!(meter.counts_until(before), Some(after));
        assert_eq!(meter.counts_until(after), None);
        assert_eq!(meter.closed_until(start + SECOND * 10), None);
        meter.count(start + SECOND * 10);
        assert_eq!(meter.closed_until(start + SECOND * 11), None);
    }

    #[test]
    fn a_pause_closes_it_for_longer() {
        let start = Instant::now();
        let mut meter = Meter::new("1".parse().unwrap(), SECOND * 30);
        meter.count(start);
        assert_eq!(
            meter.closed_until(start + SECOND * 2),
            Some(start + SECOND * 30)
        );
    }
}
