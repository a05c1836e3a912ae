//! A limit on log entries per second, so that clients cannot flood the log.

use std::time::{Duration, Instant};

const WINDOW: Duration = Duration::from_secs(1);

/// Admits a number of log entries per second and counts the others, so that one entry can sum
/// them up.
#[derive(Debug, Clone)]
pub(crate) struct Throttle {
    per_second: u32,
    window_start: Instant,
    admitted: u32,
    suppressed: u64,
}

impl Throttle {
    /// Admits at most `per_second` entries per second.
    pub(crate) fn new(per_second: u32, now: Instant) -> Throttle {
        Throttle {
            per_second,
            window_start: now,
            admitted: 0,
            suppressed: 0,
        }
    }

    /// Returns whether an entry may be written now. An entry that may not is counted.
    pub(crate) fn admit(&mut self, now: Instant) -> bool {
        self.renew(now);
        let admit = self.admitted < self.per_second;
        if admit {
            self.admitted += 1;
        } else {
            self.suppressed += 1;
        }
        admit
    }

    /// Counts an entry that is not written for another reason.
    pub(crate) fn suppress(&mut self, now: Instant) {
        self.renew(now);
        self.suppressed += 1;
    }

    fn renew(&mut self, now: Instant) {
        if now.duration_since(self.window_start) >= WINDOW {
            self.window_start = now;
            self.admitted = 0;
        }
    }

    /// Returns how many entries were suppressed, and resets the count. `None` if there were none,
    /// or if the second in which they were suppressed is not over: there is at most one sum per
    /// second.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<u64> {
        if now.duration_since(self.window_start) < WINDOW {
            return None;
        }
        self.take()
    }

    /// When [`Throttle::take_due`] will return a count.
    pub(crate) fn due_at(&self) -> Option<Instant> {
        (self.suppressed > 0).then_some(self.window_start + WINDOW)
    }

    /// Returns how many entries were suppressed, even if the second is not over, and resets the
    /// count.
    pub(crate) fn take(&mut self) -> Option<u64> {
        match std::mem::take(&mut self.suppressed) {
            0 => None,
            suppressed => Some(suppressed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn admitted_and_suppressed_entries_add_up() {
        let start = Instant::now();
        let mut throttle = Throttle::new(10, start);
        let admitted = (0..1000).filter(|_| throttle.admit(start)).count();
        assert_eq!(admitted, 10);
        assert_eq!(throttle.take_due(start), None, "one sum per second");
        let later = start + WINDOW;
        assert_eq!(throttle.take_due(later), Some(990));
        assert_eq!(throttle.take_due(later), None);
        assert!(throttle.admit(later), "the next second has its own limit");
        assert_eq!(throttle.take(), None);
    }
}
