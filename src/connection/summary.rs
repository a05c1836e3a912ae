//! The log entry of a connection that ended.

use std::fmt;
use std::time::Duration;

use super::Peer;
use crate::log::Count;

/// How a connection ended. Each connection has one such log entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Summary<E> {
    /// The peer.
    pub peer: Peer,
    /// How it ended.
    pub end: E,
    /// The process ID of its program, if it had one.
    pub pid: Option<i32>,
    /// The bytes in both directions, if known.
    pub traffic: Option<Traffic>,
    /// How long it lasted.
    pub duration: Duration,
}

/// Byte counts of a connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    /// Bytes received.
    pub received: u64,
    /// Bytes sent.
    pub sent: u64,
}

impl From<(u64, u64)> for Traffic {
    fn from((received, sent): (u64, u64)) -> Traffic {
        Traffic { received, sent }
    }
}

impl<E: fmt::Display> fmt::Display for Summary<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: ", self.peer, self.end)?;
        if let Some(pid) = self.pid {
            write!(f, "pid {pid}, ")?;
        }
        if let Some(Traffic { received, sent }) = self.traffic {
            let (received, sent) = (Count(received, "byte"), Count(sent, "byte"));
            write!(f, "{received} received, {sent} sent, ")?;
        }
        Elapsed(self.duration).fmt(f)
    }
}

/// How long something lasted, for the log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Elapsed(pub Duration);

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs_f64();
        match self.0.as_secs() {
            0 => write!(f, "{:.1} ms", seconds * 1000.0),
            _ => write!(f, "{seconds:.3} s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_has_peer_end_bytes_and_duration() {
        let summary = Summary {
            peer: Peer::Tcp("127.0.0.1:40112".parse().unwrap()),
            end: "quit",
            pid: None,
            traffic: Some(Traffic {
                received: 11,
                sent: 131,
            }),
            duration: Duration::from_micros(2_314_400),
        };
        assert_eq!(
            summary.to_string(),
            "127.0.0.1:40112 quit: 11 bytes received, 131 bytes sent, 2.314 s"
        );
        let summary = Summary {
            duration: Duration::from_micros(240),
            ..summary
        };
        assert!(summary.to_string().ends_with(", 0.2 ms"));
        let of_a_program = Summary {
            end: "exited 0",
            pid: Some(812),
            traffic: None,
            ..summary
        };
        assert_eq!(
            of_a_program.to_string(),
            "127.0.0.1:40112 exited 0: pid 812, 0.2 ms"
        );
    }
}
