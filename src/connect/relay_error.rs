//! Why a session ended early.

use std::fmt;
use std::io;
use std::time::Duration;

use nix::errno::Errno;

use super::Target;
use crate::hint::{Hint, ShellCommand};
use crate::log::reason;

/// How to find out why a server closes a connection before it has sent anything.
pub(super) fn closed_hint(target: &Target) -> Hint {
    let text =
        "a limit on connections is reached, or the program failed or sent nothing; find out which";
    match target.local_name() {
        Some(name) => {
            Hint::new(text).command(ShellCommand::new(&["sudo", "sockunit", "doctor"]).arg(name))
        }
        None => Hint::new(format!("{text} with sudo sockunit doctor NAME")),
    }
}

/// Why a session ended early. Its Display is one line, without the hint.
#[derive(Debug)]
pub(crate) enum RelayError {
    /// The server closed or reset the connection before it had sent anything.
    ClosedAtOnce,
    /// The connection failed after the server had sent something.
    Lost(Errno),
    /// The server closed the connection before it had sent the line of [`RelayOptions::until`].
    ///
    /// [`RelayOptions::until`]: super::RelayOptions::until
    ClosedBefore(String),
    /// No byte moved in either direction for this long.
    IdleTimeout(Duration),
    /// Standard input cannot be read.
    Input(io::Error),
    /// Standard output cannot be written.
    Output(io::Error),
}

impl RelayError {
    /// What to do about it.
    pub(crate) fn hint(&self, target: &Target) -> Option<Hint> {
        matches!(self, RelayError::ClosedAtOnce).then(|| closed_hint(target))
    }
}

impl fmt::Display for RelayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RelayError::ClosedAtOnce => {
                f.write_str("the server closed the connection without sending anything")
            }
            RelayError::Lost(errno) => write!(f, "connection lost: {}", reason(&(*errno).into())),
            RelayError::ClosedBefore(word) => {
                write!(
                    f,
                    "the server closed the connection before it sent the line {word}"
                )
            }
            RelayError::IdleTimeout(time) => {
                let time = jiff::SignedDuration::try_from(*time);
                let time = time.unwrap_or(jiff::SignedDuration::MAX);
                write!(f, "idle timeout: no data in either direction for {time:#}")
            }
            RelayError::Input(error) => write!(f, "cannot read standard input: {}", reason(error)),
            RelayError::Output(error) => {
                write!(f, "cannot write standard output: {}", reason(error))
            }
        }
    }
}

impl std::error::Error for RelayError {}
