//! Why there is no connection.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use nix::errno::Errno;

use super::Target;
use super::relay_error::CLOSED_HINT;

/// Why [`dial`](super::dial) has no connection. Its Display is one line, without the hint.
#[derive(Debug)]
pub(crate) struct DialError {
    pub(super) target: Target,
    pub(super) kind: DialErrorKind,
}

#[derive(Debug)]
pub(super) enum DialErrorKind {
    /// The services database does not have the service name.
    UnknownService,
    /// The services database could not be searched.
    ServiceLookup(io::Error),
    /// The number is not a TCP port.
    InvalidPort,
    /// The host name has no address.
    Resolve(io::Error),
    /// No address of the host could be connected to; each with its error.
    Tcp(Vec<(SocketAddr, Errno)>),
    /// The AF_UNIX socket could not be connected to.
    Unix(Errno),
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DialError { target, kind } = self;
        let (host, service) = match target {
            Target::Tcp { host, service } => (host.as_str(), service.as_str()),
            Target::Unix(_) => ("", ""),
        };
        match kind {
            DialErrorKind::UnknownService => write!(
                f,
                "unknown service: {service}: not in the services database (/etc/services)"
            ),
            DialErrorKind::ServiceLookup(error) => {
                write!(f, "cannot look up the service: {service}: {error}")
            }
            DialErrorKind::InvalidPort => {
                write!(
                    f,
                    "invalid port: {service}: a port is a number from 1 to 65535"
                )
            }
            DialErrorKind::Resolve(error) => {
                write!(f, "cannot resolve the host: {host}: {error}")
            }
            DialErrorKind::Tcp(attempts) => {
                write!(f, "cannot connect: {target}: ")?;
                for (index, (address, errno)) in attempts.iter().enumerate() {
                    let comma = if index > 0 { ", " } else { "" };
                    write!(f, "{comma}{address}: {}", description(*errno))?;
                }
                Ok(())
            }
            DialErrorKind::Unix(Errno::ETIMEDOUT) => write!(
                f,
                "cannot connect: {target}: the listen backlog is full; the service is not accepting \
                 connections"
            ),
            DialErrorKind::Unix(errno) => {
                write!(f, "cannot connect: {target}: {}", description(*errno))
            }
        }
    }
}

impl std::error::Error for DialError {}

impl DialError {
    /// Whether the AF_UNIX socket's mode keeps this user from connecting.
    pub(crate) fn is_denied(&self) -> bool {
        matches!(
            &self.kind,
            DialErrorKind::Unix(Errno::EACCES | Errno::EPERM)
        )
    }

    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        let hint = match &self.kind {
            DialErrorKind::UnknownService => {
                let name = match &self.target {
                    Target::Tcp { service, .. } => service.as_str(),
                    Target::Unix(_) => "NAME",
                };
                return Some(format!(
                    "give the port number, or add the name: sockunit services add {name} PORT"
                ));
            }
            DialErrorKind::ServiceLookup(_) | DialErrorKind::InvalidPort => return None,
            DialErrorKind::Resolve(_) => "check the spelling of the host name",
            DialErrorKind::Tcp(attempts) => tcp_hint(attempts),
            DialErrorKind::Unix(errno) => unix_hint(*errno)?,
        };
        Some(hint.to_string())
    }
}

/// The hint for the error that says most about the service.
fn tcp_hint(attempts: &[(SocketAddr, Errno)]) -> &'static str {
    let any = |wanted| attempts.iter().any(|(_, errno)| *errno == wanted);
    if any(Errno::ECONNREFUSED) {
        "start the service (systemctl start NAME.socket), or see where it listens (ss -tln)"
    } else if any(Errno::ECONNRESET) {
        CLOSED_HINT
    } else if any(Errno::ETIMEDOUT) {
        "the host may be down, or a firewall may drop the packets"
    } else {
        "check the address, and this machine's routes (ip route)"
    }
}

fn unix_hint(errno: Errno) -> Option<&'static str> {
    Some(match errno {
        Errno::ENOENT => "start the service that listens on this socket",
        Errno::ECONNREFUSED => "nothing listens on this socket any more; restart its service",
        Errno::ETIMEDOUT => "see what keeps the service busy (systemctl status NAME)",
        Errno::EACCES | Errno::EPERM => {
            "SocketMode= in the socket unit says which users may connect"
        }
        _ => return None,
    })
}

fn description(errno: Errno) -> String {
    errno.desc().to_lowercase()
}
