//! What a client sends, and what it sees.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, socket};

use crate::machine::Machine;

/// How long a client waits for a service that sends nothing.
const SILENCE: Duration = Duration::from_secs(8);

/// What a client sends.
#[derive(Clone, Copy)]
pub enum Ask {
    /// Bytes, and then the end of the input.
    Stream(&'static [u8]),
    /// From a port, a datagram in hexadecimal digits, `00*3` for `000000`. So many bytes of the answer count: some
    /// servers leave the rest as it was in their memory.
    Datagram(u16, &'static str, usize),
    /// What a client program does.
    Command(&'static str),
}

/// What a client sees.
#[derive(Clone, Copy)]
pub enum Sees {
    /// An answer with this text.
    Answer(&'static str),
    /// The end of the connection, because the program needs what this test does not set up.
    Nothing(&'static str),
    /// A byte of the program's standard error, and then an answer with this text; without the byte after the import.
    AfterByte(&'static str, &'static str),
}

impl Ask {
    /// What the client sees.
    pub fn answer(self, machine: &Machine, port: u16) -> String {
        let answer = match self {
            Ask::Stream(bytes) => stream(machine, port, bytes),
            Ask::Datagram(own, request, length) => {
                let mut answer = datagram(machine, own, port, &decoded(request));
                answer.truncate(length);
                answer
            }
            Ask::Command(script) => machine.output(script).stdout,
        };
        answer.escape_ascii().to_string()
    }
}

/// The bytes of words of hexadecimal digits.
fn decoded(words: &str) -> Vec<u8> {
    let words = words.split_whitespace().map(|word| {
        let (digits, times) = word.split_once('*').unwrap_or((word, "1"));
        digits.repeat(times.parse().unwrap())
    });
    let digits: String = words.collect();
    let pairs = digits.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// An answer without numbers: times, ports, process IDs.
pub fn timeless(text: &str) -> String {
    // rlogind asks for the size of the window with this urgent byte, which may come after the end or not.
    let text = text.replace("\\x80", "");
    let mut masked = String::new();
    for character in text.chars() {
        match character.is_ascii_digit() {
            true if masked.ends_with('0') => {}
            true => masked.push('0'),
            false => masked.push(character),
        }
    }
    masked
}

/// A client with a port below 1024, which rshd wants.
fn connected(machine: &Machine, port: u16) -> Result<TcpStream, String> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    machine.in_network(|| {
        let fd = socket(
            AddressFamily::Inet,
            SockType::Stream,
            SockFlag::SOCK_CLOEXEC,
            None,
        )
        .unwrap();
        let address = |port| SockaddrStorage::from(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let mut free = (0..300).map(|_| 700 + NEXT.fetch_add(1, Ordering::Relaxed) % 300);
        let own = free.find(|own| bind(fd.as_raw_fd(), &address(*own)).is_ok());
        own.expect("a port is free");
        connect(fd.as_raw_fd(), &address(port)).map_err(|error| error.to_string())?;
        Ok(TcpStream::from(fd))
    })
}

fn stream(machine: &Machine, port: u16, bytes: &[u8]) -> Vec<u8> {
    let mut client = match connected(machine, port) {
        Ok(client) => client,
        Err(error) => return format!("<{error}>").into(),
    };
    client.set_read_timeout(Some(SILENCE)).unwrap();
    let _ = client.write_all(bytes);
    let _ = client.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    let mut part = [0; 4096];
    // Some send without end.
    while answer.len() < 20_000 {
        match client.read(&mut part) {
            Ok(0) => break,
            Ok(length) => answer.extend_from_slice(&part[..length]),
            // A server that closes early resets the connection.
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
            Err(_) => {
                answer.extend_from_slice(b"<no end>");
                break;
            }
        }
    }
    answer.truncate(20_000);
    answer
}

fn datagram(machine: &Machine, own: u16, port: u16, bytes: &[u8]) -> Vec<u8> {
    let client = machine.in_network(|| UdpSocket::bind((Ipv4Addr::LOCALHOST, own)).unwrap());
    client.set_read_timeout(Some(SILENCE)).unwrap();
    client.send_to(bytes, (Ipv4Addr::LOCALHOST, port)).unwrap();
    let mut answer = vec![0; 2000];
    match client.recv(&mut answer) {
        Ok(length) => answer.truncate(length),
        Err(_) => answer.clear(),
    }
    answer
}
