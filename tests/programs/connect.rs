//! `sockunit connect` against servers of all behaviours.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddrV4, TcpListener};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{ChildStdout, Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, UnixAddr, bind, getsockname, listen,
    socket,
};

use crate::client::{assert_proper, client, server};
use crate::serving::{CELEBS, Served, Stderr};
use crate::support::{PATIENCE, expect, reset, rest, wait_until};
use crate::tool::SOCKUNIT;

#[test]
fn an_answer_of_any_length_is_printed_whole() {
    for length in [1, 511, 512, 513, 1024, 65536] {
        let answer = vec![b'a'; length];
        let server = server({
            let answer = answer.clone();
            move |mut stream| {
                expect(&mut stream, "question\n");
                stream.write_all(&answer).unwrap();
                // The connection stays open: the client must not wait for more than this length.
                expect(&mut stream, "more\n");
                stream.write_all(b"end\n").unwrap();
            }
        });
        let mut client = client(&["127.0.0.1", &server.port]);
        client.type_line("question\n");
        let mut shown = vec![0; length];
        client.stdout.read_exact(&mut shown).unwrap();
        assert_eq!(shown, answer);
        client.type_line("more\n");
        assert_proper(client, "end\n");
        server.thread.join().unwrap();
    }
}

#[test]
fn an_answer_in_packets_of_one_byte_is_printed_as_it_arrives() {
    let server = server(|mut stream| {
        stream.set_nodelay(true).unwrap();
        for byte in b"Please type " {
            stream.write_all(&[*byte]).unwrap();
        }
        expect(&mut stream, "linus\n");
    });
    let mut client = client(&["127.0.0.1", &server.port]);
    // A prompt without a line end, before the client sends anything.
    expect(&mut client.stdout, "Please type ");
    client.type_line("linus\n");
    server.thread.join().unwrap();
    assert_proper(client, "");
}

#[test]
fn an_answer_after_three_seconds_is_printed() {
    let server = server(|mut stream| {
        expect(&mut stream, "question\n");
        // The delay is what is tested.
        thread::sleep(Duration::from_secs(3));
        stream.write_all(b"answer\n").unwrap();
    });
    let mut client = client(&["127.0.0.1", &server.port]);
    client.type_line("question\n");
    // The client waits for the answer after the end of its input.
    drop(client.stdin.take());
    assert_proper(client, "answer\n");
    server.thread.join().unwrap();
}

#[test]
fn the_awaited_line_is_found_however_the_stream_is_split() {
    let words = b"before\nFinished\r\nafter\n";
    for cut in 1..words.len() {
        let server = server(move |mut stream| {
            stream.set_nodelay(true).unwrap();
            stream.write_all(&words[..cut]).unwrap();
            let _ = stream.write_all(&words[cut..]);
            // The server keeps the connection open until the client closes it.
            let _ = stream.read(&mut [0]);
        });
        let client = client(&["127.0.0.1", &server.port, "--until", "Finished"]);
        assert_proper(client, "before\nFinished\r\n");
        server.thread.join().unwrap();
    }
}

#[test]
fn a_server_that_closes_without_the_awaited_line_is_an_error() {
    let server = server(|mut stream| stream.write_all(b"Finish\n").unwrap());
    let (status, shown, stderr) = client(&["127.0.0.1", &server.port, "--until", "Finished"]).end();
    assert_eq!((status, &shown[..]), (Some(1), &b"Finish\n"[..]));
    assert_eq!(
        stderr,
        "sockunit: the server closed the connection before it sent the line Finished\n"
    );
}

#[test]
fn the_end_of_input_closes_the_sending_half_only() {
    let server = server(|mut stream| {
        let mut received = String::new();
        stream.read_to_string(&mut received).unwrap();
        stream
            .write_all(received.to_uppercase().as_bytes())
            .unwrap();
    });
    let mut client = client(&["127.0.0.1", &server.port]);
    client.type_line("one\ntwo without a line end");
    drop(client.stdin.take());
    assert_proper(client, "ONE\nTWO WITHOUT A LINE END");
    server.thread.join().unwrap();
}

