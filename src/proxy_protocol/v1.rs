//! Version 1: one line of text.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use super::{Client, HeaderError, Progress};

/// The longest header, with its line end.
const MAX_LENGTH: usize = 107;

const SIGNATURE: &[u8] = b"PROXY ";

/// Appends input to a header, up to its line end.
///
/// # Errors
///
/// It is not a header of this version, or too long.
pub(super) fn advance(header: &mut Vec<u8>, input: &[u8]) -> Result<Progress, HeaderError> {
    let before = header.len();
    let input = &input[..input.len().min(MAX_LENGTH - before)];
    header.extend_from_slice(input);
    let known = header.len().min(SIGNATURE.len());
    if header[..known] != SIGNATURE[..known] {
        return Err(HeaderError::Missing);
    }
    // The line end may be in two pieces.
    let from = before.saturating_sub(1);
    let Some(at) = header[from..].windows(2).position(|pair| pair == b"\r\n") else {
        return match header.len() {
            MAX_LENGTH => Err(HeaderError::Malformed),
            _ => Ok(Progress {
                consumed: input.len(),
                client: None,
            }),
        };
    };
    let end = from + at;
    header.truncate(end + 2);
    let words = header.get(SIGNATURE.len()..end).unwrap_or_default();
    Ok(Progress {
        consumed: header.len() - before,
        client: Some(client(words).ok_or(HeaderError::Malformed)?),
    })
}

/// The client by the words after `PROXY`: protocol, source and destination address, source and destination port.
fn client(words: &[u8]) -> Option<Client> {
    let words = std::str::from_utf8(words).ok()?;
    let mut words = words.split(' ');
    let address = match words.next()? {
        // The rest of the line has no meaning.
        "UNKNOWN" => return Some(Client::Unknown),
        "TCP4" => addresses::<Ipv4Addr>(&mut words)?,
        "TCP6" => addresses::<Ipv6Addr>(&mut words)?,
        _ => return None,
    };
    let (source, _destination) = (port(words.next()?)?, port(words.next()?)?);
    let ended = words.next().is_none();
    ended.then(|| Client::Address(SocketAddr::new(address, source)))
}

/// The source address; the destination has to be one too.
fn addresses<'w, A: FromStr + Into<IpAddr>>(
    words: &mut impl Iterator<Item = &'w str>,
) -> Option<IpAddr> {
    let source: A = words.next()?.parse().ok()?;
    let _destination: A = words.next()?.parse().ok()?;
    Some(source.into())
}

fn port(word: &str) -> Option<u16> {
    let is_plain =
        word.bytes().all(|byte| byte.is_ascii_digit()) && (word == "0" || !word.starts_with('0'));
    word.parse().ok().filter(|_| is_plain)
}
