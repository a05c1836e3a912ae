mod against_ppp;

use std::net::SocketAddr;

use proptest::prelude::*;

use super::*;

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// A header of version 2, with the length of what follows the fixed part.
fn version2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[command, family], &length, rest].concat()
}

/// Addresses and ports as version 2 has them.
fn addresses(source: SocketAddr, destination: SocketAddr) -> (u8, Vec<u8>) {
    let octets = |address: SocketAddr| match address {
        SocketAddr::V4(v4) => v4.ip().octets().to_vec(),
        SocketAddr::V6(v6) => v6.ip().octets().to_vec(),
    };
    let ports = [
        source.port().to_be_bytes(),
        destination.port().to_be_bytes(),
    ]
    .concat();
    let family = if source.is_ipv4() { 0x11 } else { 0x21 };
    (
        family,
        [octets(source), octets(destination), ports].concat(),
    )
}

/// A value of version 2.
fn value(kind: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    [&[kind], &length[..], content].concat()
}

/// A header with a checksum as its last value.
fn with_checksum(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let mut header = version2(command, family, &[rest, &value(0x03, &[0; 4])].concat());
    let crc = v2::crc32c(header.iter().copied());
    let at = header.len() - 4;
    header[at..].copy_from_slice(&crc.to_be_bytes());
    header
}

/// Decodes input that arrives in pieces of these lengths, and then whole. Returns the client and what follows the
/// header; no client if the header is not complete.
fn decode(input: &[u8], pieces: &[usize]) -> Result<(Option<Client>, Vec<u8>), HeaderError> {
    let mut decoder = Decoder::default();
    let mut rest = input;
    for length in pieces.iter().copied().chain([usize::MAX]) {
        let progress = decoder.advance(&rest[..rest.len().min(length)])?;
        rest = &rest[progress.consumed..];
        assert_eq!(decoder.length(), input.len() - rest.len());
        if progress.client.is_some() {
            return Ok((progress.client, rest.to_vec()));
        }
    }
    assert!(rest.is_empty());
    Ok((None, Vec::new()))
}

fn client(input: &[u8]) -> Result<Option<Client>, HeaderError> {
    decode(input, &[]).map(|(client, _)| client)
}

fn address(text: &str) -> Result<Option<Client>, HeaderError> {
    Ok(Some(Client::Address(text.parse().unwrap())))
}

#[test]
fn a_line_of_version_1_has_the_address_of_the_client() {
    for (line, expected) in [
        (
            "PROXY TCP4 192.0.2.7 192.0.2.1 40112 80\r\n",
            address("192.0.2.7:40112"),
        ),
        (
            "PROXY TCP6 2001:db8::7 ::1 0 65535\r\n",
            address("[2001:db8::7]:0"),
        ),
        ("PROXY UNKNOWN\r\n", Ok(Some(Client::Unknown))),
        (
            "PROXY UNKNOWN whatever it is \r\n",
            Ok(Some(Client::Unknown)),
        ),
        ("PROXY TCP4 192.0.2.7 192.0.2.1 40112 80", Ok(None)),
        ("P", Ok(None)),
    ] {
        assert_eq!(client(line.as_bytes()), expected, "{line}");
    }
}

