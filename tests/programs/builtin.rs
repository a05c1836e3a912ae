//! The program of the built-in services, with a connection or a datagram socket as its standard input.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, UdpSocket};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::serving::{Served, Stderr, add_control_messages, tcp};
use crate::support::{PATIENCE, reset, rest};

const BUILTIN: &str = env!("CARGO_BIN_EXE_builtin");

/// Starts the program with a datagram socket, which this process keeps as systemd does.
fn start(server: &UdpSocket, args: &[&str]) -> (UnixStream, Served) {
    let (journal, stderr) = UnixStream::pair().unwrap();
    let socket = server.try_clone().unwrap().into();
    let served = Served::start(BUILTIN, args, socket, Stderr::Journal(stderr));
    (journal, served)
}

/// The socket of a server, and a client of it.
fn sockets(client: Ipv4Addr) -> (UdpSocket, UdpSocket) {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let client = UdpSocket::bind((client, 0)).unwrap();
    client.connect(server.local_addr().unwrap()).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    (server, client)
}

fn receive(client: &UdpSocket) -> Vec<u8> {
    let mut datagram = [0; 2000];
    let length = client.recv(&mut datagram).unwrap();
    datagram[..length].to_vec()
}

#[test]
fn datagrams_are_answered_until_none_arrives_and_those_that_come_then_wait() {
    let (server, client) = sockets(Ipv4Addr::LOCALHOST);
    client.send(b"before").unwrap();
    for sent in [&b"one"[..], b"two"] {
        let (journal, served) = start(&server, &["--idle-timeout", "50ms", "echo"]);
        client.send(sent).unwrap();
        assert_eq!(receive(&client), b"before");
        assert_eq!(receive(&client), sent);
        assert!(served.ended().success());
        assert_eq!(rest(journal), "<5>2 datagrams received, 2 answered\n");
        client.send(b"before").unwrap();
    }
}

#[test]
fn options_that_a_program_sets_on_its_socket_do_not_stop_the_service() {
    let (server, client) = sockets(Ipv4Addr::LOCALHOST);
    add_control_messages(&server);
    let (_journal, _served) = start(&server, &["echo"]);
    for sent in [&b"one"[..], b"two"] {
        client.send(sent).unwrap();
        assert_eq!(receive(&client), sent);
    }
}

#[test]
fn one_source_cannot_use_up_the_rate_of_all() {
    let (server, one) = sockets(Ipv4Addr::LOCALHOST);
    let other = UdpSocket::bind("127.0.0.2:0").unwrap();
    other.connect(server.local_addr().unwrap()).unwrap();
    other.set_read_timeout(Some(PATIENCE)).unwrap();
    let limits = ["--rate", "6/1h", "--rate-per-source", "2/1h", "echo"];
    let (_journal, _served) = start(&server, &limits);
    for _ in 0..100 {
        one.send(b"one").unwrap();
    }
    other.send(b"other").unwrap();
    assert_eq!(receive(&other), b"other");
    assert_eq!([receive(&one), receive(&one)], [b"one", b"one"]);
    one.set_nonblocking(true).unwrap();
    assert!(one.recv(&mut [0; 9]).is_err());
}

#[test]
fn rules_and_limits_leave_datagrams_without_an_answer() {
    let interval = Duration::from_millis(500);
    let rules = [
        "--deny",
        "127.0.0.2",
        "--rate",
        "2/500ms",
        "--idle-timeout",
        "1ms",
    ];
    let (server, client) = sockets(Ipv4Addr::LOCALHOST);
    let denied = UdpSocket::bind("127.0.0.2:0").unwrap();
    denied.connect(server.local_addr().unwrap()).unwrap();
    for _ in 0..3 {
        denied.send(b"denied").unwrap();
    }
    for word in ["one", "two", "three", "four"] {
        client.send(word.as_bytes()).unwrap();
    }
    let begun = Instant::now();
    let (journal, served) = start(&server, &[&rules[..], &["echo"]].concat());
    assert_eq!(
        [receive(&client), receive(&client)],
        [b"one", b"two"].map(|word| word.to_vec())
    );
    assert!(served.ended().success());
    assert_eq!(rest(journal), "<5>7 datagrams received, 2 answered\n");
    // A new process would not know that the limit is reached.
    assert!(begun.elapsed() >= interval);
}

#[test]
fn a_datagram_to_a_broadcast_address_has_no_answer() {
    let server = UdpSocket::bind("0.0.0.0:0").unwrap();
    let port = server.local_addr().unwrap().port();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.set_broadcast(true).unwrap();
    let (journal, served) = start(&server, &["--idle-timeout", "200ms", "echo"]);
    for (sent, to) in [
        ("one", "127.0.0.1"),
        ("all", "127.255.255.255"),
        ("two", "127.0.0.1"),
    ] {
        client.send_to(sent.as_bytes(), (to, port)).unwrap();
        if sent != "all" {
            assert_eq!(receive(&client), sent.as_bytes());
        }
    }
    assert!(served.ended().success());
    assert_eq!(rest(journal), "<5>3 datagrams received, 2 answered\n");
}

#[test]
fn daytime_and_time_answer_datagrams_that_are_long_enough() {
    for (service, length) in [("daytime", 26), ("time", 4)] {
        let (server, client) = sockets(Ipv4Addr::LOCALHOST);
        let (journal, served) = start(&server, &["--idle-timeout", "50ms", service]);
        for length in [0, length - 1, length, 100] {
            client.send(&vec![b'x'; length]).unwrap();
        }
        assert_eq!(
            [receive(&client).len(), receive(&client).len()],
            [length; 2]
        );
        assert!(served.ended().success());
        assert_eq!(rest(journal), "<5>4 datagrams received, 2 answered\n");
    }
}

#[test]
fn a_connection_is_served() {
    let serve = |service: &str| {
        let (client, connection) = tcp("127.0.0.1");
        let served = Served::start(BUILTIN, &[service], connection, Stderr::Client);
        (client, served)
    };
    for (service, expected) in [("echo", "one\r\n"), ("discard", "")] {
        let (mut client, served) = serve(service);
        client.write_all(b"one\r\n").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(rest(client), expected);
        assert!(served.ended().success());
    }
    let (client, served) = serve("daytime");
    assert!(rest(client).ends_with(" UTC\r\n"));
    assert!(served.ended().success());
    let (mut client, served) = serve("chargen");
    let mut text = [0; 100_000];
    client.read_exact(&mut text).unwrap();
    reset(client);
    assert!(served.ended().success());
}

#[test]
fn a_listening_socket_is_an_error_and_a_pipe_is_not() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (journal, stderr) = UnixStream::pair().unwrap();
    let served = Served::start(BUILTIN, &["echo"], listener.into(), Stderr::Journal(stderr));
    assert_eq!(served.ended().code(), Some(1));
    let log = rest(journal);
    assert!(log.contains("it is a listening socket"), "{log}");
    let output = Command::new(BUILTIN)
        .args(["--edition", "inetd", "daytime"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success());
    assert_eq!(output.stdout.len(), "Tue Jan 23 13:33:55 2001\r\n".len());
}