#[test]
fn the_option_crlf_sends_cr_lf_once_per_line() {
    let server = server(|stream| assert_eq!(rest(stream), "a\r\nb\r\n\r\n"));
    let mut client = client(&["127.0.0.1", &server.port, "--crlf"]);
    client.type_line("a\nb\r");
    client.type_line("\n\n");
    drop(client.stdin.take());
    assert_proper(client, "");
    server.thread.join().unwrap();
}

/// Bytes whose values repeat with a period of 251, so that a lost or moved byte is found.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

const FLOOD: usize = 100 << 20;

#[test]
fn a_flood_to_a_blocked_reader_arrives_whole_in_bounded_memory() {
    let server = server(|mut stream| {
        let piece = pattern(251 * 1024);
        let mut left = FLOOD;
        while left > 0 {
            let n = left.min(piece.len());
            stream.write_all(&piece[..n]).unwrap();
            left -= n;
        }
    });
    let mut client = client(&["127.0.0.1", &server.port]);
    // The test reads nothing until all buffers are full.
    client.wait_until_blocked();
    let mut buffer = vec![0; 64 * 1024];
    let (mut at, mut peak) = (0, None);
    while at < FLOOD {
        let n = client.stdout.read(&mut buffer).unwrap();
        assert!(n > 0, "the output ended after {at} bytes");
        assert!(
            buffer[..n]
                .iter()
                .enumerate()
                .all(|(i, b)| *b == ((at + i) % 251) as u8)
        );
        at += n;
        peak = peak.max(client.peak());
    }
    assert!((1..2 * 1024).contains(&peak.unwrap()), "{peak:?} KiB");
    assert_proper(client, "");
}

#[test]
fn a_paste_to_a_server_that_does_not_read_arrives_whole() {
    let (begin, begun) = std::sync::mpsc::channel::<()>();
    let server = server(move |mut stream| {
        stream.write_all(b"prompt").unwrap();
        begun.recv().unwrap();
        let mut buffer = vec![0; 64 * 1024];
        let mut at = 0;
        loop {
            let n = stream.read(&mut buffer).unwrap();
            if n == 0 {
                break;
            }
            assert!(
                buffer[..n]
                    .iter()
                    .enumerate()
                    .all(|(i, b)| *b == ((at + i) % 251) as u8)
            );
            at += n;
        }
        assert_eq!(at, FLOOD);
        stream.write_all(b"thanks\n").unwrap();
    });
    let mut client = client(&["127.0.0.1", &server.port]);
    let mut stdin = client.stdin.take().unwrap();
    let paste = thread::spawn(move || {
        let piece = pattern(251 * 1024);
        let mut left = FLOOD;
        while left > 0 {
            let n = left.min(piece.len());
            stdin.write_all(&piece[..n]).unwrap();
            left -= n;
        }
    });
    // What the server sends is printed while the paste is blocked.
    expect(&mut client.stdout, "prompt");
    begin.send(()).unwrap();
    paste.join().unwrap();
    expect(&mut client.stdout, "thanks\n");
    server.thread.join().unwrap();
    assert_proper(client, "");
}

#[test]
fn memory_is_bounded_while_both_directions_are_blocked() {
    let (begin, begun) = std::sync::mpsc::channel::<()>();
    let server = server(move |mut stream| {
        stream.set_nonblocking(true).unwrap();
        let piece = vec![b'x'; 1 << 20];
        while stream.write(&piece).is_ok() {}
        begun.recv().unwrap();
    });
    let mut client = client(&["127.0.0.1", &server.port]);
    let mut stdin = client.stdin.take().unwrap();
    let paste = thread::spawn(move || while stdin.write_all(&[b'y'; 65536]).is_ok() {});
    client.wait_until_blocked();
    let peak = client.peak().expect("the client still runs");
    assert!(peak < 2 * 1024, "{peak} KiB");
    begin.send(()).unwrap();
    drop(client);
    paste.join().unwrap();
}

