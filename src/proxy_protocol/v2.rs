//! Version 2: binary.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Client, HeaderError, Progress};

/// The length of the part that every header has, in bytes.
const FIXED: usize = 16;

/// The most bytes of a header. HAProxy writes it into a buffer of this size. A connection keeps its header until that is
/// complete, so that a longer one would be a way to use up memory.
pub(super) const MAX_LENGTH: usize = 16 * 1024;

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// Version and command.
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;

/// Address family and protocol.
const UNSPECIFIED: u8 = 0x00;
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;
const UNIX: u8 = 0x31;

/// The type of the value with the checksum.
const CRC32C: u8 = 0x03;
/// The bytes in front of a value: its type and its length.
const VALUE_HEADER: usize = 3;

/// Appends input to a header, up to its end.
///
/// # Errors
///
/// It is not a header of this version, or not a valid one.
pub(super) fn advance(header: &mut Vec<u8>, input: &[u8]) -> Result<Progress, HeaderError> {
    let mut rest = input;
    loop {
        if length(header) > MAX_LENGTH {
            return Err(HeaderError::TooLong);
        }
        header.reserve_exact(length(header) - header.len());
        let (more, next) = rest.split_at(rest.len().min(length(header) - header.len()));
        header.extend_from_slice(more);
        rest = next;
        let known = header.len().min(SIGNATURE.len());
        if header[..known] != SIGNATURE[..known] {
            return Err(HeaderError::Missing);
        }
        let complete = header.len() == length(header);
        if complete || rest.is_empty() {
            let client = complete.then(|| decode(header)).transpose()?;
            return Ok(Progress {
                consumed: input.len() - rest.len(),
                client,
            });
        }
    }
}

/// The length of a header that begins like this; at least, if it does not say it yet.
fn length(header: &[u8]) -> usize {
    let length = header
        .get(FIXED - 2..FIXED)
        .and_then(|length| length.try_into().ok());
    FIXED + length.map_or(0, |length| u16::from_be_bytes(length).into())
}

/// Decodes a complete header.
///
/// # Errors
///
/// The header is not valid.
fn decode(header: &[u8]) -> Result<Client, HeaderError> {
    let (fixed, rest) = header
        .split_at_checked(FIXED)
        .ok_or(HeaderError::Malformed)?;
    match fixed[12] {
        // Nothing else in the header has a meaning.
        LOCAL => return Ok(Client::Proxy),
        PROXY => {}
        _ => return Err(HeaderError::Malformed),
    }
    let length = match fixed[13] {
        // What follows may be addresses of any length.
        UNSPECIFIED => return Ok(Client::Unknown),
        TCP4 => 2 * (4 + 2),
        TCP6 => 2 * (16 + 2),
        UNIX => 2 * 108,
        _ => return Err(HeaderError::Malformed),
    };
    let (addresses, values) = rest
        .split_at_checked(length)
        .ok_or(HeaderError::Malformed)?;
    check_values(header, values)?;
    Ok(source(addresses).map_or(Client::Unknown, Client::Address))
}

/// The source address: the first of two addresses, which are followed by two ports.
fn source(addresses: &[u8]) -> Option<SocketAddr> {
    let (ip, port): (IpAddr, _) = match addresses.len() {
        12 => {
            let ip: [u8; 4] = addresses[..4].try_into().ok()?;
            (Ipv4Addr::from(ip).into(), &addresses[8..10])
        }
        36 => {
            let ip: [u8; 16] = addresses[..16].try_into().ok()?;
            (Ipv6Addr::from(ip).into(), &addresses[32..34])
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_be_bytes([port[0], port[1]])))
}

/// Checks the values after the addresses: their lengths, and the checksum if there is one.
fn check_values(header: &[u8], values: &[u8]) -> Result<(), HeaderError> {
    let mut rest = values;
    let mut checksum = None;
    while let [kind, high, low, after @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (value, next) = after
            .split_at_checked(length)
            .ok_or(HeaderError::Malformed)?;
        if *kind == CRC32C {
            let value: [u8; 4] = value.try_into().map_err(|_| HeaderError::Malformed)?;
            let at = header.len() - rest.len() + VALUE_HEADER;
            // To check any number of them would take any time.
            if checksum.replace((at, u32::from_be_bytes(value))).is_some() {
                return Err(HeaderError::Malformed);
            }
        }
        rest = next;
    }
    if !rest.is_empty() {
        return Err(HeaderError::Malformed);
    }
    if let Some((at, checksum)) = checksum {
        // It is that of the header with a checksum of zero.
        let parts = [&header[..at], &[0; 4], &header[at + 4..]];
        if crc32c(parts.into_iter().flatten().copied()) != checksum {
            return Err(HeaderError::Checksum);
        }
    }
    Ok(())
}

/// The checksum of RFC 3309, bit by bit: headers are short.
pub(super) fn crc32c(bytes: impl Iterator<Item = u8>) -> u32 {
    /// The polynomial, with its bits in reverse order.
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    let crc = bytes.fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| match crc & 1 {
            1 => (crc >> 1) ^ POLYNOMIAL,
            _ => crc >> 1,
        })
    });
    !crc
}
