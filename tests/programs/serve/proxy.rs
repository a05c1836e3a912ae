//! `sockunit serve`, hello and celebs behind a proxy that speaks the PROXY protocol.

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use super::{Serve, line};
use crate::serving::{CELEBS, HELLO, Served, Stderr, tcp};
use crate::support::{PATIENCE, expect, reset, rest, wait_until};
use crate::tool::SOCKUNIT;

const ACCEPT: &str = "--accept-proxy=127.0.0.0/8";
/// Who the client is, and everything that it sent.
const TELL: &str = "echo \"$REMOTE_ADDR $REMOTE_PORT $PROXY_ADDR $PROXY_PORT\"; cat";
const LINE: &[u8] = b"PROXY TCP4 192.0.2.7 192.0.2.1 40112 80\r\n";
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

/// A header of version 2 for a client at 2001:db8::7, port 7, with 200 bytes of values that have no meaning here.
fn version2() -> Vec<u8> {
    let mut client = [0; 16];
    client[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
    client[15] = 7;
    let values = [&[0xe0, 0, 197], &[0; 197][..]].concat();
    let ports = [0, 7, 0, 80];
    [
        b"\r\n\r\n\0\r\nQUIT\n\x21\x21",
        &236_u16.to_be_bytes()[..],
        &client,
        &[0; 16],
        &ports,
        &values,
    ]
    .concat()
}

fn own_address(client: &TcpStream) -> String {
    let address = client.local_addr().unwrap();
    format!("{} {}", address.ip(), address.port())
}

#[test]
fn the_client_is_the_one_in_the_header() {
    let serve = Serve::script(&[ACCEPT], TELL);
    for (header, client, logged) in [
        (LINE.to_vec(), "192.0.2.7 40112", "192.0.2.7:40112"),
        (version2(), "2001:db8::7 7", "[2001:db8::7]:7"),
    ] {
        let mut proxy = serve.connect();
        let own = own_address(&proxy);
        // The first bytes of the client come with the header.
        proxy
            .write_all(&[&header[..], b"PROXY me too\r\n"].concat())
            .unwrap();
        assert_eq!(line(&mut proxy), format!("{client} {own}"));
        expect(&mut proxy, "PROXY me too\r\n");
        proxy.shutdown(Shutdown::Write).unwrap();
        assert_eq!(rest(proxy), "");
        let entry = serve.until_logged(&format!("{logged} exited 0: pid "));
        assert!(entry.contains(", 14 bytes received, "), "{entry}");
    }
}

#[test]
fn a_header_may_come_byte_by_byte_and_the_program_waits_for_it() {
    let serve = Serve::script(&[ACCEPT], TELL);
    for header in [LINE.to_vec(), version2()] {
        serve.until_childless();
        let mut proxy = serve.connect();
        proxy.set_nodelay(true).unwrap();
        let (last, first) = header.split_last().unwrap();
        for byte in first {
            proxy.write_all(&[*byte]).unwrap();
        }
        assert!(serve.children().is_empty());
        proxy.write_all(&[*last]).unwrap();
        let address = if header == LINE {
            "192.0.2.7 "
        } else {
            "2001:db8::7 "
        };
        assert!(line(&mut proxy).starts_with(address));
    }
}

#[test]
fn without_a_valid_header_no_program_starts() {
    let serve = Serve::script(&[ACCEPT, "--proxy-timeout=500ms"], "echo never");
    for (input, closes, reason) in [
        (&b"GET / HTTP/1.0\r\n\r\n"[..], false, "no PROXY header"),
        (b"PROXY TCP4 here\r\n", false, "malformed PROXY header"),
        (&[b'P'; 1000], false, "no PROXY header"),
        (
            b"PROXY TCP4 192.0.2.7",
            true,
            "connection closed in the PROXY header",
        ),
        (
            b"PROXY TCP4 192.0.2.7",
            false,
            "no complete PROXY header in time",
        ),
    ] {
        let mut proxy = serve.connect();
        proxy.write_all(input).unwrap();
        if closes {
            proxy.shutdown(Shutdown::Write).unwrap();
        }
        assert_eq!(rest(proxy), "", "{reason}");
        serve.until_logged(&format!(" refused: {reason}: "));
    }
    assert!(!serve.log().contains("exited"), "{}", serve.log());
}

#[test]
fn all_but_proxies_are_refused() {
    let serve = Serve::script(&["--accept-proxy=127.0.0.2"], TELL);
    let mut proxy = serve.connect_from(2);
    proxy.write_all(LINE).unwrap();
    assert!(line(&mut proxy).starts_with("192.0.2.7 "));
    let other = serve.connect_from(3);
    assert_eq!(rest(other), "Your address may not use this service\n");
    serve.until_logged("127.0.0.3:");
}

#[test]
fn limits_and_rules_are_those_of_the_client() {
    let serve = Serve::script(
        &[ACCEPT, "--per-source=1", "--deny=198.51.100.0/24"],
        "echo hello; cat",
    );
    let say = |client: &str| {
        let mut proxy = serve.connect();
        let header = format!("PROXY TCP4 {client} 192.0.2.1 7 80\r\n");
        proxy.write_all(header.as_bytes()).unwrap();
        (line(&mut proxy), proxy)
    };
    let (one, _first) = say("192.0.2.7");
    let (two, _second) = say("192.0.2.8");
    assert_eq!((one.as_str(), two.as_str()), ("hello", "hello"));
    assert_eq!(
        say("192.0.2.7").0,
        "Too many connections from your address; please try again later"
    );
    assert_eq!(
        say("198.51.100.9").0,
        "Your address may not use this service"
    );
    serve.until_logged("192.0.2.7:7 refused: per-source limit reached");
}

#[test]
fn checks_of_the_proxy_are_not_logged_and_do_not_count_toward_the_rate() {
    let serve = Serve::script(&[ACCEPT, "--rate=2/1h"], TELL);
    // They connect and leave, or want an answer.
    for _ in 0..5 {
        drop(serve.connect());
        reset(serve.connect());
        let mut check = serve.connect();
        let own = own_address(&check);
        check.write_all(LOCAL).unwrap();
        check.shutdown(Shutdown::Write).unwrap();
        assert_eq!(rest(check), format!("{own}  \n"));
    }
    for _ in 0..2 {
        let mut proxy = serve.connect();
        proxy.write_all(LINE).unwrap();
        proxy.shutdown(Shutdown::Write).unwrap();
        assert!(line(&mut proxy).starts_with("192.0.2.7 "));
    }
    serve.until_logged("192.0.2.7:40112 exited 0");
    assert!(!serve.log().contains("127.0.0.1"), "{}", serve.log());
}

#[test]
fn a_proxy_without_headers_does_not_keep_out_another() {
    let serve = Serve::script(&[ACCEPT, "--max-connections=4"], "echo hello");
    let _silent: Vec<_> = (0..2).map(|_| serve.connect()).collect();
    assert_eq!(
        rest(serve.connect()),
        "Too many connections; please try again later\n"
    );
    serve.until_logged(" refused: concurrency limit reached");
    let mut other = serve.connect_from(3);
    other.write_all(LINE).unwrap();
    assert_eq!(rest(other), "hello\n");
}

#[test]
fn a_proxy_whose_checks_stay_open_does_not_keep_out_another() {
    let serve = Serve::script(&[ACCEPT, "--max-connections=4"], "echo hello; cat");
    let mut checks: Vec<_> = (0..2).map(|_| serve.connect()).collect();
    for check in &mut checks {
        check.write_all(LOCAL).unwrap();
        assert_eq!(line(check), "hello");
    }
    assert_eq!(
        rest(serve.connect()),
        "Too many connections; please try again later\n"
    );
    let mut other = serve.connect_from(3);
    other.write_all(LINE).unwrap();
    assert_eq!(line(&mut other), "hello");
    drop(checks);
    wait_until("the checks are released", Instant::now() + PATIENCE, || {
        let mut check = serve.connect();
        check.write_all(LOCAL).unwrap();
        (line(&mut check) == "hello").then_some(())
    });
}

#[test]
fn a_connection_without_a_header_does_not_delay_the_end_of_the_service() {
    let mut serve = Serve::script(&[ACCEPT, "--stop-timeout=100ms"], "echo hello");
    let proxy = serve.connect();
    // This one is accepted after it.
    let mut other = serve.connect();
    other.write_all(LINE).unwrap();
    assert_eq!(rest(other), "hello\n");
    assert!(serve.end().success());
    assert_eq!(rest(proxy), "");
}

/// Serves one connection with the header as its first bytes. Returns what the client receives and what is logged.
fn one(program: &str, args: &[&str], input: &[u8]) -> (String, String) {
    let (mut client, connection) = tcp("127.0.0.1");
    let (journal, stderr) = UnixStream::pair().unwrap();
    let served = Served::start(program, args, connection, Stderr::Journal(stderr));
    client.write_all(input).unwrap();
    // It fails if the service has refused the client by now.
    let _ = client.shutdown(Shutdown::Write);
    let received = rest(client);
    served.ended();
    (received, rest(journal))
}

#[test]
fn a_process_for_one_connection_reads_the_header_too() {
    let serve = ["serve", "--name=one", ACCEPT, "--", "/bin/sh", "-c", TELL];
    let (received, log) = one(SOCKUNIT, &serve, &[LINE, b"text"].concat());
    assert!(received.starts_with("192.0.2.7 40112 127.0.0.1 ") && received.ends_with("\ntext"));
    assert!(log.starts_with("<5>192.0.2.7:40112 exited 0: "), "{log}");
    let (received, log) = one(SOCKUNIT, &serve, b"GET / HTTP/1.0\r\n\r\n");
    assert_eq!(received, "");
    assert!(log.contains(" refused: no PROXY header: "), "{log}");

    let (received, log) = one(CELEBS, &[ACCEPT], &[LINE, b"linus\nquit\n"].concat());
    assert!(
        received.contains("torvalds") && received.ends_with("Finished\n"),
        "{received}"
    );
    assert!(
        log.contains("<5>192.0.2.7:40112 quit: 11 bytes received, "),
        "{log}"
    );
    let (received, log) = one(CELEBS, &[ACCEPT], &[LOCAL, b"quit\n"].concat());
    assert!(received.ends_with("Finished\n"), "{received}");
    assert_eq!(log, "");

    let (received, log) = one(HELLO, &[ACCEPT], LINE);
    assert!(received.starts_with("Hello World:"), "{received}");
    assert!(log.starts_with("<5>192.0.2.7:40112 served: "), "{log}");
    let (received, log) = one(HELLO, &["--accept-proxy=192.0.2.1"], LINE);
    assert_eq!(received, "Your address may not use this service\n");
    assert!(
        log.contains("127.0.0.1:") && log.contains(" refused: address not allowed: "),
        "{log}"
    );
    // A check that leaves at once.
    assert_eq!(one(HELLO, &[ACCEPT], b""), (String::new(), String::new()));
}

#[test]
fn sessions_of_a_shared_service_begin_after_the_header() {
    for program in [HELLO, CELEBS] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let _served = Served::share(program, &[ACCEPT], listener.into());
        for header in [LINE.to_vec(), version2(), LOCAL.to_vec()] {
            let mut proxy = TcpStream::connect(address).unwrap();
            proxy
                .write_all(&[&header[..], b"linus\nquit\n"].concat())
                .unwrap();
            let received = rest(proxy);
            assert!(
                received.contains("torvalds") || received.starts_with("Hello"),
                "{received}"
            );
        }
    }
}
