//! Notifications to the service manager: readiness, status, watchdog, stopping.

use std::fmt;
use std::time::{Duration, Instant};

use sd_notify::NotifyState;

use crate::log::Count;

/// The shortest time between two status notifications.
const STATUS_INTERVAL: Duration = Duration::from_secs(1);

/// The connections of a shared service. Its text, such as `1 connection now, 5 in total`, is the
/// StatusText= of the unit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ConnectionCounts {
    /// Connections that are open.
    pub open: u64,
    /// Connections since the process started, refused ones included.
    pub total: u64,
}

impl fmt::Display for ConnectionCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ConnectionCounts { open, total } = self;
        write!(f, "{} now, {total} in total", Count(*open, "connection"))
    }
}

/// Sends notifications, if a service manager asked for them.
#[derive(Debug)]
pub(crate) struct Notifier {
    /// How often the manager expects a watchdog notification.
    watchdog_interval: Option<Duration>,
    next_watchdog: Instant,
    next_status: Instant,
    /// The counts of the last status notification.
    sent: ConnectionCounts,
}

impl Notifier {
    /// Notifies the manager that the service is ready.
    pub(crate) fn ready(now: Instant) -> Notifier {
        notify(&[NotifyState::Ready, NotifyState::Status("Ready")]);
        Notifier {
            // Half of the timeout, as sd_watchdog_enabled(3) recommends.
            watchdog_interval: sd_notify::watchdog_enabled().map(|timeout| timeout / 2),
            next_watchdog: now,
            next_status: now,
            sent: ConnectionCounts::default(),
        }
    }

    /// Sends what is due. The event loop calls this, so that a watchdog notification means that
    /// the loop is alive.
    pub(crate) fn send_due(&mut self, counts: ConnectionCounts, now: Instant) {
        if let Some(interval) = self.watchdog_interval.filter(|_| now >= self.next_watchdog) {
            notify(&[NotifyState::Watchdog]);
            self.next_watchdog = now + interval;
        }
        if self.sent != counts && now >= self.next_status {
            notify(&[NotifyState::Status(&counts.to_string())]);
            self.sent = counts;
            self.next_status = now + STATUS_INTERVAL;
        }
    }

    /// When the next notification is due.
    pub(crate) fn due_at(&self, counts: ConnectionCounts) -> Option<Instant> {
        let watchdog = self.watchdog_interval.map(|_| self.next_watchdog);
        let status = (self.sent != counts).then_some(self.next_status);
        watchdog.into_iter().chain(status).min()
    }

    /// Notifies the manager that the service stops, once its open connections have ended.
    pub(crate) fn stopping(&self, counts: ConnectionCounts) {
        let status = format!("Stopping: waiting for {}", Count(counts.open, "connection"));
        notify(&[NotifyState::Stopping, NotifyState::Status(&status)]);
    }
}

/// Notifies the manager that the service is ready, for one that exits at once because it has
/// nothing to serve.
pub(crate) fn nothing_to_serve() {
    notify(&[NotifyState::Ready]);
}

fn notify(states: &[NotifyState]) {
    // Does nothing without a manager. If the manager cannot be reached, it has to notice by itself.
    let _ = sd_notify::notify(states);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_has_singular_and_plural() {
        for (open, total, text) in [
            (0, 0, "0 connections now, 0 in total"),
            (1, 5, "1 connection now, 5 in total"),
            (12, 99, "12 connections now, 99 in total"),
        ] {
            let counts = ConnectionCounts { open, total };
            assert_eq!(counts.to_string(), text);
        }
    }
}
