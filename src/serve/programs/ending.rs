//! How the connection of a program ended, in words.

use nix::sys::wait::WaitStatus;

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
pub fn words(why: Option<Why>, status: WaitStatus) -> String {
    let ended = match status {
        WaitStatus::Exited(_, status) => format!("exited {status}"),
        WaitStatus::Signaled(_, signal, _) => format!("killed by {}", signal.as_str()),
        _ => "ended".into(),
    };
    match why {
        None => ended,
        Some(why) => format!("{}, {ended}", why.words()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::Signal;
    use nix::unistd::Pid;

    #[test]
    fn the_end_is_told_with_its_reason() {
        let pid = Pid::from_raw(7);
        assert_eq!(words(None, WaitStatus::Exited(pid, 3)), "exited 3");
        assert_eq!(
            words(
                Some(Why::Idle),
                WaitStatus::Signaled(pid, Signal::SIGTERM, false)
            ),
            "idle for too long, killed by SIGTERM"
        );
    }
}
