//! Keeps one client from flooding the log.

use std::time::{Duration, Instant};

const WINDOW: Duration = Duration::from_secs(1);

/// Lets so many records pass a second, and counts the others so that they can be summed up in one.
#[derive(Debug, Clone)]
pub struct Allowance {
    a_second: u32,
    window: Instant,
    passed: u32,
    left_out: u64,
}

impl Allowance {
    /// At most `a_second` records a second.
    pub fn new(a_second: u32, now: Instant) -> Allowance {
        Allowance {
            a_second,
            window: now,
            passed: 0,
            left_out: 0,
        }
    }

    /// Whether a record may pass now; it is counted where it may not.
    pub fn pass(&mut self, now: Instant) -> bool {
        if now.duration_since(self.window) >= WINDOW {
            self.window = now;
            self.passed = 0;
        }
        let pass = self.passed < self.a_second;
        if pass {
            self.passed += 1;
        } else {
            self.left_out += 1;
        }
        pass
    }

    /// How many were left out, once the second in which that happened is over: at most one sum a
    /// second. `None` where there is nothing to tell.
    pub fn due(&mut self, now: Instant) -> Option<u64> {
        if now.duration_since(self.window) < WINDOW {
            return None;
        }
        self.rest()
    }

    /// When [`Allowance::due`] has something to tell.
    pub fn due_at(&self) -> Option<Instant> {
        (self.left_out > 0).then_some(self.window + WINDOW)
    }

    /// How many were left out and not told yet, for the end.
    pub fn rest(&mut self) -> Option<u64> {
        match std::mem::take(&mut self.left_out) {
            0 => None,
            left_out => Some(left_out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_and_what_is_summed_up_is_everything() {
        let start = Instant::now();
        let mut allowance = Allowance::new(10, start);
        let passed = (0..1000).filter(|_| allowance.pass(start)).count();
        assert_eq!(passed, 10);
        assert_eq!(allowance.due(start), None, "one sum a second");
        let later = start + WINDOW;
        assert_eq!(allowance.due(later), Some(990));
        assert_eq!(allowance.due(later), None);
        assert!(allowance.pass(later), "the next second has its own");
        assert_eq!(allowance.rest(), None);
    }
}
