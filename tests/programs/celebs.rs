use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use crate::serving::{CELEBS, exchange, serve, serve_on, serve_unix};
use crate::support::{Mode, PATIENCE, PROMPT, expect, reset, rest, wait_until};

in_both_modes!(
    a_session_works_over_ipv4_ipv6_and_unix_sockets,
    names_sent_at_once_are_answered_in_order,
    end_of_input_ends_the_session_and_a_last_line_without_a_line_end_is_a_name,
    telnet_commands_are_not_part_of_a_name_and_an_interrupt_ends_the_session,
    the_perl_edition_has_the_output_of_the_perl_server,
    a_client_that_sends_no_complete_line_times_out,
    a_client_that_does_not_read_is_disconnected,
    a_name_of_megabytes_is_discarded_in_bounded_memory,
    a_client_that_disconnects_at_any_moment_is_a_normal_end,
);

fn a_session_works_over_ipv4_ipv6_and_unix_sockets(mode: Mode) {
    fn converse(mut client: impl Read + Write) {
        expect(&mut client, PROMPT);
        for (line, answer) in [
            ("richard\n", ":richard, \nstallman\n"),
            ("linus\r\n", ":linus, \ntorvalds\n"),
            ("  maddog\t\n", ":maddog, \nhall\n"),
            ("\n", ":, \nUnknown celeb\n"),
            ("alan   cox\n", ":alan cox, \nUnknown celeb\n"),
        ] {
            client.write_all(line.as_bytes()).unwrap();
            expect(&mut client, answer);
            expect(&mut client, PROMPT);
        }
        client.write_all(b"quit\n").unwrap();
        assert_eq!(rest(client), ":quit, \n\nFinished\n");
    }
    for address in ["127.0.0.1", "::1"] {
        let (client, served) = serve_on(address, mode, CELEBS, &[]);
        converse(client);
        assert!(served.end().success());
    }
    let (client, served) = serve_unix(mode, CELEBS, &[]);
    converse(client);
    assert!(served.end().success());
}

fn names_sent_at_once_are_answered_in_order(mode: Mode) {
    let (client, served) = serve(mode, CELEBS, &[]);
    let asked = 5000;
    let mut input = "linus\n".repeat(asked);
    input.push_str("q\nnever answered\n");
    // Reads while it writes: the answers do not fit into the socket buffers.
    let mut writer = client.try_clone().unwrap();
    let writing = std::thread::spawn(move || writer.write_all(input.as_bytes()).unwrap());
    let output = rest(client);
    writing.join().unwrap();
    let cycle = format!("{PROMPT}:linus, \ntorvalds\n");
    assert_eq!(
        output,
        format!("{}{PROMPT}:q, \n\nFinished\n", cycle.repeat(asked))
    );
    assert!(served.end().success());
}

fn end_of_input_ends_the_session_and_a_last_line_without_a_line_end_is_a_name(mode: Mode) {
    let (client, served) = serve(mode, CELEBS, &[]);
    let output = exchange(client, b"linus");
    assert_eq!(
        output,
        format!("{PROMPT}:linus, \ntorvalds\n{PROMPT}\nFinished\n")
    );
    assert!(served.end().success());
}

fn telnet_commands_are_not_part_of_a_name_and_an_interrupt_ends_the_session(mode: Mode) {
    let (mut client, served) = serve(mode, CELEBS, &[]);
    expect(&mut client, PROMPT);
    client.write_all(b"\xff\xfd\x03li\xff\xf1nus\r\n").unwrap();
    expect(&mut client, ":linus, \ntorvalds\n");
    expect(&mut client, PROMPT);
    client.write_all(b"mad\xff\xf4\xff\xfd\x06").unwrap();
    assert_eq!(rest(client), "\nFinished\n");
    assert!(served.end().success());
}

fn the_perl_edition_has_the_output_of_the_perl_server(mode: Mode) {
    let (client, served) = serve(mode, CELEBS, &["--edition", "perl"]);
    assert_eq!(
        exchange(client, b"linus\nquit\n"),
        format!(
            "{PROMPT}:perlversion:linus,\ntorvalds\n{PROMPT}:perlversion:quit,\n\
             The log is in the journal: journalctl -t celebs\nFinished\n"
        )
    );
    assert!(served.end().success());
}

fn a_client_that_sends_no_complete_line_times_out(mode: Mode) {
    for send_bytes in [false, true] {
        let begun = Instant::now();
        let (mut client, served) = serve(mode, CELEBS, &["--idle-timeout", "400ms"]);
        expect(&mut client, PROMPT);
        if send_bytes {
            client
                .set_read_timeout(Some(Duration::from_millis(50)))
                .unwrap();
            let mut byte = [0];
            wait_until("the service times out", Instant::now() + PATIENCE, || {
                let _ = client.write_all(b"x");
                client.peek(&mut byte).ok()
            });
        }
        assert_eq!(rest(client), "Timed out\n\nFinished\n");
        assert!(begun.elapsed() >= Duration::from_millis(400));
        assert!(served.end().success());
    }
}

fn a_client_that_does_not_read_is_disconnected(mode: Mode) {
    let (mut client, served) = serve(mode, CELEBS, &["--write-timeout", "300ms"]);
    let lines = "\n".repeat(1 << 16);
    // When the program has exited, the kernel resets the connection.
    let error = loop {
        if let Err(error) = client.write_all(lines.as_bytes()) {
            break error;
        }
    };
    let closed = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
    assert!(closed.contains(&error.kind()), "{error}");
    assert!(served.end().success());
}

fn a_name_of_megabytes_is_discarded_in_bounded_memory(mode: Mode) {
    let (mut client, served) = serve(mode, CELEBS, &[]);
    expect(&mut client, PROMPT);
    let piece = vec![b'x'; 1 << 20];
    for _ in 0..64 {
        client.write_all(&piece).unwrap();
    }
    client.write_all(b"\nlinus\n").unwrap();
    expect(&mut client, "Name too long: the limit is 1024 bytes\n");
    expect(&mut client, PROMPT);
    expect(&mut client, ":linus, \ntorvalds\n");
    let status = fs::read_to_string(format!("/proc/{}/status", served.pid())).unwrap();
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak < 16 * 1024, "{peak} KiB");
}

fn a_client_that_disconnects_at_any_moment_is_a_normal_end(mode: Mode) {
    let script = b"linus\r\nmaddog\n\xff\xfd\x06quit\n";
    for sent in 0..=script.len() {
        for disconnect in [reset, drop] {
            let (mut client, served) = serve(mode, CELEBS, &[]);
            client.write_all(&script[..sent]).unwrap();
            disconnect(client);
            let status = served.end();
            assert!(status.success(), "{status} after {sent} bytes");
        }
    }
}

#[test]
fn help_version_and_usage_errors_are_never_sent_to_a_client() {
    for args in [
        &["--help"][..],
        &["--version"],
        &["--idle-timeout", "soon"],
        &["--edition", "C"],
    ] {
        let (client, served) = serve(Mode::PerConnection, CELEBS, args);
        assert_eq!(rest(client), "", "{args:?}");
        assert_eq!(served.end().code(), Some(2), "{args:?}");
    }
}
