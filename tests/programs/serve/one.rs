//! `sockunit serve` with one connection as standard input and output, as systemd (`Accept=yes`), xinetd, inetd and
//! tcpserver start a program.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use crate::serving::{Served, Stderr, tcp};
use crate::support::{expect, reset, rest};
use crate::tool::SOCKUNIT;
use crate::tree::Tree;

/// The client, the journal, and the process.
fn start(options: &[&str], script: &str) -> (TcpStream, UnixStream, Served) {
    let (client, connection) = tcp("127.0.0.1");
    let (journal, served) = serve(SOCKUNIT, &[], connection, options, script);
    (client, journal, served)
}

/// The journal, and the process that a program starts with these arguments before its own.
fn serve(
    program: &str,
    before: &[&str],
    connection: OwnedFd,
    options: &[&str],
    script: &str,
) -> (UnixStream, Served) {
    let (journal, stderr) = UnixStream::pair().unwrap();
    let args = [
        before,
        &["serve", "--name", "one"],
        options,
        &["--", "/bin/sh", "-c", script],
    ]
    .concat();
    let served = Served::start(program, &args, connection, Stderr::Journal(stderr));
    (journal, served)
}

#[test]
fn a_connection_on_standard_input_is_served_and_logged_like_any_other() {
    let (mut client, journal, served) = start(
        &["--banner", "/etc/hostname"],
        "echo \"$REMOTE_ADDR $REMOTE_HOST $REMOTE_PORT\"; cat; exit 3",
    );
    let port = client.local_addr().unwrap().port();
    client.write_all(b"linus\n").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let banner = std::fs::read_to_string("/etc/hostname").unwrap();
    assert_eq!(
        rest(client),
        format!("{banner}127.0.0.1 127.0.0.1 {port}\nlinus\n")
    );
    assert_eq!(served.ended().code(), Some(3));
    let log = rest(journal);
    assert!(
        log.starts_with(&format!("<5>127.0.0.1:{port} exited 3: pid "))
            && log.contains(", 6 bytes received, ")
            && log.lines().count() == 1,
        "{log}"
    );
}

#[test]
fn an_answer_is_not_lost_though_the_client_sends_what_nobody_reads() {
    for _ in 0..20 {
        let (mut client, _journal, served) =
            start(&[], "printf 'HTTP/1.0 200 OK\\r\\n\\r\\nup\\n'");
        // The program may have ended by now, and then the kernel may refuse the bytes.
        let _ = client.write_all(b"OPTIONS / HTTP/1.0\r\nHost: x\r\n\r\n");
        assert_eq!(rest(client), "HTTP/1.0 200 OK\r\n\r\nup\n");
        assert!(served.ended().success());
    }
}

#[test]
fn a_program_whose_client_has_left_is_stopped_though_it_ignores_sigpipe() {
    let (mut client, journal, served) = start(
        &["--grace", "100ms"],
        "trap '' PIPE; echo tick; exec sleep 1000",
    );
    expect(&mut client, "tick\n");
    reset(client);
    assert!(served.ended().success());
    let log = rest(journal);
    assert!(log.contains("client gone"), "{log}");
}

#[test]
fn a_failure_of_the_program_is_the_exit_status_but_not_a_client_that_leaves() {
    for (script, code) in [
        ("exit 0", 0),
        ("exit 77", 77),
        ("kill -KILL $$", 128 + 9),
        ("kill -PIPE $$", 0),
    ] {
        let (client, _journal, served) = start(&[], script);
        assert_eq!(rest(client), "");
        assert_eq!(served.ended().code(), Some(code), "{script}");
    }
}

#[test]
fn rules_and_timeouts_hold_for_one_connection() {
    let (client, journal, served) = start(&["--deny", "127.0.0.0/8"], "echo never");
    assert_eq!(rest(client), "Your address may not use this service\n");
    assert!(served.ended().success());
    assert!(rest(journal).contains(" refused: address not allowed: "));

    let (mut client, journal, served) = start(
        &["--idle-timeout", "200ms", "--grace", "100ms"],
        "echo tick; cat",
    );
    expect(&mut client, "tick\n");
    assert_eq!(rest(client), "");
    assert!(served.ended().success());
    assert!(rest(journal).contains("idle timeout"));
}

