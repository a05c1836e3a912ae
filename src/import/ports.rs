//! The addresses of a service's sockets: whether they are in use, and whether other services have them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use nix::errno::Errno;
use nix::sys::socket::SockType;

use crate::attach::RenderedUnit;
use crate::bind;
use crate::systemd::UnitFile;

/// The addresses that a service listens on.
#[derive(Debug)]
pub(super) struct Ports(Vec<Address>);

#[derive(Debug, Clone, Copy)]
struct Address {
    address: SocketAddr,
    /// Whether it is for IPv6 alone, if it is an IPv6 address.
    only_v6: bool,
    kind: SockType,
}

impl Ports {
    /// Those in the socket unit among units.
    pub(super) fn of(units: &[RenderedUnit]) -> Ports {
        let socket = units.iter().find(|unit| unit.name.ends_with(".socket"));
        let text = socket.map_or("", |unit| &unit.text);
        let lines = UnitFile::parse(text.as_bytes()).assignments;
        let only_v6 = lines.iter().any(|line| line.key == "BindIPv6Only");
        let addresses = lines.iter().filter_map(|line| {
            let kind = match line.key.as_str() {
                "ListenStream" => SockType::Stream,
                "ListenDatagram" => SockType::Datagram,
                _ => return None,
            };
            let all = || {
                Some(SocketAddr::new(
                    Ipv6Addr::UNSPECIFIED.into(),
                    line.value.parse().ok()?,
                ))
            };
            Some(Address {
                address: line.value.parse().ok().or_else(all)?,
                only_v6,
                kind,
            })
        });
        Ports(addresses.collect())
    }

    /// Whether one of the addresses has the port.
    pub(super) fn have(&self, port: u16) -> bool {
        self.0.iter().any(|address| address.address.port() == port)
    }

    /// A port that a socket has at one of these addresses.
    pub(super) fn in_use(&self) -> Option<u16> {
        let mut addresses = self.0.iter();
        let found = addresses.find(|address| address.is_in_use());
        found.map(|found| found.address.port())
    }

    /// Whether systemd can listen beside the sockets that have these addresses, and gets the datagrams.
    pub(super) fn can_be_shared(&self) -> bool {
        let mut addresses = self.0.iter();
        addresses
            .all(|one| one.kind == SockType::Datagram && bind::can_share(one.address, one.only_v6))
    }

    /// A port that the other service has too, at an address that only one of them can have.
    pub(super) fn shared_with(&self, other: &Ports) -> Option<u16> {
        let mut addresses = self.0.iter();
        let found = addresses.find(|address| other.0.iter().any(|other| address.excludes(other)));
        found.map(|found| found.address.port())
    }
}

impl Address {
    fn is_in_use(&self) -> bool {
        let Address {
            address,
            only_v6,
            kind,
        } = *self;
        match bind::attempt(address, only_v6, kind) {
            // Without IPv6, systemd listens on the IPv4 addresses.
            Err(Errno::EAFNOSUPPORT) if self.is_all() && address.is_ipv6() && !only_v6 => {
                let address = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port());
                bind::attempt(address, false, kind) == Err(Errno::EADDRINUSE)
            }
            result => result == Err(Errno::EADDRINUSE),
        }
    }

    fn is_all(&self) -> bool {
        self.address.ip().is_unspecified()
    }

    /// Whether the address stands for addresses of IPv4 and of IPv6.
    fn families(&self) -> (bool, bool) {
        match self.address.ip() {
            IpAddr::V4(_) => (true, false),
            IpAddr::V6(_) => (self.is_all() && !self.only_v6, true),
        }
    }

    fn excludes(&self, other: &Address) -> bool {
        let ((v4, v6), (other_v4, other_v6)) = (self.families(), other.families());
        let share_family = (v4 && other_v4) || (v6 && other_v6);
        let share_address =
            self.is_all() || other.is_all() || self.address.ip() == other.address.ip();
        self.kind == other.kind
            && self.address.port() == other.address.port()
            && share_family
            && share_address
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports(directives: &str) -> Ports {
        Ports::of(&[RenderedUnit {
            name: "x.socket".into(),
            text: format!("[Socket]\n{directives}\n"),
        }])
    }

    #[test]
    fn services_share_a_port_if_their_addresses_overlap() {
        let dual = "ListenStream=80";
        let v6 = "ListenStream=[::]:80\nBindIPv6Only=ipv6-only";
        let v4 = "ListenStream=0.0.0.0:80";
        let local = "ListenStream=127.0.0.1:80";
        for (one, other, expected) in [
            (dual, dual, true),
            (dual, v4, true),
            (dual, v6, true),
            (dual, local, true),
            (v4, v6, false),
            (v4, local, true),
            (v6, local, false),
            (local, local, true),
            (local, "ListenStream=127.0.0.2:80", false),
            (dual, "ListenDatagram=80", false),
            (dual, "ListenStream=81", false),
        ] {
            for (one, other) in [(one, other), (other, one)] {
                let shared = ports(one).shared_with(&ports(other));
                assert_eq!(shared.is_some(), expected, "{one} {other}");
            }
        }
    }

    #[test]
    fn a_bound_address_is_in_use_and_another_family_is_not() {
        let bound = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = bound.local_addr().unwrap().port();
        let v4 = ports(&format!("ListenDatagram=127.0.0.1:{port}"));
        assert_eq!(v4.in_use(), Some(port));
        let v6 = format!("ListenDatagram=[::]:{port}\nBindIPv6Only=ipv6-only");
        assert_eq!(ports(&v6).in_use(), None);
        assert_eq!(
            ports(&format!("ListenStream=127.0.0.1:{port}")).in_use(),
            None
        );
    }

    #[test]
    fn the_port_of_a_program_with_wait_can_be_shared_if_it_is_for_datagrams() {
        use nix::sys::socket::{setsockopt, sockopt};

        let old = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = old.local_addr().unwrap().port();
        let datagrams = ports(&format!("ListenDatagram=127.0.0.1:{port}"));
        assert!(!datagrams.can_be_shared());
        // As inetd and xinetd do before they bind it.
        setsockopt(&old, sockopt::ReuseAddr, &true).unwrap();
        assert!(datagrams.can_be_shared());
        assert_eq!(datagrams.in_use(), Some(port));

        let old = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = old.local_addr().unwrap().port();
        let stream = ports(&format!("ListenStream=127.0.0.1:{port}"));
        assert!(!stream.can_be_shared());
    }
}
