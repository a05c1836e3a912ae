//! The peer of a connection.

use std::fmt;
use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::sys::socket::{
    AddressFamily, SockaddrLike, SockaddrStorage, getpeername, getsockopt, sockopt,
};

/// The other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    /// The remote address of a TCP connection. IPv4-mapped IPv6 addresses are stored as IPv4.
    Tcp(SocketAddr),
    /// A process on this machine, connected through an AF_UNIX socket.
    Unix {
        /// Its effective user ID.
        uid: u32,
        /// Its process ID.
        pid: i32,
    },
    /// The client disconnected before the address was read.
    Unknown,
    /// No connection: the program was started at the command line.
    CommandLine,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Tcp(address) => write!(f, "{address}"),
            Peer::Unix { uid, pid } => write!(f, "local uid {uid} pid {pid}"),
            Peer::Unknown => f.write_str("unknown peer"),
            Peer::CommandLine => f.write_str("command line"),
        }
    }
}

impl Peer {
    /// The peer with this remote address.
    pub(crate) fn tcp(address: SocketAddr) -> Peer {
        Peer::Tcp(SocketAddr::new(address.ip().to_canonical(), address.port()))
    }

    /// The peer of a connected socket.
    pub(crate) fn of(socket: BorrowedFd<'_>) -> Peer {
        let Ok(address) = getpeername::<SockaddrStorage>(socket.as_raw_fd()) else {
            return Peer::from_environment().unwrap_or(Peer::Unknown);
        };
        if let Some(v4) = address.as_sockaddr_in() {
            Peer::tcp(SocketAddrV4::from(*v4).into())
        } else if let Some(v6) = address.as_sockaddr_in6() {
            Peer::tcp(SocketAddrV6::from(*v6).into())
        } else if address.family() == Some(AddressFamily::Unix) {
            match getsockopt(&socket, sockopt::PeerCredentials) {
                Ok(peer) => Peer::Unix {
                    uid: peer.uid(),
                    pid: peer.pid(),
                },
                Err(_) => Peer::Unknown,
            }
        } else {
            Peer::Unknown
        }
    }

    /// The remote address that systemd puts into the environment. After a reset the kernel no longer
    /// returns it for the socket.
    fn from_environment() -> Option<Peer> {
        let address: IpAddr = std::env::var("REMOTE_ADDR").ok()?.parse().ok()?;
        let port = std::env::var("REMOTE_PORT").ok()?.parse().ok()?;
        Some(Peer::tcp(SocketAddr::new(address, port)))
    }
}
