//! The sources of connections, for the per-source limit.

use std::net::{IpAddr, Ipv4Addr};

use crate::connection::Peer;

/// What counts as one source. An IPv6 host can use any address of its /64 network, so that the whole
/// network is one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// The /64 network of an IPv6 address.
    V6(u64),
    /// The user ID of a local client.
    User(u32),
    /// A client that disconnected before its address was read.
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
