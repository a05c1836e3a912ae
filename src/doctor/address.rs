//! The addresses of the socket, as they are written.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::path::Path;

use nix::sys::socket::{
    self, AddressFamily, SockFlag, SockType, SockaddrStorage, setsockopt, sockopt,
};

use super::subject::Case;
use super::{Fault, Tell};
use crate::systemd::{ListenDirective, Scope};

/// Where one address of a socket unit is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// Of TCP.
    Tcp(SocketAddr),
    /// An AF_UNIX socket.
    Unix(String),
    /// Anything else, as it is written.
    Other(String),
}

impl Address {
    /// Reads a value of `ListenStream=`.
    pub fn parse(text: &str) -> Address {
        if text.starts_with('/') || text.starts_with('@') {
            return Address::Unix(text.to_string());
        }
        if let Ok(port) = text.parse() {
            // A port alone is all addresses of both families.
            return Address::Tcp(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port));
        }
        let any = text.strip_prefix("*:").and_then(|port| port.parse().ok());
        match (any, text.parse()) {
            (Some(port), _) => Address::Tcp(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port)),
            (None, Ok(address)) => Address::Tcp(address),
            (None, Err(_)) => Address::Other(text.to_string()),
        }
    }

    /// An address by which a client on this machine comes to it; `only_v6` says that those of IPv6
    /// take no IPv4.
    pub fn near(&self, only_v6: bool) -> Option<SocketAddr> {
        let Address::Tcp(address) = self else {
            return None;
        };
        let ip = match address.ip() {
            IpAddr::V6(ip) if ip.is_unspecified() && only_v6 => Ipv6Addr::LOCALHOST.into(),
            ip if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            ip => ip,
        };
        Some(SocketAddr::new(ip, address.port()))
    }
}

/// Checks what is written: that there are addresses, that they do not stand in each other's way,
/// and that this machine has them.
///
/// # Errors
///
/// The first that could not be listened on.
pub fn check(case: &Case<'_>, tell: &mut Tell<'_>) -> Result<(), Fault> {
    let listens = case.socket.listen_directives();
    let unit = &case.socket.name;
    if listens.is_empty() {
        let fault = Fault::new(
            format!("{unit} listens nowhere: no ListenStream= is left of its files"),
            "name an address, as in ListenStream=127.0.0.1:3333",
        );
        return Err(fault);
    }
    let streams: Vec<(&ListenDirective<'_>, Address)> = listens
        .iter()
        .filter(|listen| listen.is_stream())
        .map(|listen| (listen, Address::parse(listen.value.text)))
        .collect();
    for (listen, address) in &streams {
        if let Address::Other(text) = address {
            if !text.starts_with("vsock") && !text.contains('%') {
                return Err(Fault::new(
                    format!("{}: {text} is no address", at(listen)),
                    "write ADDRESS:PORT with a numeric address ([::1]:3333 for IPv6), a port alone for every \
                     address, or a path",
                )
                .means("systemd looks up no names of hosts."));
            }
        }
    }
    twice(case, &streams)?;
    for (listen, address) in &streams {
        if let Address::Tcp(address) = address {
            reachable(case, listen, *address)?;
        }
    }
    let tcp: Vec<SocketAddr> = streams
        .iter()
        .filter_map(|(_, address)| match address {
            Address::Tcp(address) => Some(*address),
            _ => None,
        })
        .collect();
    let written: Vec<&str> = listens.iter().map(|listen| listen.value.text).collect();
    tell.good(format!(
        "{unit} is for {}{}",
        written.join(" and "),
        who(&tcp)
    ));
    Ok(())
}

/// Who can connect to these addresses.
fn who(addresses: &[SocketAddr]) -> String {
    let ips: Vec<IpAddr> = addresses.iter().map(SocketAddr::ip).collect();
    if ips.is_empty() {
        return String::new();
    }
    if ips.iter().all(IpAddr::is_loopback) {
        let only = match (
            ips.iter().any(IpAddr::is_ipv4),
            ips.iter().any(IpAddr::is_ipv6),
        ) {
            (true, false) => ", over IPv4 alone",
            (false, true) => ", over IPv6 alone",
            _ => "",
        };
        return format!(": clients on this machine only{only}");
    }
    if ips.iter().all(IpAddr::is_ipv4) {
        return ": clients over IPv4 only".into();
    }
    ": clients of the network as well".into()
}

/// Two lines of one unit that cannot both be bound.
fn twice(case: &Case<'_>, streams: &[(&ListenDirective<'_>, Address)]) -> Result<(), Fault> {
    if case.socket.flag("Socket", "ReusePort") == Some(true) {
        return Ok(());
    }
    let only_v6 = case.only_v6();
    for (index, (listen, address)) in streams.iter().enumerate() {
        for (earlier, other) in &streams[..index] {
            let clash = match (address, other) {
                (Address::Tcp(a), Address::Tcp(b)) => {
                    a.port() == b.port() && overlap(a.ip(), b.ip(), only_v6)
                }
                (a, b) => a == b,
            };
            if !clash {
                continue;
            }
            let unit = &case.socket.name;
            let port = listen
                .port()
                .map_or(listen.value.text.to_string(), |port| format!("port {port}"));
            let fault = Fault::new(
                format!("{unit} wants {port} twice, and the second time it is in use by the first"),
                "put an empty ListenStream= before the later line; it takes all earlier addresses away",
            )
            .seen([line(earlier), line(listen)]);
            let path = listen.value.path;
            let fault = fault.command(format!(
                "sed -i '{}i ListenStream=' {}",
                listen.value.line,
                super::fix::shell(path)
            ));
            return Err(case.by_reload(fault));
        }
    }
    Ok(())
}

