//! The header of the PROXY protocol, versions 1 and 2, with which a proxy such as HAProxy or stunnel tells the address
//! of its client. No I/O, and no byte after the header is consumed.

mod v1;
mod v2;

use std::fmt;
use std::net::SocketAddr;

/// How many bytes of input [`Decoder::advance`] can use at once: those of the longest header of version 1, which ends
/// at a line end that may be in any place.
pub const WINDOW: usize = v1::MAX_LENGTH;

/// Who the client is, by the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    /// The client at this address.
    Address(SocketAddr),
    /// The proxy does not know, or its client has no IP address.
    Unknown,
    /// The proxy itself, which checks whether the service works.
    Proxy,
}

/// Why there is no valid header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderError {
    /// The connection begins with something else.
    Missing,
    /// The header breaks the rules of the protocol.
    Malformed,
    /// The checksum (CRC32C) is wrong.
    Checksum,
    /// The proxy closed the connection before the header was complete.
    Incomplete,
    /// The header was not complete in time.
    TimedOut,
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HeaderError::Missing => "no PROXY header",
            HeaderError::Malformed => "malformed PROXY header",
            HeaderError::Checksum => "wrong checksum in the PROXY header",
            HeaderError::Incomplete => "connection closed in the PROXY header",
            HeaderError::TimedOut => "no complete PROXY header in time",
        })
    }
}

/// The result of [`Decoder::advance`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// How many bytes belong to the header. The caller removes them from the input.
    pub consumed: usize,
    /// The client, if the header is complete.
    pub client: Option<Client>,
}

/// Decodes a header that arrives in pieces.
#[derive(Debug, Default)]
pub struct Decoder {
    /// The part of a header of version 2 that was consumed.
    header: Vec<u8>,
}

impl Decoder {
    /// Decodes input, from the first byte that was not consumed. If nothing is consumed, it needs more input together
    /// with this.
    ///
    /// # Errors
    ///
    /// The input is not a header, or not a valid one.
    pub fn advance(&mut self, input: &[u8]) -> Result<Progress, HeaderError> {
        if self.header.is_empty() && v1::is_prefix(input) {
            return v1::decode(input);
        }
        let missing = v2::missing(&self.header, input)?;
        let consumed = missing.min(input.len());
        if self.header.is_empty() && consumed < v2::FIXED {
            return Ok(Progress {
                consumed: 0,
                client: None,
            });
        }
        self.header.extend_from_slice(&input[..consumed]);
        let client = match consumed == missing {
            true => Some(v2::decode(&self.header)?),
            false => None,
        };
        Ok(Progress { consumed, client })
    }
}

#[cfg(test)]
mod tests;
