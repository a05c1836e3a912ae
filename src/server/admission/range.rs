//! Ranges of addresses.

use std::net::IpAddr;
use std::str::FromStr;

/// An address, or a network such as `192.0.2.0/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    network: IpAddr,
    /// How many of the first bits count.
    bits: u32,
}

impl Range {
    /// Whether an address is in it. One of IPv4 that is mapped into IPv6 counts as the IPv4
    /// address that it is.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.network.is_ipv4()
            && masked(address, self.bits) == masked(self.network, self.bits)
    }
}

/// The first bits of an address.
fn masked(address: IpAddr, bits: u32) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits().checked_shr(32 - bits).unwrap_or(0)),
        IpAddr::V6(v6) => v6.to_bits().checked_shr(128 - bits).unwrap_or(0),
    }
}

impl FromStr for Range {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Range, &'static str> {
        let no_range = "give an address, or a network such as 192.0.2.0/24 or 2001:db8::/32";
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| no_range)?;
        let all = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => all,
            Some(bits) if bits.bytes().all(|byte| byte.is_ascii_digit()) => {
                bits.parse().map_err(|_| no_range)?
            }
            Some(_) => return Err(no_range),
        };
        if bits > all {
            return Err(no_range);
        }
        let network = address.to_canonical();
        if network.is_ipv4() == address.is_ipv4() {
            return Ok(Range { network, bits });
        }
        // ::ffff:192.0.2.0/120 is 192.0.2.0/24.
        let bits = bits
            .checked_sub(96)
            .ok_or("a network of mapped IPv4 addresses begins with their 96 bits")?;
        Ok(Range { network, bits })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(range: &str, address: &str) -> bool {
        let range: Range = range.parse().unwrap();
        range.contains(address.parse().unwrap())
    }

    #[test]
    fn a_range_is_an_address_or_a_network() {
        for (range, inside, outside) in [
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
            assert!(contains(range, inside), "{range} has {inside}");
            assert!(!contains(range, outside), "{range} has not {outside}");
        }
    }

    #[test]
    fn what_is_no_range_is_told_so() {
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
            assert!(text.parse::<Range>().is_err(), "{text}");
        }
    }
}
