//! How busy the machine is.

use std::time::{Duration, Instant};

use nix::sys::sysinfo::sysinfo;

/// How often it is asked at most.
const EVERY: Duration = Duration::from_secs(1);

/// Looks at the load average of the last minute.
#[derive(Debug)]
pub struct Load {
    most: f64,
    asked: Option<Instant>,
    over: bool,
}

impl Load {
    /// The load up to which somebody is served.
    pub fn new(most: f64) -> Load {
        Load {
            most,
            asked: None,
            over: false,
        }
    }

    /// When it is asked again whether somebody may come; `None` where somebody may come now.
    pub fn over_until(&mut self, now: Instant) -> Option<Instant> {
        let asked = match self.asked {
            Some(asked) if now < asked + EVERY => asked,
            _ => {
                // The system call needs no /proc, which a sandbox may hide. It never fails.
                self.over = sysinfo().is_ok_and(|info| info.load_average().0 > self.most);
                self.asked = Some(now);
                now
            }
        };
        self.over.then_some(asked + EVERY)
    }
}

/// A load average as a user writes it.
pub fn load(text: &str) -> Result<f64, &'static str> {
    match text.parse() {
        Ok(load) if load > 0.0 && f64::is_finite(load) => Ok(load),
        _ => Err("give a load average such as 4 or 2.5"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_that_no_machine_has_lets_everyone_in() {
        assert_eq!(Load::new(1e9).over_until(Instant::now()), None);
    }

    #[test]
    fn what_is_no_load_is_told_so() {
        assert_eq!(load("2.5"), Ok(2.5));
        for text in ["", "0", "-1", "NaN", "inf", "high"] {
            assert!(load(text).is_err(), "{text}");
        }
    }
}
