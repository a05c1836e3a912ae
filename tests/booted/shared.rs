//! Shared services: one process for all connections, with `Accept=no` in a drop-in for the socket.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::journal::entries;
use crate::machine::{CELEBS, HELLO, Machine, Release};
use crate::support::{Mode, PROMPT, expect, rest, wait_for};

on_both_releases!(
    a_drop_in_makes_a_service_shared_and_its_removal_reverts_it,
    repeated_socket_restarts_succeed,
    entries_have_unit_connection_and_peer_as_fields,
    a_flood_is_summarised_and_every_connection_is_counted,
    a_thousand_silent_clients_do_not_block_another_source,
    a_restart_under_load_refuses_no_client_and_lets_sessions_finish,
    the_watchdog_replaces_a_stopped_process,
    a_killed_process_is_replaced,
    exposure_levels_are_at_most_0_5,
);

fn serving(release: Release) -> Machine {
    Machine::serving_in(release, Mode::Shared)
}

#[track_caller]
fn greet(machine: &Machine) {
    let line = machine.converse(HELLO, b"");
    assert!(line.starts_with(b"Hello World:") && line.ends_with(b"\n"));
}

fn begin(machine: &Machine) -> TcpStream {
    let mut stream = machine.connect(CELEBS);
    expect(&mut stream, PROMPT);
    stream
}

#[track_caller]
fn finish(mut stream: TcpStream) {
    stream.write_all(b"linus\nquit\n").unwrap();
    assert_eq!(
        rest(stream),
        format!(":linus, \ntorvalds\n{PROMPT}:quit, \n\nFinished\n")
    );
}

fn state(machine: &Machine, unit: &str) -> String {
    machine.property(unit, "ActiveState")
}

fn a_drop_in_makes_a_service_shared_and_its_removal_reverts_it(release: Release) {
    let machine = Machine::serving(release);
    greet(&machine);
    machine.switch(&["hello"], Mode::Shared);
    for address in [HELLO, "[::1]:3333"] {
        assert!(machine.converse(address, b"").starts_with(b"Hello World:"));
    }
    assert_eq!(state(&machine, "hello.service"), "active");
    assert_eq!(machine.instances("hello"), [""; 0]);
    let status = machine.run("systemctl show --property StatusText --value hello.service");
    assert!(status.contains(" now, ") || status == "Ready", "{status}");

    // A restart of the socket restarts the process too.
    machine.run("systemctl restart hello.socket");
    greet(&machine);

    machine.switch(&["hello"], Mode::PerConnection);
    greet(&machine);
    wait_for("the process has exited", || {
        state(&machine, "hello.service") == "inactive"
    });
    machine.expect_nothing_left_of("hello");
}

/// On a busy machine one of twenty restarts once failed, because a process still held the port.
fn repeated_socket_restarts_succeed(release: Release) {
    let machine = serving(release);
    machine.run(
        "busy=
         for i in 1 2 3 4; do timeout 120 sh -c 'while :; do :; done' & busy=\"$busy $!\"; done
         trap 'kill $busy' EXIT
         for i in $(seq 40); do
             systemctl restart hello.socket
             sockunit connect 127.0.0.1 3333
         done",
    );
    assert_eq!(state(&machine, "hello.socket"), "active");
}

