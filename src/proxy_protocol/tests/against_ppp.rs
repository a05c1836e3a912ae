//! The decoder against that of the crate `ppp`: both accept the same headers with the same addresses, and where they
//! differ, the specification decides.

use std::net::IpAddr;

use ppp::{HeaderResult, v1, v2};

use super::*;

/// Why this decoder accepts what `ppp` refuses, or refuses what it accepts.
#[derive(Debug, PartialEq, Eq)]
enum Difference {
    /// Nothing in a LOCAL header but its length has a meaning (2.2): `ppp` refuses unknown families, and lengths that are
    /// too short for the addresses.
    Local,
    /// The family and the protocol are known, but no stream connection has them (2.2): datagrams, or one of them alone.
    NotStream,
    /// The values are cut off, or the checksum is wrong (2.2.3): `ppp` reads them only on demand.
    Values,
    /// The header is longer than any that a proxy sends. This limit is our own.
    TooLong,
    /// The line of an unknown protocol is skipped to its end (2.1): `ppp` refuses more than six words, and a CR alone.
    UnknownLine,
    /// A port is a number without a sign (2.1).
    SignedPort,
}

/// The difference between the decoders that is right for this header; `None` if there is none.
fn difference(input: &[u8]) -> Option<Difference> {
    if input.starts_with(SIGNATURE) {
        let stream = [0x00, 0x11, 0x21, 0x31].contains(&input[13]);
        let length = 16 + usize::from(u16::from_be_bytes([input[14], input[15]]));
        return match (input[12], input[13]) {
            _ if length > super::v2::MAX_LENGTH => Some(Difference::TooLong),
            (0x20, _) => Some(Difference::Local),
            (0x21, _) if !stream => Some(Difference::NotStream),
            (0x21, _) => Some(Difference::Values),
            _ => None,
        };
    }
    let end = input.windows(2).position(|pair| pair == b"\r\n")?;
    match input[..end].strip_prefix(b"PROXY ")? {
        rest if rest.starts_with(b"UNKNOWN ") => Some(Difference::UnknownLine),
        rest if rest.contains(&b'+') => Some(Difference::SignedPort),
        _ => None,
    }
}

/// What `ppp` decodes.
fn by_ppp(input: &[u8]) -> Option<Client> {
    let address = |ip: IpAddr, port| Some(Client::Address(SocketAddr::new(ip, port)));
    match HeaderResult::parse(input) {
        HeaderResult::V1(header) => match header.ok()?.addresses {
            v1::Addresses::Tcp4(tcp) => address(tcp.source_address.into(), tcp.source_port),
            v1::Addresses::Tcp6(tcp) => address(tcp.source_address.into(), tcp.source_port),
            v1::Addresses::Unknown => Some(Client::Unknown),
        },
        HeaderResult::V2(header) => {
            let header = header.ok()?;
            match (header.command, header.addresses) {
                (v2::Command::Local, _) => Some(Client::Proxy),
                (_, v2::Addresses::IPv4(tcp)) => {
                    address(tcp.source_address.into(), tcp.source_port)
                }
                (_, v2::Addresses::IPv6(tcp)) => {
                    address(tcp.source_address.into(), tcp.source_port)
                }
                _ => Some(Client::Unknown),
            }
        }
    }
}

/// Compares the decoders, and returns in what they differ.
fn compare(input: &[u8]) -> Option<Difference> {
    // Enough follows for every length: no result is for lack of input.
    let input = [input, &[0; 70_000]].concat();
    let own = client(&input).unwrap_or(None);
    let other = by_ppp(&input);
    if own == other {
        return None;
    }
    let shown = String::from_utf8_lossy(&input[..input.len().min(120)]).into_owned();
    assert!(
        own.is_none() || other.is_none(),
        "{own:?} {other:?} {shown:?}"
    );
    let difference = difference(&input);
    let accepts = own.is_some();
    match difference {
        Some(Difference::Local | Difference::UnknownLine) if accepts => {}
        Some(
            Difference::NotStream
            | Difference::Values
            | Difference::TooLong
            | Difference::SignedPort,
        ) if !accepts => {}
        _ => panic!("{own:?} {other:?} {difference:?} {shown:?}"),
    }
    difference
}

#[test]
fn the_decoder_differs_from_ppp_where_the_specification_says_so() {
    let (_, tcp4) = addresses(
        "192.0.2.7:40112".parse().unwrap(),
        "192.0.2.1:80".parse().unwrap(),
    );
    for (header, expected) in [
        (version2(0x20, 0xff, b""), Some(Difference::Local)),
        (version2(0x20, 0x11, b""), Some(Difference::Local)),
        (version2(0x21, 0x12, &tcp4), Some(Difference::NotStream)),
        (version2(0x21, 0x10, &tcp4), Some(Difference::NotStream)),
        (
            version2(0x21, 0x11, &[&tcp4[..], &[1, 0, 2]].concat()),
            Some(Difference::Values),
        ),
        (
            version2(0x21, 0x11, &[&tcp4[..], &value(0x03, &[0; 4])].concat()),
            Some(Difference::Values),
        ),
        (
            b"PROXY UNKNOWN a b c d e f g\r\n".to_vec(),
            Some(Difference::UnknownLine),
        ),
        (
            b"PROXY UNKNOWN a\rb\r\n".to_vec(),
            Some(Difference::UnknownLine),
        ),
        (
            b"PROXY TCP4 192.0.2.7 192.0.2.1 +1 80\r\n".to_vec(),
            Some(Difference::SignedPort),
        ),
        (
            version2(0x20, 0x00, &[0; 16_369]),
            Some(Difference::TooLong),
        ),
        (version2(0x21, 0x00, b"anything"), None),
        (with_checksum(0x21, 0x11, &tcp4), None),
        (b"PROXY TCP4 192.0.2.7 192.0.2.1 01 80\r\n".to_vec(), None),
        (b"PROXY UNKNOWN\r\n".to_vec(), None),
        (b"PROXY TCP4 192.0.2.7 192.0.2.1 1 80\n".to_vec(), None),
    ] {
        let shown = String::from_utf8_lossy(&header).into_owned();
        assert_eq!(compare(&header), expected, "{shown:?}");
    }
}

proptest! {
    #[test]
    fn valid_headers_are_the_same_as_with_ppp(header in header()) {
        prop_assert_eq!(compare(&header), None);
    }

    #[test]
    fn mutated_headers_differ_from_ppp_only_by_the_specification(
        header in header(),
        changes in proptest::collection::vec(
            (0_usize..120, prop_oneof![any::<u8>(), prop::sample::select(&b" +\r\n0:.\x20\x21\x11\x12\x31"[..])]),
            1..4,
        ),
        at_first in any::<bool>(),
    ) {
        let mut header = header;
        for (at, byte) in changes {
            // Half of them are in the fixed part of version 2, and in the protocol of version 1.
            let at = if at_first { at % 16 } else { at % header.len() };
            header[at] = byte;
        }
        compare(&header);
    }
}
