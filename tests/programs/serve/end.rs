//! How conversations end, and that nothing is left of them.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use super::{Serve, line, path, rest, stat, until_ended};
use crate::serving::Served;
use crate::support::{PATIENCE, reset, wait_until};
use crate::tool::SOCKUNIT;

const SOON: &str = "--grace=200ms";

#[test]
fn the_record_tells_pid_status_bytes_and_time() {
    let serve = Serve::script(&[], "read line; echo \"$$ $line\"; exit 3");
    let mut client = serve.connect();
    client.write_all(b"linus\n").unwrap();
    let told = rest(&mut client);
    let (pid, _) = told.split_once(' ').unwrap();
    let record = serve.until_told(" exited 3: ");
    let peer = client.local_addr().unwrap();
    let sent = told.len();
    let expected = format!("sh: {peer} exited 3: pid {pid}, 6 bytes received, {sent} bytes sent, ");
    assert!(record.starts_with(&expected), "{record}");

    let serve = Serve::script(&[], "kill -SEGV $$");
    assert_eq!(serve.say(), "");
    serve.until_told(" killed by SIGSEGV: pid ");
}

#[test]
fn a_program_that_is_killed_by_a_real_time_signal_is_like_any_other() {
    // Others end as well, before and after, and so do processes that it left behind.
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
    serve.until_told(" killed by signal 34: pid ");
    serve.until_childless();
}

#[test]
fn what_many_programs_leave_behind_is_collected_and_disturbs_no_other() {
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
fn of_an_af_unix_connection_the_record_has_no_bytes() {
    let here = path("here");
    let told = path("told");
    let listener = UnixListener::bind(&here).unwrap();
    let file = std::fs::File::create(&told).unwrap();
    let args = ["serve", "--", "echo", "hello"];
    let served = Served::share_telling(SOCKUNIT, &args, listener.into(), file.into());
    assert_eq!(rest(UnixStream::connect(&here).unwrap()), "hello\n");
    assert!(served.end().success());
    let record = std::fs::read_to_string(&told).unwrap();
    let own = std::process::id();
    assert!(
        record.contains(&format!(" pid {own} exited 0: pid ")),
        "{record}"
    );
    assert!(!record.contains("bytes"), "{record}");
    for path in [here, told] {
        std::fs::remove_file(path).unwrap();
    }
}

#[test]
fn thousands_of_connections_leave_no_zombie_and_no_descriptor() {
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
fn what_a_program_wrote_last_arrives_though_it_read_nothing() {
    // Closed with unread input, the connection would be reset.
    let serve = Serve::script(&[], "sleep 0.1; echo bye");
    for _ in 0..5 {
        let mut client = serve.connect();
        client.write_all(&[b'x'; 100_000]).unwrap();
        assert_eq!(line(&mut client), "bye");
        // Not even who sends on is cut off at once.
        client.write_all(&[b'x'; 100_000]).unwrap();
        assert_eq!(rest(client), "");
    }
}

#[test]
fn a_client_that_closes_its_sending_half_is_still_answered() {
    let serve = Serve::script(&[SOON], "cat >/dev/null; sleep 1; echo late");
    let client = serve.connect();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rest(client), "late\n");
    serve.until_told(" exited 0: ");
}

#[test]
fn a_program_whose_client_is_gone_is_ended_and_killed_where_it_ignores_that() {
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
        serve.until_told(end);
        serve.until_childless();
    }
}