/// The log of a connection that its client has reset after it sent a line, served with these variables and options.
fn log_after_reset(variables: &[&str], options: &[&str]) -> String {
    let (mut client, connection) = tcp("127.0.0.1");
    client.write_all(b"payload\n").unwrap();
    reset(client);
    let before = [variables, &[SOCKUNIT]].concat();
    let script = "read -r line; echo \"$line\" >&2";
    let (journal, served) = serve("/usr/bin/env", &before, connection, options, script);
    assert!(served.ended().success());
    rest(journal)
}

#[test]
fn access_lists_refuse_a_client_that_has_reset_its_connection_after_it_sent_something() {
    for list in ["--allow=127.0.0.0/8", "--deny=192.0.2.1"] {
        let log = log_after_reset(&[], &[list]);
        let refused = "<5>unknown peer refused: address not allowed: ";
        assert!(log.starts_with(refused), "{list}: {log}");
    }
    // Nothing depends on its address.
    let log = log_after_reset(&[], &[]);
    assert!(log.starts_with("<4>payload\n<5>unknown peer "), "{log}");
}

#[test]
fn the_address_of_a_client_that_has_reset_its_connection_is_that_in_the_environment() {
    for (address, list, is_served) in [
        ("192.0.2.1", "--allow=192.0.2.1", true),
        ("192.0.2.1", "--deny=192.0.2.1", false),
        ("::ffff:192.0.2.1", "--allow=192.0.2.1", true),
        ("::ffff:192.0.2.1", "--deny=192.0.2.1", false),
    ] {
        let variables = [&*format!("REMOTE_ADDR={address}"), "REMOTE_PORT=7"];
        let log = log_after_reset(&variables, &[list]);
        let end = match is_served {
            true => "<4>payload\n<5>192.0.2.1:7 ",
            false => "<5>192.0.2.1:7 refused: address not allowed: ",
        };
        assert!(log.starts_with(end), "{address} {list}: {log}");
    }
}

#[test]
fn sigterm_stops_the_program_of_one_connection() {
    let (mut client, journal, served) = start(&["--grace", "100ms"], "echo tick; cat");
    expect(&mut client, "tick\n");
    served.terminate();
    assert!(served.ended().success());
    assert_eq!(rest(client), "");
    assert!(rest(journal).contains("service stopped"));
}

#[test]
fn a_program_that_does_not_exist_is_an_error_in_the_log() {
    let (client, connection) = tcp("127.0.0.1");
    let (journal, stderr) = UnixStream::pair().unwrap();
    let args = ["serve", "--name", "one", "--", "/no/such/program"];
    let served = Served::start(SOCKUNIT, &args, connection, Stderr::Journal(stderr));
    assert_eq!(rest(client), "");
    assert_eq!(served.ended().code(), Some(1));
    let log = rest(journal);
    assert!(
        log.starts_with("<3>cannot execute: /no/such/program: "),
        "{log}"
    );
}

#[test]
fn what_the_program_writes_to_standard_error_is_logged_as_a_warning_before_the_end() {
    let (client, journal, served) = start(
        &[],
        "printf '<0>alarm\n\nhalf' >&2; printf ' a line\nno end' >&2; echo \"${JOURNAL_STREAM-none}\"",
    );
    assert_eq!(rest(client), "none\n");
    assert!(served.ended().success());
    let log = rest(journal);
    let lines: Vec<&str> = log.lines().collect();
    let [alarm, half, no_end, end] = lines[..] else {
        panic!("{log}");
    };
    assert_eq!(
        (alarm, half, no_end),
        ("<4><0>alarm", "<4>half a line", "<4>no end")
    );
    assert!(end.contains(" exited 0: pid "), "{log}");
}