fn entries_have_unit_connection_and_peer_as_fields(release: Release) {
    let machine = serving(release);
    for _ in 0..150 {
        greet(&machine);
    }
    let mut seen = std::collections::HashSet::new();
    for entry in entries(&machine, "-t hello", 150) {
        assert_eq!(entry["_SYSTEMD_UNIT"], "hello.service");
        assert_eq!(entry["REMOTE_ADDR"], "127.0.0.1");
        assert_eq!(entry["PRIORITY"], "5");
        let connection = entry["CONNECTION"].clone();
        assert!(connection.ends_with(&format!("-127.0.0.1:{}", entry["REMOTE_PORT"])));
        assert!(seen.insert(connection), "duplicate: {entry:?}");
    }
    finish(begin(&machine));
    let logged = entries(&machine, "-t celebs", 2);
    assert!(logged[0]["MESSAGE"].ends_with(r#" asked "linus", answered "torvalds""#));
    assert!(logged[1]["MESSAGE"].contains(" quit: 11 bytes received, "));
    assert_eq!(logged[0]["CONNECTION"], logged[1]["CONNECTION"]);
}

/// How many connections ended in this way. The journal has an entry for each, or a summary:
/// `not logged singly: 21 connections (1 timed out, 20 quit; 240 bytes received, ...`.
pub fn count_ended(journal: &str, end: &str) -> usize {
    let (single, in_sum) = (format!(" {end}: "), format!(" {end}"));
    let sum = |line: &str| -> usize {
        let (_, ends) = line.split_once(" connections (").unwrap_or_default();
        let (ends, _) = ends.split_once(';').unwrap_or_default();
        ends.split(", ")
            .filter_map(|part| part.strip_suffix(&in_sum)?.parse::<usize>().ok())
            .sum()
    };
    journal
        .lines()
        .map(|line| match line.strip_prefix("not logged singly: ") {
            Some(_) => sum(line),
            None => usize::from(line.contains(&single)),
        })
        .sum()
}

fn a_flood_is_summarised_and_every_connection_is_counted(release: Release) {
    let machine = serving(release);
    let connections = 20_000;
    let begun = Instant::now();
    machine.in_network(|| {
        for _ in 0..connections {
            let mut line = String::new();
            TcpStream::connect(HELLO)
                .unwrap()
                .read_to_string(&mut line)
                .unwrap();
            assert!(line.starts_with("Hello World:"));
        }
    });
    let journal = machine.journal_until("-t hello -o cat", "all connections", |text| {
        count_ended(text, "served") >= connections
    });
    assert_eq!(count_ended(&journal, "served"), connections);
    // At most 200 entries and one summary per second.
    let most = 201 * (begun.elapsed().as_secs() as usize + 2);
    let lines = journal.lines().count();
    assert!(lines <= most, "{lines} entries, {most} expected at most");
    let dropped = machine.journal("-o cat -u systemd-journald.service -g Suppressed || :");
    assert_eq!(dropped, "", "journald dropped entries");
}

fn a_thousand_silent_clients_do_not_block_another_source(release: Release) {
    // This process holds the client sockets, and other tests run in it.
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
    let machine = serving(release);
    machine.celebs_with(Mode::Shared, "--max-connections 1001 --per-source 1000");
    let mut idle: Vec<TcpStream> = (0..1000).map(|_| machine.connect(CELEBS)).collect();
    for client in &mut idle {
        expect(client, PROMPT);
    }
    for _ in 0..50 {
        assert_eq!(
            rest(machine.connect(CELEBS)),
            "Too many connections from your address; please try again later\n"
        );
    }
    let mut other = machine.connect_from(Ipv4Addr::new(127, 0, 0, 2), CELEBS);
    expect(&mut other, PROMPT);
    finish(other);
    // The silent sessions are still served.
    idle.truncate(3);
    idle.into_iter().for_each(finish);
}

fn a_restart_under_load_refuses_no_client_and_lets_sessions_finish(release: Release) {
    let machine = serving(release);
    let (done, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    greet(&machine);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                machine.in_network(|| {
                    // Ends the thread if the test fails.
                    for _ in 0..1_000_000 {
                        if done.load(Ordering::Relaxed) {
                            break;
                        }
                        let mut line = String::new();
                        let mut stream = TcpStream::connect(HELLO).expect("no client is refused");
                        stream
                            .read_to_string(&mut line)
                            .expect("no connection is reset");
                        assert!(line.starts_with("Hello World:") && line.ends_with('\n'));
                        served.fetch_add(1, Ordering::Relaxed);
                    }
                });
            });
        }
        for _ in 0..5 {
            machine.run("systemctl restart hello.service");
            let before = served.load(Ordering::Relaxed);
            wait_for("more clients are served", || {
                served.load(Ordering::Relaxed) > before + 100
            });
        }
        done.store(true, Ordering::Relaxed);
    });

    let talking = begin(&machine);
    machine.run("systemctl restart --no-block celebs.service");
    wait_for("the service stops", || {
        state(&machine, "celebs.service") == "deactivating"
    });
    finish(talking);
    // A connection that arrives meanwhile waits in the backlog.
    finish(begin(&machine));
}

fn the_watchdog_replaces_a_stopped_process(release: Release) {
    let machine = serving(release);
    machine.write(
        "/etc/systemd/system/hello.service.d/watchdog.conf",
        "[Service]\nWatchdogSec=3s\n",
    );
    machine.run("systemctl daemon-reload");
    greet(&machine);
    let pid = || machine.property("hello.service", "MainPID");
    let first = pid();
    machine.run(&format!("kill -STOP {first}"));
    wait_for("systemd has replaced the process", || {
        !["0", &first].contains(&pid().as_str())
    });
    greet(&machine);
}

fn a_killed_process_is_replaced(release: Release) {
    let machine = serving(release);
    greet(&machine);
    machine.run("systemctl kill --signal KILL hello.service");
    greet(&machine);
    assert_eq!(state(&machine, "hello.socket"), "active");
}

fn exposure_levels_are_at_most_0_5(release: Release) {
    let machine = serving(release);
    for unit in ["hello.service", "celebs.service"] {
        let report = machine.run(&format!(
            "systemd-analyze security --no-pager {unit} | tail -1"
        ));
        let exposure: f64 = report
            .split_whitespace()
            .find_map(|word| word.parse().ok())
            .unwrap_or_else(|| panic!("no exposure level in {report}"));
        assert!(exposure <= 0.5, "{unit}: {exposure}");
        let report = machine.run(&format!(
            "systemd-analyze verify --man=no /usr/lib/systemd/system/{unit} 2>&1"
        ));
        assert_eq!(report, "");
    }
}
