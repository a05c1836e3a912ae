//! Access lists of xinetd as allow and deny lists of `sockunit serve`.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::server::Network;
use crate::superserver::xinetd::Pattern;

/// The addresses of clients, as xinetd sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// An IPv4 socket: IPv6 patterns match nothing.
    V4,
    /// An IPv6 socket, for which IPv4 clients have mapped addresses, if it has any.
    V6,
}

/// A list as networks, and the patterns that need the client's name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct List {
    pub(super) networks: Vec<Network>,
    pub(super) hosts: Vec<String>,
}

/// The first 96 bits of IPv4-mapped addresses.
const MAPPED: u128 = 0xffff << 32;

/// The networks that match what the patterns match.
pub(super) fn list(patterns: &[Pattern], family: Family) -> List {
    let mut list = List::default();
    for pattern in patterns {
        match pattern {
            Pattern::V4 { address, mask } => {
                let address = Ipv4Addr::from(*address).into();
                list.add(Network::of(address, mask.leading_ones()));
            }
            Pattern::V6 { .. } if family == Family::V4 => {}
            Pattern::V6 { address, mask } => list.v6(*address, *mask),
            // The name that 127.0.0.1 has on every system. As an IPv6 socket has it, the address has none.
            Pattern::Host(name) if name == b"localhost" && family == Family::V4 => {
                list.add(Network::of(Ipv4Addr::LOCALHOST.into(), 32));
            }
            Pattern::Host(name) => list.hosts.push(String::from_utf8_lossy(name).into_owned()),
            Pattern::Nothing => {}
        }
    }
    let mut seen = HashSet::new();
    list.networks.retain(|network| seen.insert(*network));
    list
}

/// All addresses.
pub(super) fn everything() -> [Network; 2] {
    [
        Network::of(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
        Network::of(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0),
    ]
}

impl List {
    /// `sockunit serve` compares an IPv4 client as IPv4, and xinetd as IPv6 where its socket is one.
    fn v6(&mut self, address: u128, mask: u128) {
        let prefix = mask.leading_ones();
        let has_mapped = (MAPPED ^ address) & mask & (u128::MAX << 32) == 0;
        if has_mapped {
            let address = Ipv4Addr::from(address as u32).into();
            self.add(Network::of(address, prefix.saturating_sub(96)));
        }
        if prefix < 96 || !has_mapped {
            self.add(Network::of(Ipv6Addr::from(address).into(), prefix));
        }
    }

    fn add(&mut self, network: Network) {
        self.networks.push(network);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What xinetd compares: the client's address as its socket has it, with each pattern.
    fn matches(pattern: &Pattern, client: IpAddr, family: Family) -> bool {
        match (pattern, client, family) {
            (Pattern::V4 { address, mask }, IpAddr::V4(client), _) => {
                (address ^ client.to_bits()) & mask == 0
            }
            (Pattern::V6 { address, mask }, IpAddr::V6(client), Family::V6) => {
                (address ^ client.to_bits()) & mask == 0
            }
            (Pattern::V6 { address, mask }, IpAddr::V4(client), Family::V6) => {
                (address ^ client.to_ipv6_mapped().to_bits()) & mask == 0
            }
            _ => false,
        }
    }

    fn pattern() -> impl Strategy<Value = Pattern> {
        let v4 = (any::<[bool; 3]>(), 0..=32u32).prop_map(|(bits, prefix)| Pattern::V4 {
            address: address4(bits),
            mask: u32::MAX.checked_shl(32 - prefix).unwrap_or(0),
        });
        let v6 =
            (any::<bool>(), any::<[bool; 3]>(), 0..=128u32).prop_map(|(mapped, bits, prefix)| {
                Pattern::V6 {
                    address: address6(mapped, bits),
                    mask: u128::MAX.checked_shl(128 - prefix).unwrap_or(0),
                }
            });
        prop_oneof![v4, v6, Just(Pattern::Nothing)]
    }

    /// Few addresses, so that patterns match.
    fn address4(bits: [bool; 3]) -> u32 {
        let [a, b, c] = bits.map(u32::from);
        a << 31 | b << 9 | c
    }

    fn address6(mapped: bool, bits: [bool; 3]) -> u128 {
        match mapped {
            true => MAPPED | u128::from(address4(bits)),
            false => {
                let [a, b, c] = bits.map(u128::from);
                a << 127 | b << 33 | c
            }
        }
    }

    fn client() -> impl Strategy<Value = IpAddr> {
        prop_oneof![
            any::<[bool; 3]>().prop_map(|bits| Ipv4Addr::from(address4(bits)).into()),
            any::<[bool; 3]>().prop_map(|bits| Ipv6Addr::from(address6(false, bits)).into()),
            any::<u32>().prop_map(|bits| Ipv4Addr::from(bits).into()),
        ]
    }

    #[test]
    fn a_long_list_has_each_network_once() {
        let pattern = |address| Pattern::V4 {
            address,
            mask: u32::MAX,
        };
        let patterns: Vec<Pattern> = (0..200_000).chain(0..200_000).map(pattern).collect();
        assert_eq!(list(&patterns, Family::V4).networks.len(), 200_000);
    }

    proptest! {
        #[test]
        fn networks_match_what_the_patterns_match(
            patterns in prop::collection::vec(pattern(), 0..4),
            client in client(),
            v4 in any::<bool>(),
        ) {
            let family = if v4 { Family::V4 } else { Family::V6 };
            prop_assume!(!(v4 && client.is_ipv6()));
            let expected = patterns.iter().any(|pattern| matches(pattern, client, family));
            let list = list(&patterns, family);
            let found = list.networks.iter().any(|network| network.contains(client));
            prop_assert_eq!(found, expected, "{:?} {:?}", list, client);
        }
    }
}
