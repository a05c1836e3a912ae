//! Why there is no connection.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use nix::errno::Errno;

use super::Target;
use super::relay_error::closed_hint;
use crate::hint::{Hint, ShellCommand};
use crate::log::reason;
use crate::services::ServiceName;

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
    /// The path is that of another file.
    NotASocket,
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
                write!(
                    f,
                    "cannot look up the service: {service}: {}",
                    reason(error)
                )
            }
            DialErrorKind::InvalidPort => {
                write!(
                    f,
                    "invalid port: {service}: a port is a number from 1 to 65535"
                )
            }
            DialErrorKind::Resolve(error) => {
                write!(f, "cannot resolve the host: {host}: {}", reason(error))
            }
            DialErrorKind::Tcp(attempts) => {
                write!(f, "cannot connect: {target}: ")?;
                for (index, (address, errno)) in attempts.iter().enumerate() {
                    let comma = if index > 0 { ", " } else { "" };
                    write!(f, "{comma}{address}: {}", reason(&(*errno).into()))?;
                }
                Ok(())
            }
            DialErrorKind::Unix(Errno::ETIMEDOUT) => write!(
                f,
                "cannot connect: {target}: the listen backlog is full; the service is not accepting \
                 connections"
            ),
            DialErrorKind::NotASocket => write!(f, "cannot connect: {target}: not a socket"),
            DialErrorKind::Unix(errno) => {
                write!(f, "cannot connect: {target}: {}", reason(&(*errno).into()))
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
    pub(crate) fn hint(&self) -> Option<Hint> {
        Some(match &self.kind {
            DialErrorKind::UnknownService => match &self.target {
                Target::Tcp { service, .. } => unknown_hint(service),
                Target::Unix(_) => return None,
            },
            DialErrorKind::ServiceLookup(_)
            | DialErrorKind::InvalidPort
            | DialErrorKind::NotASocket => return None,
            DialErrorKind::Resolve(_) => Hint::new("check the spelling of the host name"),
            DialErrorKind::Tcp(attempts) => tcp_hint(&self.target, attempts),
            DialErrorKind::Unix(errno) => Hint::new(unix_hint(*errno)?),
        })
    }
}

/// The hint for a service that is neither a number nor in the services database.
fn unknown_hint(service: &str) -> Hint {
    let is_valid = |port: &str| port.parse::<u16>().is_ok() || port.parse::<ServiceName>().is_ok();
    let parts = service.rsplit_once(':');
    if let Some((host, port)) = parts.filter(|(host, port)| !host.is_empty() && is_valid(port)) {
        let address = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let connect = ShellCommand::new(&["sockunit", "connect"]);
        return Hint::new("give the host and the port as two arguments")
            .command(connect.arg(address.unwrap_or(host)).arg(port));
    }
    if service.parse::<ServiceName>().is_err() {
        return Hint::new("give the port number");
    }
    let add = ShellCommand::new(&["sockunit", "services", "add"]);
    Hint::new("give the port number, or add the name as root")
        .command(add.arg(service).literals(&["PORT"]))
}

/// The hint for the error that says most about the service.
fn tcp_hint(target: &Target, attempts: &[(SocketAddr, Errno)]) -> Hint {
    let any = |wanted| attempts.iter().any(|(_, errno)| *errno == wanted);
    let is_local = attempts
        .iter()
        .all(|(address, _)| address.ip().is_loopback());
    Hint::new(if any(Errno::ECONNREFUSED) {
        match target {
            Target::Tcp { host, .. } if !is_local => {
                return Hint::new(format!(
                    "nothing listens on that port of {host}, or a firewall refuses it"
                ));
            }
            _ => {
                "start the service (systemctl start NAME.socket), or see where it listens (ss -tln)"
            }
        }
    } else if any(Errno::ECONNRESET) {
        return closed_hint(target);
    } else if any(Errno::ETIMEDOUT) {
        "the host may be down, or a firewall may drop the packets"
    } else {
        "check the address, and this machine's routes (ip route)"
    })
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
