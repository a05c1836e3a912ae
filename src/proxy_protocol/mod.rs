//! The header of the PROXY protocol, versions 1 and 2, in which a proxy such as HAProxy or stunnel sends the address
//! of its client. No I/O, and no byte after the header is consumed.

mod v1;
mod v2;

use std::fmt;
use std::net::SocketAddr;

/// Who the client is, by the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Client {
    /// The client at this address.
    Address(SocketAddr),
    /// The proxy does not know, or its client has no IP address.
    Unknown,
    /// The proxy itself, which checks whether the service works.
    Proxy,
}

/// Why there is no valid header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeaderError {
    /// The connection begins with something else.
    Missing,
    /// The header breaks the rules of the protocol.
    Malformed,
    /// The header is longer than [`v2::MAX_LENGTH`].
    TooLong,
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
            HeaderError::TooLong => "PROXY header of more than 16 KiB",
            HeaderError::Checksum => "wrong checksum in the PROXY header",
            HeaderError::Incomplete => "connection closed in the PROXY header",
            HeaderError::TimedOut => "no complete PROXY header in time",
        })
    }
}

/// The result of [`Decoder::advance`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Progress {
    /// How many bytes belong to the header. The caller removes them from the input.
    pub consumed: usize,
    /// The client, if the header is complete.
    pub client: Option<Client>,
}

/// Decodes a header that arrives in pieces.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    /// The header, as far as it has arrived.
    header: Vec<u8>,
}

impl Decoder {
    /// Decodes the next input.
    ///
    /// # Errors
    ///
    /// The input is not a header, or not a valid one.
    pub(crate) fn advance(&mut self, input: &[u8]) -> Result<Progress, HeaderError> {
        let first = self.header.first().or(input.first());
        match first {
            Some(b'P') => v1::advance(&mut self.header, input),
            Some(_) => v2::advance(&mut self.header, input),
            None => Ok(Progress {
                consumed: 0,
                client: None,
            }),
        }
    }

    /// The length of the header as far as it has arrived, in bytes.
    pub(crate) fn length(&self) -> usize {
        self.header.len()
    }
}

#[cfg(test)]
mod tests;
