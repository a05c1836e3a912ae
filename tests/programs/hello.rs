use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::process::Command;

use crate::serving::{HELLO, Served, Stderr, serve, serve_on, serve_unix};
use crate::support::{Mode, reset, rest};

/// The current time in seconds since the epoch.
fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// Checks that the text is `Hello World:` and a time since `begun` as `date` prints it.
#[track_caller]
fn assert_greeting(text: &str, begun: i64) {
    let time = text
        .strip_prefix("Hello World:")
        .and_then(|text| text.strip_suffix('\n'));
    let time = time.unwrap_or_else(|| panic!("not a greeting: {text:?}"));
    let seconds = Command::new("date")
        .args(["-d", time, "+%s"])
        .output()
        .unwrap();
    let seconds: i64 = String::from_utf8(seconds.stdout)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    let times = begun..=now();
    assert!(times.contains(&seconds), "{text:?}: {seconds} in {times:?}");
    let again = Command::new("date")
        .args(["-d", time])
        .env("TZ", "UTC")
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(again.stdout).unwrap().trim_end(), time);
}

in_both_modes!(
    the_greeting_is_sent_over_ipv4_ipv6_and_unix_sockets,
    a_client_that_sends_data_receives_the_greeting_and_no_reset,
    a_client_that_has_disconnected_is_not_an_error,
);

fn the_greeting_is_sent_over_ipv4_ipv6_and_unix_sockets(mode: Mode) {
    for address in ["127.0.0.1", "::1"] {
        let begun = now();
        let (client, served) = serve_on(address, mode, HELLO, &[]);
        assert_greeting(&rest(client), begun);
        assert!(served.end().success());
    }
    let begun = now();
    let (client, served) = serve_unix(mode, HELLO, &[]);
    assert_greeting(&rest(client), begun);
    assert!(served.end().success());
}

fn a_client_that_sends_data_receives_the_greeting_and_no_reset(mode: Mode) {
    for _ in 0..20 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        // The data arrives before the program starts.
        client.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        let begun = now();
        let served = match mode {
            Mode::PerConnection => {
                let connection = listener.accept().unwrap().0.into();
                Served::start(HELLO, &[], connection, Stderr::Client)
            }
            Mode::Shared => Served::share(HELLO, &[], listener.into()),
        };
        assert_greeting(&rest(client), begun);
        assert!(served.end().success());
    }
}

fn a_client_that_has_disconnected_is_not_an_error(mode: Mode) {
    for disconnect in [reset, drop] {
        let (client, served) = serve(mode, HELLO, &[]);
        disconnect(client);
        assert!(served.end().success());
    }
}

#[test]
fn help_version_and_usage_errors_are_never_sent_to_a_client() {
    for args in [
        &["--help"][..],
        &["-h"],
        &["--version"],
        &["--nonsense"],
        &["word"],
    ] {
        let (client, served) = serve(Mode::PerConnection, HELLO, args);
        assert_eq!(rest(client), "", "{args:?}");
        assert_eq!(served.end().code(), Some(2), "{args:?}");
    }
}

#[test]
fn a_listening_socket_on_standard_input_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let served = Served::start(HELLO, &[], listener.into(), Stderr::Client);
    assert_eq!(served.end().code(), Some(1));
}
