//! The time as date(1) prints it, and durations as users write them.

mod duration;
mod zone;

use jiff::Timestamp;
use jiff::tz::TimeZone;

pub(crate) use duration::{duration, duration_word};
pub(crate) use zone::local_zone;

/// Formats a time as date(1) does in the C locale: `Tue Jan 23 13:33:55 EST 2001`.
pub(crate) fn date(instant: Timestamp, zone: TimeZone) -> String {
    instant
        .to_zoned(zone)
        .strftime("%a %b %e %H:%M:%S %Z %Y")
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_format_is_that_of_date_in_the_c_locale() {
        let zone = zone::find(Some("America/New_York".as_ref()), Path::new("/"));
        let instant = "2001-01-23T18:33:55Z".parse().unwrap();
        assert_eq!(date(instant, zone), "Tue Jan 23 13:33:55 EST 2001");
        let instant = "2026-11-02T08:04:09Z".parse().unwrap();
        assert_eq!(date(instant, TimeZone::UTC), "Mon Nov  2 08:04:09 UTC 2026");
    }
}
