//! What the kernel knows of a TCP connection (TCP_INFO).

use std::os::fd::{AsFd, AsRawFd};

use nix::libc::{IPPROTO_TCP, TCP_INFO};

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
}

/// Where the fields are in the kernel's `struct tcp_info`, which only ever grows at its end.
const STATE: usize = 0;
const BYTES_RECEIVED: usize = 128;
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
        let fd = socket.as_fd().as_raw_fd();
        let mut info = [0; LENGTH];
        let length = uapi::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &mut info).ok()?;
        if length < LENGTH {
            return None;
        }
        let bytes = |at: usize| {
            let field = info[at..at + 8].try_into();
            field.map_or(0, u64::from_ne_bytes)
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
        })
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
        let info = |closed| {
            Some(TcpInfo {
                closed,
                received: 5,
                sent: 3,
            })
        };
        assert_eq!(TcpInfo::of(&served), info(false));
        served.shutdown(Shutdown::Write).unwrap();
        client.read_to_end(&mut received).unwrap();
        assert_eq!(TcpInfo::of(&served), info(true));
    }

    #[test]
    fn a_socket_of_another_kind_has_none() {
        let (one, _other) = UnixStream::pair().unwrap();
        assert_eq!(TcpInfo::of(&one), None);
    }
}
