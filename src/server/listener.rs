//! Listening sockets.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use listenfd::ListenFd;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open};
use nix::sys::socket::{getsockopt, setsockopt, sockopt};
use nix::sys::stat::{Mode, SFlag, fstatat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use crate::connection::Peer;
use crate::hint::{Hint, ShellCommand};
use crate::log::reason;

/// TCP keepalive: the idle time before the first probe, the interval of the probes, and how many
/// unanswered probes end the connection.
const KEEP_ALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(15);
const KEEP_ALIVE_PROBES: u32 = 8;

/// A listening socket.
#[derive(Debug)]
pub(crate) enum Listener {
    /// TCP over IPv4 or IPv6.
    Tcp(TcpListener),
    /// AF_UNIX, with its file if this process created it.
    Unix(UnixListener, Option<SocketFile>),
}

/// The file of an AF_UNIX socket. Its directory is open, because the path may lead elsewhere when the service stops.
#[derive(Debug)]
pub(crate) struct SocketFile {
    directory: OwnedFd,
    name: OsString,
}

impl SocketFile {
    fn open(path: &Path) -> io::Result<SocketFile> {
        let name = path.file_name().ok_or(Errno::EISDIR)?;
        let parent = path.parent().unwrap_or(Path::new("/"));
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let directory = open(parent, flags, Mode::empty())?;
        let stat = fstatat(&directory, name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
        match SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT {
            SFlag::S_IFSOCK => Ok(SocketFile {
                directory,
                name: name.to_owned(),
            }),
            _ => Err(Errno::ENOTSOCK.into()),
        }
    }

    fn remove(&self) {
        let name = self.name.as_os_str();
        let _ = unlinkat(&self.directory, name, UnlinkatFlags::NoRemoveDir);
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Listener::Unix(_, Some(file)) = self {
            // If the file stayed, the next bind(2) to its path would fail.
            file.remove();
        }
    }
}

/// A listening socket cannot be used or opened.
#[derive(Debug)]
pub(crate) enum ListenError {
    /// systemd passed this descriptor, which is a connection.
    NotListening(usize),
    /// systemd passed this descriptor, which is not a stream socket.
    NotStream(usize),
    /// The address of `--listen` cannot be used.
    Unavailable(SocketAddress, io::Error),
}

/// An address of `--listen`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SocketAddress {
    /// TCP over IPv4 or IPv6.
    Tcp(SocketAddr),
    /// The path of an AF_UNIX socket.
    Unix(PathBuf),
}

impl FromStr for SocketAddress {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<SocketAddress, &'static str> {
        if text.contains('/') {
            return Ok(SocketAddress::Unix(text.into()));
        }
        // Host names are not accepted: to resolve them takes the name service, which is not
        // available to a sandboxed or statically linked program.
        text.parse().map(SocketAddress::Tcp).map_err(|_| {
            "not an address and port; give one such as 127.0.0.1:3334, [::1]:3334 or 0.0.0.0:3334 (all \
             IPv4 addresses), or the path of a socket, which contains a slash"
        })
    }
}

impl fmt::Display for SocketAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SocketAddress::Tcp(address) => address.fmt(f),
            SocketAddress::Unix(path) => path.display().fmt(f),
        }
    }
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenError::NotListening(fd) => write!(
                f,
                "cannot listen: file descriptor {fd} passed by systemd: it is a connection"
            ),
            ListenError::NotStream(fd) => write!(
                f,
                "cannot listen: file descriptor {fd} passed by systemd: it is not a stream socket"
            ),
            ListenError::Unavailable(address, error) => {
                write!(f, "cannot listen: {address}: {}", reason(error))
            }
        }
    }
}

