//! A limit on the load average.

use std::time::{Duration, Instant};

use nix::sys::sysinfo::sysinfo;

/// How long a load average is used before it is read again.
const INTERVAL: Duration = Duration::from_secs(1);

/// Compares the load average of the last minute with a limit.
#[derive(Debug)]
pub(super) struct LoadLimit {
    max: f64,
    read_at: Option<Instant>,
    exceeded: bool,
}

impl LoadLimit {
    /// Accepts connections up to this load average.
    pub(super) fn new(max: f64) -> LoadLimit {
        LoadLimit {
            max,
            read_at: None,
            exceeded: false,
        }
    }

    /// If the limit is exceeded, until when the load average is not read again.
    pub(super) fn exceeded_until(&mut self, now: Instant) -> Option<Instant> {
        let read_at = match self.read_at {
            Some(read_at) if now < read_at + INTERVAL => read_at,
            _ => {
                // sysinfo(2) works without /proc, which a sandbox may hide, and never fails.
                self.exceeded = sysinfo().is_ok_and(|info| info.load_average().0 > self.max);
                self.read_at = Some(now);
                now
            }
        };
        self.exceeded.then_some(read_at + INTERVAL)
    }
}

/// Parses a load average.
pub(crate) fn load(text: &str) -> Result<f64, &'static str> {
    match text.parse() {
        Ok(load) if load > 0.0 && f64::is_finite(load) => Ok(load),
        _ => Err("give a load average such as 4 or 2.5"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_above_any_load_is_never_exceeded() {
        assert_eq!(LoadLimit::new(1e9).exceeded_until(Instant::now()), None);
    }

    #[test]
    fn invalid_loads_are_rejected() {
        assert_eq!(load("2.5"), Ok(2.5));
        for text in ["", "0", "-1", "NaN", "inf", "high"] {
            assert!(load(text).is_err(), "{text}");
        }
    }
}
