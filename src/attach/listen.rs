//! The addresses that a service listens on.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU16;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use super::Attachment;
use crate::conflicts::Requested;
use crate::connect::Target;
use crate::log::is_unprintable;
use crate::systemd::quote::can_be_program;

/// The longest path of an AF_UNIX socket, in bytes.
const MAX_PATH: usize = 107;

/// An address to listen on, as the user gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ListenAddress {
    /// All addresses of the host; without a port, that of the service.
    All(Option<NonZeroU16>),
    /// One address, or the unspecified address of one family.
    Ip(IpAddr, Option<NonZeroU16>),
    /// The path of an AF_UNIX socket.
    Path(String),
}

impl FromStr for ListenAddress {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<ListenAddress, &'static str> {
        let invalid = "give an address of this host such as 192.0.2.1, 192.0.2.1:80, ::1, [::1]:80, * \
                       or *:80, or the absolute path of an AF_UNIX socket";
        if text.starts_with('/') {
            return path(text).map(ListenAddress::Path);
        }
        let bare = text
            .strip_prefix('[')
            .and_then(|text| text.strip_suffix(']'));
        if let Ok(ip) = bare.unwrap_or(text).parse() {
            return Ok(ListenAddress::Ip(ip, None));
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().map_err(|_| invalid)?)),
            None => (text, None),
        };
        match (host, port) {
            ("*", port) => Ok(ListenAddress::All(port)),
            (_, Some(port)) => {
                let address: SocketAddr = text.parse().map_err(|_| invalid)?;
                // systemd has the scope of a link-local address elsewhere.
                match address {
                    SocketAddr::V6(v6) if v6.scope_id() != 0 => Err(invalid),
                    _ => Ok(ListenAddress::Ip(address.ip(), Some(port))),
                }
            }
            (_, None) => Err(invalid),
        }
    }
}

/// Checks the path of an AF_UNIX socket.
fn path(text: &str) -> Result<String, &'static str> {
    if text.len() > MAX_PATH {
        return Err("the path of an AF_UNIX socket has at most 107 bytes");
    }
    // The components of a path that is not in its shortest form make another one.
    let shortest: PathBuf = Path::new(text)
        .components()
        .filter(|component| *component != Component::ParentDir)
        .collect();
    if shortest.as_os_str() != text || text == "/" {
        return Err("give the path of an AF_UNIX socket without . and .. and empty parts");
    }
    if !can_be_program(text) || text.contains(is_unprintable) || text.ends_with(char::is_whitespace)
    {
        return Err(
            "the path has a quote, a backslash, a control character or a blank at its end, which \
             systemd does not accept",
        );
    }
    Ok(text.into())
}

/// An address that the socket unit has, with its port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// A TCP port of one address, or of all addresses of the host.
    Tcp(Option<IpAddr>, NonZeroU16),
    /// The path of an AF_UNIX socket.
    Local(String),
}

/// As systemd writes it in `ListenStream=`.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Tcp(None, port) => port.fmt(f),
            Endpoint::Tcp(Some(ip), port) => SocketAddr::new(*ip, port.get()).fmt(f),
            Endpoint::Local(path) => path.fmt(f),
        }
    }
}

impl Endpoint {
    /// Whether every connection to the other address is one to this address.
    fn covers(&self, other: &Endpoint) -> bool {
        match (self, other) {
            (Endpoint::Tcp(of, port), Endpoint::Tcp(other_of, other_port)) => {
                let covers = match (of, other_of) {
                    (None, _) => true,
                    (Some(ip), Some(other)) => {
                        ip == other || ip.is_unspecified() && ip.is_ipv4() == other.is_ipv4()
                    }
                    (Some(_), None) => false,
                };
                port == other_port && covers
            }
            _ => self == other,
        }
    }

    /// What to connect to on this host.
    pub(super) fn target(&self) -> Target {
        match self {
            Endpoint::Tcp(ip, port) => {
                let host = match ip {
                    Some(ip) if !ip.is_unspecified() => *ip,
                    Some(IpAddr::V6(_)) => Ipv6Addr::LOCALHOST.into(),
                    None | Some(IpAddr::V4(_)) => Ipv4Addr::LOCALHOST.into(),
                };
                Target::new(&host.to_string(), &port.to_string())
            }
            Endpoint::Local(path) => Target::Unix(path.into()),
        }
    }

    /// Whether it is a port of all IPv6 addresses, and of no IPv4 address.
    pub(super) fn is_all_of_ipv6(&self) -> bool {
        matches!(self, Endpoint::Tcp(Some(IpAddr::V6(ip)), _) if ip.is_unspecified())
    }