#[test]
fn other_lines_are_no_header() {
    for (line, error) in [
        ("GET / HTTP/1.0\r\n\r\n", HeaderError::Missing),
        (
            "proxy TCP4 192.0.2.7 192.0.2.1 40112 80\r\n",
            HeaderError::Missing,
        ),
        (
            "PROXY TCP4 192.0.2.7 192.0.2.1 40112\r\n",
            HeaderError::Malformed,
        ),
        (
            "PROXY TCP4 192.0.2.7 192.0.2.1 40112 80 \r\n",
            HeaderError::Malformed,
        ),
        (
            "PROXY  TCP4 192.0.2.7 192.0.2.1 40112 80\r\n",
            HeaderError::Malformed,
        ),
        (
            "PROXY TCP4 192.0.2.7 192.0.2.1 040112 80\r\n",
            HeaderError::Malformed,
        ),
        (
            "PROXY TCP4 192.0.2.7 192.0.2.1 +1 80\r\n",
            HeaderError::Malformed,
        ),
        (
            "PROXY TCP4 192.0.2.7 192.0.2.1 65536 80\r\n",
            HeaderError::Malformed,
        ),
        (
            "PROXY TCP4 192.0.2.07 192.0.2.1 1 80\r\n",
            HeaderError::Malformed,
        ),
        ("PROXY TCP4 ::1 ::1 1 80\r\n", HeaderError::Malformed),
        (
            "PROXY TCP6 192.0.2.7 192.0.2.1 1 80\r\n",
            HeaderError::Malformed,
        ),
        (
            "PROXY UDP4 192.0.2.7 192.0.2.1 1 80\r\n",
            HeaderError::Malformed,
        ),
        ("PROXY \r\n", HeaderError::Malformed),
    ] {
        assert_eq!(client(line.as_bytes()), Err(error), "{line}");
    }
    let long = format!("PROXY UNKNOWN {}", "x".repeat(107));
    assert_eq!(client(long.as_bytes()), Err(HeaderError::Malformed));
    // The line may have 107 bytes with its end.
    let line = format!("PROXY UNKNOWN {}\r\n", "x".repeat(107 - 16));
    assert_eq!(
        (line.len(), client(line.as_bytes())),
        (107, Ok(Some(Client::Unknown)))
    );
    let line = format!("PROXY UNKNOWN {}\r\n", "x".repeat(107 - 15));
    assert_eq!(client(line.as_bytes()), Err(HeaderError::Malformed));
}

#[test]
fn a_header_of_version_2_has_the_address_of_the_client() {
    let (family, tcp4) = addresses(
        "192.0.2.7:40112".parse().unwrap(),
        "192.0.2.1:80".parse().unwrap(),
    );
    let (family6, tcp6) = addresses(
        "[2001:db8::7]:1".parse().unwrap(),
        "[::1]:80".parse().unwrap(),
    );
    let values = [value(0x01, b"h2"), value(0x20, &[0; 300]), value(0xe0, b"")].concat();
    let with_values = [&tcp4[..], &values].concat();
    for (header, expected) in [
        (version2(0x21, family, &tcp4), address("192.0.2.7:40112")),
        (version2(0x21, family6, &tcp6), address("[2001:db8::7]:1")),
        (
            version2(0x21, family, &with_values),
            address("192.0.2.7:40112"),
        ),
        (
            with_checksum(0x21, family, &with_values),
            address("192.0.2.7:40112"),
        ),
        (version2(0x21, 0x00, b""), Ok(Some(Client::Unknown))),
        // Nobody knows what addresses of an unknown family look like.
        (version2(0x21, 0x00, &[0xff; 9]), Ok(Some(Client::Unknown))),
        (version2(0x21, 0x31, &[0; 216]), Ok(Some(Client::Unknown))),
        (version2(0x20, 0x00, b""), Ok(Some(Client::Proxy))),
        // The rest of a LOCAL header is skipped, whatever it is.
        (
            version2(0x20, 0xff, &[0xff; v2::MAX_LENGTH - 16]),
            Ok(Some(Client::Proxy)),
        ),
        (version2(0x21, family, &tcp4)[..27].to_vec(), Ok(None)),
    ] {
        assert_eq!(client(&header), expected, "{header:?}");
    }
}

#[test]
fn a_header_of_version_2_that_breaks_the_rules_is_refused() {
    let (family, tcp4) = addresses(
        "192.0.2.7:40112".parse().unwrap(),
        "192.0.2.1:80".parse().unwrap(),
    );
    let mut damaged = with_checksum(0x21, family, &tcp4);
    damaged[17] ^= 1;
    for (header, error) in [
        (version2(0x11, family, &tcp4), HeaderError::Malformed),
        (version2(0x22, family, &tcp4), HeaderError::Malformed),
        (version2(0x21, 0x12, &tcp4), HeaderError::Malformed),
        (version2(0x21, family, &tcp4[..11]), HeaderError::Malformed),
        (
            version2(0x21, family, &[&tcp4[..], &[1, 0]].concat()),
            HeaderError::Malformed,
        ),
        (
            version2(0x21, family, &[&tcp4[..], &[1, 0, 2, 0]].concat()),
            HeaderError::Malformed,
        ),
        (
            version2(0x21, family, &[&tcp4[..], &value(0x03, &[0; 5])].concat()),
            HeaderError::Malformed,
        ),
        (damaged, HeaderError::Checksum),
        (b"\r\n\r\n\0\r\nQUIT!".to_vec(), HeaderError::Missing),
    ] {
        assert_eq!(client(&header), Err(error), "{header:?}");
    }
}

