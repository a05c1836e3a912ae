//! What the kernel knows of a TCP connection (TCP_INFO).

use std::os::fd::AsFd;
use std::time::Duration;

use super::Traffic;
use crate::sys;

/// State and traffic of a TCP connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpInfo {
    /// It is over: both sides have closed their sending halves, and each knows that the other has
    /// taken all, or it was reset.
    pub closed: bool,
    /// Bytes of data that were received, whether they were read or not. Of a connection that was
    /// reset it may be one less.
    pub received: u64,
    /// Bytes of data that were sent, each counted once.
    pub sent: u64,
    /// Bytes of data that were written, and wait to be sent.
    pub unsent: u64,
    /// Segments that were sent, and of which the other side has not said that they have come.
    pub in_flight: u32,
    /// Since when no data has come and none was sent.
    pub quiet: Duration,
}

/// Where the fields are in the kernel's `struct tcp_info`, which only ever grows at its end.
const STATE: usize = 0;
const UNACKNOWLEDGED: usize = 24;
const LAST_DATA_SENT: usize = 44;
const LAST_DATA_RECEIVED: usize = 52;
const BYTES_RECEIVED: usize = 128;
const NOT_SENT: usize = 144;
const BYTES_SENT: usize = 200;
const BYTES_RETRANS: usize = 208;
const LENGTH: usize = 216;

/// States of the kernel.
const TIME_WAIT: u8 = 6;
const CLOSE: u8 = 7;
const CLOSE_WAIT: u8 = 8;
const LAST_ACK: u8 = 9;
const CLOSING: u8 = 11;

impl TcpInfo {
    /// Asks the kernel. `None` where this is no TCP socket, or the kernel is older than 4.19.
    pub fn of(socket: &impl AsFd) -> Option<TcpInfo> {
        let mut info = [0; LENGTH];
        if sys::tcp_info(socket, &mut info).ok()? < LENGTH {
            return None;
        }
        let bytes = |at: usize| {
            let field = info[at..at + 8].try_into();
            field.map_or(0, u64::from_ne_bytes)
        };
        let word = |at: usize| {
            let field = info[at..at + 4].try_into();
            field.map_or(0, u32::from_ne_bytes)
        };
        // The other side's end counts as a byte. After a reset nothing says whether it had come.
        let ends = match info[STATE] {
            TIME_WAIT | CLOSE | CLOSE_WAIT | LAST_ACK | CLOSING => 1,
            _ => 0,
        };
        Some(TcpInfo {
            closed: matches!(info[STATE], TIME_WAIT | CLOSE),
            received: bytes(BYTES_RECEIVED).saturating_sub(ends),
            sent: bytes(BYTES_SENT).saturating_sub(bytes(BYTES_RETRANS)),
            unsent: word(NOT_SENT).into(),
            in_flight: word(UNACKNOWLEDGED),
            quiet: Duration::from_millis(word(LAST_DATA_SENT).min(word(LAST_DATA_RECEIVED)).into()),
        })
    }

    /// What was received, and what was written for the other side.
    pub fn traffic(&self) -> Traffic {
        Traffic {
            received: self.received,
            sent: self.sent + self.unsent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpListener, TcpStream};
    use std::os::unix::net::UnixStream;

    #[test]
    fn bytes_are_counted_without_what_opens_and_closes_the_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut served, _) = listener.accept().unwrap();
        client.write_all(b"12345").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut received = Vec::new();
        served.read_to_end(&mut received).unwrap();
        served.write_all(b"123").unwrap();
        let counted = || TcpInfo::of(&served).map(|info| (info.closed, info.received, info.sent));
        assert_eq!(counted(), Some((false, 5, 3)));
        served.shutdown(Shutdown::Write).unwrap();
        client.read_to_end(&mut received).unwrap();
        assert_eq!(counted(), Some((true, 5, 3)));
    }

    #[test]
    fn what_cannot_be_sent_is_counted_too() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut served, _) = listener.accept().unwrap();
        served.set_nonblocking(true).unwrap();
        let mut written = 0;
        while let Ok(n) = served.write(&[0; 65536]) {
            written += n as u64;
        }
        let info = TcpInfo::of(&served).unwrap();
        assert!(info.unsent > 0);
        assert_eq!(info.sent + info.unsent, written);
    }

    #[test]
    fn since_when_nothing_was_said_is_known() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (served, _) = listener.accept().unwrap();
        let quiet = || TcpInfo::of(&served).unwrap().quiet;
        let long = Duration::from_millis(300);
        while quiet() < long {
            std::thread::yield_now();
        }
        client.write_all(b"x").unwrap();
        assert!(quiet() < long);
    }

    #[test]
    fn a_socket_of_another_kind_has_none() {
        let (one, _other) = UnixStream::pair().unwrap();
        assert_eq!(TcpInfo::of(&one), None);
    }
}
