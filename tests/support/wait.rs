//! Waiting for a condition.

use std::thread;
use std::time::{Duration, Instant};

/// The time limit of everything that a test waits for. It is long because only a failing test reaches it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Calls `ask` until it returns a value. Panics at the deadline.
#[track_caller]
pub fn wait_until<T>(what: &str, deadline: Instant, mut ask: impl FnMut() -> Option<T>) -> T {
    // Short waits end soon; long waits leave the processor to what is waited for.
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(value) = ask() {
            return value;
        }
        assert!(Instant::now() < deadline, "timed out waiting until {what}");
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// Waits for at most [`PATIENCE`] until a condition holds.
#[track_caller]
pub fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    wait_until(what, Instant::now() + PATIENCE, || {
        condition().then_some(())
    });
}