#[test]
fn a_header_with_two_checksums_is_malformed() {
    let values = value(0x03, &[0; 4]).repeat(12);
    // With this address of the client, each of these checksums is right.
    let tcp4 = [&[0x66, 0xcc, 0xac, 0x20][..], &[0; 8], &values].concat();
    assert_eq!(
        client(&version2(0x21, 0x11, &tcp4)),
        Err(HeaderError::Malformed)
    );
}

#[test]
fn a_header_that_is_too_long_is_refused_before_it_is_kept() {
    let longest = version2(0x20, 0, &[0; v2::MAX_LENGTH - 16]);
    let mut decoder = Decoder::default();
    for piece in longest[..v2::MAX_LENGTH - 1].chunks(1000) {
        assert_eq!(decoder.advance(piece).unwrap().client, None);
    }
    assert!(decoder.header.capacity() <= v2::MAX_LENGTH);
    let longer = version2(0x20, 0, &[0; v2::MAX_LENGTH - 15]);
    assert_eq!(client(&longer[..15]), Ok(None));
    assert_eq!(client(&longer[..17]), Err(HeaderError::TooLong));
}

#[test]
fn the_checksum_is_that_of_the_standard() {
    // From RFC 3720, B.4.
    assert_eq!(v2::crc32c([0; 32].into_iter()), 0x8a91_36aa);
    assert_eq!(v2::crc32c(0..32), 0x46dd_794e);
}

fn header() -> impl Strategy<Value = Vec<u8>> {
    let socket = |v6: bool| match v6 {
        false => (any::<[u8; 4]>(), any::<u16>())
            .prop_map(SocketAddr::from)
            .boxed(),
        true => (any::<[u8; 16]>(), any::<u16>())
            .prop_map(SocketAddr::from)
            .boxed(),
    };
    let pair = any::<bool>().prop_flat_map(move |v6| (socket(v6), socket(v6)));
    let values = proptest::collection::vec(
        (4_u8.., proptest::collection::vec(any::<u8>(), 0..200)),
        0..4,
    );
    (pair, values, 0..4).prop_map(|((source, destination), values, kind)| {
        let values: Vec<u8> = values
            .iter()
            .flat_map(|(kind, content)| value(*kind, content))
            .collect();
        let (family, addresses) = addresses(source, destination);
        let rest = [addresses, values].concat();
        match kind {
            0 => version2(0x21, family, &rest),
            1 => with_checksum(0x21, family, &rest),
            2 => version2(0x20, family, &rest),
            _ => {
                let protocol = if source.is_ipv4() { "TCP4" } else { "TCP6" };
                let (from, to) = (source.ip(), destination.ip());
                let (source, destination) = (source.port(), destination.port());
                format!("PROXY {protocol} {from} {to} {source} {destination}\r\n").into_bytes()
            }
        }
    })
}

proptest! {
    #[test]
    fn a_header_in_any_pieces_is_the_same_and_leaves_what_follows(
        header in header(),
        follows in proptest::collection::vec(any::<u8>(), 0..50),
        pieces in proptest::collection::vec(1_usize..60, 1..20),
    ) {
        let input = [&header[..], &follows].concat();
        let whole = decode(&input, &[]);
        prop_assert!(matches!(whole, Ok((Some(_), _))), "{whole:?}");
        prop_assert_eq!(&whole.as_ref().unwrap().1, &follows);
        prop_assert_eq!(decode(&input, &pieces), whole);
    }

    #[test]
    fn damaged_input_in_any_pieces_has_the_same_result(
        header in header(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        pieces in proptest::collection::vec(1_usize..60, 1..20),
    ) {
        let mut input = header;
        let at = at.index(input.len());
        input[at] = byte;
        prop_assert_eq!(decode(&input, &pieces), decode(&input, &[]));
    }
}
