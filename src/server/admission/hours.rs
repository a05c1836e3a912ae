//! The times of the day at which a service is there.

use std::str::FromStr;

use jiff::Timestamp;

use crate::clock;

/// From one time of the day to another, the first minute within and the last without. Where the
/// second is the earlier one, midnight lies between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Minutes since midnight.
    from: u16,
    to: u16,
}

impl Span {
    fn contains(self, minute: u16) -> bool {
        if self.from < self.to {
            (self.from..self.to).contains(&minute)
        } else {
            minute >= self.from || minute < self.to
        }
    }
}

impl FromStr for Span {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Span, &'static str> {
        let (from, to) = text
            .split_once('-')
            .and_then(|(from, to)| Some((minute(from)?, minute(to)?)))
            .ok_or("give two times of the day such as 08:00-17:30 or 22:00-06:00")?;
        if from == to || from == DAY {
            return Err("that is no time at all");
        }
        Ok(Span { from, to })
    }
}

/// The minutes of a day.
const DAY: u16 = 24 * 60;

/// Minutes since midnight of a time such as `08:30`.
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

/// Tells whether it is one of the times, by the system's time zone.
#[derive(Debug)]
pub struct Hours {
    spans: Vec<Span>,
    /// What held in this minute, counted from 1970 on.
    known: (i64, bool),
}

impl Hours {
    /// Without any, it is always time.
    pub fn new(spans: Vec<Span>) -> Hours {
        Hours {
            spans,
            known: (i64::MIN, true),
        }
    }

    /// Whether it is time at this instant.
    pub fn open(&mut self, now: Timestamp) -> bool {
        if self.spans.is_empty() {
            return true;
        }
        let this = now.as_second().div_euclid(60);
        if self.known.0 != this {
            // The system's time zone may have changed as well.
            let local = now.to_zoned(clock::local_zone());
            let minute = local.hour() as u16 * 60 + local.minute() as u16;
            self.known = (this, self.spans.iter().any(|span| span.contains(minute)));
        }
        self.known.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_its_first_minute_and_not_its_last() {
        for (span, inside, outside) in [
            ("08:00-17:30", "8:00", "17:30"),
            ("08:00-17:30", "17:29", "7:59"),
            ("22:00-06:00", "22:00", "06:00"),
            ("22:00-06:00", "0:00", "21:59"),
            ("22:00-06:00", "05:59", "12:00"),
            ("18:00-24:00", "23:59", "0:00"),
            ("23:30-0:00", "23:59", "0:00"),
        ] {
            let parsed: Span = span.parse().unwrap();
            assert!(
                parsed.contains(minute(inside).unwrap()),
                "{span} has {inside}"
            );
            assert!(
                !parsed.contains(minute(outside).unwrap()),
                "{span} has not {outside}"
            );
        }
    }

    #[test]
    fn what_is_no_span_is_told_so() {
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
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_hours_are_those_of_the_local_zone() {
        // TZ of whoever runs the tests holds here as well.
        let now = Timestamp::now();
        let local = now.to_zoned(clock::local_zone());
        let (hour, next) = (local.hour(), (local.hour() + 1) % 24);
        let span = format!("{hour}:00-{next}:00").parse().unwrap();
        assert!(Hours::new(vec![span]).open(now));
        let other = format!("{next}:00-{hour}:00").parse().unwrap();
        assert!(!Hours::new(vec![other]).open(now));
        assert!(Hours::new(vec![other, span]).open(now));
        assert!(Hours::new(Vec::new()).open(now));
    }
}
