//! Penalties: a source that exceeded a limit is refused for some time.

use std::time::{Duration, Instant};

use super::source::Source;
use super::source_table::SourceTable;
use crate::clock::duration_word;

/// How many times the first penalty the longest one lasts.
const MAX_FACTOR: u32 = 64;

/// The penalties of sources.
#[derive(Debug)]
pub(super) struct Penalties {
    /// The length of a first penalty.
    first: Duration,
    sources: SourceTable<Record>,
}

/// The latest penalty of a source. It is remembered for the same time again after its end.
#[derive(Debug)]
struct Record {
    until: Instant,
    length: Duration,
    /// Connections refused during the penalty.
    refused: u64,
}

/// A penalty that begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Penalty {
    pub source: Source,
    pub length: Duration,
    /// How many connections the previous penalty refused.
    pub refused: u64,
}

impl Penalty {
    /// The log entry.
    pub(crate) fn entry(&self, cause: &str) -> String {
        let (source, length) = (self.source, duration_word(self.length));
        let before = match self.refused {
            0 => String::new(),
            1 => "; 1 connection was refused during the previous penalty".into(),
            refused => format!("; {refused} connections were refused during the previous penalty"),
        };
        format!("{source}: penalty of {length}: {cause}{before}")
    }
}

impl Penalties {
    pub(super) fn new(first: Duration) -> Penalties {
        Penalties {
            first,
            sources: SourceTable::default(),
        }
    }

    /// Returns whether a connection of this source is refused, and counts it then.
    pub(super) fn refuse(&mut self, source: Source, now: Instant) -> bool {
        match self.sources.get_mut(source, now) {
            Some(record) if now < record.until => {
                record.refused += 1;
                true
            }
            _ => false,
        }
    }

    /// Until when the penalties matter.
    pub(super) fn count_until(&self) -> Option<Instant> {
        self.sources.until()
    }

    /// A source exceeded a limit. `None` if it has a penalty already, or has no address.
    pub(super) fn begin(&mut self, source: Source, now: Instant) -> Option<Penalty> {
        if source == Source::Unknown {
            return None;
        }
        let (length, refused) = match self.sources.get_mut(source, now) {
            Some(record) if now < record.until => return None,
            Some(record) => {
                let doubled = (record.length * 2).min(self.first * MAX_FACTOR);
                (doubled, record.refused)
            }
            None => (self.first, 0),
        };
        let until = now + length;
        let record = Record {
            until,
            length,
            refused: 0,
        };
        self.sources.insert(source, record, until + length, now);
        Some(Penalty {
            source,
            length,
            refused,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const SOURCE: Source = Source::User(1);

    #[test]
    fn a_penalty_refuses_only_its_source_and_ends() {
        let start = Instant::now();
        let mut penalties = Penalties::new(SECOND * 10);
        assert!(!penalties.refuse(SOURCE, start));
        let penalty = penalties.begin(SOURCE, start).unwrap();
        assert_eq!(
            penalty.entry("idle timeout"),
            "local uid 1: penalty of 10s: idle timeout"
        );
        let last = start + SECOND * 10 - Duration::from_nanos(1);
        assert!(penalties.refuse(SOURCE, start) && penalties.refuse(SOURCE, last));
        assert!(!penalties.refuse(Source::User(2), start));
        assert_eq!(penalties.begin(SOURCE, last), None, "it has one already");
        assert!(!penalties.refuse(SOURCE, start + SECOND * 10));
        assert_eq!(penalties.begin(Source::Unknown, start), None);
    }

    #[test]
    fn a_penalty_grows_until_the_source_behaves_for_as_long() {
        let mut now = Instant::now();
        let mut penalties = Penalties::new(SECOND);
        let mut lengths = Vec::new();
        for _ in 0..9 {
            let penalty = penalties.begin(SOURCE, now).unwrap();
            assert_eq!(penalty.refused, u64::from(!lengths.is_empty()));
            assert!(penalties.refuse(SOURCE, now));
            lengths.push(penalty.length.as_secs());
            now += penalty.length;
        }
        assert_eq!(lengths, [1, 2, 4, 8, 16, 32, 64, 64, 64]);
        let penalty = penalties.begin(SOURCE, now + SECOND * 64).unwrap();
        assert_eq!((penalty.length, penalty.refused), (SECOND, 0));
    }

    #[test]
    fn an_entry_has_the_number_of_connections_that_the_previous_penalty_refused() {
        let entry = |refused| {
            let (source, length) = (SOURCE, SECOND * 90);
            Penalty {
                source,
                length,
                refused,
            }
            .entry("idle timeout")
        };
        let begin = "local uid 1: penalty of 90s: idle timeout";
        assert_eq!(entry(0), begin);
        assert_eq!(
            entry(1),
            format!("{begin}; 1 connection was refused during the previous penalty")
        );
        assert_eq!(
            entry(2),
            format!("{begin}; 2 connections were refused during the previous penalty")
        );
    }
}
