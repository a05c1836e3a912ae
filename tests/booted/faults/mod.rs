//! Faults of the system around the services: of the journal, of /run and /etc, of processes; and what changes under load.
//!
//! The services are in three modes: per-connection and shared services that `add` attached, and the package's own.

mod load;
mod unwritable;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::machine::{CELEBS, HELLO, Machine, Release};
use crate::support::{Mode, PATIENCE, wait_for};

on_both_releases!(
    a_journal_that_restarts_stops_or_is_full_delays_no_session_and_loses_no_later_entry,
    without_room_in_run_shared_services_answer_and_no_listener_is_lost,
    without_descriptors_clients_wait_and_are_served_once_there_are_some,
    a_killed_process_is_replaced_within_a_second,
);

/// Per-connection and shared, attached by `add`.
const EACH: &str = "127.0.0.1:4001";
const ALL: &str = "127.0.0.1:4002";

/// The services, and whether one process serves all connections.
const SERVICES: [(&str, &str, bool); 4] = [
    ("hello", HELLO, false),
    ("celebs", CELEBS, true),
    ("each", EACH, false),
    ("all", ALL, true),
];

const ECHO_LINE: &str = "#!/bin/sh\nread -r line\necho \"said $line\" >&2\necho \"$line\"\n";

/// A machine with the four services, whose programs echo a line, on standard error too.
fn serving(release: Release) -> Machine {
    let machine = Machine::installed(release);
    machine.program("/usr/local/bin/echo-line", ECHO_LINE);
    machine.switch(&["hello"], Mode::PerConnection);
    machine.switch(&["celebs"], Mode::Shared);
    machine.run(
        "systemctl enable hello.socket celebs.socket
         sockunit add --enable each 4001 -- /usr/local/bin/echo-line
         sockunit add --enable --shared all 4002 -- /usr/local/bin/echo-line",
    );
    machine
}

/// Has a whole conversation; an error if the service does not answer as it should.
fn talk(service: &str, address: &str, word: &str) -> Result<(), String> {
    let address: SocketAddr = address.parse().unwrap();
    let failed = |error| format!("{service}: {error}");
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(failed)?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let (sent, expected) = match service {
        "hello" => (String::new(), "Hello World:".to_owned()),
        "celebs" => (format!("{word}\nq\n"), format!(":{word}, \n")),
        _ => (format!("{word}\n"), format!("{word}\n")),
    };
    stream.write_all(sent.as_bytes()).map_err(failed)?;
    stream.shutdown(Shutdown::Write).map_err(failed)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(failed)?;
    match answer.contains(&expected) {
        true => Ok(()),
        false => Err(format!("{service} answered {answer:?}")),
    }
}

/// Asserts that a service answers soon.
#[track_caller]
fn expect_answer(machine: &Machine, service: &str, address: &str, word: &str) {
    let begin = Instant::now();
    let answer = machine.in_network(|| talk(service, address, word));
    assert_eq!(answer, Ok(()), "{word}");
    let taken = begin.elapsed();
    assert!(taken < Duration::from_secs(10), "{service}: {taken:?}");
}

#[track_caller]
fn expect_answers(machine: &Machine, word: &str) {
    for (service, address, _) in SERVICES {
        expect_answer(machine, service, address, word);
    }
}

/// Asserts that nothing has failed, and that all sockets listen and answer.
#[track_caller]
fn expect_whole(machine: &Machine, word: &str) {
    expect_answers(machine, word);
    wait_for("no unit has failed", || {
        machine
            .run("systemctl --failed --plain --no-legend")
            .is_empty()
    });
    for (service, ..) in SERVICES {
        let socket = format!("{service}.socket");
        assert_eq!(machine.property(&socket, "ActiveState"), "active");
    }
}

/// Waits until what was said with a word is in the journal, by each service, and by the programs.
#[track_caller]
fn expect_entries(machine: &Machine, word: &str, since: &str) {
    for (service, ..) in SERVICES {
        let (ended, said) = match service {
            "hello" => (" served: ", " served: ".to_owned()),
            "celebs" => (" quit: ", format!("asked \"{word}\"")),
            _ => (" exited 0: ", format!("said {word}")),
        };
        machine.journal_until(
            &format!("-t {service} -o cat --since '{since}'"),
            "the entries",
            |text| text.contains(ended) && text.contains(&said),
        );
    }
}

/// The time in the machine, as journalctl takes it.
fn now(machine: &Machine) -> String {
    machine.run("date '+%Y-%m-%d %H:%M:%S.%6N'")
}