/// Whether two sockets of one port cannot have these addresses both; `only_v6` says that those of IPv6
/// take no IPv4.
pub fn overlap(a: IpAddr, b: IpAddr, only_v6: bool) -> bool {
    let covers = |wide: IpAddr, other: IpAddr| match wide {
        IpAddr::V4(wide) => wide.is_unspecified() && other.is_ipv4(),
        // It takes IPv4 as well.
        IpAddr::V6(wide) => wide.is_unspecified() && (other.is_ipv6() || !only_v6),
    };
    a == b || covers(a, b) || covers(b, a)
}

fn at(listen: &ListenDirective<'_>) -> String {
    format!("{}:{}", listen.value.path.display(), listen.value.line)
}

fn line(listen: &ListenDirective<'_>) -> String {
    format!("{}: {}={}", at(listen), listen.key, listen.value.text)
}

/// That the machine has the address, and that the port may be opened.
fn reachable(
    case: &Case<'_>,
    listen: &ListenDirective<'_>,
    address: SocketAddr,
) -> Result<(), Fault> {
    if !case.place.live() {
        return Ok(());
    }
    let least = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    let least: u16 = least
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(1024);
    if case.place.scope == Scope::User && address.port() < least {
        return Err(Fault::new(
            format!(
                "{}: port {} is below {least}, and only root may listen there",
                at(listen),
                address.port()
            ),
            format!(
                "choose a port from {least} on, or attach the service to the system: sudo sockunit add"
            ),
        ));
    }
    let free_bind = case.socket.flag("Socket", "FreeBind") == Some(true)
        || case.socket.flag("Socket", "Transparent") == Some(true);
    if free_bind || has(address.ip()) {
        return Ok(());
    }
    let fault = Fault::new(
        format!(
            "{}: this machine has no address {}",
            at(listen),
            address.ip()
        ),
        "see which it has (ip address), or allow the socket to wait for it",
    );
    let unit = &case.socket.name;
    Err(case.by_drop_in(fault, unit, "Socket", &["FreeBind=yes"]))
}

/// Whether an address can be bound here.
fn has(ip: IpAddr) -> bool {
    match TcpListener::bind(SocketAddr::new(ip, 0)) {
        Err(error) => error.kind() != std::io::ErrorKind::AddrNotAvailable,
        Ok(_) => true,
    }
}

/// Whether a socket could have this address now, as far as may be tried.
pub fn is_free(address: SocketAddr, only_v6: bool) -> bool {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::Inet,
        SocketAddr::V6(_) => AddressFamily::Inet6,
    };
    let flags = SockFlag::SOCK_CLOEXEC;
    let Ok(socket) = socket::socket(family, SockType::Stream, flags, None) else {
        return false;
    };
    let _ = setsockopt(&socket, sockopt::ReuseAddr, &true);
    if address.is_ipv6() {
        let _ = setsockopt(&socket, sockopt::Ipv6V6Only, &only_v6);
    }
    socket::bind(socket.as_raw_fd(), &SockaddrStorage::from(address)).is_ok()
}

/// Whether the path of an AF_UNIX socket is there.
pub fn is_there(path: &str) -> bool {
    path.starts_with('@') || Path::new(path).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_systemd_reads_it() {
        let tcp = |text: &str| Address::Tcp(text.parse().unwrap());
        assert_eq!(Address::parse("3333"), tcp("[::]:3333"));
        assert_eq!(Address::parse("*:3333"), tcp("[::]:3333"));
        assert_eq!(Address::parse("127.0.0.1:1"), tcp("127.0.0.1:1"));
        assert_eq!(Address::parse("[::1]:1"), tcp("[::1]:1"));
        assert_eq!(Address::parse("/run/x"), Address::Unix("/run/x".into()));
        assert_eq!(
            Address::parse("localhost:1"),
            Address::Other("localhost:1".into())
        );
        assert_eq!(
            Address::parse("3333").near(true),
            Some("[::1]:3333".parse().unwrap())
        );
        assert_eq!(
            Address::parse("3333").near(false),
            Some("127.0.0.1:3333".parse().unwrap())
        );
        assert_eq!(
            Address::parse("0.0.0.0:3").near(true),
            Some("127.0.0.1:3".parse().unwrap())
        );
        assert_eq!(Address::parse("/run/x").near(true), None);
    }

    #[test]
    fn every_address_overlaps_with_each_of_its_family() {
        let ip = |text: &str| text.parse().unwrap();
        for (a, b, only_v6, clash) in [
            ("::", "127.0.0.1", false, true),
            ("::", "127.0.0.1", true, false),
            ("127.0.0.1", "0.0.0.0", false, true),
            ("0.0.0.0", "::1", false, false),
            ("127.0.0.1", "127.0.0.2", false, false),
            ("::1", "::1", true, true),
        ] {
            assert_eq!(overlap(ip(a), ip(b), only_v6), clash, "{a} {b}");
        }
    }
}
