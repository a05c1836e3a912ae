//! Receives the header of the PROXY protocol from a connection.

use std::os::fd::{AsFd, AsRawFd};
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::socket::{MsgFlags, recv};

use super::stream::poll_timeout;
use crate::proxy_protocol::{Client, Decoder, HeaderError};

/// How much input is looked at in one system call, in bytes. Most headers have less than 200.
const WINDOW: usize = 4096;

/// What was received so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Received {
    /// A complete header. Everything after it is still in the socket.
    Client(Client),
    /// A part of a header, or nothing.
    Part,
    /// The peer closed the connection before it sent a byte, as health checks do.
    Nothing,
}

/// Receives a header that may arrive in pieces.
#[derive(Debug, Default)]
pub(crate) struct HeaderReceiver {
    decoder: Decoder,
}

impl HeaderReceiver {
    /// Receives what has arrived, without blocking.
    ///
    /// # Errors
    ///
    /// The header is not valid, or will never be complete.
    pub(crate) fn receive(&mut self, socket: &impl AsFd) -> Result<Received, HeaderError> {
        let fd = socket.as_fd().as_raw_fd();
        let mut window = [0; WINDOW];
        loop {
            // Only what belongs to the header is taken out of the socket: the rest is the program's.
            let peek = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
            let length = match recv(fd, &mut window, peek) {
                Err(Errno::EAGAIN) => return Ok(Received::Part),
                Err(Errno::EINTR) => continue,
                Ok(0) | Err(_) if self.decoder.length() == 0 => return Ok(Received::Nothing),
                Ok(0) | Err(_) => return Err(HeaderError::Incomplete),
                Ok(length) => length,
            };
            let progress = self.decoder.advance(&window[..length])?;
            // These bytes have arrived, so that this never blocks, and nobody else reads from the socket.
            let _ = recv(fd, &mut window[..progress.consumed], MsgFlags::MSG_DONTWAIT);
            if let Some(client) = progress.client {
                return Ok(Received::Client(client));
            }
        }
    }

    /// Receives a header, and waits for it until `deadline`.
    ///
    /// # Errors
    ///
    /// The header is not valid, or was not complete in time.
    pub(crate) fn wait(
        &mut self,
        socket: &impl AsFd,
        deadline: Instant,
    ) -> Result<Received, HeaderError> {
        loop {
            let received = self.receive(socket)?;
            if received != Received::Part {
                return Ok(received);
            }
            if Instant::now() >= deadline {
                return Err(HeaderError::TimedOut);
            }
            let mut fds = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
            // Fails if a signal arrives; then the socket is not ready.
            let _ = poll(&mut fds, poll_timeout(Some(deadline)));
        }
    }

    /// The length of the header as far as it was received, in bytes.
    pub(crate) fn length(&self) -> u64 {
        self.decoder.length() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    #[test]
    fn what_follows_the_header_stays_in_the_socket() {
        let (mut proxy, mut served) = UnixStream::pair().unwrap();
        let mut receiver = HeaderReceiver::default();
        assert_eq!(receiver.receive(&served), Ok(Received::Part));
        proxy.write_all(b"PROXY TCP4 192.0.2.7 192.0.2.1 ").unwrap();
        assert_eq!(receiver.receive(&served), Ok(Received::Part));
        proxy.write_all(b"7 80\r\nrest").unwrap();
        let client = Client::Address("192.0.2.7:7".parse().unwrap());
        assert_eq!(receiver.receive(&served), Ok(Received::Client(client)));
        drop(proxy);
        let mut rest = String::new();
        served.read_to_string(&mut rest).unwrap();
        assert_eq!((rest.as_str(), receiver.length()), ("rest", 37));
    }

    #[test]
    fn a_header_that_never_becomes_complete_is_an_error() {
        let soon = || Instant::now() + Duration::from_millis(1);
        let (mut proxy, served) = UnixStream::pair().unwrap();
        proxy.write_all(b"PROXY").unwrap();
        let mut receiver = HeaderReceiver::default();
        assert_eq!(receiver.wait(&served, soon()), Err(HeaderError::TimedOut));
        drop(proxy);
        assert_eq!(receiver.wait(&served, soon()), Err(HeaderError::Incomplete));
        assert_eq!(
            HeaderReceiver::default().wait(&served, soon()),
            Ok(Received::Nothing)
        );
    }
}
