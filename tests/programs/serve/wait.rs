//! `sockunit serve --wait` with a listening or a UDP socket as standard input, as systemd (`Accept=no`), xinetd and inetd
//! start a program with `wait`.

use std::fs;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use super::{line, path};
use crate::serving::{Served, Stderr, add_control_messages, tcp};
use crate::support::{PATIENCE, rest, wait_for};
use crate::tool::SOCKUNIT;

/// Answers one datagram with what it finds, and exits.
const ONE_DATAGRAM: &str = "\
use Socket;
$from = recv(STDIN, $datagram, 100, 0);
($port) = length($from) == 16 ? sockaddr_in($from) : sockaddr_in6($from);
send(STDOUT, \"$datagram from $ENV{REMOTE_ADDR} $ENV{REMOTE_HOST} \" . ($port == $ENV{REMOTE_PORT})
    . \" $ENV{LISTEN_FDS}$SIG{PIPE}$SIG{TERM}\", 0, $from);
exit 3";

/// Serves one connection, and exits.
const ONE_CONNECTION: &str = "accept(my $client, STDIN); print $client \"$$ $ENV{REMOTE_HOST}\\n\"";

fn start(socket: OwnedFd, options: &[&str], program: &[&str]) -> Served {
    let args = [&["serve", "--wait"], options, &["--"], program].concat();
    let (_journal, stderr) = UnixStream::pair().unwrap();
    Served::start(SOCKUNIT, &args, socket, Stderr::Journal(stderr))
}

fn perl(socket: OwnedFd, options: &[&str], program: &str) -> Served {
    start(socket, options, &["/usr/bin/perl", "-e", program])
}

fn client(server: &UdpSocket, own: &str) -> UdpSocket {
    let client = UdpSocket::bind((own, 0)).unwrap();
    client.connect(server.local_addr().unwrap()).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client
}

fn answer(client: &UdpSocket) -> String {
    let mut answer = [0; 100];
    let length = client.recv(&mut answer).unwrap();
    String::from_utf8_lossy(&answer[..length]).into()
}

#[test]
fn each_datagram_that_the_rules_admit_starts_the_program_and_others_are_lost() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let denied = client(&server, "127.0.0.2");
    let allowed = client(&server, "127.0.0.1");
    denied.send(b"one").unwrap();
    denied.send(b"").unwrap();
    allowed.send(b"two").unwrap();
    let options = ["--allow", "127.0.0.0/8", "--deny", "127.0.0.2"];
    let served = perl(server.try_clone().unwrap().into(), &options, ONE_DATAGRAM);
    assert_eq!(answer(&allowed), "two from 127.0.0.1 127.0.0.1 1 ");
    denied.send(b"three").unwrap();
    allowed.send(b"four").unwrap();
    assert_eq!(answer(&allowed), "four from 127.0.0.1 127.0.0.1 1 ");
    served.terminate();
    assert!(served.ended().success());
    denied.set_nonblocking(true).unwrap();
    assert!(denied.recv(&mut [0; 100]).is_err());
    server.set_nonblocking(true).unwrap();
    assert!(server.recv(&mut [0; 100]).is_err(), "all were read");
}

#[test]
fn a_sender_that_exceeds_its_rate_gets_no_answer_and_others_do() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (one, other) = (client(&server, "127.0.0.1"), client(&server, "127.0.0.2"));
    let limits = ["--rate", "100/1h", "--rate-per-source", "2/1h"];
    let served = perl(server.try_clone().unwrap().into(), &limits, ONE_DATAGRAM);
    for number in 0..10 {
        one.send(format!("{number}").as_bytes()).unwrap();
    }
    other.send(b"other").unwrap();
    assert_eq!(answer(&other), "other from 127.0.0.2 127.0.0.2 1 ");
    for number in 0..2 {
        let expected = format!("{number} from 127.0.0.1 127.0.0.1 1 ");
        assert_eq!(answer(&one), expected);
    }
    one.set_nonblocking(true).unwrap();
    assert!(one.recv(&mut [0; 100]).is_err());
    served.terminate();
    assert!(served.ended().success());
}

#[test]
fn an_ipv4_sender_of_an_ipv6_socket_has_an_ipv4_address() {
    let server = UdpSocket::bind("[::]:0").unwrap();
    let port = server.local_addr().unwrap().port();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.send_to(b"one", ("127.0.0.1", port)).unwrap();
    let served = perl(server.into(), &["--allow", "127.0.0.1"], ONE_DATAGRAM);
    assert_eq!(answer(&client), "one from 127.0.0.1 127.0.0.1 1 ");
    served.terminate();
    assert!(served.ended().success());
}