impl ListenError {
    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<Hint> {
        let (address, error) = match self {
            ListenError::NotListening(_) => {
                return Some(Hint::new(
                    "set Accept=no in the .socket unit, or StandardInput=socket in the template unit",
                ));
            }
            ListenError::NotStream(_) => {
                return Some(Hint::new("use ListenStream= in the .socket unit"));
            }
            ListenError::Unavailable(address, error) => (address, error),
        };
        match (error.kind(), address) {
            (io::ErrorKind::AddrInUse, SocketAddress::Tcp(_)) => Some(
                Hint::new("as root, this shows the process that has the port")
                    .command(ShellCommand::new(&["ss", "-tlnp"])),
            ),
            (io::ErrorKind::AddrInUse, SocketAddress::Unix(_)) => Some(
                Hint::new("remove the file if no process listens on it, which this shows")
                    .command(ShellCommand::new(&["ss", "-xlp"])),
            ),
            (io::ErrorKind::PermissionDenied, SocketAddress::Tcp(_)) => {
                Some(Hint::new("only root may use ports below 1024"))
            }
            (io::ErrorKind::PermissionDenied, SocketAddress::Unix(_)) => {
                Some(Hint::new("use a directory that you may write to"))
            }
            _ => None,
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
    pub(crate) fn find(addresses: &[SocketAddress]) -> Result<Vec<Listener>, ListenError> {
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
    fn open(addresses: &[SocketAddress]) -> Result<Vec<Listener>, ListenError> {
        let mut listeners = Vec::new();
        for address in addresses {
            let opened = match address {
                SocketAddress::Tcp(tcp) => TcpListener::bind(tcp).map(Listener::Tcp),
                SocketAddress::Unix(path) => UnixListener::bind(path).and_then(|listener| {
                    Ok(Listener::Unix(listener, Some(SocketFile::open(path)?)))
                }),
            };
            listeners
                .push(opened.map_err(|error| ListenError::Unavailable(address.clone(), error))?);
        }
        Ok(listeners)
    }

    /// Makes [`Listener::accept`] return `WouldBlock` if the backlog is empty.
    ///
    /// # Errors
    ///
    /// Those of fcntl(2).
    pub(crate) fn set_nonblocking(&self) -> io::Result<()> {
        match self {
            Listener::Tcp(listener) => listener.set_nonblocking(true),
            Listener::Unix(listener, _) => listener.set_nonblocking(true),
        }
    }

    /// Turns TCP keepalive on, which accepted connections inherit.
    pub(crate) fn set_keep_alive(&self) {
        if let Listener::Tcp(listener) = self {
            set_keep_alive(listener);
        }
    }

    /// Accepts the next connection, and returns it with its peer.
    ///
    /// # Errors
    ///
    /// Those of accept(2); `WouldBlock` if the backlog is empty.
    pub(crate) fn accept(&self) -> io::Result<(OwnedFd, Peer)> {
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
    use crate::tree::Tree;
    use std::net::TcpStream;

    #[test]
    fn an_address_in_use_is_an_error_that_says_how_to_find_its_process() {
        let used = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = used.local_addr().unwrap();
        let path = "/etc/passwd".into();
        for (address, shown, command) in [
            (SocketAddress::Tcp(address), address.to_string(), "ss -tlnp"),
            (SocketAddress::Unix(path), "/etc/passwd".into(), "ss -xlp"),
        ] {
            let error = Listener::open(&[address]).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("cannot listen: {shown}: address already in use")
            );
            assert_eq!(error.hint().unwrap().lines().unwrap(), [command]);
        }
    }

    #[test]
    fn the_file_of_a_socket_is_removed_where_it_was_created() {
        let tree = Tree::new("socket-file");
        tree.write("other/socket", "kept")
            .write("own/other", "kept");
        let listen = || Listener::open(&[SocketAddress::Unix(tree.path("own/socket"))]).unwrap();
        drop(listen());
        drop(listen());
        let listeners = listen();
        std::fs::rename(tree.path("own"), tree.path("moved")).unwrap();
        tree.link("own", "other");
        drop(listeners);
        assert!(!tree.path("moved/socket").exists());
        assert_eq!(tree.read("other/socket"), "kept");
        assert!(tree.path("moved/other").exists());
    }

    #[test]
    fn an_address_has_a_port_and_a_path_has_a_slash() {
        for text in ["127.0.0.1:3334", "[::1]:3334", "0.0.0.0:0", "./socket"] {
            assert_eq!(text.parse::<SocketAddress>().unwrap().to_string(), text);
        }
        for text in [
            "3334",
            "*:3334",
            "127.0.0.1",
            "127.0.0.1:port",
            "localhost:3334",
            "",
        ] {
            assert!(text.parse::<SocketAddress>().is_err(), "{text}");
        }
    }

    #[test]
    fn accepted_connections_inherit_keepalive() {
        let listener = Listener::open(&["127.0.0.1:0".parse().unwrap()])
            .unwrap()
            .remove(0);
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
