//! The journal's stream, played by a socket of which the test holds the other end.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;

use crate::serving::{CELEBS, HELLO, Served, Stderr, exchange, expect, rest, tcp};

/// A program with a client and a journal.
fn logged(program: &str, args: &[&str]) -> (TcpStream, UnixStream, Served) {
    let (client, connection) = tcp("127.0.0.1");
    let (journal, stderr) = UnixStream::pair().unwrap();
    let served = Served::start(program, args, connection, Stderr::Journal(stderr));
    (client, journal, served)
}

/// What celebs logs at notice and above when it is asked this, with the peer taken out.
fn records(input: &[u8]) -> Vec<String> {
    let (client, journal, served) = logged(CELEBS, &[]);
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
fn a_debug_record_is_there_only_when_it_is_asked_for() {
    for (setting, wanted) in [("1", true), ("0", false)] {
        let setting = format!("DEBUG_INVOCATION={setting}");
        let (client, journal, served) = logged("/usr/bin/env", &[&setting, CELEBS]);
        let peer = client.local_addr().unwrap();
        exchange_lossy(client, b"quit\n");
        assert!(served.end().success());
        let text = rest(journal);
        let record = format!("<7>{peer} connected\n");
        assert_eq!(text.starts_with(&record), wanted, "{text}");
    }
}

#[test]
fn hello_leaves_one_record_at_notice() {
    let (client, journal, served) = logged(HELLO, &[]);
    let peer = client.local_addr().unwrap();
    rest(client);
    assert!(served.end().success());
    let text = rest(journal);
    let record = text
        .strip_prefix(&format!("<5>{peer} served: 0 bytes received, "))
        .unwrap();
    assert!(
        record.starts_with("41 bytes sent, ") && record.ends_with("s\n"),
        "{record}"
    );
    assert_eq!(text.lines().count(), 1);
}

#[test]
fn celebs_leaves_a_record_a_name_and_one_at_the_end() {
    let records = records(b"linus\ntove\nquit\n");
    assert_eq!(records.len(), 3, "{records:?}");
    assert_eq!(records[0], r#"<5>PEER asked "linus", answered "torvalds""#);
    assert_eq!(
        records[1],
        r#"<5>PEER asked "tove", answered "Unknown celeb""#
    );
    assert!(
        records[2].starts_with("<5>PEER quit: 16 bytes received, "),
        "{}",
        records[2]
    );
}

#[test]
fn how_it_ended_is_told() {
    for (input, end) in [
        (&b"q\n"[..], "quit"),
        (b"", "end of input"),
        (b"\x04", "interrupted"),
    ] {
        let last = records(input).pop().unwrap();
        assert!(last.starts_with(&format!("<5>PEER {end}: ")), "{last}");
    }
    let (client, journal, served) = logged(CELEBS, &["--idle-timeout", "50ms"]);
    rest(client);
    assert!(served.end().success());
    assert!(rest(journal).contains(" timed out: 0 bytes received, "));
    let (client, journal, served) = logged(CELEBS, &[]);
    crate::serving::reset(client);
    assert!(served.end().success());
    assert!(rest(journal).contains(" client gone: 0 bytes received, "));
}

#[test]
fn forged_lines_escape_sequences_and_endless_names_end_as_bounded_records() {
    let mut input = b"x\r<3>forged\x1b[2J\x9b\"\n".to_vec();
    input.extend(vec![b'y'; 1000]);
    input.push(b'\n');
    input.extend(vec![b'z'; 4 << 20]);
    input.extend(b"\n");
    let records = records(&input);
    assert_eq!(records.len(), 4, "{records:?}");
    assert_eq!(
        records[0],
        r#"<5>PEER asked "x\r<3>forged\u{1b}[2J\x9b\"", answered "Unknown celeb""#
    );
    assert_eq!(
        records[1],
        format!(
            r#"<5>PEER asked "{}"... (1000 bytes), answered "Unknown celeb""#,
            "y".repeat(128)
        )
    );
    assert_eq!(records[2], "<5>PEER asked a name of more than 1024 bytes");
}

#[test]
fn a_flood_of_names_is_summed_up_and_none_is_lost_in_silence() {
    let records = records("linus\n".repeat(10_000).as_bytes());
    let singly = records
        .iter()
        .filter(|record| record.contains(" asked \"linus\""))
        .count();
    let summed: usize = records
        .iter()
        .filter_map(|record| {
            record
                .strip_prefix("<5>PEER: ")?
                .split_once(" more exchange")
        })
        .map(|(exchanges, _)| exchanges.parse::<usize>().unwrap())
        .sum();
    assert_eq!(singly + summed, 10_000);
    assert!(records.len() < 200, "{} records", records.len());
}

#[test]
fn a_journal_that_takes_nothing_delays_no_conversation() {
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
fn a_usage_error_is_told_to_the_journal_with_priority_error() {
    for (args, told) in [
        (
            &["--idle-timeout", "soon"][..],
            "give a duration such as 30s",
        ),
        (&["--help"], "work at the command line only"),
    ] {
        let (client, journal, served) = logged(CELEBS, args);
        assert_eq!(rest(client), "");
        assert_eq!(served.end().code(), Some(2));
        let text = rest(journal);
        assert!(text.starts_with("<3>") && text.contains(told), "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
    }
}
