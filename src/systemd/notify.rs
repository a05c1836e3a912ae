//! What systemd is told: ready, how busy, alive, stopping.

use std::time::{Duration, Instant};

use sd_notify::NotifyState;

/// How often the status is told at most.
const STATUS_EVERY: Duration = Duration::from_secs(1);

/// The service manager, if there is one that listens.
#[derive(Debug)]
pub struct Notifier {
    /// How often it wants a sign of life.
    ping_every: Option<Duration>,
    next_ping: Instant,
    next_status: Instant,
    told: (usize, u64),
}

impl Notifier {
    /// Tells that the service is ready.
    pub fn ready(now: Instant) -> Notifier {
        tell(&[NotifyState::Ready, NotifyState::Status("Ready")]);
        Notifier {
            // Half of the time that it waits, as sd_watchdog_enabled(3) advises.
            ping_every: sd_notify::watchdog_enabled().map(|time| time / 2),
            next_ping: now,
            next_status: now,
            told: (0, 0),
        }
    }

    /// Tells what is due: a sign of life, which only the loop that serves the connections gives,
    /// and how many there are.
    pub fn tell(&mut self, current: usize, total: u64, now: Instant) {
        if let Some(every) = self.ping_every.filter(|_| now >= self.next_ping) {
            tell(&[NotifyState::Watchdog]);
            self.next_ping = now + every;
        }
        if self.told != (current, total) && now >= self.next_status {
            let status = format!("{current} connections now, {total} in all");
            tell(&[NotifyState::Status(&status)]);
            self.told = (current, total);
            self.next_status = now + STATUS_EVERY;
        }
    }

    /// When something is due next.
    pub fn due(&self, current: usize, total: u64) -> Option<Instant> {
        let ping = self.ping_every.map(|_| self.next_ping);
        let status = (self.told != (current, total)).then_some(self.next_status);
        ping.into_iter().chain(status).min()
    }

    /// Tells that the service stops.
    pub fn stopping(&self, current: usize) {
        let status = format!("Stopping; {current} connections go on");
        tell(&[NotifyState::Stopping, NotifyState::Status(&status)]);
    }
}

/// Tells that the service has done what it could, which is nothing.
pub fn nothing_to_serve() {
    tell(&[NotifyState::Ready]);
}

fn tell(states: &[NotifyState]) {
    // Without a manager this does nothing; one that cannot be told finds out by itself.
    let _ = sd_notify::notify(states);
}
