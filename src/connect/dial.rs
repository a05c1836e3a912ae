//! Finds the server and connects to it, or says what stands in the way.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{
    self, AddressFamily, SockFlag, SockType, SockaddrLike, SockaddrStorage, UnixAddr, setsockopt,
    sockopt,
};
use nix::sys::time::TimeVal;

use super::cut_off::REFUSED;
use crate::sys;

/// What to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A TCP service: its host, and its port or its name in the services database.
    Tcp {
        /// A name or an address.
        host: String,
        /// A number or a name.
        service: String,
    },
    /// An AF_UNIX socket.
    Unix(PathBuf),
}

impl Target {
    /// A name with a slash in it is the path of an AF_UNIX socket.
    pub fn new(host: &str, service: &str) -> Target {
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

/// Why there is no connection. Its Display is the sentence for the user, the way out included.
#[derive(Debug)]
pub struct DialError {
    target: Target,
    why: Why,
    /// Each address that was tried, with what came of it.
    tried: Vec<(SocketAddr, io::Error)>,
}

#[derive(Debug)]
enum Why {
    UnknownService,
    ServiceLookup(io::Error),
    UnknownHost(io::Error),
    NotAPort,
    Addresses,
    Unix(io::Error),
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DialError { target, why, tried } = self;
        match (target, why) {
            (Target::Tcp { service, .. }, Why::UnknownService) => write!(
                f,
                "there is no {service} in the services database (/etc/services); give the port's \
                 number, or add the name: sockunit services add {service} PORT"
            ),
            (Target::Tcp { service, .. }, Why::ServiceLookup(error)) => {
                write!(f, "cannot look up the service {service}: {error}")
            }
            (Target::Tcp { service, .. }, Why::NotAPort) => {
                write!(
                    f,
                    "{service} is no port: a port is a number from 1 to 65535"
                )
            }
            (Target::Tcp { host, .. }, Why::UnknownHost(error)) => {
                write!(
                    f,
                    "the host {host} was not found ({error}); check its spelling"
                )
            }
            (_, Why::Unix(error)) => write!(f, "{target}: {}", unix_advice(error)),
            _ => {
                let (verdict, advice) = verdict(tried);
                write!(f, "{verdict} {target} (")?;
                for (index, (address, error)) in tried.iter().enumerate() {
                    let comma = if index > 0 { ", " } else { "" };
                    write!(f, "{comma}{address}: {}", plain(error))?;
                }
                write!(f, "); {advice}")
            }
        }
    }
}

impl std::error::Error for DialError {}

/// What the most telling of the errors says, and what to look at next.
fn verdict(tried: &[(SocketAddr, io::Error)]) -> (&'static str, &'static str) {
    let any = |kind| tried.iter().any(|(_, error)| error.kind() == kind);
    if any(io::ErrorKind::ConnectionRefused) {
        (
            "nothing listens on",
            "start the service (systemctl start NAME.socket), or see with ss -tln where it listens",
        )
    } else if any(io::ErrorKind::ConnectionReset) {
        (
            "the connection was closed at once without a byte by",
            REFUSED,
        )
    } else if any(io::ErrorKind::TimedOut) {
        (
            "no answer from",
            "the host may be down, or a firewall may drop the connection",
        )
    } else {
        (
            "cannot reach",
            "check the address and this machine's routes: ip route",
        )
    }
}

fn unix_advice(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => {
            "there is no such socket; start the service that listens on it".into()
        }
        io::ErrorKind::ConnectionRefused => {
            "nothing listens on this socket any more; start its service again".into()
        }
        io::ErrorKind::TimedOut => {
            "no answer: as many connections as it takes wait for its service already; see what keeps it (systemctl status)"
                .into()
        }
        io::ErrorKind::PermissionDenied => {
            "permission denied; SocketMode= in the .socket unit says who may connect".into()
        }
        _ => plain(error),
    }
}

/// An error without the number that Rust puts behind it.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error")
        .next()
        .unwrap_or_default()
        .to_lowercase()
}

