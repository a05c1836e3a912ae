//! The words of `only_from` and `no_access`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::superserver::System;

/// What a word of an access list matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// An IPv4 address, also one that is mapped to IPv6, if it is `address` where `mask` has ones.
    V4 { address: u32, mask: u32 },
    /// An IPv6 address if it is `address` where `mask` has ones.
    V6 { address: u128, mask: u128 },
    /// A client whose reverse name is this one, or ends in it if it begins with a dot.
    Host(Vec<u8>),
    /// No client.
    Nothing,
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pattern::V4 { address, mask } => {
                write!(f, "{}/{}", Ipv4Addr::from(*address), mask.leading_ones())
            }
            Pattern::V6 { address, mask } => {
                write!(f, "{}/{}", Ipv6Addr::from(*address), mask.leading_ones())
            }
            Pattern::Host(_) => f.write_str("reverse name"),
            Pattern::Nothing => f.write_str("nothing"),
        }
    }
}

/// What a word comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Parsed {
    /// One pattern, or several for `a.b.{c,d}`.
    Patterns(Vec<Pattern>),
    /// The word and what it matches, where it looks like something else.
    Mismatch(Pattern, &'static str),
    /// xinetd drops the word.
    Dropped,
    /// The word disables the service.
    Bad(&'static str),
}

/// Parses a word as xinetd does: a number, a name, a prefix, a list in braces, a network, in this order.
pub(crate) fn parse(word: &[u8], system: &dyn System) -> Parsed {
    let has = |byte: u8| word.contains(&byte);
    if has(b',') && !has(b'{') {
        return Parsed::Bad("a comma outside of braces");
    }
    if has(b'{') {
        return braces(word);
    }
    let text = String::from_utf8_lossy(word);
    if let Some((address, mask)) = text.split_once('/') {
        return prefix(address, mask);
    }
    if let Some(pattern) = numeric(&text) {
        let written = text.matches('.').count();
        let is_short = matches!(pattern, Pattern::V4 { .. }) && written < 3;
        return match is_short {
            true => Parsed::Mismatch(pattern, "one address, as inet_aton(3) does"),
            false => Parsed::Patterns(vec![pattern]),
        };
    }
    let one = |pattern| Parsed::Patterns(vec![pattern]);
    let is_domain = word.first() == Some(&b'.');
    if is_domain {
        let has_letters = word.iter().any(|b| !b.is_ascii_digit() && *b != b'.');
        return match has_letters {
            true => one(Pattern::Host(word.to_vec())),
            false => Parsed::Dropped,
        };
    }
    match (system.addresses(word), system.network(word)) {
        (Some(addresses), _) if !addresses.is_empty() => one(Pattern::Host(word.to_vec())),
        (_, Some(network)) => {
            let pattern = Pattern::V4 {
                address: network,
                mask: u32::MAX,
            };
            Parsed::Mismatch(pattern, "the address of the network alone")
        }
        (None, None) => one(Pattern::Host(word.to_vec())),
        (Some(_), None) => Parsed::Dropped,
    }
}

/// An address. The zero bytes at the end of an IPv4 address are wildcards.
fn numeric(text: &str) -> Option<Pattern> {
    if text.contains(':') {
        let address: Ipv6Addr = text.parse().ok()?;
        return Some(Pattern::V6 {
            address: address.into(),
            mask: u128::MAX,
        });
    }
    let address = inet_aton(text)?;
    let wildcards = address.trailing_zeros() / 8 * 8;
    let mask = u32::MAX.checked_shl(wildcards).unwrap_or_default();
    Some(Pattern::V4 { address, mask })
}

/// A numeric address, as getaddrinfo(3) reads it.
pub(crate) fn numeric_address(text: &str) -> Option<IpAddr> {
    let v4 = || inet_aton(text).map(|address| Ipv4Addr::from(address).into());
    text.parse().ok().or_else(v4)
}

/// inet_aton(3): up to four numbers, of which the last has the remaining bytes; with `0` and `0x`
/// before octal and hexadecimal ones.
fn inet_aton(text: &str) -> Option<u32> {
    let parts: Option<Vec<u32>> = text.split('.').map(number).collect();
    let parts = parts?;
    let (last, bytes) = parts.split_last()?;
    let bits = 32 - 8 * u32::try_from(bytes.len()).ok()?.min(4);
    if bytes.len() > 3 || bytes.iter().any(|byte| *byte > 255) {
        return None;
    }
    if bits < 32 && *last >= 1 << bits {
        return None;
    }
    let high = bytes.iter().fold(0, |sum, byte| sum << 8 | byte);
    Some(high.checked_shl(bits).unwrap_or_default() | last)
}

fn number(text: &str) -> Option<u32> {
    let (digits, radix) = match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&text[2..], 16),
        [b'0', _, ..] => (&text[1..], 8),
        _ => (text, 10),
    };
    let is_number = digits.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_number.then(|| u32::from_str_radix(digits, radix).ok())?
}

/// `ADDRESS/BITS`. xinetd reads the number up to the first other character, so that a mask in dots
/// is one of 255 bits.
fn prefix(address: &str, mask: &str) -> Parsed {
    let digits = mask.bytes().take_while(u8::is_ascii_digit).count();
    let Ok(bits) = mask[..digits].parse::<u32>() else {
        return Parsed::Dropped;
    };
    if let Ok(IpAddr::V6(address)) = address.parse() {
        if bits >= 128 {
            return Parsed::Mismatch(Pattern::Nothing, "a host name, which matches no client");
        }
        return Parsed::Patterns(vec![Pattern::V6 {
            address: address.into(),
            mask: u128::MAX.checked_shl(128 - bits).unwrap_or_default(),
        }]);
    }
    let Some(address) = inet_aton(address) else {
        return Parsed::Dropped;
    };
    let wildcards = 32_u32.saturating_sub(bits);
    let pattern = Pattern::V4 {
        address,
        mask: u32::MAX.checked_shl(wildcards).unwrap_or_default(),
    };
    match mask.contains('.') {
        true if wildcards == 0 => Parsed::Mismatch(pattern, "this address alone"),
        true => Parsed::Mismatch(pattern, "a prefix of the number before the first dot"),
        false => Parsed::Patterns(vec![pattern]),
    }
}