    /// The port or path, which others may use.
    pub(super) fn address(&self) -> Requested<'_> {
        match self {
            Endpoint::Tcp(_, port) => Requested::Port(port.get()),
            Endpoint::Local(path) => Requested::Path(path),
        }
    }
}

/// The addresses of a service, each once, without those that another covers.
pub(super) fn endpoints(attachment: &Attachment) -> Vec<Endpoint> {
    let port = attachment.port;
    if attachment.listen.is_empty() {
        let loopback = [
            IpAddr::from(Ipv4Addr::LOCALHOST),
            Ipv6Addr::LOCALHOST.into(),
        ];
        return loopback.map(|ip| Endpoint::Tcp(Some(ip), port)).into();
    }
    let given = attachment.listen.iter().map(|address| match address {
        ListenAddress::All(own) => Endpoint::Tcp(None, own.unwrap_or(port)),
        ListenAddress::Ip(ip, own) => Endpoint::Tcp(Some(*ip), own.unwrap_or(port)),
        ListenAddress::Path(path) => Endpoint::Local(path.clone()),
    });
    let given: Vec<Endpoint> = given.collect();
    let mut endpoints: Vec<Endpoint> = Vec::new();
    for endpoint in &given {
        let covered = given
            .iter()
            .any(|other| other != endpoint && other.covers(endpoint));
        if !covered && !endpoints.contains(endpoint) {
            endpoints.push(endpoint.clone());
        }
    }
    if !endpoints.iter().any(Endpoint::is_all_of_ipv6) {
        return endpoints;
    }
    // BindIPv6Only= holds for all addresses of a unit.
    let of_each_family = |endpoint| match endpoint {
        Endpoint::Tcp(None, port) => vec![
            Endpoint::Tcp(Some(Ipv4Addr::UNSPECIFIED.into()), port),
            Endpoint::Tcp(Some(Ipv6Addr::UNSPECIFIED.into()), port),
        ],
        _ => vec![endpoint],
    };
    endpoints.into_iter().flat_map(of_each_family).collect()
}

/// The lines of the `[Socket]` section for the addresses of a service.
pub(crate) fn listen_directives(attachment: &Attachment, key: &str) -> String {
    let endpoints = endpoints(attachment);
    let mut text = String::new();
    for endpoint in &endpoints {
        text += &format!("{key}={}\n", endpoint.to_string().replace('%', "%%"));
    }
    if endpoints.iter().any(Endpoint::is_all_of_ipv6) {
        text += "BindIPv6Only=ipv6-only\n";
    }
    text
}

/// The arguments of `sockunit connect` for a service.
pub(crate) fn connect_arguments(attachment: &Attachment) -> Vec<String> {
    let local = [
        IpAddr::from(Ipv4Addr::LOCALHOST),
        Ipv6Addr::LOCALHOST.into(),
    ];
    match endpoints(attachment).first() {
        Some(Endpoint::Tcp(Some(ip), port)) if !ip.is_unspecified() && !local.contains(ip) => {
            vec![ip.to_string(), port.to_string()]
        }
        Some(Endpoint::Tcp(_, port)) => vec![port.to_string()],
        Some(Endpoint::Local(path)) => vec![path.clone()],
        None => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_an_optional_port_and_a_path_has_none() {
        let port = |port| Some(NonZeroU16::new(port).unwrap());
        let ip = |ip: &str| ip.parse().unwrap();
        for (text, address) in [
            ("*", ListenAddress::All(None)),
            ("*:80", ListenAddress::All(port(80))),
            ("192.0.2.1", ListenAddress::Ip(ip("192.0.2.1"), None)),
            ("192.0.2.1:80", ListenAddress::Ip(ip("192.0.2.1"), port(80))),
            ("2001:db8::1", ListenAddress::Ip(ip("2001:db8::1"), None)),
            ("[2001:db8::1]", ListenAddress::Ip(ip("2001:db8::1"), None)),
            ("[::]:80", ListenAddress::Ip(ip("::"), port(80))),
            ("/run/a b.sock", ListenAddress::Path("/run/a b.sock".into())),
        ] {
            assert_eq!(text.parse(), Ok(address), "{text}");
        }
        for text in [
            "",
            "80",
            ":80",
            "*:",
            "*:0",
            "localhost",
            "[::1",
            "::1]:80",
            "[fe80::1%2]:80",
            "run/x",
            "/",
            "//run/x",
            "/run/./x",
            "/run/x ",
            "/run/\u{92}x",
            "/run/\u{202e}x",
        ] {
            assert!(text.parse::<ListenAddress>().is_err(), "{text}");
        }
    }
}
