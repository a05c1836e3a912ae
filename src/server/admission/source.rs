//! The sources of connections, for the limits on each source.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::network::Network;
use crate::connection::Peer;

/// How many leading bits of an address make up a source. An IPv6 host can use any address of its /64
/// network, and a site any network of its /48 or /56.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SourcePrefix {
    pub v4: u32,
    pub v6: u32,
}

impl Default for SourcePrefix {
    fn default() -> SourcePrefix {
        SourcePrefix { v4: 32, v6: 64 }
    }
}

impl fmt::Display for SourcePrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.v4, self.v6)
    }
}

impl FromStr for SourcePrefix {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<SourcePrefix, &'static str> {
        let bits = |text: &str, max: u32| -> Option<u32> {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse().ok().filter(|bits| digits && *bits <= max)
        };
        text.split_once(',')
            .and_then(|(v4, v6)| {
                Some(SourcePrefix {
                    v4: bits(v4, Ipv4Addr::BITS)?,
                    v6: bits(v6, Ipv6Addr::BITS)?,
                })
            })
            .ok_or("give two numbers of bits such as 32,64 or 24,48, for IPv4 and for IPv6")
    }
}

impl SourcePrefix {
    /// Each address is a source of its own.
    pub(crate) const WHOLE: SourcePrefix = SourcePrefix { v4: 32, v6: 128 };

    /// The source of a peer.
    pub(crate) fn source(self, peer: Peer) -> Source {
        match peer {
            Peer::Tcp(address) => {
                let bits = if address.is_ipv4() { self.v4 } else { self.v6 };
                Source::Network(Network::of(address.ip(), bits))
            }
            Peer::Unix { uid, .. } => Source::User(uid),
            Peer::Unknown | Peer::CommandLine => Source::Unknown,
        }
    }
}

/// What counts as one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Source {
    /// The addresses with one prefix.
    Network(Network),
    /// The user ID of a local client.
    User(u32),
    /// A client that disconnected before its address was read.
    Unknown,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Network(network) => network.fmt(f),
            Source::User(uid) => write!(f, "local uid {uid}"),
            Source::Unknown => f.write_str("unknown peer"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_the_prefix_of_an_address() {
        let source = |prefix: &str, address: &str| {
            let prefix: SourcePrefix = prefix.parse().unwrap();
            let peer = Peer::Tcp(address.parse().unwrap());
            prefix.source(peer).to_string()
        };
        for (prefix, address, expected) in [
            ("32,64", "192.0.2.77:1", "192.0.2.77"),
            ("24,64", "192.0.2.77:1", "192.0.2.0/24"),
            ("0,64", "192.0.2.77:1", "0.0.0.0/0"),
            ("32,64", "[2001:db8:1:2:3::4]:1", "2001:db8:1:2::/64"),
            ("32,48", "[2001:db8:1:2:3::4]:1", "2001:db8:1::/48"),
            ("32,128", "[2001:db8::4]:1", "2001:db8::4"),
            ("32,0", "[2001:db8::4]:1", "::/0"),
        ] {
            assert_eq!(source(prefix, address), expected);
        }
        let local = Peer::Unix { uid: 7, pid: 1 };
        assert_eq!(
            SourcePrefix::default().source(local).to_string(),
            "local uid 7"
        );
    }

    #[test]
    fn invalid_prefixes_are_rejected() {
        for text in [
            "", "32", "33,64", "32,129", "32,", ",64", "+8,64", "32,64,1",
        ] {
            assert!(text.parse::<SourcePrefix>().is_err(), "{text}");
        }
        assert_eq!(SourcePrefix::default().to_string(), "32,64");
    }
}