/// `a.b.c.{d,e}`. xinetd does not check that a number is below 256.
fn braces(word: &[u8]) -> Parsed {
    let brace = word.iter().position(|byte| *byte == b'{');
    let (before, list) = word.split_at(brace.unwrap_or_default());
    if before.iter().any(|b| !b.is_ascii_digit() && *b != b'.') {
        return Parsed::Dropped;
    }
    if before.starts_with(b".") || before.windows(2).any(|pair| pair == b"..") {
        return Parsed::Bad("consecutive dots");
    }
    let Some(list) = list.strip_prefix(b"{").and_then(|l| l.strip_suffix(b"}")) else {
        return Parsed::Bad("no } at the end");
    };
    let text = String::from_utf8_lossy(before);
    let bytes: Vec<u32> = text.split_terminator('.').map(wrapping).collect();
    // xinetd drops a number that has no dot before the brace.
    let dots = text.matches('.').count();
    let Some(shift) = 24_u32.checked_sub(8 * u32::try_from(dots).unwrap_or(4)) else {
        return Parsed::Bad("more than three dots");
    };
    let high = bytes[..dots].iter();
    let high = high.fold(0_u32, |sum, b| sum.wrapping_mul(256).wrapping_add(*b));
    let high = high.checked_shl(shift + 8).unwrap_or_default();
    let mut patterns = Vec::new();
    for number in list.split(|byte| *byte == b',') {
        if number.is_empty() {
            return Parsed::Bad("consecutive commas");
        }
        if number.iter().any(|byte| !byte.is_ascii_digit()) {
            return Parsed::Bad("not a number in braces");
        }
        let number = wrapping(&String::from_utf8_lossy(number));
        patterns.push(Pattern::V4 {
            address: high.wrapping_add(number << shift),
            mask: u32::MAX << shift,
        });
    }
    Parsed::Patterns(patterns)
}

/// A number, as a C program adds up its digits.
fn wrapping(digits: &str) -> u32 {
    digits.bytes().fold(0_u32, |sum, digit| {
        sum.wrapping_mul(10)
            .wrapping_add(u32::from(digit.wrapping_sub(b'0')))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::superserver::fixed_system::FixedSystem;
    use proptest::prelude::*;

    fn v4(address: [u8; 4], bits: u32) -> Pattern {
        Pattern::V4 {
            address: u32::from_be_bytes(address),
            mask: u32::MAX.checked_shl(32 - bits).unwrap_or(0),
        }
    }

    #[track_caller]
    fn patterns(word: &str) -> Vec<Pattern> {
        match parse(word.as_bytes(), &FixedSystem) {
            Parsed::Patterns(patterns) => patterns,
            Parsed::Mismatch(pattern, _) => vec![pattern],
            parsed => panic!("{word}: {parsed:?}"),
        }
    }

    #[test]
    fn addresses_match_as_in_xinetd() {
        for (word, pattern) in [
            ("192.0.2.1", v4([192, 0, 2, 1], 32)),
            ("192.168.1.0", v4([192, 168, 1, 0], 24)),
            ("10.0.0.0", v4([10, 0, 0, 0], 8)),
            ("0.0.0.0", v4([0; 4], 0)),
            ("192.168.1", v4([192, 168, 0, 1], 32)),
            ("127", v4([0, 0, 0, 127], 32)),
            ("192.0.2.0/25", v4([192, 0, 2, 0], 25)),
            ("0.0.0.0/0", v4([0; 4], 0)),
            ("192.0.2.0/255.255.255.0", v4([192, 0, 2, 0], 32)),
            ("::1/128", Pattern::Nothing),
            (
                "2001:db8::/32",
                Pattern::V6 {
                    address: 0x2001_0db8 << 96,
                    mask: 0xffff_ffff << 96,
                },
            ),
            (".example.org", Pattern::Host(b".example.org".to_vec())),
        ] {
            assert_eq!(patterns(word), [pattern], "{word}");
        }
        assert_eq!(
            patterns("192.0.2.{1,20}"),
            [v4([192, 0, 2, 1], 32), v4([192, 0, 2, 20], 32)]
        );
        assert_eq!(patterns("10.{1}"), [v4([10, 1, 0, 0], 16)]);
        assert_eq!(patterns("{10,11}").len(), 2);
    }

    #[test]
    fn words_without_an_address_are_dropped_and_faults_disable() {
        for word in ["ALL", "*", "no.such.host", "1.2.3.4/x", "a{1}"] {
            assert_eq!(
                parse(word.as_bytes(), &FixedSystem),
                Parsed::Dropped,
                "{word}"
            );
        }
        for word in ["1.2.3.4,", "1..{2}", "1.{2,,3}", "1.{2", "1.2.3.{4}5"] {
            let parsed = parse(word.as_bytes(), &FixedSystem);
            assert!(matches!(parsed, Parsed::Bad(_)), "{word}: {parsed:?}");
        }
    }

    proptest! {
        #[test]
        fn any_word_can_be_parsed(word in "[0-9x.:/{},a]{0,24}") {
            parse(word.as_bytes(), &FixedSystem);
        }
    }
}
