//! The addresses of the socket, as they are written in its unit.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::Path;

use nix::sys::socket::SockType;

use super::subject::Subject;
use super::{Problem, Report, overlap};
use crate::bind;
use crate::systemd::{ListenDirective, Scope};

/// An address of a socket unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    /// A TCP address.
    Tcp(SocketAddr),
    /// An AF_UNIX socket.
    Unix(String),
    /// Any other text.
    Other(String),
}

impl Address {
    /// Parses a value of `ListenStream=`.
    pub(super) fn parse(text: &str) -> Address {
        if text.starts_with('/') || text.starts_with('@') {
            return Address::Unix(text.to_string());
        }
        if let Ok(port) = text.parse() {
            // A port alone stands for all addresses of both families.
            return Address::Tcp(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port));
        }
        let any = text.strip_prefix("*:").and_then(|port| port.parse().ok());
        match (any, text.parse()) {
            (Some(port), _) => Address::Tcp(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port)),
            (None, Ok(address)) => Address::Tcp(address),
            (None, Err(_)) => Address::Other(text.to_string()),
        }
    }

    /// An address that a client on this machine can connect to. With `only_v6`, IPv6 addresses accept
    /// no IPv4 connections.
    pub(super) fn near(&self, only_v6: bool) -> Option<SocketAddr> {
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

/// Checks that there are addresses, that they do not overlap, and that this machine has them.
///
/// # Errors
///
/// The first address that systemd cannot listen on.
pub(super) fn check(subject: &Subject<'_>, report: &mut Report<'_>) -> Result<(), Problem> {
    let listens = subject.socket.listen_directives();
    let unit = &subject.socket.name;
    if listens.is_empty() {
        let problem = Problem::new(
            format!("{unit} has no address: its files set no ListenStream=, or reset it"),
            "set an address, as in ListenStream=127.0.0.1:3333",
        );
        return Err(problem);
    }
    let streams: Vec<(&ListenDirective<'_>, Address)> = listens
        .iter()
        .filter(|listen| listen.is_stream())
        .map(|listen| (listen, Address::parse(listen.value.text)))
        .collect();
    for (listen, address) in &streams {
        if let Address::Other(text) = address {
            if !text.starts_with("vsock") && !text.contains('%') {
                return Err(Problem::new(
                    format!("{}: {text} is not an address", at(listen)),
                    "write ADDRESS:PORT with a numeric address ([::1]:3333 for IPv6), a port alone for all \
                     addresses, or a path",
                )
                .explanation("systemd does not resolve host names."));
            }
        }
    }
    overlap::check(subject, &streams)?;
    for (listen, address) in &streams {
        if let Address::Tcp(address) = address {
            bindable(subject, listen, *address)?;
        }
    }
    let tcp: Vec<SocketAddr> = streams
        .iter()
        .filter_map(|(_, address)| match address {
            Address::Tcp(address) => Some(*address),
            _ => None,
        })
        .collect();
    moved(subject, &listens, report);
    let written: Vec<&str> = listens.iter().map(|listen| listen.value.text).collect();
    report.ok(format!(
        "{unit} listens on {}{}",
        written.join(" and "),
        reach(&tcp)
    ));
    Ok(())
}

/// Notes the drop-in that replaces the addresses of the unit file.
fn moved(subject: &Subject<'_>, listens: &[ListenDirective<'_>], report: &mut Report<'_>) {
    let Some((fragment, drop_ins)) = subject.socket.sources.split_first() else {
        return;
    };
    let own = |path: &Path| drop_ins.iter().any(|drop_in| drop_in.path == path);
    let addressed = fragment.file.assignments.iter();
    let addressed =
        addressed.filter(|found| found.section == "Socket" && found.key.starts_with("Listen"));
    let kept = listens
        .iter()
        .any(|listen| listen.value.path == fragment.path);
    if addressed.count() == 0 || kept {
        return;
    }
    if let Some(listen) = listens.iter().find(|listen| own(listen.value.path)) {
        report.note(format!(
            "{} replaces the addresses of {}",
            line(listen),
            fragment.path.display()
        ));
    }
}

/// Which clients can connect to these addresses.
fn reach(addresses: &[SocketAddr]) -> String {
    let ips: Vec<IpAddr> = addresses.iter().map(SocketAddr::ip).collect();
    if ips.is_empty() {
        return String::new();
    }
    if ips.iter().all(IpAddr::is_loopback) {
        let only = match (
            ips.iter().any(IpAddr::is_ipv4),
            ips.iter().any(IpAddr::is_ipv6),
        ) {
            (true, false) => ", IPv4 only",
            (false, true) => ", IPv6 only",
            _ => "",
        };
        return format!(": reachable from this machine only{only}");
    }
    if ips.iter().all(IpAddr::is_ipv4) {
        return ": reachable from the network, IPv4 only".into();
    }
    ": reachable from the network".into()
}

fn at(listen: &ListenDirective<'_>) -> String {
    format!("{}:{}", listen.value.path.display(), listen.value.line)
}

pub(super) fn line(listen: &ListenDirective<'_>) -> String {
    format!("{}: {}={}", at(listen), listen.key, listen.value.text)
}

/// Checks that the machine has the address, and that the port may be bound.
fn bindable(
    subject: &Subject<'_>,
    listen: &ListenDirective<'_>,
    address: SocketAddr,
) -> Result<(), Problem> {
    if !subject.place.live() {
        return Ok(());
    }
    let least = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    let least: u16 = least
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(1024);
    if subject.place.scope == Scope::User && address.port() < least {
        return Err(Problem::new(
            format!(
                "{}: port {} is below {least}, and only root can listen on it",
                at(listen),
                address.port()
            ),
            format!("use port {least} or higher, or attach the program as root, without --user"),
        ));
    }
    let free_bind = subject.socket.flag("Socket", "FreeBind") == Some(true)
        || subject.socket.flag("Socket", "Transparent") == Some(true);
    if free_bind || has(address.ip()) {
        return Ok(());
    }
    let problem = Problem::new(
        format!(
            "{}: this machine has no address {}",
            at(listen),
            address.ip()
        ),
        "see which addresses it has (ip address), or let the socket wait for the address",
    );
    let unit = &subject.socket.name;
    Err(subject
        .fixer()
        .by_drop_in(problem, unit, "Socket", &["FreeBind=yes"]))
}

/// Whether this machine has an address.
fn has(ip: IpAddr) -> bool {
    match TcpListener::bind(SocketAddr::new(ip, 0)) {
        Err(error) => error.kind() != std::io::ErrorKind::AddrNotAvailable,
        Ok(_) => true,
    }
}

/// Whether an address can be bound now; false too if that cannot be tried.
pub(super) fn is_free(address: SocketAddr, only_v6: bool) -> bool {
    bind::attempt(address, only_v6, SockType::Stream).is_ok()
}

/// Whether the path of an AF_UNIX socket exists.
pub(super) fn is_there(path: &str) -> bool {
    path.starts_with('@') || Path::new(path).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_parsed_as_systemd_parses_it() {
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
}
