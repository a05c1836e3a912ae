//! A process that serves many connections.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::serving::{CELEBS, HELLO, Served, listening_address, stays_silent, tcp};
use crate::support::{PATIENCE, PROMPT, expect, rest, wait_until};

/// A shared service, and its address.
fn share(program: &str, args: &[&str]) -> (SocketAddr, Served) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (address, Served::share(program, args, listener.into()))
}

fn connect(address: SocketAddr) -> TcpStream {
    let client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client
}

/// Connects, and reads the first prompt.
fn begin(address: SocketAddr) -> TcpStream {
    let mut client = connect(address);
    expect(&mut client, PROMPT);
    client
}

#[test]
fn concurrent_sessions_are_independent() {
    let (address, served) = share(CELEBS, &[]);
    let mut clients: Vec<TcpStream> = (0..200).map(|_| begin(address)).collect();
    for round in 0..5 {
        for (index, client) in clients.iter_mut().enumerate() {
            client
                .write_all(format!("name {index} {round}\n").as_bytes())
                .unwrap();
        }
        for (index, client) in clients.iter_mut().enumerate() {
            expect(
                client,
                &format!(":name {index} {round}, \nUnknown celeb\n{PROMPT}"),
            );
        }
    }
    for client in &mut clients {
        client.write_all(b"quit\n").unwrap();
    }
    for client in clients {
        assert_eq!(rest(client), ":quit, \n\nFinished\n");
    }
    assert!(served.end().success());
}

#[test]
fn a_client_that_floods_and_does_not_read_does_not_delay_others() {
    let (address, served) = share(CELEBS, &[]);
    let mut flood = begin(address);
    flood.set_nonblocking(true).unwrap();
    let lines = "\n".repeat(1 << 16);
    let error = loop {
        if let Err(error) = flood.write(lines.as_bytes()) {
            break error;
        }
    };
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    let mut other = begin(address);
    other.write_all(b"maddog\nquit\n").unwrap();
    assert_eq!(
        rest(other),
        format!(":maddog, \nhall\n{PROMPT}:quit, \n\nFinished\n")
    );
    drop(flood);
    assert!(served.end().success());
}

#[test]
fn at_the_concurrency_limit_clients_wait() {
    let (address, served) = share(CELEBS, &["--max-connections", "2"]);
    let (first, second) = (begin(address), begin(address));
    let mut third = connect(address);
    assert!(stays_silent(&mut third, Duration::from_millis(200)));
    drop(first);
    expect(&mut third, PROMPT);
    drop((second, third));
    assert!(served.end().success());
}

#[test]
fn at_the_concurrency_limit_clients_are_refused_with_a_message() {
    let args = ["--max-connections", "1", "--when-full", "refuse"];
    let (address, served) = share(CELEBS, &args);
    let first = begin(address);
    assert_eq!(
        rest(connect(address)),
        "Too many connections; please try again later\n"
    );
    drop(first);
    // When it has ended, another connection is served.
    wait_until("a client is served", Instant::now() + PATIENCE, || {
        let mut client = connect(address);
        let mut start = [0; 6];
        client.read_exact(&mut start).unwrap();
        (start == *b"Please").then_some(())
    });
    assert!(served.end().success());
}

#[test]
fn a_refused_client_that_keeps_sending_does_not_delay_others() {
    let args = ["--max-connections", "1", "--when-full", "refuse"];
    let (address, served) = share(CELEBS, &args);
    let mut first = begin(address);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                // Bounded, in case the test fails.
                for _ in 0..1_000_000 {
                    if done.load(Ordering::Relaxed) {
                        break;
                    }
                    let mut flood = connect(address);
                    loop {
                        let sent = flood.write_all(&[b'x'; 65536]);
                        if sent.is_err() || done.load(Ordering::Relaxed) {
                            break;
                        }
                    }
                }
            });
        }
        for _ in 0..200 {
            first.write_all(b"linus\n").unwrap();
            expect(&mut first, &format!(":linus, \ntorvalds\n{PROMPT}"));
        }
        done.store(true, Ordering::Relaxed);
    });
    drop(first);
    assert!(served.end().success());
}

#[test]
fn at_the_per_source_limit_clients_are_refused_with_a_message() {
    let (address, served) = share(CELEBS, &["--per-source", "3"]);
    let clients: Vec<TcpStream> = (0..3).map(|_| begin(address)).collect();
    let refused = "Too many connections from your address; please try again later\n";
    assert_eq!(rest(connect(address)), refused);
    drop(clients);
    assert!(served.end().success());
}

#[test]
fn a_source_that_times_out_gets_a_penalty() {
    let (address, served) = share(CELEBS, &["--idle-timeout=300ms", "--penalty=1h"]);
    assert!(rest(begin(address)).ends_with("Finished\n"));
    let refused = "Your address is refused for some time; please try again later\n";
    assert_eq!(rest(connect(address)), refused);
    assert!(served.end().success());
}

