//! Finds out what standard input and output are.

use std::fmt;
use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::sys::socket::{
    AddressFamily, SockType, SockaddrLike, SockaddrStorage, getpeername, getsockopt, sockopt,
};
use nix::sys::stat::{SFlag, fstat};

/// What a program was handed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Handed {
    /// One connection: systemd `Accept=yes`, xinetd `wait = no`, inetd `nowait`, tcpserver, socat.
    Connection(Peer),
    /// A terminal, files or pipes.
    CommandLine,
}

/// Who is at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// A TCP peer. An IPv4 address mapped into IPv6 is shown as the IPv4 address it is.
    Tcp(SocketAddr),
    /// A process on this machine, on an AF_UNIX socket.
    Unix {
        /// Its effective user.
        uid: u32,
        /// Its process.
        pid: i32,
    },
    /// It left before it could be asked for.
    Unknown,
    /// Nobody: the program was started at the command line.
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

/// A socket that no conversation can be held on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// It listens.
    Listener,
    /// It is no stream.
    NotStream,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unfit::Listener => {
                "standard input is a listening socket, not a connection: set Accept=yes in the \
                 .socket unit (wait = no in xinetd, nowait in inetd)"
            }
            Unfit::NotStream => {
                "standard input is a socket without streams: use ListenStream= in the .socket \
                 unit (socket_type = stream in xinetd)"
            }
        })
    }
}

impl std::error::Error for Unfit {}

/// Whether this descriptor is a socket of any kind.
pub fn is_socket(fd: impl AsFd) -> bool {
    fstat(fd).is_ok_and(|stat| {
        SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFSOCK
    })
}

impl Handed {
    /// Looks at the socket on standard input or output, if there is one.
    ///
    /// # Errors
    ///
    /// A socket that is no connection.
    pub fn identify(socket: Option<BorrowedFd<'_>>) -> Result<Handed, Unfit> {
        let Some(socket) = socket else {
            return Ok(Handed::CommandLine);
        };
        if getsockopt(&socket, sockopt::SockType) != Ok(SockType::Stream) {
            return Err(Unfit::NotStream);
        }
        if getsockopt(&socket, sockopt::AcceptConn) == Ok(true) {
            return Err(Unfit::Listener);
        }
        Ok(Handed::Connection(Peer::of(socket)))
    }

    /// The peer, for records.
    pub fn peer(&self) -> Peer {
        match self {
            Handed::Connection(peer) => *peer,
            Handed::CommandLine => Peer::CommandLine,
        }
    }
}

impl Peer {
    /// A TCP peer.
    pub fn tcp(address: SocketAddr) -> Peer {
        Peer::Tcp(SocketAddr::new(address.ip().to_canonical(), address.port()))
    }

    /// The other end of a socket.
    pub fn of(socket: BorrowedFd<'_>) -> Peer {
        let Ok(address) = getpeername::<SockaddrStorage>(socket.as_raw_fd()) else {
            return Peer::named_by_systemd().unwrap_or(Peer::Unknown);
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

    /// A client that reset the connection is no longer known to the socket. systemd looked
    /// earlier, and says so in the environment.
    fn named_by_systemd() -> Option<Peer> {
        let address: IpAddr = std::env::var("REMOTE_ADDR").ok()?.parse().ok()?;
        let port = std::env::var("REMOTE_PORT").ok()?.parse().ok()?;
        Some(Peer::Tcp(SocketAddr::new(address, port)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

    fn identify(fd: &impl AsFd) -> Result<Handed, Unfit> {
        Handed::identify(Some(fd.as_fd()))
    }

    #[test]
    fn a_tcp_connection_names_its_peer() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let listener = TcpListener::bind(address).unwrap();
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (served, _) = listener.accept().unwrap();
            let handed = identify(&served).unwrap();
            assert_eq!(
                handed,
                Handed::Connection(Peer::Tcp(client.local_addr().unwrap()))
            );
        }
    }

    #[test]
    fn an_ipv4_peer_of_an_ipv6_socket_is_named_as_ipv4() {
        let listener = TcpListener::bind("[::]:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let (served, _) = listener.accept().unwrap();
        let name = identify(&served).unwrap().peer().to_string();
        assert_eq!(name, client.local_addr().unwrap().to_string());
    }

    #[test]
    fn a_unix_connection_names_the_process() {
        let (served, _client) = UnixStream::pair().unwrap();
        let Handed::Connection(Peer::Unix { pid, .. }) = identify(&served).unwrap() else {
            panic!("not a local peer");
        };
        assert_eq!(pid, std::process::id() as i32);
    }

    #[test]
    fn a_listening_or_a_datagram_socket_is_no_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(identify(&listener), Err(Unfit::Listener));
        let folder = std::env::temp_dir().join(format!("sockunit-handed-{}", std::process::id()));
        let listener = UnixListener::bind(&folder).unwrap();
        assert_eq!(identify(&listener), Err(Unfit::Listener));
        std::fs::remove_file(&folder).unwrap();
        let (datagram, _other) = UnixDatagram::pair().unwrap();
        assert_eq!(identify(&datagram), Err(Unfit::NotStream));
    }
}