fn a_journal_that_restarts_stops_or_is_full_delays_no_session_and_loses_no_later_entry(
    release: Release,
) {
    let machine = serving(release);
    expect_answers(&machine, "first");
    for (word, fault, repair) in [
        ("restarted", "systemctl restart systemd-journald", ""),
        (
            "renewed",
            "systemctl restart systemd-journald.socket systemd-journald-dev-log.socket systemd-journald",
            "",
        ),
        (
            "frozen",
            "systemctl kill --signal STOP systemd-journald",
            "systemctl kill --signal CONT systemd-journald",
        ),
        (
            "full",
            "mount -t tmpfs -o size=8m tmpfs /var/log/journal
             systemctl restart systemd-journald
             journalctl --flush
             cat /dev/zero >/var/log/journal/all || :",
            "rm /var/log/journal/all",
        ),
    ] {
        machine.run(fault);
        let since = now(&machine);
        for _ in 0..5 {
            expect_answers(&machine, word);
        }
        if !repair.is_empty() {
            machine.run(repair);
        }
        if word == "full" {
            // What journald could not write, it counts itself.
            expect_answers(&machine, "later");
            expect_entries(&machine, "later", &since);
        } else {
            expect_entries(&machine, word, &since);
        }
    }
    expect_whole(&machine, "last");
}

fn without_room_in_run_shared_services_answer_and_no_listener_is_lost(release: Release) {
    let machine = serving(release);
    expect_answers(&machine, "before");
    for (word, fill, clear) in [
        (
            "bytes",
            "mount -o remount,size=$(($(df --output=used -k /run | tail -n 1) + 64))k /run
             cat /dev/zero >/run/all || :",
            "rm /run/all; mount -o remount,size=1g /run",
        ),
        (
            "files",
            "mount -o remount,nr_inodes=$(($(df --output=iused /run | tail -n 1) + 10)) /run
             n=0; while mkdir /run/all-$n; do n=$((n + 1)); done",
            "rmdir /run/all-*; mount -o remount,nr_inodes=100k /run",
        ),
    ] {
        machine.run(fill);
        for (service, address, is_shared) in SERVICES {
            if is_shared {
                expect_answer(&machine, service, address, word);
            } else {
                // systemd may be unable to start an instance. The client is not left waiting.
                let begin = Instant::now();
                let _ = machine.in_network(|| talk(service, address, word));
                assert!(begin.elapsed() < Duration::from_secs(10), "{service}");
            }
        }
        machine.run(clear);
        expect_whole(&machine, "after");
    }
}

fn without_descriptors_clients_wait_and_are_served_once_there_are_some(release: Release) {
    let machine = serving(release);
    let shared = SERVICES.into_iter().filter(|(.., is_shared)| *is_shared);
    for (service, address, _) in shared {
        let unit = format!("{service}.service");
        machine.run(&format!(
            "mkdir -p /etc/systemd/system/{unit}.d
             printf '[Service]\\nLimitNOFILE=24\\n' >/etc/systemd/system/{unit}.d/few.conf
             systemctl daemon-reload && systemctl stop {unit}"
        ));
        expect_answer(&machine, service, address, "before");
        let pid = machine.property(&unit, "MainPID");
        let since = now(&machine);
        let held: Vec<TcpStream> = machine.in_network(|| {
            (0..40)
                .map(|_| TcpStream::connect_timeout(&address.parse().unwrap(), PATIENCE).unwrap())
                .collect()
        });
        let entries = format!("-u {unit} -o cat --since '{since}'");
        machine.journal_until(&entries, "what is missing", |text| {
            text.contains("too many open files")
        });
        drop(held);
        expect_answer(&machine, service, address, "after");
        assert_eq!(machine.property(&unit, "MainPID"), pid, "{service}");
        let log = machine.journal(&entries);
        let errors = log.matches("too many open files").count();
        assert!(errors <= 10, "{service}: {log}");
    }
    expect_whole(&machine, "last");
}

fn a_killed_process_is_replaced_within_a_second(release: Release) {
    let machine = serving(release);
    for (service, address, is_shared) in SERVICES {
        if !is_shared {
            continue;
        }
        expect_answer(&machine, service, address, "before");
        // The machine may be busy with something else.
        let fastest = (0..5).map(|_| {
            machine.run(&format!("systemctl kill --signal KILL {service}.service"));
            let begin = Instant::now();
            expect_answer(&machine, service, address, "after");
            begin.elapsed()
        });
        let fastest = fastest.min().unwrap();
        assert!(fastest < Duration::from_secs(1), "{service}: {fastest:?}");
    }
    expect_whole(&machine, "afterwards");
}

/// A command of the user.
fn of_user(command: &str) -> String {
    format!("su - you -c 'export XDG_RUNTIME_DIR=/run/user/$(id -u); {command}'")
}
