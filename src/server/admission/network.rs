//! Networks in CIDR notation, for the allow and deny lists and the sources of connections.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// An address, or a CIDR network such as `192.0.2.0/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Network {
    address: IpAddr,
    /// The length of the prefix, in bits.
    prefix: u32,
}

impl Network {
    /// The network of an address, with the bits after the prefix cleared.
    pub(crate) fn of(address: IpAddr, prefix: u32) -> Network {
        let address = match address {
            IpAddr::V4(v4) => {
                let host_bits = u32::MAX.checked_shr(prefix).unwrap_or(0);
                Ipv4Addr::from_bits(v4.to_bits() & !host_bits).into()
            }
            IpAddr::V6(v6) => {
                let host_bits = u128::MAX.checked_shr(prefix).unwrap_or(0);
                Ipv6Addr::from_bits(v6.to_bits() & !host_bits).into()
            }
        };
        Network { address, prefix }
    }

    /// Returns whether the network contains an address. IPv4-mapped IPv6 addresses are treated as
    /// IPv4.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        Network::of(address.to_canonical(), self.prefix) == Network::of(self.address, self.prefix)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = if self.address.is_ipv4() { 32 } else { 128 };
        match self.prefix == bits {
            true => self.address.fmt(f),
            false => write!(f, "{}/{}", self.address, self.prefix),
        }
    }
}

impl FromStr for Network {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Network, &'static str> {
        let invalid = "give an address, or a network such as 192.0.2.0/24 or 2001:db8::/32";
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| invalid)?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => bits,
            Some(prefix) if prefix.bytes().all(|byte| byte.is_ascii_digit()) => {
                prefix.parse().map_err(|_| invalid)?
            }
            Some(_) => return Err(invalid),
        };
        if prefix > bits {
            return Err(invalid);
        }
        let canonical = address.to_canonical();
        if canonical.is_ipv4() == address.is_ipv4() {
            return Ok(Network { address, prefix });
        }
        // ::ffff:192.0.2.0/120 is 192.0.2.0/24.
        let prefix = prefix
            .checked_sub(96)
            .ok_or("a network of IPv4-mapped addresses has a prefix of at least 96 bits")?;
        Ok(Network {
            address: canonical,
            prefix,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(network: &str, address: &str) -> bool {
        let network: Network = network.parse().unwrap();
        network.contains(address.parse().unwrap())
    }

    #[test]
    fn a_network_contains_the_addresses_with_its_prefix() {
        for (network, inside, outside) in [
            ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
            ("192.0.2.0/24", "192.0.2.255", "192.0.3.0"),
            ("192.0.2.77/24", "192.0.2.0", "192.0.1.255"),
            ("192.0.2.0/31", "192.0.2.1", "192.0.2.2"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("192.0.2.0/24", "::ffff:192.0.2.9", "::192.0.2.9"),
            ("::ffff:192.0.2.0/120", "192.0.2.9", "192.0.3.9"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("::1", "::1", "127.0.0.1"),
            ("::/0", "2001:db8::", "127.0.0.1"),
        ] {
            assert!(contains(network, inside), "{network} contains {inside}");
            assert!(
                !contains(network, outside),
                "{network} does not contain {outside}"
            );
        }
    }

    #[test]
    fn invalid_networks_are_rejected() {
        for text in [
            "",
            "localhost",
            "192.0.2",
            "192.0.2.0/",
            "192.0.2.0/33",
            "192.0.2.0/+8",
            "192.0.2.0/255.255.255.0",
            "::1/129",
            "::ffff:192.0.2.0/24",
            "/8",
        ] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }
}
