//! `sockunit serve` as the program of a unit whose socket has `Accept=no`.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use crate::journal::entries;
use crate::machine::{Machine, Release};
use crate::support::{expect, rest, wait_for};

on_both_releases!(
    entries_have_fields_and_a_restart_under_load_refuses_no_client,
    clients_wait_while_the_process_limit_is_reached,
    one_connection_is_served_under_systemd_xinetd_and_tcpserver,
);

const ADDRESS: &str = "127.0.0.1:4000";

/// Starts a socket whose service runs a script for each connection, with these settings in [Service].
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
    machine.program("/usr/local/bin/greet", &format!("#!/bin/sh\n{script}\n"));
    // LimitNPROC= counts all processes of a user, also those of other machines: each machine has a user of its own.
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let uid = 1_000_000 + 10 * std::process::id() as usize + count;
    machine.run(&format!(
        "useradd --uid {uid} greet
         systemctl daemon-reload
         systemctl start greet.socket"
    ));
    machine
}

fn property(machine: &Machine, property: &str) -> String {
    machine.property("greet.service", property)
}

fn begin(machine: &Machine) -> TcpStream {
    let mut stream = machine.connect(ADDRESS);
    stream.write_all(b"x\n").unwrap();
    expect(&mut stream, "x\n");
    stream
}

/// Sends a line, which the service sends back.
#[track_caller]
fn echo(mut stream: TcpStream, word: &str) {
    stream
        .write_all(word.as_bytes())
        .expect("no connection is reset");
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .expect("no connection is reset");
    assert_eq!(answer, word);
}

fn entries_have_fields_and_a_restart_under_load_refuses_no_client(release: Release) {
    let script = "echo \"from $REMOTE_ADDR\" >&2; cat; exit 3";
    let machine = &serve(release, "WatchdogSec=1s\n", script);
    echo(machine.connect(ADDRESS), "linus\n");
    let entry = entries(machine, "-t greet REMOTE_ADDR=127.0.0.1", 1).remove(0);
    assert_eq!(entry["_SYSTEMD_UNIT"], "greet.service");
    assert_eq!(entry["PRIORITY"], "5");
    let port = &entry["REMOTE_PORT"];
    assert_eq!(entry["CONNECTION"], format!("1-127.0.0.1:{port}"));
    assert_eq!(entry["SOCKUNIT_EVENT"], "ended");
    let message = &entry["MESSAGE"];
    assert!(
        message.starts_with(&format!("127.0.0.1:{port} exited 3: pid "))
            && message.contains(", 6 bytes received, 6 bytes sent, "),
        "{message}"
    );
    let entry = entries(machine, "-t greet _TRANSPORT=stdout", 1).remove(0);
    assert_eq!(entry["MESSAGE"], "from 127.0.0.1");

    // The service sends WATCHDOG=1 while a session is silent.
    let open = begin(machine);
    wait_for("the watchdog timestamp advances", || {
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
                    // Ends the thread if the test fails.
                    for _ in 0..20_000 {
                        if done.load(Ordering::Relaxed) {
                            break;
                        }
                        echo(
                            TcpStream::connect(ADDRESS).expect("no client is refused"),
                            "x\n",
                        );
                        served.fetch_add(1, Ordering::Relaxed);
                    }
                });
            });
        }
        // The first restart waits for the open session.
        machine.run("systemctl restart --no-block greet.service");
        wait_for("the service stops", || {
            property(machine, "ActiveState") == "deactivating"
        });
        echo(open, "y\n");
        for _ in 0..3 {
            machine.run("systemctl restart greet.service");
            let before = served.load(Ordering::Relaxed);
            wait_for("more clients are served", || {
                served.load(Ordering::Relaxed) > before + 50
            });
        }
        done.store(true, Ordering::Relaxed);
    });
    machine.run("systemctl stop greet.socket greet.service");
    assert_eq!(property(machine, "Result"), "success");
    machine.expect_nothing_left_of("greet");
}

fn clients_wait_while_the_process_limit_is_reached(release: Release) {
    // The service itself has five processes and threads.
    let machine = serve(release, "LimitNPROC=8\n", "exec cat");
    let mut open: Vec<TcpStream> = (0..3).map(|_| begin(&machine)).collect();
    let mut waiting = machine.connect(ADDRESS);
    waiting.write_all(b"late\n").unwrap();
    waiting.shutdown(Shutdown::Write).unwrap();
    machine.journal_until("-t greet -o cat", "the process limit", |text| {
        text.contains("cannot start a program: 3 programs running: ")
    });
    open.pop();
    assert_eq!(rest(waiting), "late\n");
    assert_eq!(property(&machine, "NRestarts"), "0");
}

/// A program that answers a health check without reading it. Its client reads the answer, though it sent more.
const HEALTH: &str =
    "#!/bin/sh\nprintf 'HTTP/1.0 200 OK\\r\\n\\r\\nup for %s\\n' \"$REMOTE_ADDR\"\n";

fn one_connection_is_served_under_systemd_xinetd_and_tcpserver(release: Release) {
    let machine = Machine::installed(release);
    machine.program("/usr/local/bin/health", HEALTH);
    machine.write(
        "/etc/systemd/system/health.socket",
        "[Socket]\nListenStream=127.0.0.1:4000\nAccept=yes\nMaxConnections=100\nTriggerLimitIntervalSec=0\n",
    );
    machine.write(
        "/etc/systemd/system/health@.service",
        "[Service]\nExecStart=-/usr/bin/sockunit serve -- health\nUser=nobody\nStandardInput=socket\n\
         StandardError=journal\nSyslogIdentifier=health\n",
    );
    machine.write(
        "/etc/xinetd.d/health",
        "service health\n{\n\ttype = UNLISTED\n\tport = 4001\n\tsocket_type = stream\n\twait = no\n\tuser = nobody\n\
         \tserver = /usr/bin/sockunit\n\tserver_args = serve -- /usr/local/bin/health\n}\n",
    );
    machine.run(
        "systemctl daemon-reload && systemctl start health.socket xinetd.service
         systemd-run --quiet --unit=tcpserver tcpserver -RHl0 127.0.0.1 4002 sockunit serve -- health",
    );
    for port in [4000, 4001, 4002] {
        let address = format!("127.0.0.1:{port}");
        wait_for("the server listens", || {
            !machine
                .run(&format!("ss -Htln 'sport = :{port}'"))
                .is_empty()
        });
        for _ in 0..20 {
            let mut client = machine.connect(&address);
            client
                .write_all(b"OPTIONS / HTTP/1.0\r\nHost: x\r\n\r\n")
                .unwrap();
            assert_eq!(
                rest(client),
                "HTTP/1.0 200 OK\r\n\r\nup for 127.0.0.1\n",
                "port {port}"
            );
        }
    }
    // One entry for each connection, in the unit of that connection.
    machine.journal_until("-b -t health -o cat", "one entry per connection", |text| {
        text.matches(" exited 0: pid ").count() >= 20
    });
    let units = machine.run("journalctl -b -t health -o json | grep -c 'health@'");
    assert_eq!(units, "20");
    machine.expect_nothing_left_of("health");
}