#[test]
fn after_sigterm_no_connection_is_accepted_and_sessions_may_end() {
    let (address, served) = share(CELEBS, &[]);
    let mut client = begin(address);
    served.terminate();
    // The test has no descriptor of the listener: when the process closes it, it is closed.
    wait_until("the listener is closed", Instant::now() + PATIENCE, || {
        TcpStream::connect(address).is_err().then_some(())
    });
    client.write_all(b"linus\nquit\n").unwrap();
    assert_eq!(
        rest(client),
        format!(":linus, \ntorvalds\n{PROMPT}:quit, \n\nFinished\n")
    );
    assert!(served.ended().success());
}

#[test]
fn after_the_stop_timeout_sessions_are_ended() {
    let (address, served) = share(CELEBS, &["--stop-timeout", "300ms"]);
    let client = begin(address);
    served.terminate();
    assert_eq!(rest(client), "\nFinished\n");
    assert!(served.ended().success());
}

#[test]
fn the_process_exits_after_the_idle_time_and_not_before() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // Connect before the program starts: it could exit before the connection otherwise.
    let mut client = connect(listener.local_addr().unwrap());
    let served = Served::share(CELEBS, &["--exit-idle-time", "500ms"], listener.into());
    expect(&mut client, PROMPT);
    // Longer than the idle time: the process still runs.
    assert!(stays_silent(&mut client, Duration::from_secs(1)));
    client.write_all(b"linus\n").unwrap();
    expect(&mut client, ":linus, \ntorvalds\n");
    drop(client);
    assert!(served.ended().success());
}

#[test]
fn without_file_descriptors_open_sessions_continue_and_new_ones_follow() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // The program cannot raise the limit above the hard limit that prlimit sets.
    let limited = ["--nofile=24:24", CELEBS];
    let served = Served::share("prlimit", &limited, listener.into());
    let mut clients: Vec<TcpStream> = Vec::new();
    let waiting = loop {
        assert!(clients.len() < 24, "no limit reached");
        let mut client = connect(address);
        client
            .set_read_timeout(Some(Duration::from_secs(2)))
            .unwrap();
        let mut prompt = vec![0; PROMPT.len()];
        match client.read_exact(&mut prompt) {
            Ok(()) => clients.push(client),
            Err(error) if error.kind() == ErrorKind::WouldBlock => break client,
            Err(error) => panic!("{error} after {} connections", clients.len()),
        }
    };
    assert!(clients.len() > 5, "{} are served", clients.len());
    for client in &mut clients {
        client.write_all(b"linus\n").unwrap();
        expect(client, &format!(":linus, \ntorvalds\n{PROMPT}"));
    }
    drop(clients.pop());
    waiting.set_read_timeout(Some(PATIENCE)).unwrap();
    expect(&mut &waiting, PROMPT);
    drop((clients, waiting));
    assert!(served.end().success());
}

#[test]
fn listen_opens_sockets_without_systemd() {
    let path =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("listen-{}", std::process::id()));
    let _ = fs::remove_file(&path);
    let child = Command::new(HELLO)
        .args([
            "--listen",
            "127.0.0.1:0",
            "--listen",
            path.to_str().unwrap(),
        ])
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let client = connect(listening_address(child.id()));
    assert!(rest(client).starts_with("Hello World:"));
    let client = std::os::unix::net::UnixStream::connect(&path).unwrap();
    assert!(rest(client).starts_with("Hello World:"));
    let pid = nix::unistd::Pid::from_raw(child.id() as i32);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains(" served: 0 bytes received, ")
    );
    assert!(!path.exists(), "the socket file is not removed");
}

#[test]
fn a_connection_passed_as_a_listener_is_an_error() {
    let (_client, connection) = tcp("127.0.0.1");
    let served = Served::share(HELLO, &[], connection);
    assert_eq!(served.ended().code(), Some(1));
}

/// The service manager's end of the notification socket.
struct Manager {
    socket: UnixDatagram,
}

impl Manager {
    fn next(&self) -> String {
        let mut message = vec![0; 4096];
        let n = self.socket.recv(&mut message).unwrap();
        String::from_utf8_lossy(&message[..n]).into_owned()
    }

    fn until(&self, wanted: &str) {
        while !self.next().contains(wanted) {}
    }
}

#[test]
fn the_manager_receives_ready_status_watchdog_and_stopping() {
    let path =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("notify-{}", std::process::id()));
    let _ = fs::remove_file(&path);
    let manager = Manager {
        socket: UnixDatagram::bind(&path).unwrap(),
    };
    manager.socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let notify = format!("NOTIFY_SOCKET={}", path.display());
    let served = Served::share(
        "env",
        &[&notify, "WATCHDOG_USEC=200000", CELEBS],
        listener.into(),
    );
    assert!(manager.next().starts_with("READY=1\n"));
    manager.until("WATCHDOG=1");
    let client = begin(address);
    manager.until("STATUS=1 connection now, 1 in total");
    manager.until("WATCHDOG=1");
    drop(client);
    manager.until("STATUS=0 connections now, 1 in total");
    served.terminate();
    manager.until("STOPPING=1");
    assert!(served.ended().success());
    fs::remove_file(&path).unwrap();
}
