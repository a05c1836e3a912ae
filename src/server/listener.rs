//! Listening sockets.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::Duration;

use listenfd::ListenFd;
use nix::sys::socket::{getsockopt, setsockopt, sockopt};

use crate::connection::Peer;

/// TCP keepalive: the idle time before the first probe, the interval of the probes, and how many
/// unanswered probes end the connection.
const KEEP_ALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(15);
const KEEP_ALIVE_PROBES: u32 = 8;

/// A listening socket.
#[derive(Debug)]
pub enum Listener {
    /// TCP over IPv4 or IPv6.
    Tcp(TcpListener),
    /// AF_UNIX, with the path of its file if this process created it.
    Unix(UnixListener, Option<PathBuf>),
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Listener::Unix(_, Some(path)) = self {
            // If the file stayed, the next bind(2) to this path would fail.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// A listening socket cannot be used or opened.
#[derive(Debug)]
pub enum ListenError {
    /// systemd passed this descriptor, which is a connection.
    NotListening(usize),
    /// systemd passed this descriptor, which is not a stream socket.
    NotStream(usize),
    /// The value of `--listen` is not an address.
    InvalidAddress(String),
    /// The address of `--listen` cannot be used.
    Unavailable(String, io::Error),
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenError::NotListening(fd) => write!(
                f,
                "cannot listen: file descriptor {fd} passed by systemd: it is a connection: set \
                 Accept=no in the .socket unit, or StandardInput=socket in the template unit"
            ),
            ListenError::NotStream(fd) => write!(
                f,
                "cannot listen: file descriptor {fd} passed by systemd: it is not a stream socket: \
                 use ListenStream= in the .socket unit"
            ),
            ListenError::InvalidAddress(text) => write!(
                f,
                "cannot listen: {text}: give an address and port such as 127.0.0.1:3334 or \
                 [::1]:3334, or the path of a socket, which contains a slash"
            ),
            ListenError::Unavailable(text, error) => {
                write!(f, "cannot listen: {text}: {error}")?;
                match error.kind() {
                    io::ErrorKind::AddrInUse => f.write_str(
                        "; find the process with `ss -tlnp`, or remove the socket file if no process \
                         uses it",
                    ),
                    io::ErrorKind::PermissionDenied => f.write_str(
                        "; only root may use ports below 1024, and a socket file needs a \
                         directory that you may write to",
                    ),
                    _ => Ok(()),
                }
            }
        }
    }
}

impl std::error::Error for ListenError {}

impl Listener {
    /// Opens these addresses, or else takes the sockets that systemd passed, if any.
    ///
    /// # Errors
    ///
    /// One of the sockets cannot be opened, or is not a listening stream socket.
    pub fn find(addresses: &[String]) -> Result<Vec<Listener>, ListenError> {
        match addresses {
            [] => Listener::passed(),
            _ => Listener::open(addresses),
        }
    }

    /// The sockets that systemd passed, if any.
    fn passed() -> Result<Vec<Listener>, ListenError> {
        let mut passed = ListenFd::from_env();
        (0..passed.len())
            .map(|index| {
                // SD_LISTEN_FDS_START is 3.
                let fd = index + 3;
                let listener = match passed.take_tcp_listener(index) {
                    Ok(Some(listener)) => Listener::Tcp(listener),
                    _ => match passed.take_unix_listener(index) {
                        Ok(Some(listener)) => Listener::Unix(listener, None),
                        _ => return Err(ListenError::NotStream(fd)),
                    },
                };
                match getsockopt(&listener.as_fd(), sockopt::AcceptConn) {
                    Ok(true) => Ok(listener),
                    _ => Err(ListenError::NotListening(fd)),
                }
            })
            .collect()
    }