/// Connects, trying each address of the host in turn, within `timeout` altogether.
///
/// # Errors
///
/// See [`DialError`].
pub fn dial(target: &Target, timeout: Duration) -> Result<OwnedFd, DialError> {
    let failed = |why, tried| DialError {
        target: target.clone(),
        why,
        tried,
    };
    let (host, service) = match target {
        Target::Unix(path) => {
            let socket = UnixAddr::new(path)
                .and_then(|address| connect(AddressFamily::Unix, &address, timeout));
            return socket.map_err(|errno| failed(Why::Unix(errno.into()), Vec::new()));
        }
        Target::Tcp { host, service } => (host, service),
    };
    let port = port(service).map_err(|why| failed(why, Vec::new()))?;
    let addresses: Vec<SocketAddr> = (host.as_str(), port)
        .to_socket_addrs()
        .map_err(|error| failed(Why::UnknownHost(error), Vec::new()))?
        .collect();
    let deadline = Instant::now() + timeout;
    let mut tried = Vec::new();
    for (index, address) in addresses.iter().enumerate() {
        // Each address has its share of the time that is left, so that a silent one leaves some.
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / (addresses.len() - index) as u32;
        match connect_to(*address, share.max(Duration::from_millis(1))) {
            Ok(stream) => return Ok(stream),
            Err(errno) => tried.push((*address, errno.into())),
        }
    }
    Err(failed(Why::Addresses, tried))
}

/// Connects to one address of TCP.
fn connect_to(address: SocketAddr, timeout: Duration) -> nix::Result<OwnedFd> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::Inet,
        SocketAddr::V6(_) => AddressFamily::Inet6,
    };
    let socket = connect(family, &SockaddrStorage::from(address), timeout)?;
    // What is typed goes out at once; where this fails it goes out a little later.
    let _ = setsockopt(&socket, sockopt::TcpNoDelay, &true);
    Ok(socket)
}

/// Connects.
///
/// The call blocks, with a timeout of its own: a server that answers and closes before a
/// connecting socket is looked at again would make an error of an answer.
fn connect(
    family: AddressFamily,
    address: &dyn SockaddrLike,
    timeout: Duration,
) -> nix::Result<OwnedFd> {
    let socket = socket::socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    let timeout = TimeVal::new(timeout.as_secs() as i64, i64::from(timeout.subsec_micros()));
    setsockopt(&socket, sockopt::SendTimeout, &timeout)?;
    match socket::connect(socket.as_raw_fd(), address) {
        Ok(()) => Ok(socket),
        // The timeout passed.
        Err(Errno::EINPROGRESS | Errno::EAGAIN) => Err(Errno::ETIMEDOUT),
        Err(errno) => Err(errno),
    }
}

fn port(service: &str) -> Result<u16, Why> {
    if is_number(service) {
        return match service.parse() {
            Ok(0) | Err(_) => Err(Why::NotAPort),
            Ok(port) => Ok(port),
        };
    }
    match sys::service_port(service) {
        Ok(Some(port)) => Ok(port),
        Ok(None) => Err(Why::UnknownService),
        Err(error) => Err(Why::ServiceLookup(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn error(host: &str, service: &str) -> String {
        dial(&Target::new(host, service), Duration::from_secs(5))
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn each_address_of_the_host_is_tried() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        // localhost is ::1 first, where nothing listens.
        assert!(dial(&Target::new("localhost", &port), Duration::from_secs(5)).is_ok());
    }

    #[test]
    fn a_port_where_nothing_listens_is_told_with_every_address() {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let told = error("127.0.0.1", &port.to_string());
        assert_eq!(
            told,
            format!(
                "nothing listens on 127.0.0.1 port {port} (127.0.0.1:{port}: connection refused); \
                 start the service (systemctl start NAME.socket), or see with ss -tln where it listens"
            )
        );
    }

    #[test]
    fn a_name_that_is_not_in_the_database_is_told() {
        let told = error("localhost", "no-such-service");
        assert!(
            told.starts_with("there is no no-such-service in the services database"),
            "{told}"
        );
    }

    #[test]
    fn a_number_that_is_no_port_is_told() {
        for port in ["0", "65536", "99999999999"] {
            let told = error("localhost", port);
            assert!(told.starts_with(&format!("{port} is no port: ")), "{told}");
        }
    }

    #[test]
    fn an_address_without_a_route_is_told() {
        // A documentation address of IPv6; where there is a route at all it leads nowhere.
        let target = Target::new("2001:db8::1", "9");
        let told = dial(&target, Duration::from_millis(200))
            .unwrap_err()
            .to_string();
        assert!(
            told.starts_with("cannot reach 2001:db8::1 port 9 (") || told.starts_with("no answer")
        );
    }

    #[test]
    fn a_path_is_a_unix_socket() {
        let told = error("localhost", "/nonexistent/socket");
        assert_eq!(
            told,
            "/nonexistent/socket: there is no such socket; start the service that listens on it"
        );
    }
}