#[test]
fn a_local_client_that_closes_is_gone() {
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
fn what_a_program_leaves_in_its_group_is_ended_with_it() {
    for left in [
        "sleep 1000",
        "sh -c \"trap '' TERM; sleep 1000; sleep 1000\"",
    ] {
        let serve = Serve::script(&[SOON], &format!("{left} & echo $!"));
        let mut client = serve.connect();
        let pid = line(&mut client).parse().unwrap();
        // Whatever still has the connection open.
        assert_eq!(rest(client), "");
        until_ended(pid);
        serve.until_childless();
    }
}

#[test]
fn what_has_left_others_behind_does_not_hide_them() {
    // The inner shell is found first, and with its end what it started.
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
fn what_leaves_the_group_is_ended_once_nobody_is_there_whom_it_may_belong_to() {
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
    // Others that come and go are looked at, and the one that stays may be where it is from.
    let until = Instant::now() + Duration::from_secs(3);
    while Instant::now() < until {
        let mut other = serve.connect();
        other.write_all(b"stay\n").unwrap();
        line(&mut other);
        assert!(stat(pid).is_some_and(|fields| fields[0] != "Z"), "it lives");
    }
    drop(stays);
    until_ended(pid);
}

#[test]
fn told_to_stop_it_lets_programs_finish_and_takes_nobody_new() {
    let mut serve = Serve::start(&[], &["/bin/cat"]);
    let mut client = serve.connect();
    client.write_all(b"1\n").unwrap();
    assert_eq!(line(&mut client), "1");
    serve.served.terminate();
    wait_until("nobody listens", Instant::now() + PATIENCE, || {
        TcpStream::connect(serve.address).is_err().then_some(())
    });
    client.write_all(b"2\n").unwrap();
    assert_eq!(line(&mut client), "2");
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rest(client), "");
    assert!(serve.served.wait().success());
    serve.until_told(" exited 0: ");
}

#[test]
fn told_to_stop_it_ends_programs_that_do_not_and_what_they_left() {
    let script = "setsid sh -c 'trap \"\" TERM; echo $$; exec >/dev/null; sleep 1000; sleep 1000' &
         trap '' TERM; sleep 1000; sleep 1000";
    let mut serve = Serve::script(&["--stop-timeout=300ms", SOON], script);
    let mut client = serve.connect();
    let left = line(&mut client).parse().unwrap();
    assert!(serve.end().success());
    assert_eq!(rest(client), "");
    serve.until_told("service stopped, killed by SIGKILL: ");
    until_ended(left);
}

#[test]
fn a_second_signal_ends_programs_at_once() {
    let mut serve = Serve::script(
        &[],
        "trap 'echo bye; exit 0' TERM; echo here; while :; do sleep 0.1; done",
    );
    let mut client = serve.connect();
    assert_eq!(line(&mut client), "here");
    serve.served.terminate();
    wait_until("nobody listens", Instant::now() + PATIENCE, || {
        TcpStream::connect(serve.address).is_err().then_some(())
    });
    serve.served.terminate();
    assert_eq!(rest(client), "bye\n");
    assert!(serve.served.wait().success());
    serve.until_told("service stopped, exited 0: ");
}

#[test]
fn it_leaves_when_nobody_comes() {
    let mut serve = Serve::start(&["--exit-idle-time=500ms"], &["/bin/cat"]);
    let mut client = serve.connect();
    client
        .set_read_timeout(Some(Duration::from_secs(1)))
        .unwrap();
    assert!(client.read(&mut [0]).is_err(), "it is still there");
    drop(client);
    assert!(serve.served.wait().success());
}

#[test]
fn what_a_program_wrote_last_arrives_though_the_client_says_something_meanwhile() {
    // More than the client's side holds before it reads.
    const SIZE: usize = 300_000;
    let size = SIZE.to_string();
    let serve = Serve::start(&[], &["head", "-c", &size, "/dev/zero"]);
    let mut client = serve.connect();
    serve.until_told(" exited 0: ");
    client.write_all(b"x").unwrap();
    let mut received = Vec::new();
    client.read_to_end(&mut received).unwrap();
    assert_eq!(received.len(), SIZE);
}

#[test]
fn a_program_that_leaves_its_group_is_ended_all_the_same() {
    let limits = ["--time-limit=200ms", "--grace=200ms"];
    let program = "if (fork) { setpgrp(0, getpgrp(getppid)); $SIG{TERM} = 'IGNORE' } sleep 100";
    let serve = Serve::start(&limits, &["perl", "-e", program]);
    let _client = serve.connect();
    serve.until_told(" time limit reached, killed by SIGKILL: ");
}

#[test]
fn who_was_there_before_the_first_program_is_left_alone() {
    let by = ["sh", "-c", "sleep 100 & exec \"$@\"", "sh"];
    let mut serve = Serve::start_by(&by, &[SOON], &["echo", "hello"]);
    assert_eq!(serve.say(), "hello\n");
    serve.until_told(" exited 0: ");
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
