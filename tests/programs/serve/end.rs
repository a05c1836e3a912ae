//! How connections end, and that no process is left.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use super::{Serve, line, path, rest, stat, until_ended};
use crate::serving::{Served, stays_silent};
use crate::support::{PATIENCE, reset, wait_until};
use crate::tool::SOCKUNIT;

const SOON: &str = "--grace=200ms";

#[test]
fn the_log_entry_has_pid_exit_status_bytes_and_duration() {
    let serve = Serve::script(&[], "read line; echo \"$$ $line\"; exit 3");
    let mut client = serve.connect();
    client.write_all(b"linus\n").unwrap();
    let output = rest(&mut client);
    let (pid, _) = output.split_once(' ').unwrap();
    let entry = serve.until_logged(" exited 3: ");
    let peer = client.local_addr().unwrap();
    let sent = output.len();
    let expected = format!("sh: {peer} exited 3: pid {pid}, 6 bytes received, {sent} bytes sent, ");
    assert!(entry.starts_with(&expected), "{entry}");

    let serve = Serve::script(&[], "kill -SEGV $$");
    assert_eq!(serve.say(), "");
    serve.until_logged(" killed by SIGSEGV: pid ");
}

#[test]
fn a_program_that_is_killed_by_a_real_time_signal_is_handled_like_any_other() {
    // Others end before and after it, and so do orphaned processes.
    let serve = Serve::script(&[], "sh -c 'kill -40 $$' & echo hello; kill -34 $$");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    assert_eq!(serve.say(), "hello\n");
                }
            });
        }
    });
    serve.until_logged(" killed by signal 34: pid ");
    serve.until_childless();
}

#[test]
fn orphaned_processes_are_reaped_and_do_not_disturb_programs() {
    let script = "for i in 1 2 3; do setsid sh -c 'exec >/dev/null; sleep 0.1' & done; echo hello";
    let serve = Serve::script(&[], script);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    assert_eq!(serve.say(), "hello\n");
                }
            });
        }
    });
    serve.until_childless();
}

#[test]
fn the_log_entry_of_an_af_unix_connection_has_no_bytes() {
    let here = path("here");
    let log = path("log");
    let listener = UnixListener::bind(&here).unwrap();
    let file = std::fs::File::create(&log).unwrap();
    let args = ["serve", "--", "echo", "hello"];
    let served = Served::share_telling(SOCKUNIT, &args, listener.into(), file.into());
    assert_eq!(rest(UnixStream::connect(&here).unwrap()), "hello\n");
    assert!(served.end().success());
    let entry = std::fs::read_to_string(&log).unwrap();
    let own = std::process::id();
    assert!(
        entry.contains(&format!(" pid {own} exited 0: pid ")),
        "{entry}"
    );
    assert!(!entry.contains("bytes"), "{entry}");
    for path in [here, log] {
        std::fs::remove_file(path).unwrap();
    }
}

#[test]
fn thousands_of_connections_leave_no_zombie_and_no_file_descriptor() {
    let mut serve = Serve::start(&[], &["echo", "hello"]);
    let open = || {
        let folder = format!("/proc/{}/fd", serve.served.pid());
        std::fs::read_dir(folder).unwrap().count()
    };
    assert_eq!(serve.say(), "hello\n");
    serve.until_childless();
    let before = open();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..500 {
                    assert_eq!(serve.say(), "hello\n");
                }
            });
        }
    });
    serve.until_childless();
    assert_eq!(open(), before);
    assert!(serve.end().success());
}

#[test]
fn the_end_of_the_output_arrives_even_if_the_program_reads_nothing() {
    // Closing a socket with unread input would reset the connection.
    let serve = Serve::script(&[], "sleep 0.1; echo bye");
    for _ in 0..5 {
        let mut client = serve.connect();
        client.write_all(&[b'x'; 100_000]).unwrap();
        assert_eq!(line(&mut client), "bye");
        // A client that keeps sending is not reset either.
        client.write_all(&[b'x'; 100_000]).unwrap();
        assert_eq!(rest(client), "");
    }
}

#[test]
fn a_client_that_closes_its_sending_half_receives_the_answer() {
    let serve = Serve::script(&[SOON], "cat >/dev/null; sleep 1; echo late");
    let client = serve.connect();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rest(client), "late\n");
    serve.until_logged(" exited 0: ");
}