#[test]
fn a_connection_that_is_reset_has_exit_status_1() {
    let (printed, was_printed) = std::sync::mpsc::channel::<()>();
    let server = server(move |mut stream| {
        stream.write_all(b"half a sent").unwrap();
        // A reset discards what the client has not read yet.
        was_printed.recv().unwrap();
        reset(stream);
    });
    let mut client = client(&["127.0.0.1", &server.port]);
    expect(&mut client.stdout, "half a sent");
    printed.send(()).unwrap();
    let (status, _, stderr) = client.end();
    assert_eq!(status, Some(1));
    assert!(stderr.contains(": connection reset by peer\n"), "{stderr}");
}

#[test]
fn a_server_that_closes_without_sending_anything_is_an_error() {
    for leave in [drop, reset] {
        for input in ["", "linus\n"] {
            let server = server(leave);
            let mut client = client(&["127.0.0.1", &server.port]);
            server.thread.join().unwrap();
            let _ = client.stdin.as_mut().unwrap().write_all(input.as_bytes());
            let (status, shown, stderr) = client.end();
            assert_eq!((status, &shown[..]), (Some(1), &b""[..]));
            assert!(
                stderr
                    .contains("the server closed the connection without sending anything\nhint: "),
                "{stderr}"
            );
        }
    }
}

#[test]
fn a_server_that_reads_and_sends_nothing_is_no_failure() {
    let server = server(|stream| assert_eq!(rest(stream), "all there is\n"));
    let mut client = client(&["127.0.0.1", &server.port]);
    client.type_line("all there is\n");
    drop(client.stdin.take());
    server.thread.join().unwrap();
    assert_proper(client, "");
}

#[test]
fn the_idle_timeout_ends_a_silent_connection() {
    let server = server(|mut stream| {
        stream.write_all(b"and then\n").unwrap();
        let _ = stream.read(&mut [0]);
    });
    let (status, shown, stderr) =
        client(&["127.0.0.1", &server.port, "--idle-timeout", "300ms"]).end();
    assert_eq!((status, &shown[..]), (Some(1), &b"and then\n"[..]));
    assert_eq!(
        stderr,
        "sockunit: idle timeout: no data in either direction for 300ms\n"
    );
}

#[test]
fn closed_standard_output_ends_the_client_without_failure() {
    for talking in [true, false] {
        let server = server(move |mut stream| {
            stream.write_all(b"first\n").unwrap();
            while talking && stream.write_all(b"more\n").is_ok() {}
            let _ = stream.read(&mut [0]);
        });
        let mut client = client(&["127.0.0.1", &server.port]);
        expect(&mut client.stdout, "first\n");
        let (reader, _writer) = nix::unistd::pipe().unwrap();
        drop(std::mem::replace(
            &mut client.stdout,
            ChildStdout::from(reader),
        ));
        let deadline = Instant::now() + PATIENCE;
        let status = wait_until("the client exits", deadline, || {
            client.child.try_wait().unwrap()
        });
        assert_eq!(status.code(), Some(0));
        drop(client);
        server.thread.join().unwrap();
    }
}

#[test]
fn an_interrupt_ends_the_client_at_once() {
    let server = server(|mut stream| {
        stream.write_all(b"ready\n").unwrap();
        let _ = stream.read(&mut [0]);
    });
    let mut client = client(&["127.0.0.1", &server.port]);
    expect(&mut client.stdout, "ready\n");
    let pid = client.child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &pid])
            .status()
            .unwrap()
            .success()
    );
    let (status, _, stderr) = client.end();
    assert_eq!(
        (status, stderr.as_str()),
        (None, ""),
        "the signal ends the process"
    );
}

#[test]
fn a_unix_socket_is_reached_by_its_path() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("sock-{}", std::process::id()));
    let _ = fs::remove_file(&path);
    let listener = UnixListener::bind(&path).unwrap();
    let serving = thread::spawn(move || listener.accept().unwrap().0.write_all(b"here\n").unwrap());
    assert_proper(client(&[path.to_str().unwrap()]), "here\n");
    serving.join().unwrap();
    fs::remove_file(&path).unwrap();
}

