//! `sockunit serve` as the program of a unit whose socket has `Accept=no`.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use crate::journal::records;
use crate::machine::{Machine, Release, wait_until};

on_both_releases!(
    records_have_their_fields_and_a_restart_under_load_refuses_nobody,
    without_processes_to_spare_clients_wait_and_the_service_lives,
);

const ADDRESS: &str = "127.0.0.1:4000";

/// A socket and its service, with these settings, which starts a script for each connection.
fn serve(release: Release, settings: &str, script: &str) -> Machine {
    let machine = Machine::installed(release);
    machine.write(
        "/etc/systemd/system/greet.socket",
        "[Socket]\nListenStream=127.0.0.1:4000\nAccept=no\n",
    );
    machine.write(
        "/etc/systemd/system/greet.service",
        &format!(
            "[Unit]\nStartLimitIntervalSec=0\n[Service]\nType=notify\nUser=greet\n\
             ExecStart=/usr/bin/sockunit serve -- /usr/local/bin/greet\nKillMode=mixed\nStandardError=journal\nSyslogIdentifier=greet\n{settings}"
        ),
    );
    machine.write("/usr/local/bin/greet", &format!("#!/bin/sh\n{script}\n"));
    // Limits on processes are for all of a user's, in whichever machine.
    static UID: AtomicUsize = AtomicUsize::new(54_000);
    let uid = UID.fetch_add(1, Ordering::Relaxed);
    machine.run(&format!(
        "useradd --uid {uid} greet
         chmod 755 /usr/local/bin/greet
         systemctl daemon-reload
         systemctl start greet.socket"
    ));
    machine
}

fn property(machine: &Machine, property: &str) -> String {
    machine.run(&format!(
        "systemctl show --property {property} --value greet.service"
    ))
}

fn begin(machine: &Machine) -> TcpStream {
    let mut stream = machine.connect(ADDRESS);
    stream.write_all(b"x\n").unwrap();
    let mut word = [0; 2];
    stream.read_exact(&mut word).unwrap();
    assert_eq!(word, *b"x\n");
    stream
}

/// A conversation as short as they are.
#[track_caller]
fn talk(mut stream: TcpStream, word: &str) {
    stream
        .write_all(word.as_bytes())
        .expect("nobody is cut off");
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .expect("nobody is cut off");
    assert_eq!(answer, word);
}

fn records_have_their_fields_and_a_restart_under_load_refuses_nobody(release: Release) {
    let script = "echo \"from $REMOTE_ADDR\" >&2; cat; exit 3";
    let machine = &serve(release, "WatchdogSec=1s\n", script);
    talk(machine.connect(ADDRESS), "linus\n");
    let told = records(machine, "-t greet REMOTE_ADDR=127.0.0.1", 1).remove(0);
    assert_eq!(told["_SYSTEMD_UNIT"], "greet.service");
    assert_eq!(told["PRIORITY"], "5");
    let port = &told["REMOTE_PORT"];
    assert_eq!(told["CONNECTION"], format!("1-127.0.0.1:{port}"));
    assert_eq!(told["SOCKUNIT_EVENT"], "ended");
    let message = &told["MESSAGE"];
    assert!(
        message.starts_with(&format!("127.0.0.1:{port} exited 3: pid "))
            && message.contains(", 6 bytes received, 6 bytes sent, "),
        "{message}"
    );
    let told = records(machine, "-t greet _TRANSPORT=stdout", 1).remove(0);
    assert_eq!(told["MESSAGE"], "from 127.0.0.1");

    // The sign of life comes while nothing else does.
    let talking = begin(machine);
    wait_until("the watchdog had something to wait for", || {
        let at = |event: &str| -> u64 { property(machine, event).parse().unwrap_or_default() };
        at("WatchdogTimestampMonotonic") > at("ExecMainStartTimestampMonotonic") + 2_500_000
    });
    assert_eq!(property(machine, "NRestarts"), "0");
    let status = property(machine, "StatusText");
    assert_eq!(status, "1 connection now, 2 in total");

    let (done, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                machine.in_network(|| {
                    // Bounded, should the restarts never end.
                    for _ in 0..20_000 {
                        if done.load(Ordering::Relaxed) {
                            break;
                        }
                        talk(
                            TcpStream::connect(ADDRESS).expect("nobody is refused"),
                            "x\n",
                        );
                        served.fetch_add(1, Ordering::Relaxed);
                    }
                });
            });
        }
        // The first has a conversation to wait for.
        machine.run("systemctl restart --no-block greet.service");
        wait_until("it stops", || {
            property(machine, "ActiveState") == "deactivating"
        });
        talk(talking, "y\n");
        for _ in 0..3 {
            machine.run("systemctl restart greet.service");
            let before = served.load(Ordering::Relaxed);
            wait_until("more are served", || {
                served.load(Ordering::Relaxed) > before + 50
            });
        }
        done.store(true, Ordering::Relaxed);
    });
    machine.run("systemctl stop greet.socket greet.service");
    assert_eq!(property(machine, "Result"), "success");
    machine.expect_nothing_left_of("greet");
}

fn without_processes_to_spare_clients_wait_and_the_service_lives(release: Release) {
    // The service itself has five.
    let machine = serve(release, "LimitNPROC=8\n", "exec cat");
    let mut talking: Vec<TcpStream> = (0..3).map(|_| begin(&machine)).collect();
    let mut waiting = machine.connect(ADDRESS);
    waiting.write_all(b"late\n").unwrap();
    waiting.shutdown(Shutdown::Write).unwrap();
    machine.journal_until("-t greet -o cat", "what it lacks", |text| {
        text.contains("cannot start a program: 3 programs running: ")
    });
    talking.pop();
    let mut word = String::new();
    waiting.read_to_string(&mut word).unwrap();
    assert_eq!(word, "late\n");
    assert_eq!(property(&machine, "NRestarts"), "0");
}
