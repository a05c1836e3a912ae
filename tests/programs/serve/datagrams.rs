//! `sockunit serve` with a UDP socket as standard input, as systemd (`Accept=no`), xinetd and inetd start a program
//! with `wait = yes`.

use std::net::UdpSocket;
use std::os::unix::net::UnixStream;

use crate::serving::{Served, Stderr};
use crate::support::PATIENCE;
use crate::tool::SOCKUNIT;

/// Answers one datagram with what it finds, and exits.
const PROGRAM: &str = "\
use Socket;
$from = recv(STDIN, $datagram, 100, 0);
($port) = length($from) == 16 ? sockaddr_in($from) : sockaddr_in6($from);
send(STDOUT, \"$datagram from $ENV{REMOTE_ADDR} $ENV{REMOTE_HOST} \" . ($port == $ENV{REMOTE_PORT})
    . \" $ENV{LISTEN_FDS}$SIG{PIPE}\", 0, $from);
exit 3";

fn start(server: &UdpSocket, options: &[&str]) -> Served {
    let program = ["--", "/usr/bin/perl", "-e", PROGRAM];
    let args = [&["serve"], options, &program].concat();
    let (_journal, stderr) = UnixStream::pair().unwrap();
    let socket = server.try_clone().unwrap().into();
    Served::start(SOCKUNIT, &args, socket, Stderr::Journal(stderr))
}

fn client(server: &UdpSocket, own: &str) -> UdpSocket {
    let client = UdpSocket::bind((own, 0)).unwrap();
    client.connect(server.local_addr().unwrap()).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client
}

#[test]
fn the_first_datagram_that_the_rules_admit_starts_the_program_and_those_before_it_are_lost() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let denied = client(&server, "127.0.0.2");
    let allowed = client(&server, "127.0.0.1");
    denied.send(b"one").unwrap();
    denied.send(b"").unwrap();
    allowed.send(b"two").unwrap();
    let options = ["--allow", "127.0.0.0/8", "--deny", "127.0.0.2"];
    let served = start(&server, &options);
    let mut answer = [0; 100];
    let length = allowed.recv(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer[..length]);
    assert_eq!(answer, "two from 127.0.0.1 127.0.0.1 1 ");
    assert_eq!(served.ended().code(), Some(3));
    denied.set_nonblocking(true).unwrap();
    assert!(denied.recv(&mut [0; 100]).is_err());
    server.set_nonblocking(true).unwrap();
    assert!(server.recv(&mut [0; 100]).is_err(), "all were read");
}

#[test]
fn an_ipv4_sender_of_an_ipv6_socket_has_an_ipv4_address() {
    let server = UdpSocket::bind("[::]:0").unwrap();
    let port = server.local_addr().unwrap().port();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.send_to(b"one", ("127.0.0.1", port)).unwrap();
    let served = start(&server, &["--allow", "127.0.0.1"]);
    let mut answer = [0; 100];
    let length = client.recv(&mut answer).unwrap();
    assert!(answer[..length].starts_with(b"one from 127.0.0.1 127.0.0.1 "));
    assert_eq!(served.ended().code(), Some(3));
}

#[test]
fn a_program_that_does_not_exist_leaves_the_datagram() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let client = client(&server, "127.0.0.1");
    client.send(b"one").unwrap();
    let (_journal, stderr) = UnixStream::pair().unwrap();
    let socket = server.try_clone().unwrap().into();
    let args = ["serve", "--", "/does/not/exist"];
    let served = Served::start(SOCKUNIT, &args, socket, Stderr::Journal(stderr));
    assert_eq!(served.ended().code(), Some(1));
    let mut datagram = [0; 100];
    assert_eq!(server.recv(&mut datagram).unwrap(), 3);
}