#[test]
fn a_program_cannot_begin_an_entry_of_its_own_priority_on_standard_error() {
    let script = "printf 'hi\\0<0>alarm\\r<0>again\\0\\n' >&2";
    let (client, journal, served) = start(&[], script);
    assert_eq!(rest(client), "");
    assert!(served.ended().success());
    let log = rest(journal);
    assert!(
        log.starts_with("<4>hi <0>alarm <0>again \n<5>") && !log.contains('\0'),
        "{log:?}"
    );
}

#[test]
fn who_sees_the_end_of_the_connection_finds_in_the_log_what_the_program_wrote() {
    // serve is stopped until the program has exited, so that it learns of all at once.
    let script = "(until grep -q ') Z' /proc/$$/stat; do :; done; kill -CONT $PPID) <&- >&- 2>&- &
                  kill -STOP $PPID; echo one >&2; echo two >&2; echo here";
    let (client, mut journal, served) = start(&[], script);
    assert_eq!(rest(client), "here\n");
    journal.set_nonblocking(true).unwrap();
    let mut log = [0; 1024];
    let count = journal.read(&mut log).unwrap_or_default();
    let log = String::from_utf8_lossy(&log[..count]);
    assert!(log.starts_with("<4>one\n<4>two\n"), "{log:?}");
    assert!(served.ended().success());
}

#[test]
fn a_program_that_floods_its_standard_error_cannot_drown_the_entry_of_the_connection() {
    let script = "i=0; while [ $i -lt 100000 ]; do echo $i; i=$((i+1)); done >&2; echo done";
    let (client, journal, served) = start(&[], script);
    let log = std::thread::spawn(move || rest(journal));
    assert_eq!(rest(client), "done\n");
    assert!(served.ended().success());
    let log = log.join().unwrap();
    let logged = log.lines().filter(|line| line[3..].parse::<u32>().is_ok());
    let logged = logged.count() as u64;
    let sums = log.lines().filter_map(|line| {
        line.strip_prefix("<4>not logged: ")?
            .split(' ')
            .next()?
            .parse::<u64>()
            .ok()
    });
    assert_eq!(logged + sums.sum::<u64>(), 100_000, "no line is uncounted");
    assert!(logged < 20_000, "{logged}");
    assert!(log.contains(" exited 0: pid "));
}

#[test]
fn a_long_line_on_standard_error_is_logged_in_parts() {
    let (client, journal, served) = start(&[], "head -c 20000 /dev/zero | tr '\\0' x >&2");
    assert_eq!(rest(client), "");
    assert!(served.ended().success());
    let log = rest(journal);
    let lengths: Vec<usize> = log.lines().map(|line| line.len() - "<5>".len()).collect();
    assert_eq!(lengths[..3], [8192, 8192, 20000 - 2 * 8192]);
}

#[test]
fn a_program_without_an_interpreter_leaves_an_error_entry_with_its_user() {
    let tree = Tree::new("interpreter");
    tree.write("script", "#!/no/such/interpreter\n")
        .set_mode("script", 0o755);
    let script = tree.path("script");
    let (client, connection) = tcp("127.0.0.1");
    let (journal, stderr) = UnixStream::pair().unwrap();
    let script = script.to_str().unwrap();
    let args = ["serve", "--name", "one", "--", script];
    let served = Served::start(SOCKUNIT, &args, connection, Stderr::Journal(stderr));
    assert_eq!(
        rest(client),
        "This service is out of order; please try again later\n"
    );
    assert_eq!(served.ended().code(), Some(127));
    let log = rest(journal);
    let expected = format!("<3>cannot execute: {script}: no such file or directory (user: uid ");
    assert!(log.starts_with(&expected), "{log}");
}

#[test]
fn at_the_command_line_there_is_nothing_to_serve() {
    let output = std::process::Command::new(SOCKUNIT)
        .args(["serve", "--", "/bin/cat"])
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.starts_with("sockunit: nothing to serve: "), "{error}");
}