#[test]
fn a_program_whose_client_is_gone_receives_sigterm_and_then_sigkill() {
    for (script, end) in [
        ("echo $$; exec sleep 1000", "client gone, killed by SIGTERM"),
        (
            "trap '' TERM; echo $$; while :; do sleep 1000; done",
            "client gone, killed by SIGKILL",
        ),
        (
            "trap 'exit 7' TERM; echo $$; while :; do sleep 0.1; done",
            "client gone, exited 7",
        ),
    ] {
        let serve = Serve::script(&[SOON], script);
        let mut client = serve.connect();
        let pid = line(&mut client).parse().unwrap();
        reset(client);
        until_ended(pid);
        serve.until_logged(end);
        serve.until_childless();
    }
}

#[test]
fn a_program_whose_af_unix_client_is_gone_is_stopped() {
    let here = path("here");
    let listener = UnixListener::bind(&here).unwrap();
    let args = ["serve", SOON, "--", "sh", "-c", "echo $$; exec sleep 1000"];
    let served = Served::share(SOCKUNIT, &args, listener.into());
    let mut client = UnixStream::connect(&here).unwrap();
    let pid = line(&mut client).parse().unwrap();
    drop(client);
    until_ended(pid);
    assert!(served.end().success());
    std::fs::remove_file(here).unwrap();
}

#[test]
fn the_process_group_of_a_program_is_stopped_with_it() {
    for left in [
        "sleep 1000",
        "sh -c \"trap '' TERM; sleep 1000; sleep 1000\"",
    ] {
        let serve = Serve::script(&[SOON], &format!("{left} & echo $!"));
        let mut client = serve.connect();
        let pid = line(&mut client).parse().unwrap();
        // The connection is closed even though a process has its descriptor.
        assert_eq!(rest(client), "");
        until_ended(pid);
        serve.until_childless();
    }
}

#[test]
fn an_orphan_of_an_orphan_is_stopped() {
    // The inner shell is found first; its child becomes an orphan when it has ended.
    let script =
        "setsid sh -c 'sleep 1000 >/dev/null & echo $!; exec >/dev/null; wait' & sleep 0.3";
    let serve = Serve::script(&[SOON], script);
    let mut client = serve.connect();
    let pid = line(&mut client).parse().unwrap();
    assert_eq!(rest(client), "");
    until_ended(pid);
    serve.until_childless();
}

#[test]
fn a_process_outside_the_group_is_stopped_once_no_older_connection_is_open() {
    let script = "read word; [ \"$word\" = stay ] && { echo $$; exec cat; }
         setsid sh -c 'echo $$; trap \"\" TERM; exec >/dev/null; sleep 1000; sleep 1000' & wait";
    let serve = Serve::script(&[SOON], &script.replace("& wait", "& sleep 0.3"));
    let mut stays = serve.connect();
    stays.write_all(b"stay\n").unwrap();
    line(&mut stays);
    let mut leaves = serve.connect();
    leaves.write_all(b"leave\n").unwrap();
    let pid: i32 = line(&mut leaves).parse().unwrap();
    assert_eq!(rest(leaves), "");
    // Searches run when other connections end, but the process may belong to the open one.
    let until = Instant::now() + Duration::from_secs(3);
    while Instant::now() < until {
        let mut other = serve.connect();
        other.write_all(b"stay\n").unwrap();
        line(&mut other);
        assert!(
            stat(pid).is_some_and(|fields| fields[0] != "Z"),
            "the process was stopped"
        );
    }
    drop(stays);
    until_ended(pid);
}

#[test]
fn after_sigterm_no_connection_is_accepted_and_programs_may_end() {
    let mut serve = Serve::start(&[], &["/bin/cat"]);
    let mut client = serve.connect();
    client.write_all(b"1\n").unwrap();
    assert_eq!(line(&mut client), "1");
    serve.served.terminate();
    wait_until("the listener is closed", Instant::now() + PATIENCE, || {
        TcpStream::connect(serve.address).is_err().then_some(())
    });
    client.write_all(b"2\n").unwrap();
    assert_eq!(line(&mut client), "2");
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rest(client), "");
    assert!(serve.served.wait().success());
    serve.until_logged(" exited 0: ");
}

