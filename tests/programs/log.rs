//! Log entries on the journal's stream. A socket pair stands for the stream: the test reads the other
//! end.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;

use crate::serving::{CELEBS, HELLO, Served, Stderr, exchange, tcp};
use crate::support::{expect, reset, rest};

/// Starts a program with a client and a journal.
fn start(program: &str, args: &[&str]) -> (TcpStream, UnixStream, Served) {
    let (client, connection) = tcp("127.0.0.1");
    let (journal, stderr) = UnixStream::pair().unwrap();
    let served = Served::start(program, args, connection, Stderr::Journal(stderr));
    (client, journal, served)
}

/// What celebs logs for this input, with the remote address replaced by PEER.
fn entries(input: &[u8]) -> Vec<String> {
    let (client, journal, served) = start(CELEBS, &[]);
    let peer = client.local_addr().unwrap().to_string();
    exchange_lossy(client, input);
    assert!(served.end().success());
    rest(journal)
        .lines()
        .map(|line| line.replace(&peer, "PEER"))
        .collect()
}

fn exchange_lossy(mut client: TcpStream, input: &[u8]) {
    client.write_all(input).unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    client.read_to_end(&mut Vec::new()).unwrap();
}

#[test]
fn entries_for_diagnosis_are_written_only_with_debug_invocation() {
    for (setting, wanted) in [("1", true), ("0", false)] {
        let setting = format!("DEBUG_INVOCATION={setting}");
        let (client, journal, served) = start("/usr/bin/env", &[&setting, CELEBS]);
        let peer = client.local_addr().unwrap();
        exchange_lossy(client, b"quit\n");
        assert!(served.end().success());
        let text = rest(journal);
        let entry = format!("<6>{peer} connected\n");
        assert_eq!(text.starts_with(&entry), wanted, "{text}");
    }
}

#[test]
fn hello_logs_one_entry_per_connection() {
    let (client, journal, served) = start(HELLO, &[]);
    let peer = client.local_addr().unwrap();
    rest(client);
    assert!(served.end().success());
    let text = rest(journal);
    let entry = text
        .strip_prefix(&format!("<5>{peer} served: 0 bytes received, "))
        .unwrap();
    assert!(
        entry.starts_with("41 bytes sent, ") && entry.ends_with("s\n"),
        "{entry}"
    );
    assert_eq!(text.lines().count(), 1);
}

#[test]
fn celebs_logs_one_entry_per_name_and_one_at_the_end() {
    let entries = entries(b"linus\ntove\nquit\n");
    assert_eq!(entries.len(), 3, "{entries:?}");
    assert_eq!(entries[0], r#"<5>PEER asked "linus", answered "torvalds""#);
    assert_eq!(
        entries[1],
        r#"<5>PEER asked "tove", answered "Unknown celeb""#
    );
    assert!(
        entries[2].starts_with("<5>PEER quit: 16 bytes received, "),
        "{}",
        entries[2]
    );
}

#[test]
fn the_last_entry_says_how_the_session_ended() {
    for (input, end) in [
        (&b"q\n"[..], "quit"),
        (b"", "end of input"),
        (b"\x04", "interrupted"),
    ] {
        let last = entries(input).pop().unwrap();
        assert!(last.starts_with(&format!("<5>PEER {end}: ")), "{last}");
    }
    let (client, journal, served) = start(CELEBS, &["--idle-timeout", "50ms"]);
    rest(client);
    assert!(served.end().success());
    assert!(rest(journal).contains(" timed out: 0 bytes received, "));
    let (client, journal, served) = start(CELEBS, &[]);
    reset(client);
    assert!(served.end().success());
    assert!(rest(journal).contains(" client gone: 0 bytes received, "));
}

#[test]
fn forged_lines_escape_sequences_and_long_names_are_escaped_and_cut() {
    let mut input = b"x\r<3>forged\x1b[2J\x9b\"\n".to_vec();
    input.extend(vec![b'y'; 1000]);
    input.push(b'\n');
    input.extend(vec![b'z'; 4 << 20]);
    input.extend(b"\n");
    let entries = entries(&input);
    assert_eq!(entries.len(), 4, "{entries:?}");
    assert_eq!(
        entries[0],
        r#"<5>PEER asked "x\r<3>forged\u{1b}[2J\x9b\"", answered "Unknown celeb""#
    );
    assert_eq!(
        entries[1],
        format!(
            r#"<5>PEER asked "{}"... (1000 bytes), answered "Unknown celeb""#,
            "y".repeat(128)
        )
    );
    assert_eq!(entries[2], "<5>PEER asked a name of more than 1024 bytes");
}

#[test]
fn a_flood_of_names_is_summed_up_and_all_are_counted() {
    let entries = entries("linus\n".repeat(10_000).as_bytes());
    let singly = entries
        .iter()
        .filter(|entry| entry.contains(" asked \"linus\""))
        .count();
    let summed: usize = entries
        .iter()
        .filter_map(|entry| {
            entry
                .strip_prefix("<5>PEER: ")?
                .split_once(" more exchange")
        })
        .map(|(exchanges, _)| exchanges.parse::<usize>().unwrap())
        .sum();
    assert_eq!(singly + summed, 10_000);
    assert!(entries.len() < 200, "{} entries", entries.len());
}

#[test]
fn a_full_journal_stream_does_not_delay_the_session() {
    let (mut client, journal, served) = {
        let (client, connection) = tcp("127.0.0.1");
        let (journal, mut stderr) = UnixStream::pair().unwrap();
        stderr.set_nonblocking(true).unwrap();
        while stderr.write(&[b'x'; 4096]).is_ok() {}
        while stderr.write(b"x").is_ok() {}
        stderr.set_nonblocking(false).unwrap();
        (
            client,
            journal,
            Served::start(CELEBS, &[], connection, Stderr::Journal(stderr)),
        )
    };
    expect(&mut client, "Please type Linux celebs name below:\n");
    let output = exchange(client, b"linus\nquit\n");
    assert!(output.ends_with(":quit, \n\nFinished\n"), "{output}");
    assert!(served.end().success());
    drop(journal);
}

#[test]
fn a_usage_error_is_logged_with_priority_error() {
    for (args, message) in [
        (
            &["--idle-timeout", "soon"][..],
            "give a duration such as 30s",
        ),
        (&["--help"], "work at the command line only"),
    ] {
        let (client, journal, served) = start(CELEBS, args);
        assert_eq!(rest(client), "");
        assert_eq!(served.end().code(), Some(2));
        let text = rest(journal);
        assert!(text.starts_with("<3>") && text.contains(message), "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
    }
}
