//! Looks up a server and connects to it.

use std::fmt;
use std::fs;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{
    self, AddressFamily, SockFlag, SockType, SockaddrLike, SockaddrStorage, UnixAddr, setsockopt,
    sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};

use super::dial_error::{DialError, DialErrorKind};
use crate::sys;

/// What to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// A TCP service.
    Tcp {
        /// A host name or an address.
        host: String,
        /// A port number, or a name in the services database.
        service: String,
    },
    /// The path of an AF_UNIX socket.
    Unix(PathBuf),
}

impl Target {
    /// The target of a command line. A service with a slash in it is the path of an AF_UNIX socket.
    pub(crate) fn new(host: &str, service: &str) -> Target {
        if service.contains('/') {
            Target::Unix(service.into())
        } else {
            Target::Tcp {
                host: host.into(),
                service: service.into(),
            }
        }
    }
}

impl Target {
    /// The service name, if it is one of this host.
    pub(super) fn local_name(&self) -> Option<&str> {
        match self {
            Target::Tcp { host, service } if !is_number(service) => {
                let ip = host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
                (ip || host == "localhost").then_some(service)
            }
            _ => None,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Tcp { host, service } if is_number(service) => {
                write!(f, "{host} port {service}")
            }
            Target::Tcp { host, service } => write!(f, "{host} {service}"),
            Target::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

fn is_number(service: &str) -> bool {
    service.bytes().all(|byte| byte.is_ascii_digit())
}

/// Connects to the first address of the host that accepts the connection. `timeout` holds for all
/// addresses together.
///
/// # Errors
///
/// See [`DialError`].
pub(crate) fn dial(target: &Target, timeout: Duration) -> Result<OwnedFd, DialError> {
    let failed = |kind| DialError {
        target: target.clone(),
        kind,
    };
    let (host, service) = match target {
        Target::Unix(path) => {
            let socket = UnixAddr::new(path)
                .and_then(|address| connect(AddressFamily::Unix, &address, timeout));
            return socket.map_err(|errno| {
                // connect(2) refuses other files too, or says that the user may not write to them.
                let is_other =
                    || fs::metadata(path).is_ok_and(|file| !file.file_type().is_socket());
                failed(match errno {
                    Errno::ECONNREFUSED | Errno::EACCES if is_other() => DialErrorKind::NotASocket,
                    errno => DialErrorKind::Unix(errno),
                })
            });
        }
        Target::Tcp { host, service } => (host, service),
    };
    let port = port(service).map_err(failed)?;
    let addresses: Vec<SocketAddr> = (host.as_str(), port)
        .to_socket_addrs()
        .map_err(|error| failed(DialErrorKind::Resolve(error)))?
        .collect();
    let deadline = Instant::now() + timeout;
    let mut attempts = Vec::new();
    for (index, address) in addresses.iter().enumerate() {
        // Each address gets an equal share of the time that is left, so that one that does not answer
        // leaves time for the others.
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / (addresses.len() - index) as u32;
        match connect_to(*address, share.max(Duration::from_millis(1))) {
            Ok(stream) => return Ok(stream),
            Err(errno) => attempts.push((*address, errno)),
        }
    }
    Err(failed(DialErrorKind::Tcp(attempts)))
}

fn connect_to(address: SocketAddr, timeout: Duration) -> nix::Result<OwnedFd> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::Inet,
        SocketAddr::V6(_) => AddressFamily::Inet6,
    };
    let socket = connect(family, &SockaddrStorage::from(address), timeout)?;
    // Sends what is typed without delay. If the option cannot be set, the kernel sends it a little
    // later.
    let _ = setsockopt(&socket, sockopt::TcpNoDelay, &true);
    Ok(socket)
}

/// Connects a new socket.
///
/// connect(2) blocks, bounded by SO_SNDTIMEO, because a non-blocking one has to ask for SO_ERROR
/// afterwards: a server that answers and resets before that would make an error of an answer.
fn connect(
    family: AddressFamily,
    address: &dyn SockaddrLike,
    timeout: Duration,
) -> nix::Result<OwnedFd> {
    let socket = socket::socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    let timeout = TimeVal::microseconds(timeout.as_micros() as i64);
    setsockopt(&socket, sockopt::SendTimeout, &timeout)?;
    match socket::connect(socket.as_raw_fd(), address) {
        Ok(()) => Ok(socket),
        // connect(2) reports the timeout like this.
        Err(Errno::EINPROGRESS | Errno::EAGAIN) => Err(Errno::ETIMEDOUT),
        Err(errno) => Err(errno),
    }
}

fn port(service: &str) -> Result<u16, DialErrorKind> {
    if is_number(service) {
        return match service.parse() {
            Ok(0) | Err(_) => Err(DialErrorKind::InvalidPort),
            Ok(port) => Ok(port),
        };
    }
    match sys::service_port(service) {
        Ok(Some(port)) => Ok(port),
        Ok(None) => Err(DialErrorKind::UnknownService),
        Err(error) => Err(DialErrorKind::ServiceLookup(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hint::Hint;
    use std::net::TcpListener;

    fn error(host: &str, service: &str) -> DialError {
        dial(&Target::new(host, service), Duration::from_secs(5)).unwrap_err()
    }

    #[test]
    fn each_address_of_the_host_is_tried() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        // localhost is ::1 first, where nothing listens.
        assert!(dial(&Target::new("localhost", &port), Duration::from_secs(5)).is_ok());
    }

    #[test]
    fn the_error_lists_every_address_with_its_reason() {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let error = error("127.0.0.1", &port.to_string());
        assert_eq!(
            error.to_string(),
            format!("cannot connect: 127.0.0.1 port {port}: 127.0.0.1:{port}: connection refused")
        );
        assert_eq!(
            error.hint().unwrap().text,
            "start the service (systemctl start NAME.socket), or see where it listens (ss -tln)"
        );
    }

    #[test]
    fn a_name_that_is_not_in_the_services_database_is_an_unknown_service() {
        let error = error("localhost", "no-such-service").to_string();
        assert!(
            error.starts_with("unknown service: no-such-service: not in the services database"),
            "{error}"
        );
    }

    #[test]
    fn the_hint_for_an_unknown_service_depends_on_its_form() {
        for (service, hint) in [
            (
                "localhost:5150",
                "hint: give the host and the port as two arguments\n    sockunit connect localhost 5150",
            ),
            (
                "[::1]:5150",
                "hint: give the host and the port as two arguments\n    sockunit connect ::1 5150",
            ),
            (
                "no-such-service",
                "hint: give the port number, or add the name as root\n    sockunit services add no-such-service PORT",
            ),
            ("no such", "hint: give the port number"),
            ("a:b c", "hint: give the port number"),
        ] {
            assert_eq!(
                error("localhost", service).hint().unwrap().to_string(),
                hint
            );
        }
    }

    #[test]
    fn a_file_that_is_no_socket_is_named_as_that() {
        let error = error("localhost", "/etc/passwd");
        assert_eq!(
            error.to_string(),
            "cannot connect: /etc/passwd: not a socket"
        );
        assert_eq!(error.hint(), None);
    }

    #[test]
    fn only_a_name_of_this_host_is_for_doctor() {
        for (host, service, name) in [
            ("localhost", "hello", Some("hello")),
            ("::1", "hello", Some("hello")),
            ("localhost", "3333", None),
            ("192.0.2.1", "hello", None),
        ] {
            assert_eq!(
                Target::new(host, service).local_name(),
                name,
                "{host} {service}"
            );
        }
    }

    #[test]
    fn a_number_out_of_range_is_an_invalid_port() {
        for port in ["0", "65536", "99999999999"] {
            let error = error("localhost", port).to_string();
            let start = format!("invalid port: {port}: ");
            assert!(error.starts_with(&start), "{error}");
        }
    }

    #[test]
    fn an_address_without_a_route_cannot_be_connected_to() {
        // A documentation address of IPv6: nothing answers there, if there is a route at all.
        let target = Target::new("2001:db8::1", "9");
        let error = dial(&target, Duration::from_millis(200)).unwrap_err();
        let start = "cannot connect: 2001:db8::1 port 9: [2001:db8::1]:9: ";
        assert!(error.to_string().starts_with(start), "{error}");
        let hint = error.hint().unwrap().text;
        assert!(
            hint.starts_with("check the address") || hint.starts_with("the host may be down"),
            "{hint}"
        );
    }

    #[test]
    fn a_service_with_a_slash_is_the_path_of_a_unix_socket() {
        let error = error("localhost", "/nonexistent/socket");
        assert_eq!(
            error.to_string(),
            "cannot connect: /nonexistent/socket: no such file or directory"
        );
        assert_eq!(
            error.hint().unwrap(),
            Hint::new("start the service that listens on this socket")
        );
    }
}