#[test]
fn after_the_stop_timeout_programs_and_orphaned_processes_are_killed() {
    let script = "setsid sh -c 'trap \"\" TERM; echo $$; exec >/dev/null; sleep 1000; sleep 1000' &
         trap '' TERM; sleep 1000; sleep 1000";
    let mut serve = Serve::script(&["--stop-timeout=300ms", SOON], script);
    let mut client = serve.connect();
    let left = line(&mut client).parse().unwrap();
    assert!(serve.end().success());
    assert_eq!(rest(client), "");
    serve.until_logged("service stopped, killed by SIGKILL: ");
    until_ended(left);
}

#[test]
fn a_second_sigterm_stops_programs_at_once() {
    let mut serve = Serve::script(
        &[],
        "trap 'echo bye; exit 0' TERM; echo here; while :; do sleep 0.1; done",
    );
    let mut client = serve.connect();
    assert_eq!(line(&mut client), "here");
    serve.served.terminate();
    wait_until("the listener is closed", Instant::now() + PATIENCE, || {
        TcpStream::connect(serve.address).is_err().then_some(())
    });
    serve.served.terminate();
    assert_eq!(rest(client), "bye\n");
    assert!(serve.served.wait().success());
    serve.until_logged("service stopped, exited 0: ");
}

#[test]
fn the_process_exits_after_the_idle_time() {
    let mut serve = Serve::start(&["--exit-idle-time=500ms"], &["/bin/cat"]);
    let mut client = serve.connect();
    let silent = stays_silent(&mut client, Duration::from_secs(1));
    assert!(silent, "the process exited");
    drop(client);
    assert!(serve.served.wait().success());
}

#[test]
fn the_end_of_the_output_arrives_even_if_the_client_sends_meanwhile() {
    // More than the socket buffers hold.
    const SIZE: usize = 300_000;
    let size = SIZE.to_string();
    let serve = Serve::start(&[], &["head", "-c", &size, "/dev/zero"]);
    let mut client = serve.connect();
    serve.until_logged(" exited 0: ");
    client.write_all(b"x").unwrap();
    let mut received = Vec::new();
    client.read_to_end(&mut received).unwrap();
    assert_eq!(received.len(), SIZE);
}

#[test]
fn a_program_that_leaves_its_process_group_is_stopped() {
    let limits = ["--time-limit=200ms", "--grace=200ms"];
    let program = "if (fork) { setpgrp(0, getpgrp(getppid)); $SIG{TERM} = 'IGNORE' } sleep 100";
    let serve = Serve::start(&limits, &["perl", "-e", program]);
    let _client = serve.connect();
    serve.until_logged(" time limit reached, killed by SIGKILL: ");
}

#[test]
fn inherited_child_processes_are_not_stopped() {
    let by = ["sh", "-c", "sleep 100 & exec \"$@\"", "sh"];
    let mut serve = Serve::start_by(&by, &[SOON], &["echo", "hello"]);
    assert_eq!(serve.say(), "hello\n");
    serve.until_logged(" exited 0: ");
    let [sleeper] = serve.children()[..] else {
        panic!("{:?}", serve.children());
    };
    assert!(serve.end().success());
    assert_eq!(stat(sleeper).unwrap()[0], "S");
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(sleeper),
        nix::sys::signal::Signal::SIGKILL,
    )
    .unwrap();
}

#[test]
fn a_first_interrupt_says_what_is_waited_for_and_a_second_one_ends_the_wait() {
    let mut serve = Serve::start(&["--stop-timeout=5min"], &["cat"]);
    let mut clients = [serve.connect(), serve.connect()];
    for client in &mut clients {
        client.write_all(b"x\n").unwrap();
        assert_eq!(line(&mut *client), "x");
    }
    let pid = nix::unistd::Pid::from_raw(serve.served.pid().try_into().unwrap());
    let interrupt = || nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    interrupt();
    let entry = serve.until_logged("stopping: ");
    assert_eq!(
        entry,
        "cat: stopping: waiting up to 300s for 2 connections to end; a second SIGINT (Ctrl-C) or \
         SIGTERM ends the wait"
    );
    interrupt();
    for client in clients {
        assert_eq!(rest(client), "");
    }
    assert!(serve.served.wait().success());
}
