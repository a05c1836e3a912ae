//! How a connection ended.

use std::fmt;

use nix::errno::Errno;

use super::admission::Refusal;
use super::programs::{ExitStatus, StopReason};
use crate::log::reason;
use crate::proxy_protocol::HeaderError;
use crate::session::SessionEnd;

/// How a connection ended. Its text is part of the log entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The session in this process ended.
    Session(SessionEnd),
    /// The connection was refused.
    Refused(Refusal),
    /// A proxy sent no valid header.
    NoHeader(HeaderError),
    /// Its program could not be started.
    NotStarted(Errno),
    /// It ended before its program was started.
    Stopped(StopReason),
    /// Its program ended, after it was stopped for this reason or by itself.
    Exited(Option<StopReason>, ExitStatus),
}

impl End {
    /// Returns whether the source of the connection may get a penalty.
    pub(super) fn is_offence(&self) -> bool {
        match self {
            End::Session(end) => {
                matches!(end, SessionEnd::TimedOut | SessionEnd::WriteTimedOut)
            }
            End::Refused(reason) => reason.is_offence(),
            End::Stopped(reason) | End::Exited(Some(reason), _) => {
                *reason == StopReason::IdleTimeout
            }
            // The proxy did so, not its client.
            End::NoHeader(_) => false,
            End::NotStarted(_) | End::Exited(None, _) => false,
        }
    }

    /// Returns whether the connection was refused before anything was started for it.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self, End::Refused(_) | End::NoHeader(_))
    }

    /// The exit status of a process that served this connection alone, as a shell has it. What this
    /// process or the client decided is not a failure of the program: systemd too counts SIGPIPE as success.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            End::Exited(None, status) if !status.is_broken_pipe() => status.code(),
            End::NotStarted(Errno::ENOENT) => 127,
            End::NotStarted(_) => 126,
            End::Exited(..) | End::Session(_) | End::Stopped(_) => 0,
            End::Refused(_) | End::NoHeader(_) => 0,
        }
    }

    /// The value of the journal field SOCKUNIT_EVENT.
    pub(super) fn event(&self) -> &'static str {
        match self {
            End::Refused(_) | End::NoHeader(_) => "refused",
            End::Session(_) | End::NotStarted(_) | End::Stopped(_) | End::Exited(..) => "ended",
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Session(end) => end.fmt(f),
            End::Refused(reason) => write!(f, "refused: {reason}"),
            End::NoHeader(error) => write!(f, "refused: {error}"),
            End::NotStarted(errno) => write!(f, "not started ({})", reason(&(*errno).into())),
            End::Stopped(reason) => reason.fmt(f),
            End::Exited(None, status) => status.fmt(f),
            End::Exited(Some(reason), status) => write!(f, "{reason}, {status}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_has_a_text_and_an_event() {
        for (end, text, event) in [
            (End::Session(SessionEnd::Quit), "quit", "ended"),
            (
                End::Refused(Refusal::AccessTimes),
                "refused: outside the access times",
                "refused",
            ),
            (
                End::NotStarted(Errno::ENOENT),
                "not started (no such file or directory)",
                "ended",
            ),
            (
                End::Stopped(StopReason::ServiceStopped),
                "service stopped",
                "ended",
            ),
            (
                End::Exited(None, ExitStatus::default()),
                "exited 0",
                "ended",
            ),
            (
                End::Exited(Some(StopReason::TimeLimit), ExitStatus::default()),
                "time limit reached, exited 0",
                "ended",
            ),
        ] {
            assert_eq!((end.to_string().as_str(), end.event()), (text, event));
        }
    }
}