#[test]
fn options_that_a_program_sets_on_its_socket_do_not_stop_the_service() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let client = client(&server, "127.0.0.1");
    let served = perl(server.try_clone().unwrap().into(), &[], ONE_DATAGRAM);
    // systemd keeps the socket and with it the options, which are the same in each process.
    add_control_messages(&server);
    for _ in 0..2 {
        client.send(b"one").unwrap();
        assert_eq!(answer(&client), "one from 127.0.0.1 127.0.0.1 1 ");
    }
    served.terminate();
    assert!(served.ended().success());
}

#[test]
fn a_program_accepts_connections_itself_and_is_started_again_for_the_next_one() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let served = perl(server.into(), &[], ONE_CONNECTION);
    let pids: Vec<String> = (0..3)
        .map(|_| rest(TcpStream::connect(address).unwrap()))
        .collect();
    assert!(pids[0].ends_with(" \n") && pids[0] != pids[1] && pids[1] != pids[2]);
    served.terminate();
    assert!(served.ended().success());
}

#[test]
fn a_program_that_accepts_nothing_is_started_as_often_as_the_rate_allows() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let log = path("wait");
    let script = format!("date +%s%3N >>{}", log.display());
    let limits = ["--rate", "3/100ms", "--rate-pause", "1s"];
    let served = start(server.into(), &limits, &["/bin/sh", "-c", &script]);
    let _waits = TcpStream::connect(address).unwrap();
    let starts = || -> Vec<u64> {
        let log = std::fs::read_to_string(&log).unwrap_or_default();
        log.lines().filter_map(|line| line.parse().ok()).collect()
    };
    wait_for("the program is started again after the pause", || {
        starts().len() > 3
    });
    let starts = starts();
    assert!(starts[3] - starts[2] >= 900, "{starts:?}");
    served.terminate();
    assert!(served.ended().success());
    std::fs::remove_file(log).unwrap();
}

#[test]
fn sigterm_stops_the_program_and_then_the_service() {
    for (reaction, grace) in [("DEFAULT", "1h"), ("IGNORE", "100ms")] {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        let script = format!(
            "$SIG{{TERM}} = '{reaction}'; accept(my $client, STDIN); syswrite $client, \"$$\\n\"; sleep 1 while 1"
        );
        let served = perl(server.into(), &["--grace", grace], &script);
        let mut client = TcpStream::connect(address).unwrap();
        line(&mut client);
        served.terminate();
        assert!(served.ended().success());
        assert_eq!(rest(client), "");
    }
}

#[test]
fn a_program_that_fails_and_leaves_its_datagram_is_started_less_and_less_often() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let log = path("fails");
    client(&server, "127.0.0.1").send(b"one").unwrap();
    let script = format!("date +%s%N >>{}; exit 1", log.display());
    let served = start(server.into(), &[], &["/bin/sh", "-c", &script]);
    let starts = || -> Vec<u64> {
        let text = fs::read_to_string(&log).unwrap_or_default();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().map(|line| line.parse().unwrap()).collect()
    };
    wait_for("the program has been started nine times", || {
        starts().len() >= 9
    });
    let expected = [10, 20, 40, 80, 160, 320, 640, 1000];
    for (pair, pause) in starts().windows(2).zip(expected) {
        // The clock may be adjusted meanwhile.
        assert!(pair[1] - pair[0] >= pause * 990_000, "{:?}", starts());
    }
    drop(served);
    fs::remove_file(log).unwrap();
}

#[test]
fn what_cannot_be_waited_for_is_an_error() {
    let (_client, connection) = tcp("127.0.0.1");
    assert_eq!(
        start(connection, &[], &["/bin/cat"]).ended().code(),
        Some(1)
    );
    for of_clients in [["--allow", "127.0.0.1"], ["--rate-per-source", "1"]] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let served = start(listener.into(), &of_clients, &["/bin/cat"]);
        let code = served.ended().code();
        assert_eq!(code, Some(1), "{of_clients:?} would not apply");
    }
}

#[test]
fn a_program_that_does_not_exist_leaves_the_datagram() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let client = client(&server, "127.0.0.1");
    client.send(b"one").unwrap();
    let served = start(
        server.try_clone().unwrap().into(),
        &[],
        &["/does/not/exist"],
    );
    assert_eq!(served.ended().code(), Some(1));
    assert_eq!(server.recv(&mut [0; 100]).unwrap(), 3);
}
