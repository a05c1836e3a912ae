//! Where connections come from.

use std::net::{IpAddr, Ipv4Addr};

use crate::connection::Peer;

/// What counts as one source. A host has a whole /64 network of IPv6 addresses to choose from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// The network of an IPv6 address.
    V6(u64),
    /// A user of this machine.
    User(u32),
    /// Who has left already.
    Unknown,
}

impl From<Peer> for Source {
    fn from(peer: Peer) -> Source {
        match peer {
            Peer::Tcp(address) => match address.ip() {
                IpAddr::V4(v4) => Source::V4(v4),
                IpAddr::V6(v6) => Source::V6((v6.to_bits() >> 64) as u64),
            },
            Peer::Unix { uid, .. } => Source::User(uid),
            Peer::Unknown | Peer::CommandLine => Source::Unknown,
        }
    }
}
