//! Reading from a connection, and ending it.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt::Linger};

use super::wait::PATIENCE;

/// What celebs sends before it reads a name.
pub const PROMPT: &str = "Please type Linux celebs name below:\n";

/// Reads as many bytes as the expected text has, and compares.
#[track_caller]
pub fn expect(client: &mut impl Read, expected: &str) {
    let mut received = vec![0; expected.len()];
    client
        .read_exact(&mut received)
        .unwrap_or_else(|error| panic!("{error} while waiting for {expected:?}"));
    assert_eq!(String::from_utf8_lossy(&received), expected);
}

/// Reads to the end.
#[track_caller]
pub fn rest(mut client: impl Read) -> String {
    let mut received = String::new();
    client.read_to_string(&mut received).unwrap();
    received
}

/// Returns whether the client receives nothing for this long. Panics if the connection is reset. The read
/// timeout is [`PATIENCE`] afterwards.
#[track_caller]
pub fn stays_silent(client: &mut TcpStream, time: Duration) -> bool {
    client.set_read_timeout(Some(time)).unwrap();
    let read = client.read(&mut [0]);
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    match read {
        Ok(_) => false,
        Err(error) if error.kind() == ErrorKind::WouldBlock => true,
        Err(error) => panic!("{error} instead of silence"),
    }
}

/// Closes with a reset, as the kernel does for a client that crashed.
pub fn reset(client: TcpStream) {
    let linger = nix::libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    setsockopt(&client, Linger, &linger).unwrap();
}