#[test]
fn the_timeout_holds_for_a_unix_socket_with_a_full_backlog() {
    let path = std::env::temp_dir().join(format!("sockunit-full-{}", std::process::id()));
    let flags = SockFlag::SOCK_CLOEXEC;
    let listener = socket(AddressFamily::Unix, SockType::Stream, flags, None).unwrap();
    bind(listener.as_raw_fd(), &UnixAddr::new(&path).unwrap()).unwrap();
    listen(&listener, Backlog::new(0).unwrap()).unwrap();
    let _queued = UnixStream::connect(&path).unwrap();
    let output = Command::new(SOCKUNIT)
        .args(["connect", "--timeout", "200ms"])
        .arg(&path)
        .output()
        .unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.contains(
            ": the listen backlog is full; the service is not accepting connections\nhint: "
        ),
        "{stderr}"
    );
}

#[test]
fn a_pipeline_holds_a_session_with_celebs() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let mut client = client(&["127.0.0.1", &port]);
    let served = Served::start(
        CELEBS,
        &[],
        listener.accept().unwrap().0.into(),
        Stderr::Client,
    );
    client.type_line("linus\nquit\nnever asked\n");
    drop(client.stdin.take());
    let prompt = "Please type Linux celebs name below:\n";
    assert_proper(
        client,
        format!("{prompt}:linus, \ntorvalds\n{prompt}:quit, \n\nFinished\n"),
    );
    assert!(served.end().success());
}

#[test]
fn a_failed_connection_prints_one_line_and_a_hint() {
    // A port that is bound, so that no other process can listen on it, and does not listen.
    let bound = socket(
        AddressFamily::Inet,
        SockType::Stream,
        SockFlag::SOCK_CLOEXEC,
        None,
    )
    .unwrap();
    let any: SocketAddrV4 = "127.0.0.1:0".parse().unwrap();
    bind(bound.as_raw_fd(), &SockaddrIn::from(any)).unwrap();
    let address: SockaddrIn = getsockname(bound.as_raw_fd()).unwrap();
    let free = address.port().to_string();
    for (args, expected) in [
        (
            &["127.0.0.1", &free][..],
            "start the service (systemctl start NAME.socket)",
        ),
        (
            &["no-such-service"],
            "\nhint: give the port number, or add the name as root\n    sockunit services add no-such-service PORT\n",
        ),
        (
            &["no.such.host.invalid", "7"],
            "sockunit: cannot resolve the host: no.such.host.invalid: ",
        ),
        (
            &["/nonexistent/socket"],
            "cannot connect: /nonexistent/socket: no such file or directory",
        ),
    ] {
        let Output {
            status,
            stdout,
            stderr,
        } = Command::new(SOCKUNIT)
            .arg("connect")
            .args(args)
            .output()
            .unwrap();
        let stderr = String::from_utf8(stderr).unwrap();
        assert_eq!((status.code(), &stdout[..]), (Some(1), &b""[..]));
        assert!(
            stderr.contains(expected)
                && stderr.lines().filter(|line| !line.starts_with(' ')).count() == 2,
            "{stderr}"
        );
        assert!(
            stderr.starts_with("sockunit: ") && stderr.contains("\nhint: "),
            "{stderr}"
        );
    }
}

#[test]
fn a_terminal_shows_the_prompt_before_anything_is_typed() {
    let server = server(|mut stream| {
        stream.write_all(b"name: ").unwrap();
        expect(&mut stream, "linus\n");
        stream.write_all(b"torvalds\n").unwrap();
        // Ctrl-D at the terminal closes the sending half; what the server sends then is still printed.
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
        stream.write_all(b"bye\n").unwrap();
        stream.shutdown(Shutdown::Both).unwrap();
    });
    let pty = nix::pty::openpty(None, None).unwrap();
    let terminal = || pty.slave.try_clone().unwrap();
    let mut child = Command::new(SOCKUNIT)
        .args(["connect", "127.0.0.1", &server.port])
        .stdin(terminal())
        .stdout(terminal())
        .stderr(terminal())
        .spawn()
        .unwrap();
    let mut screen = fs::File::from(pty.master);
    expect(&mut screen, "name: ");
    screen.write_all(b"linus\n").unwrap();
    // The terminal echoes what is typed.
    expect(&mut screen, "linus\r\ntorvalds\r\n");
    screen.write_all(b"\x04").unwrap();
    expect(&mut screen, "bye\r\n");
    assert!(child.wait().unwrap().success());
    server.thread.join().unwrap();
}
