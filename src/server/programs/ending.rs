//! How the connection of a program ended, in words.

use super::wait::Status;

/// Why a program was told to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The client has closed both directions, or its host has.
    ClientGone,
    /// Nothing was said for `--idle-timeout`.
    Idle,
    /// It took longer than `--time-limit`.
    TimeLimit,
    /// The service stops.
    Stopped,
}

impl Why {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Why::ClientGone => "client gone",
            Why::Idle => "idle for too long",
            Why::TimeLimit => "time limit reached",
            Why::Stopped => "service stopped",
        }
    }
}

/// How a program ended, and why where it was told to.
pub fn words(why: Option<Why>, status: Status) -> String {
    match why {
        None => status.to_string(),
        Some(why) => format!("{}, {status}", why.words()),
    }
}
