//! The times of day at which connections are accepted.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;

use crate::clock;

/// A range of the day: from its first minute to the minute before its end. If the end is before the
/// start, the range includes midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimeRange {
    /// Minutes since midnight.
    start: u16,
    /// Minutes since midnight.
    end: u16,
}

impl TimeRange {
    fn contains(self, minute: u16) -> bool {
        if self.start < self.end {
            (self.start..self.end).contains(&minute)
        } else {
            minute >= self.start || minute < self.end
        }
    }
}

impl FromStr for TimeRange {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<TimeRange, &'static str> {
        let (start, end) = text
            .split_once('-')
            .and_then(|(start, end)| Some((minute(start)?, minute(end)?)))
            .ok_or("give two times of day such as 08:00-17:30 or 22:00-06:00")?;
        if start == DAY {
            return Err("begin at 00:00, not at 24:00");
        }
        if start == end {
            return Err("the two times are equal; give an interval such as 08:00-17:30");
        }
        Ok(TimeRange { start, end })
    }
}

impl fmt::Display for TimeRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [start, end] = [self.start, self.end].map(|minute| (minute / 60, minute % 60));
        write!(f, "{:02}:{:02}-{:02}:{:02}", start.0, start.1, end.0, end.1)
    }
}

/// The minutes of a day.
const DAY: u16 = 24 * 60;

/// Parses a time such as `08:30` into minutes since midnight.
fn minute(text: &str) -> Option<u16> {
    let digits = |text: &str| -> Option<u16> {
        let right = (1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        text.parse().ok().filter(|_| right)
    };
    let (hour, minute) = text.split_once(':')?;
    let (hour, minute) = (digits(hour)?, digits(minute)?);
    let time = hour * 60 + minute;
    (minute < 60 && time <= DAY).then_some(time)
}

/// The access times, in the local time zone.
#[derive(Debug)]
pub(super) struct AccessTimes {
    ranges: Vec<TimeRange>,
    /// The result for this minute since the epoch.
    cached: (i64, bool),
}

impl AccessTimes {
    /// Without a range, connections are accepted at any time.
    pub(super) fn new(ranges: Vec<TimeRange>) -> AccessTimes {
        AccessTimes {
            ranges,
            cached: (i64::MIN, true),
        }
    }

    /// Returns whether this instant is inside the access times.
    pub(super) fn contain(&mut self, now: Timestamp) -> bool {
        if self.ranges.is_empty() {
            return true;
        }
        let this_minute = now.as_second().div_euclid(60);
        if self.cached.0 != this_minute {
            // Read the time zone again: it may have changed.
            let local = now.to_zoned(clock::local_zone());
            let minute = local.hour() as u16 * 60 + local.minute() as u16;
            self.cached = (
                this_minute,
                self.ranges.iter().any(|range| range.contains(minute)),
            );
        }
        self.cached.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_includes_its_start_and_excludes_its_end() {
        for (range, inside, outside) in [
            ("08:00-17:30", "8:00", "17:30"),
            ("08:00-17:30", "17:29", "7:59"),
            ("22:00-06:00", "22:00", "06:00"),
            ("22:00-06:00", "0:00", "21:59"),
            ("22:00-06:00", "05:59", "12:00"),
            ("18:00-24:00", "23:59", "0:00"),
            ("23:30-0:00", "23:59", "0:00"),
        ] {
            let parsed: TimeRange = range.parse().unwrap();
            assert!(
                parsed.contains(minute(inside).unwrap()),
                "{range} contains {inside}"
            );
            assert!(
                !parsed.contains(minute(outside).unwrap()),
                "{range} does not contain {outside}"
            );
        }
    }

    #[test]
    fn invalid_ranges_are_rejected() {
        for text in [
            "",
            "8-17",
            "08:00",
            "08:00-",
            "08:00-25:00",
            "08:60-09:00",
            "24:01-08:00",
            "24:00-08:00",
            "08:00-08:00",
            "+8:00-09:00",
            "08:00-09:00-10:00",
        ] {
            assert!(text.parse::<TimeRange>().is_err(), "{text}");
        }
    }

    #[test]
    fn access_times_are_in_the_local_time_zone() {
        // The TZ variable of the test run applies here too.
        let now = Timestamp::now();
        let local = now.to_zoned(clock::local_zone());
        let (hour, next) = (local.hour(), (local.hour() + 1) % 24);
        let range = format!("{hour}:00-{next}:00").parse().unwrap();
        assert!(AccessTimes::new(vec![range]).contain(now));
        let other = format!("{next}:00-{hour}:00").parse().unwrap();
        assert!(!AccessTimes::new(vec![other]).contain(now));
        assert!(AccessTimes::new(vec![other, range]).contain(now));
        assert!(AccessTimes::new(Vec::new()).contain(now));
    }
}
