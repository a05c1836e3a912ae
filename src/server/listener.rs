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

/// When a silent client is asked whether it is still there, how often then, and how many times
/// without an answer.
const ASK_AFTER: Duration = Duration::from_secs(60);
const ASK_EVERY: Duration = Duration::from_secs(15);
const ASK: u32 = 8;

/// A socket on which connections come in.
#[derive(Debug)]
pub enum Listener {
    /// TCP over IPv4 or IPv6.
    Tcp(TcpListener),
    /// AF_UNIX, with the path of its file where this process made it.
    Unix(UnixListener, Option<PathBuf>),
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Listener::Unix(_, Some(path)) = self {
            // The file of a socket that nobody listens on keeps the next one from its place.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Why there is nothing to listen on. Its Display is the sentence for the user.
#[derive(Debug)]
pub enum ListenError {
    /// systemd handed over something that does not listen.
    NotListening(usize),
    /// It is no stream socket.
    NotStream(usize),
    /// `--listen` names no address.
    NoAddress(String),
    /// The address cannot be listened on.
    Unavailable(String, io::Error),
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenError::NotListening(fd) => write!(
                f,
                "descriptor {fd} that systemd handed over is a connection, not a listening socket: \
                 set Accept=no in the .socket unit, or StandardInput=socket in the template"
            ),
            ListenError::NotStream(fd) => write!(
                f,
                "descriptor {fd} that systemd handed over is no stream socket: use ListenStream= \
                 in the .socket unit"
            ),
            ListenError::NoAddress(text) => write!(
                f,
                "--listen {text}: this is no address and port, such as 127.0.0.1:3334 or \
                 [::1]:3334, and no path of a socket, which has a slash in it"
            ),
            ListenError::Unavailable(text, error) => {
                write!(f, "--listen {text}: {error}")?;
                match error.kind() {
                    io::ErrorKind::AddrInUse => f.write_str(
                        "; see who has it: ss -tlnp, or remove a socket file that was left",
                    ),
                    io::ErrorKind::PermissionDenied => f.write_str(
                        "; ports below 1024 are root's, and a socket file needs a folder \
                                     that you may write to",
                    ),
                    _ => Ok(()),
                }
            }
        }
    }
}

impl std::error::Error for ListenError {}

impl Listener {
    /// The sockets that systemd handed over; none where it handed over nothing.
    ///
    /// # Errors
    ///
    /// One of them is no listening stream socket.
    pub fn handed_over() -> Result<Vec<Listener>, ListenError> {
        let mut handed = ListenFd::from_env();
        (0..handed.len())
            .map(|index| {
                // The first is descriptor 3.
                let fd = index + 3;
                let listener = match handed.take_tcp_listener(index) {
                    Ok(Some(listener)) => Listener::Tcp(listener),
                    _ => match handed.take_unix_listener(index) {
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

    /// Opens the addresses that the user named.
    ///
    /// # Errors
    ///
    /// One of them is no address, or cannot be had.
    pub fn open(addresses: &[String]) -> Result<Vec<Listener>, ListenError> {
        let mut listeners = Vec::new();
        for text in addresses {
            let unavailable = |error| ListenError::Unavailable(text.clone(), error);
            if text.contains('/') {
                let listener = UnixListener::bind(text).map_err(unavailable)?;
                listeners.push(Listener::Unix(listener, Some(text.into())));
                continue;
            }
            // A name would need the name service, which a statically linked program has not.
            let address: SocketAddr = text
                .parse()
                .map_err(|_| ListenError::NoAddress(text.clone()))?;
            listeners.push(Listener::Tcp(
                TcpListener::bind(address).map_err(unavailable)?,
            ));
        }
        Ok(listeners)
    }

    /// Has [`Listener::accept`] return at once where nobody has connected.
    ///
    /// # Errors
    ///
    /// That of the system call.
    pub fn set_nonblocking(&self) -> io::Result<()> {
        match self {
            Listener::Tcp(listener) => listener.set_nonblocking(true),
            Listener::Unix(listener, _) => listener.set_nonblocking(true),
        }
    }

    /// Has the kernel ask clients that say nothing, from the first minute on, whether they are still
    /// there: connections inherit it.
    pub fn keep_alive(&self) {
        if let Listener::Tcp(listener) = self {
            let seconds = |time: Duration| time.as_secs() as u32;
            // Without it, what is gone is found when somebody writes to it.
            let _ = setsockopt(listener, sockopt::KeepAlive, &true);
            let _ = setsockopt(listener, sockopt::TcpKeepIdle, &seconds(ASK_AFTER));
            let _ = setsockopt(listener, sockopt::TcpKeepInterval, &seconds(ASK_EVERY));
            let _ = setsockopt(listener, sockopt::TcpKeepCount, &ASK);
        }
    }

    /// The next connection, and who it is.
    ///
    /// # Errors
    ///
    /// Those of accept(2); `WouldBlock` where nobody has connected.
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;

    #[test]
    fn a_port_that_is_taken_and_an_address_that_is_none_are_told_apart() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let text = taken.local_addr().unwrap().to_string();
        let told = Listener::open(&[text]).unwrap_err().to_string();
        assert!(
            told.contains("Address already in use") && told.contains("ss -tlnp"),
            "{told}"
        );
        for text in ["3334", "127.0.0.1", "127.0.0.1:port", "localhost:3334", ""] {
            let told = Listener::open(&[text.into()]).unwrap_err().to_string();
            assert!(told.starts_with(&format!("--listen {text}: ")), "{told}");
            assert!(
                told.contains("such as 127.0.0.1:3334 or [::1]:3334"),
                "{told}"
            );
        }
    }

    #[test]
    fn connections_inherit_that_silent_clients_are_asked_for() {
        let listener = Listener::open(&["127.0.0.1:0".into()]).unwrap().remove(0);
        listener.keep_alive();
        let Listener::Tcp(socket) = &listener else {
            panic!("no TCP socket");
        };
        let _client = TcpStream::connect(socket.local_addr().unwrap()).unwrap();
        let (connection, _) = listener.accept().unwrap();
        assert_eq!(getsockopt(&connection, sockopt::KeepAlive), Ok(true));
        assert_eq!(getsockopt(&connection, sockopt::TcpKeepIdle), Ok(60));
    }
}
