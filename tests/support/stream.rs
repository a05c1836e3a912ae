//! Reading from a connection, and ending it.

use std::io::Read;
use std::net::TcpStream;

use nix::sys::socket::{setsockopt, sockopt::Linger};

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

/// Reads a line.
#[track_caller]
pub fn line(client: &mut impl Read) -> String {
    let mut line = Vec::new();
    let mut byte = [0];
    while byte != *b"\n" {
        client.read_exact(&mut byte).unwrap();
        line.push(byte[0]);
    }
    String::from_utf8(line).unwrap().trim_end().to_owned()
}

/// Reads to the end.
#[track_caller]
pub fn rest(mut client: impl Read) -> String {
    let mut received = String::new();
    client.read_to_string(&mut received).unwrap();
    received
}

/// Closes with a reset, as the kernel does for a client that crashed.
pub fn reset(client: TcpStream) {
    let linger = nix::libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    setsockopt(&client, Linger, &linger).unwrap();
}
