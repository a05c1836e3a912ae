//! The kernel's state of a TCP connection (TCP_INFO).

use std::os::fd::AsFd;
use std::time::Duration;

use super::Traffic;
use crate::sys;

/// State and traffic of a TCP connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TcpInfo {
    /// Both sides have closed their sending halves and acknowledged all data, or the connection was
    /// reset.
    pub closed: bool,
    /// Bytes of data received, read or not. After a reset it may be one too low.
    pub received: u64,
    /// Bytes of data sent, without retransmissions.
    pub sent: u64,
    /// Bytes of data written but not sent yet.
    pub unsent: u64,
    /// Segments sent but not acknowledged.
    pub in_flight: u32,
    /// How long no data has been sent or received.
    pub idle: Duration,
}

/// Offsets in the kernel's `struct tcp_info`, in bytes. New kernels only append fields.
const STATE: usize = 0;
const UNACKNOWLEDGED: usize = 24;
const LAST_DATA_SENT: usize = 44;
const LAST_DATA_RECEIVED: usize = 52;
const BYTES_RECEIVED: usize = 128;
const NOT_SENT: usize = 144;
const BYTES_SENT: usize = 200;
const BYTES_RETRANS: usize = 208;
const LENGTH: usize = 216;

/// TCP states, as the kernel numbers them.
const TIME_WAIT: u8 = 6;
const CLOSE: u8 = 7;
const CLOSE_WAIT: u8 = 8;
const LAST_ACK: u8 = 9;
const CLOSING: u8 = 11;

impl TcpInfo {
    /// Asks the kernel. `None` if this is not a TCP socket, or the kernel is older than 4.19.
    pub(crate) fn of(socket: &impl AsFd) -> Option<TcpInfo> {
        let mut info = [0; LENGTH];
        let length = sys::tcp_info(socket, &mut info).ok()?;
        TcpInfo::parse(&info[..length])
    }

    /// Parses the kernel's `struct tcp_info`. `None` if the kernel is older than 4.19.
    pub(super) fn parse(info: &[u8]) -> Option<TcpInfo> {
        if info.len() < LENGTH {
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
        // The kernel counts a received FIN as a byte. After a reset it is not known whether a FIN was
        // received.
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
            idle: Duration::from_millis(word(LAST_DATA_SENT).min(word(LAST_DATA_RECEIVED)).into()),
        })
    }

    /// Bytes received, and bytes written.
    pub(crate) fn traffic(&self) -> Traffic {
        Traffic {
            received: self.received,
            sent: self.sent.saturating_add(self.unsent),
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
    fn syn_and_fin_are_not_counted_as_bytes() {
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
    fn numbers_that_no_connection_reaches_do_not_overflow() {
        let mut info = [0; LENGTH];
        info[BYTES_SENT..BYTES_SENT + 8].fill(0xff);
        info[NOT_SENT..NOT_SENT + 4].fill(0xff);
        assert_eq!(TcpInfo::parse(&info).unwrap().traffic().sent, u64::MAX);
    }

    #[test]
    fn unsent_bytes_are_counted_separately() {
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
    fn idle_is_the_time_since_the_last_byte() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (served, _) = listener.accept().unwrap();
        let idle = || TcpInfo::of(&served).unwrap().idle;
        let long = Duration::from_millis(300);
        while idle() < long {
            std::thread::yield_now();
        }
        client.write_all(b"x").unwrap();
        assert!(idle() < long);
    }

    #[test]
    fn an_af_unix_socket_has_no_tcp_info() {
        let (one, _other) = UnixStream::pair().unwrap();
        assert_eq!(TcpInfo::of(&one), None);
    }
}
