//! The addresses of a service.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::super::report::Fate;
use super::{Converter, Start, built_in};
use crate::attach::ListenAddress;
use crate::superserver::Word;
use crate::superserver::inetd::{Families, Service};

/// One service for each socket, if the program gets it: a unit can pass one only.
pub(crate) fn split(service: &Service) -> Vec<Service> {
    let one_socket = match built_in::is_internal(service) {
        // It can be for both families.
        true => service.socket_type.bytes == b"dgram" && !service.addresses.is_empty(),
        false => service.waits && service.rpc_versions.is_none(),
    };
    if !one_socket {
        return vec![service.clone()];
    }
    let words = match service.addresses.as_slice() {
        [] => vec![None],
        words => words.iter().map(Some).collect(),
    };
    let mut services = Vec::new();
    for word in words {
        let families = match word.map(numeric) {
            _ if service.families != Families::Each => vec![service.families],
            Some(Some(IpAddr::V4(_))) => vec![Families::V4],
            Some(Some(IpAddr::V6(_))) => vec![Families::V6],
            Some(None) if !word.is_some_and(is_localhost) => vec![Families::Each],
            Some(None) | None => vec![Families::V4, Families::V6],
        };
        services.extend(families.into_iter().map(|families| Service {
            addresses: word.cloned().into_iter().collect(),
            families,
            ..service.clone()
        }));
    }
    services
}

fn is_localhost(word: &Word) -> bool {
    word.bytes == b"localhost"
}

impl Converter<'_> {
    /// The type of the socket, its addresses, the sizes of its buffers, and who gets it.
    pub(super) fn socket(&mut self) -> Option<Vec<ListenAddress>> {
        let service = self.service;
        let listen = match service.socket_type.bytes.as_slice() {
            b"dgram" => "ListenDatagram=",
            _ => "ListenStream=",
        };
        self.entry(Fate::Kept, &service.socket_type.to_string(), listen);
        let listen = self.addresses();
        if let Some(buffers) = &service.buffers {
            let text = "it has no effect in the inetd of Debian";
            self.entry(Fate::Kept, &buffers.to_string(), text);
        }
        let wait = match (&self.start, self.built_in) {
            (Start::Serve, None) => "sockunit serve starts the program for each connection",
            (Start::Serve, Some(_)) => "one process serves all connections",
            (Start::Datagrams, _) => "one process answers all datagrams",
            _ => "sockunit serve starts the program with the listening socket",
        };
        let word = if service.waits { "wait" } else { "nowait" };
        self.entry(Fate::Kept, word, wait);
        listen
    }

    fn addresses(&mut self) -> Option<Vec<ListenAddress>> {
        let service = self.service;
        let protocol = service.protocol.to_string();
        if service.addresses.is_empty() {
            let (listen, what) = match service.families {
                Families::V4 => (
                    ListenAddress::Ip(Ipv4Addr::UNSPECIFIED.into(), None),
                    "all IPv4 addresses",
                ),
                Families::V6 => (
                    ListenAddress::Ip(Ipv6Addr::UNSPECIFIED.into(), None),
                    "all IPv6 addresses",
                ),
                Families::Each | Families::Both => {
                    (ListenAddress::All(None), "all addresses, IPv4 and IPv6")
                }
            };
            let what = format!("the address of the socket: {what}");
            self.entry(Fate::Kept, &protocol, &what);
            return Some(match self.has_socket_for_each_family() {
                true => vec![
                    ListenAddress::Ip(Ipv4Addr::UNSPECIFIED.into(), None),
                    ListenAddress::Ip(Ipv6Addr::UNSPECIFIED.into(), None),
                ],
                false => vec![listen],
            });
        }
        let mut listen = Vec::new();
        for word in &service.addresses {
            let found = addresses(word, service.families);
            if found.is_empty() {
                self.report.obstacle(
                    format!("{word}: not an address of the protocol {protocol}"),
                    Some("write an address in its place"),
                );
            }
            listen.extend(found.into_iter().map(|ip| ListenAddress::Ip(ip, None)));
        }
        self.entry(Fate::Kept, &protocol, "the addresses before the name");
        Some(listen)
    }

    /// Whether the program is to see the addresses of IPv4 clients as such, as under openbsd-inetd: amandad, rexecd and
    /// cfingerd do not understand `::ffff:192.0.2.1`. Without IPv6, systemd cannot listen on `[::]`.
    fn has_socket_for_each_family(&self) -> bool {
        self.service.families == Families::Each
            && !built_in::is_internal(self.service)
            && self.host.has_ipv6()
    }
}

/// The address that a word is.
fn numeric(word: &Word) -> Option<IpAddr> {
    let text = word.to_string();
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    bare.parse().ok()
}

/// The addresses that a word stands for.
fn addresses(word: &Word, families: Families) -> Vec<IpAddr> {
    let mut addresses: Vec<IpAddr> = match is_localhost(word) {
        true => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
        false => numeric(word).into_iter().collect(),
    };
    addresses.retain(|address| match families {
        Families::V4 => address.is_ipv4(),
        Families::V6 => address.is_ipv6(),
        Families::Each | Families::Both => true,
    });
    addresses
}
