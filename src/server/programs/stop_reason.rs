//! Reasons to stop a program.

use std::fmt;

/// Why a program received SIGTERM from this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StopReason {
    /// The client closed both directions of the connection, or reset it.
    ClientGone,
    /// No byte was sent or received for `--idle-timeout`.
    IdleTimeout,
    /// The connection lasted longer than `--time-limit`.
    TimeLimit,
    /// The service stops.
    ServiceStopped,
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StopReason::ClientGone => "client gone",
            StopReason::IdleTimeout => "idle timeout",
            StopReason::TimeLimit => "time limit reached",
            StopReason::ServiceStopped => "service stopped",
        })
    }
}
