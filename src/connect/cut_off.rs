//! Why a conversation did not end as it should.

use std::fmt;
use std::io;
use std::time::Duration;

use nix::errno::Errno;

/// What it may mean that a connection is closed before the server has said anything.
pub const REFUSED: &str = "a limit on its connections is reached (systemctl status NAME.socket), \
                           or its program cannot be started (journalctl -t NAME)";

/// A conversation that did not end as it should.
#[derive(Debug)]
pub enum CutOff {
    /// The connection was closed at once, without a byte.
    Refused,
    /// The server ended it before all was said.
    Reset(Errno),
    /// The server closed the connection before it sent this line.
    Before(String),
    /// No byte moved for this long.
    Silence(Duration),
    /// Standard input could not be read.
    Input(io::Error),
    /// Standard output could not be written.
    Output(io::Error),
}

impl fmt::Display for CutOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CutOff::Refused => {
                write!(
                    f,
                    "the server closed the connection at once without a byte: {REFUSED}"
                )
            }
            CutOff::Reset(errno) => {
                write!(f, "the server cut the connection off: {}", errno.desc())
            }
            CutOff::Before(word) => {
                write!(
                    f,
                    "the server closed the connection before it sent the line {word}"
                )
            }
            CutOff::Silence(time) => {
                write!(f, "neither side has said anything for {:#}", humane(*time))
            }
            CutOff::Input(error) => write!(f, "cannot read from standard input: {error}"),
            CutOff::Output(error) => write!(f, "cannot write to standard output: {error}"),
        }
    }
}

impl std::error::Error for CutOff {}

fn humane(time: Duration) -> jiff::SignedDuration {
    jiff::SignedDuration::try_from(time).unwrap_or(jiff::SignedDuration::MAX)
}