    /// Opens these addresses.
    fn open(addresses: &[String]) -> Result<Vec<Listener>, ListenError> {
        let mut listeners = Vec::new();
        for text in addresses {
            let unavailable = |error| ListenError::Unavailable(text.clone(), error);
            if text.contains('/') {
                let listener = UnixListener::bind(text).map_err(unavailable)?;
                listeners.push(Listener::Unix(listener, Some(text.into())));
                continue;
            }
            // Host names are not accepted: to resolve them takes the name service, which is not
            // available to a sandboxed or statically linked program.
            let address: SocketAddr = text
                .parse()
                .map_err(|_| ListenError::InvalidAddress(text.clone()))?;
            listeners.push(Listener::Tcp(
                TcpListener::bind(address).map_err(unavailable)?,
            ));
        }
        Ok(listeners)
    }

    /// Makes [`Listener::accept`] return `WouldBlock` if the backlog is empty.
    ///
    /// # Errors
    ///
    /// Those of fcntl(2).
    pub fn set_nonblocking(&self) -> io::Result<()> {
        match self {
            Listener::Tcp(listener) => listener.set_nonblocking(true),
            Listener::Unix(listener, _) => listener.set_nonblocking(true),
        }
    }

    /// Turns TCP keepalive on, which accepted connections inherit.
    pub fn set_keep_alive(&self) {
        if let Listener::Tcp(listener) = self {
            set_keep_alive(listener);
        }
    }

    /// Accepts the next connection, and returns it with its peer.
    ///
    /// # Errors
    ///
    /// Those of accept(2); `WouldBlock` if the backlog is empty.
    pub fn accept(&self) -> io::Result<(OwnedFd, Peer)> {
        match self {
            Listener::Tcp(listener) => {
                let (stream, address) = listener.accept()?;
                Ok((stream.into(), Peer::tcp(address)))
            }
            Listener::Unix(listener, _) => {
                let (stream, _) = listener.accept()?;
                let peer = Peer::of(stream.as_fd());
                Ok((stream.into(), peer))
            }
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Listener::Tcp(listener) => listener.as_fd(),
            Listener::Unix(listener, _) => listener.as_fd(),
        }
    }
}

/// Has the kernel find out whether the host of a silent client is gone. AF_UNIX sockets have no such
/// options.
pub(super) fn set_keep_alive(socket: &impl AsFd) {
    let seconds = |time: Duration| time.as_secs() as u32;
    // If this fails, only a write detects a host that is gone.
    let _ = setsockopt(socket, sockopt::KeepAlive, &true);
    let _ = setsockopt(socket, sockopt::TcpKeepIdle, &seconds(KEEP_ALIVE_IDLE));
    let _ = setsockopt(
        socket,
        sockopt::TcpKeepInterval,
        &seconds(KEEP_ALIVE_INTERVAL),
    );
    let _ = setsockopt(socket, sockopt::TcpKeepCount, &KEEP_ALIVE_PROBES);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;

    #[test]
    fn a_port_in_use_and_an_invalid_address_are_different_errors() {
        let used = TcpListener::bind("127.0.0.1:0").unwrap();
        let text = used.local_addr().unwrap().to_string();
        let message = Listener::open(&[text]).unwrap_err().to_string();
        assert!(
            message.contains("Address already in use") && message.contains("ss -tlnp"),
            "{message}"
        );
        for text in ["3334", "127.0.0.1", "127.0.0.1:port", "localhost:3334", ""] {
            let message = Listener::open(&[text.into()]).unwrap_err().to_string();
            assert!(
                message.starts_with(&format!("cannot listen: {text}: ")),
                "{message}"
            );
            assert!(
                message.contains("such as 127.0.0.1:3334 or [::1]:3334"),
                "{message}"
            );
        }
    }

    #[test]
    fn accepted_connections_inherit_keepalive() {
        let listener = Listener::open(&["127.0.0.1:0".into()]).unwrap().remove(0);
        listener.set_keep_alive();
        let Listener::Tcp(socket) = &listener else {
            panic!("not a TCP socket");
        };
        let _client = TcpStream::connect(socket.local_addr().unwrap()).unwrap();
        let (connection, _) = listener.accept().unwrap();
        assert_eq!(getsockopt(&connection, sockopt::KeepAlive), Ok(true));
        assert_eq!(getsockopt(&connection, sockopt::TcpKeepIdle), Ok(60));
    }
}
