//! Finds out whether standard input or output is a connection.

use std::fmt;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::sys::socket::{
    AddressFamily, SockType, SockaddrLike, SockaddrStorage, getsockname, getsockopt, sockopt,
};
use nix::sys::stat::{SFlag, fstat};

use super::Peer;

/// Standard input and output of a service program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stdio {
    /// One connection: systemd `Accept=yes`, xinetd `wait = no`, inetd `nowait`, tcpserver, socat.
    Connection(Peer),
    /// A terminal, files or pipes.
    CommandLine,
}

/// Standard input or output is a socket, but not a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StdioError {
    /// A listening socket.
    Listener,
    /// Not a stream socket.
    NotStream,
}

impl fmt::Display for StdioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StdioError::Listener => "cannot serve standard input: it is a listening socket",
            StdioError::NotStream => "cannot serve standard input: it is not a stream socket",
        })
    }
}

impl StdioError {
    /// What to do about it.
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            StdioError::Listener => {
                "set Accept=yes in the .socket unit (wait = no in xinetd, nowait in inetd)"
            }
            StdioError::NotStream => {
                "use ListenStream= in the .socket unit (socket_type = stream in xinetd)"
            }
        }
    }
}

impl std::error::Error for StdioError {}

/// Returns whether this descriptor is a socket of any type.
pub(crate) fn is_socket(fd: impl AsFd) -> bool {
    fstat(fd).is_ok_and(|stat| {
        SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFSOCK
    })
}

/// Returns whether this descriptor is a UDP socket.
pub(crate) fn is_udp_socket(fd: &BorrowedFd<'_>) -> bool {
    let family = getsockname::<SockaddrStorage>(fd.as_raw_fd());
    let family = family.ok().and_then(|address| address.family());
    getsockopt(fd, sockopt::SockType) == Ok(SockType::Datagram)
        && matches!(family, Some(AddressFamily::Inet | AddressFamily::Inet6))
}

impl Stdio {
    /// Examines the socket on standard input or output, if one of them is a socket.
    ///
    /// # Errors
    ///
    /// The socket is not a connection.
    pub(crate) fn identify(socket: Option<BorrowedFd<'_>>) -> Result<Stdio, StdioError> {
        let Some(socket) = socket else {
            return Ok(Stdio::CommandLine);
        };
        if getsockopt(&socket, sockopt::SockType) != Ok(SockType::Stream) {
            return Err(StdioError::NotStream);
        }
        if getsockopt(&socket, sockopt::AcceptConn) == Ok(true) {
            return Err(StdioError::Listener);
        }
        Ok(Stdio::Connection(Peer::of(socket)))
    }

    /// The peer, for the log.
    pub(crate) fn peer(&self) -> Peer {
        match self {
            Stdio::Connection(peer) => *peer,
            Stdio::CommandLine => Peer::CommandLine,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

    fn identify(fd: &impl AsFd) -> Result<Stdio, StdioError> {
        Stdio::identify(Some(fd.as_fd()))
    }

    #[test]
    fn the_peer_of_a_tcp_connection_is_its_remote_address() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let listener = TcpListener::bind(address).unwrap();
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (served, _) = listener.accept().unwrap();
            let stdio = identify(&served).unwrap();
            assert_eq!(
                stdio,
                Stdio::Connection(Peer::Tcp(client.local_addr().unwrap()))
            );
        }
    }

    #[test]
    fn an_ipv4_peer_of_an_ipv6_socket_has_an_ipv4_address() {
        let listener = TcpListener::bind("[::]:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let (served, _) = listener.accept().unwrap();
        let name = identify(&served).unwrap().peer().to_string();
        assert_eq!(name, client.local_addr().unwrap().to_string());
    }

    #[test]
    fn the_peer_of_a_unix_connection_is_a_process() {
        let (served, _client) = UnixStream::pair().unwrap();
        let Stdio::Connection(Peer::Unix { pid, .. }) = identify(&served).unwrap() else {
            panic!("no AF_UNIX peer");
        };
        assert_eq!(pid, std::process::id() as i32);
    }

    #[test]
    fn a_listening_or_datagram_socket_is_not_a_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(identify(&listener), Err(StdioError::Listener));
        let path = std::env::temp_dir().join(format!("sockunit-stdio-{}", std::process::id()));
        let listener = UnixListener::bind(&path).unwrap();
        assert_eq!(identify(&listener), Err(StdioError::Listener));
        std::fs::remove_file(&path).unwrap();
        let (datagram, _other) = UnixDatagram::pair().unwrap();
        assert_eq!(identify(&datagram), Err(StdioError::NotStream));
    }
}
