//! The sockets that xinetd opens, and which of them exclude each other.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::entry::{Draft, Settings};
use super::note::NoteKind;
use super::refusal::Refusal;
use super::{Service, value};
use crate::superserver::System;

/// A socket as far as the attributes say which.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Socket {
    /// `stream`, `dgram`, `raw` or `seqpacket`.
    pub(crate) kind: Option<String>,
    /// The name of the protocol as it is written, and its number.
    pub(crate) protocol: Option<(String, u8)>,
    /// The port. `None` if there is none, or if xinetd does not choose it (RPC).
    pub(crate) port: Option<u16>,
    /// The address and family.
    pub(crate) address: Address,
}

/// Where a socket listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    /// All IPv6 and, unless `v6only`, all IPv4 addresses; all IPv4 addresses if the kernel has no IPv6.
    All { v6only: bool },
    /// One address, or all of a family.
    One(IpAddr),
    /// A host name, whose addresses cannot be known.
    Host(String),
}

impl Default for Address {
    fn default() -> Address {
        Address::All { v6only: false }
    }
}

impl Address {
    /// The address of a service, and the note about it.
    fn of(settings: &Settings, system: &dyn System) -> (Address, Option<NoteKind>) {
        let has_flag = |flag| settings.has("flags", flag);
        // Both flags mean the same as none.
        let v4_flag = has_flag("IPv4") && !has_flag("IPv6");
        let v6only = settings.is_specified("v6only");
        let all = match v4_flag {
            true => Address::One(Ipv4Addr::UNSPECIFIED.into()),
            false => Address::All { v6only },
        };
        let Some(bind) = settings.first("bind") else {
            return (all, None);
        };
        let Some(addresses) = system.addresses(&bind.bytes) else {
            return (Address::Host(bind.to_string()), None);
        };
        let address = match addresses.as_slice() {
            [] => return (all, None),
            [address] => *address,
            // Of several addresses, the flag decides.
            [first, ..] => {
                let family = addresses.iter().find(|a| a.is_ipv4() == v4_flag);
                *family.unwrap_or(first)
            }
        };
        match (v4_flag, address) {
            // xinetd takes the address family from the flag, and then finds no address.
            (true, IpAddr::V6(_)) => (all, Some(NoteKind::BindIgnored)),
            (_, IpAddr::V6(Ipv6Addr::UNSPECIFIED)) => (Address::All { v6only }, None),
            (_, address) => (Address::One(address), None),
        }
    }

    /// Whether only one of two stream sockets can listen on a port with these addresses.
    fn excludes(&self, other: &Address) -> bool {
        let families = |address: &Address| match address {
            Address::All { v6only } => (!v6only, true),
            Address::One(address) => (address.is_ipv4(), address.is_ipv6()),
            Address::Host(_) => (false, false),
        };
        let is_all = |address: &Address| match address {
            Address::All { .. } => true,
            Address::One(address) => address.is_unspecified(),
            Address::Host(_) => false,
        };
        let ((v4, v6), (other_v4, other_v6)) = (families(self), families(other));
        let share_family = (v4 && other_v4) || (v6 && other_v6);
        share_family && (is_all(self) || is_all(other) || self == other)
    }
}

impl Socket {
    fn is_stream(&self) -> bool {
        self.kind.as_deref().is_none_or(|kind| kind == "stream")
    }

    pub(super) fn is_tcp(&self) -> bool {
        const IP: u8 = 0;
        const TCP: u8 = 6;
        // For a stream socket, the kernel takes 0 for TCP.
        let number = self.protocol.as_ref().map(|(_, number)| *number);
        self.is_stream() && number.is_none_or(|number| matches!(number, IP | TCP))
    }
}

/// The socket that the attributes describe, and a note about its address.
pub(super) fn of(
    draft: &Draft,
    settings: &Settings,
    system: &dyn System,
) -> (Socket, Option<NoteKind>) {
    let mut kind = settings
        .first("socket_type")
        .map(|word| word.to_string().to_ascii_lowercase());
    let numbered = |name: &str| Some((name.to_string(), system.protocol(name.as_bytes())?));
    let mut protocol = settings
        .first("protocol")
        .and_then(|word| numbered(&word.to_string()));
    // Each of them implies the other.
    match (&kind, &protocol) {
        (Some(kind), None) => {
            protocol = match kind.as_str() {
                "stream" => numbered("tcp"),
                "dgram" => numbered("udp"),
                _ => None,
            }
        }
        (None, Some((name, _))) if name.eq_ignore_ascii_case("tcp") => kind = Some("stream".into()),
        (None, Some((name, _))) if name.eq_ignore_ascii_case("udp") => kind = Some("dgram".into()),
        _ => {}
    }
    let is_listed = !settings.has("type", "UNLISTED");
    let written = settings.first("port");
    let port = match written {
        // The kernel chooses the port, or the service has no socket of its own.
        _ if opens_no_port(settings) => None,
        Some(port) => value::port(&port.bytes),
        None if is_listed => {
            // Without a protocol, this is for messages only.
            let name = protocol.as_ref().map_or("tcp", |(name, _)| name);
            system.port(&draft.name.bytes, name.as_bytes())
        }
        None => None,
    };
    let (address, note) = Address::of(settings, system);
    let socket = Socket {
        kind,
        protocol,
        port,
        address,
    };
    (socket, note)
}

/// Whether the service is for RPC or TCPMUX.
fn opens_no_port(settings: &Settings) -> bool {
    let mut types = ["RPC", "TCPMUX", "TCPMUXPLUS"].iter();
    types.any(|word| settings.has("type", word))
}

/// Why the kernel would not let xinetd open the socket. `kept` are the services before it.
pub(super) fn opens<'a>(
    socket: &Socket,
    settings: &Settings,
    mut kept: impl Iterator<Item = &'a Service>,
) -> Option<Refusal> {
    const TCP: u8 = 6;
    const UDP: u8 = 17;
    const SCTP: u8 = 132;
    const UDP_LITE: u8 = 136;
    let is_mux = settings.has("type", "TCPMUX") || settings.has("type", "TCPMUXPLUS");
    if is_mux {
        return None;
    }
    let number = socket.protocol.as_ref().map(|(_, number)| *number);
    let exists = match (socket.kind.as_deref(), number) {
        (Some("stream"), Some(number)) => [0, TCP, SCTP].contains(&number),
        (Some("dgram"), Some(number)) => [0, UDP, UDP_LITE].contains(&number),
        (Some("seqpacket"), Some(number)) => number == SCTP,
        _ => true,
    };
    if !exists {
        return Some(Refusal::Combination(
            "the socket_type does not go with the protocol",
        ));
    }
    let is_v4 = matches!(&socket.address, Address::One(IpAddr::V4(_)));
    if is_v4 && settings.has("flags", "IPv6") {
        return Some(Refusal::Combination(
            // It uses memory that it has not set, and so fails to bind, or listens on all addresses.
            "bind has an IPv4 address, and flags has IPv6 (or it listens on all addresses, by chance)",
        ));
    }
    // Several datagram sockets can have the same port.
    let (true, Some(port)) = (socket.is_tcp(), socket.port.filter(|port| *port != 0)) else {
        return None;
    };
    let other = kept.find(|other| {
        other.is_tcp()
            && other.socket.port == Some(port)
            && other.socket.address.excludes(&socket.address)
    });
    other.map(|other| Refusal::Duplicate(other.id.clone()))
}
