//! One process for all connections: `Accept=no` by a drop-in for the socket.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::conversation::expect;
use crate::journal::records;
use crate::machine::{Machine, Mode, Release, wait_until};

on_both_releases!(
    one_drop_in_switches_and_its_removal_switches_back,
    restarting_the_socket_again_and_again_keeps_it_up,
    records_carry_unit_connection_and_peer_as_fields,
    a_flood_is_summed_up_and_no_record_is_lost_in_silence,
    a_thousand_that_say_nothing_keep_no_newcomer_out,
    a_restart_under_load_refuses_nobody_and_lets_conversations_finish,
    a_process_that_stands_still_is_replaced_by_the_watchdog,
    a_killed_process_is_replaced,
    its_sandbox_is_as_tight_as_stated,
);

const HELLO: &str = "127.0.0.1:3333";
const CELEBS: &str = "127.0.0.1:3334";
const PROMPT: &str = "Please type Linux celebs name below:\n";

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
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    assert_eq!(
        rest,
        format!(":linus, \ntorvalds\n{PROMPT}:quit, \n\nFinished\n")
    );
}

fn state(machine: &Machine, unit: &str) -> String {
    machine.run(&format!(
        "systemctl show --property ActiveState --value {unit}"
    ))
}

fn one_drop_in_switches_and_its_removal_switches_back(release: Release) {
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

    // Its socket can be restarted as it is, and with it the process.
    machine.run("systemctl restart hello.socket");
    greet(&machine);

    machine.switch(&["hello"], Mode::Single);
    greet(&machine);
    wait_until("the process has left", || {
        state(&machine, "hello.service") == "inactive"
    });
    machine.expect_nothing_left_of("hello");
}

/// A busy machine once showed in one of twenty restarts that something still held the port.
fn restarting_the_socket_again_and_again_keeps_it_up(release: Release) {
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

fn records_carry_unit_connection_and_peer_as_fields(release: Release) {
    let machine = serving(release);
    for _ in 0..150 {
        greet(&machine);
    }
    let mut seen = std::collections::HashSet::new();
    for record in records(&machine, "-t hello", 150) {
        assert_eq!(record["_SYSTEMD_UNIT"], "hello.service");
        assert_eq!(record["REMOTE_ADDR"], "127.0.0.1");
        assert_eq!(record["PRIORITY"], "5");
        let connection = record["CONNECTION"].clone();
        assert!(connection.ends_with(&format!("-127.0.0.1:{}", record["REMOTE_PORT"])));
        assert!(seen.insert(connection), "each connection has its own name");
    }
    finish(begin(&machine));
    let told = records(&machine, "-t celebs", 2);
    assert!(told[0]["MESSAGE"].ends_with(r#" asked "linus", answered "torvalds""#));
    assert!(told[1]["MESSAGE"].contains(" quit: 11 bytes received, "));
    assert_eq!(told[0]["CONNECTION"], told[1]["CONNECTION"]);
}

/// How many connections have ended so, as the records tell, singly or in a sum:
/// `not logged singly: 21 connections (1 timed out, 20 quit; 240 bytes received, ...`.
pub fn told(journal: &str, end: &str) -> usize {
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

fn a_flood_is_summed_up_and_no_record_is_lost_in_silence(release: Release) {
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
        told(text, "served") >= connections
    });
    assert_eq!(told(&journal, "served"), connections);
    // At most 200 singly and one sum a second, however long it took.
    let most = 201 * (begun.elapsed().as_secs() as usize + 2);
    let lines = journal.lines().count();
    assert!(lines <= most, "{lines} records, {most} expected at most");
    let dropped = machine.journal("-o cat -u systemd-journald.service -g Suppressed || :");
    assert_eq!(dropped, "", "journald dropped none");
}

fn a_thousand_that_say_nothing_keep_no_newcomer_out(release: Release) {
    // Those of this side count too, and other tests hold some.
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
    let machine = serving(release);
    // There are 1001 places, and one source may have 1000.
    machine.celebs_with(Mode::Shared, "--max-connections 1001 --per-source 1000");
    let mut idle: Vec<TcpStream> = (0..1000).map(|_| machine.connect(CELEBS)).collect();
    for client in &mut idle {
        expect(client, PROMPT);
    }
    for _ in 0..50 {
        let mut refused = String::new();
        machine
            .connect(CELEBS)
            .read_to_string(&mut refused)
            .unwrap();
        assert_eq!(
            refused,
            "Too many connections from your address; please try again later\n"
        );
    }
    let mut newcomer = machine.connect_from(Ipv4Addr::new(127, 0, 0, 2), CELEBS);
    expect(&mut newcomer, PROMPT);
    finish(newcomer);
    // They were only silent.
    idle.truncate(3);
    idle.into_iter().for_each(finish);
}

fn a_restart_under_load_refuses_nobody_and_lets_conversations_finish(release: Release) {
    let machine = serving(release);
    let (done, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    greet(&machine);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                machine.in_network(|| {
                    // Bounded, should the restarts never end.
                    for _ in 0..1_000_000 {
                        if done.load(Ordering::Relaxed) {
                            break;
                        }
                        let mut line = String::new();
                        let mut stream = TcpStream::connect(HELLO).expect("nobody is refused");
                        stream.read_to_string(&mut line).expect("nobody is cut off");
                        assert!(line.starts_with("Hello World:") && line.ends_with('\n'));
                        served.fetch_add(1, Ordering::Relaxed);
                    }
                });
            });
        }
        for _ in 0..5 {
            machine.run("systemctl restart hello.service");
            let before = served.load(Ordering::Relaxed);
            wait_until("more are served", || {
                served.load(Ordering::Relaxed) > before + 100
            });
        }
        done.store(true, Ordering::Relaxed);
    });

    let talking = begin(&machine);
    machine.run("systemctl restart --no-block celebs.service");
    wait_until("it stops", || {
        state(&machine, "celebs.service") == "deactivating"
    });
    finish(talking);
    // Who came meanwhile was kept by the socket.
    finish(begin(&machine));
}

fn a_process_that_stands_still_is_replaced_by_the_watchdog(release: Release) {
    let machine = serving(release);
    machine.write(
        "/etc/systemd/system/hello.service.d/watchdog.conf",
        "[Service]\nWatchdogSec=3s\n",
    );
    machine.run("systemctl daemon-reload");
    greet(&machine);
    let pid = || machine.run("systemctl show --property MainPID --value hello.service");
    let first = pid();
    machine.run(&format!("kill -STOP {first}"));
    wait_until("it is replaced", || {
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

fn its_sandbox_is_as_tight_as_stated(release: Release) {
    let machine = serving(release);
    for unit in ["hello.service", "celebs.service"] {
        let verdict = machine.run(&format!(
            "systemd-analyze security --no-pager {unit} | tail -1"
        ));
        let exposure: f64 = verdict
            .split_whitespace()
            .find_map(|word| word.parse().ok())
            .unwrap_or_else(|| panic!("no figure in {verdict}"));
        assert!(exposure <= 0.5, "{unit}: {exposure}");
        let said = machine.run(&format!(
            "systemd-analyze verify --man=no /usr/lib/systemd/system/{unit} 2>&1"
        ));
        assert_eq!(said, "");
    }
}
