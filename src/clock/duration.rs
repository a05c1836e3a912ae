//! Parses durations, and writes them.

use std::time::Duration;

/// The longest duration that an option accepts, 365 days; a longer one is a mistake.
const MAX: Duration = Duration::from_secs(8760 * 3600);

/// Parses a duration of at least 1 ms, such as `5min`, `1h 30min` or `500ms` (systemd.time(7)). A
/// number without a unit is in seconds.
///
/// # Errors
///
/// What is wrong, for a usage error.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let seconds = text
        .trim()
        .parse::<u32>()
        .map(|seconds| Duration::from_secs(seconds.into()));
    let duration = seconds.or_else(|_| {
        text.parse::<jiff::SignedDuration>()
            .and_then(Duration::try_from)
    });
    match duration {
        Ok(duration) if (Duration::from_millis(1)..=MAX).contains(&duration) => Ok(duration),
        Ok(_) => Err("give at least 1ms and at most 8760h".into()),
        Err(_) => Err("give a duration such as 30s, 5min or 1h 30min".into()),
    }
}

/// A duration as [`duration`] parses it: with the largest unit that makes it a whole number.
pub(crate) fn duration_word(duration: Duration) -> String {
    let (seconds, nanos) = (duration.as_secs(), duration.as_nanos());
    match () {
        () if nanos % 1_000 != 0 => format!("{nanos}ns"),
        () if nanos % 1_000_000 != 0 => format!("{}us", nanos / 1_000),
        () if nanos % 1_000_000_000 != 0 => format!("{}ms", nanos / 1_000_000),
        () if seconds % 60 != 0 => format!("{seconds}s"),
        () if seconds % 3600 != 0 => format!("{}min", seconds / 60),
        () => format!("{}h", seconds / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_the_units_of_systemd_and_default_to_seconds() {
        for (text, seconds) in [
            ("5min", 300),
            ("30s", 30),
            ("1h 30min", 5400),
            ("90", 90),
            ("8760h", 8760 * 3600),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        for text in ["", "0", "0s", "-1s", "soon", "5 parsecs", "999999999999h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_duration_is_written_as_it_is_parsed() {
        for (nanos, word) in [
            (300_000_000_000, "5min"),
            (90_000_000_000, "90s"),
            (8760 * 3_600_000_000_000, "8760h"),
            (1_500_000_000, "1500ms"),
            (1_000_001, "1000001ns"),
            (1_001_000, "1001us"),
        ] {
            let value = Duration::from_nanos(nanos);
            assert_eq!(duration_word(value), word);
            assert_eq!(duration(word), Ok(value));
        }
    }
}
