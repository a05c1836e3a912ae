//! The units: their sandbox, their addresses, their limits, and a flood of connections.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::thread;

use crate::machine::{CELEBS, HELLO, Machine, Release, repository};
use crate::support::{PATIENCE, PROMPT, expect, rest, wait_for};

on_both_releases!(
    systemd_analyze_verify_reports_nothing,
    exposure_levels_stay_below_their_limits,
    exposure_levels_of_attached_services_are_those_of_the_manual,
    the_sockets_listen_on_loopback_only,
    a_drop_in_opens_a_port_to_the_network,
    the_sockets_start_and_serve_without_ipv6,
    a_flood_does_not_fail_the_socket,
    the_per_source_limit_leaves_connections_for_other_sources,
);

fn systemd_analyze_verify_reports_nothing(release: Release) {
    let machine = Machine::installed(release);
    // --man=no: the machines have no man-db, so the test looks for the pages itself.
    let verified = machine.output(
        "systemd-analyze verify --man=no hello.socket hello@.service celebs.socket celebs@.service \
         sockunit-sweep.timer sockunit-sweep.service 2>&1",
    );
    assert_eq!(String::from_utf8_lossy(&verified.stdout), "");
    assert!(verified.status.success());
    machine.run("test -e /usr/share/man/man8/sockunit-hello.8.gz && test -e /usr/share/man/man8/sockunit-celebs.8.gz");

    machine.run("systemctl daemon-reload && systemctl start hello.socket celebs.socket");
    assert_eq!(
        machine.journal("-b -p warning -u 'hello*' -u 'celebs*' -u 'sockunit*'"),
        ""
    );
    for socket in ["hello.socket", "celebs.socket"] {
        // By default systemd 257 pauses a listener after 150 connections in 2 s. systemd 252 does not have the property.
        let disabled = match release {
            Release::Bookworm => "",
            Release::Trixie => "0",
        };
        assert_eq!(
            machine.property(socket, "PollLimitIntervalUSec"),
            disabled,
            "{socket}"
        );
    }
}

fn exposure_levels_stay_below_their_limits(release: Release) {
    let machine = Machine::installed(release);
    for (unit, limit) in [
        ("hello@1.service", 2.0),
        ("celebs@1.service", 2.0),
        ("sockunit-sweep.service", 1.0),
    ] {
        let report = machine.run(&format!("systemd-analyze security --no-pager {unit}"));
        assert!(exposure(&report) <= limit, "{report}");
    }
    // Both units have the same sandbox.
    let sandbox = |unit| {
        let text = std::fs::read_to_string(repository().join("systemd").join(unit)).unwrap();
        text.split_once("\nUser=_sockunit\n").unwrap().1.to_string()
    };
    assert_eq!(sandbox("hello@.service"), sandbox("celebs@.service"));
}

/// The number in the output of `systemd-analyze security`.
#[track_caller]
fn exposure(report: &str) -> f64 {
    report
        .lines()
        .find_map(|line| line.split_once("Overall exposure level for"))
        .and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse().ok())
        .unwrap_or_else(|| panic!("no exposure level in {report}"))
}

/// The table in sockunit-add(1) has these figures.
fn exposure_levels_of_attached_services_are_those_of_the_manual(release: Release) {
    let machine = Machine::installed(release);
    machine.run("useradd --create-home ann && systemctl start user@$(id -u ann).service");
    let analyze = "security --no-pager";
    for (options, per_connection, shared) in [
        ("--sandbox strict", "0.9", "0.4"),
        ("--sandbox standard", "4.3", "4.3"),
        ("--sandbox standard --user-name ann", "4.9", "4.9"),
        ("--sandbox privileged", "3.2", "3.2"),
        ("--sandbox off", "8.2", "8.2"),
        ("--sandbox off --user-name ann", "9.2", "9.2"),
        ("--user --sandbox strict", "1.6", "1.3"),
        ("--user --sandbox standard", "8.0", "8.0"),
        ("--user --sandbox off", "9.8", "9.8"),
    ] {
        for (kind, unit, expected) in [
            ("", "each@1.service", per_connection),
            ("--shared", "each.service", shared),
        ] {
            let add = format!("sockunit add {options} {kind} each 4000 -- cat");
            let report = match options.contains("--user ") {
                true => machine.run(&format!(
                    "su - ann -c '{add} >/dev/null && systemd-analyze --user {analyze} {unit}
                     sockunit remove --user each >/dev/null'"
                )),
                false => machine.run(&format!(
                    "{add} >/dev/null; systemd-analyze {analyze} {unit}; sockunit remove each >/dev/null"
                )),
            };
            let found = format!("{:.1}", exposure(&report));
            assert_eq!(found, expected, "{options} {kind}: {report}");
        }
    }
}

/// The local addresses of all TCP listeners.
fn listeners(machine: &Machine) -> BTreeSet<String> {
    machine
        .run("ss --no-header --listening --tcp --numeric")
        .lines()
        .map(|line| line.split_whitespace().nth(3).unwrap().to_string())
        .collect()
}

/// Creates a network namespace that a veth pair connects to the machine; the machine is 192.0.2.1 there.
fn second_network(machine: &Machine) {
    machine.run(
        "ip netns add beside
         ip link add cable type veth peer name cable netns beside
         ip address add 192.0.2.1/24 dev cable
         ip link set cable up
         ip -n beside address add 192.0.2.2/24 dev cable
         ip -n beside link set cable up",
    );
}

/// What a client in the second network receives.
fn from_second_network(machine: &Machine, port: u16) -> String {
    machine.run(&format!(
        "ip netns exec beside nc -N -w 30 192.0.2.1 {port} </dev/null"
    ))
}

/// Asserts that the machine refuses a connection from the second network.
#[track_caller]
fn assert_refused_from_second_network(machine: &Machine, port: u16) {
    let output = machine.output(&format!(
        "ip netns exec beside nc -v -N -w 30 192.0.2.1 {port} </dev/null"
    ));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("Connection refused"), "{errors}");
    assert_eq!(output.stdout, b"");
}

fn the_sockets_listen_on_loopback_only(release: Release) {
    let machine = Machine::installed(release);
    let before = listeners(&machine);
    machine.run("systemctl start hello.socket celebs.socket");
    let added: Vec<String> = listeners(&machine).difference(&before).cloned().collect();
    assert_eq!(
        added,
        [
            "127.0.0.1:3333",
            "127.0.0.1:3334",
            "[::1]:3333",
            "[::1]:3334"
        ]
    );
    second_network(&machine);
    assert_refused_from_second_network(&machine, 3333);
    assert_refused_from_second_network(&machine, 3334);
}

fn a_drop_in_opens_a_port_to_the_network(release: Release) {
    let machine = Machine::serving(release);
    second_network(&machine);
    machine.write(
        "/etc/systemd/system/hello.socket.d/network.conf",
        "[Socket]\nListenStream=\nListenStream=3333\n",
    );
    machine.run("systemctl daemon-reload && systemctl restart hello.socket");
    assert!(from_second_network(&machine, 3333).starts_with("Hello World:"));
    assert!(machine.converse(HELLO, b"").starts_with(b"Hello World:"));
    assert!(
        machine
            .converse("[::1]:3333", b"")
            .starts_with(b"Hello World:")
    );
    assert_refused_from_second_network(&machine, 3334);
}

fn the_sockets_start_and_serve_without_ipv6(release: Release) {
    let machine = Machine::installed(release);
    machine.run(
        "sysctl --quiet --write net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.lo.disable_ipv6=1",
    );
    assert_eq!(machine.run("ip -6 address"), "");
    machine.run("systemctl start hello.socket celebs.socket");
    machine.run("sockunit doctor");
    assert!(machine.converse(HELLO, b"").starts_with(b"Hello World:"));
    assert!(
        machine
            .converse(CELEBS, b"quit\n")
            .starts_with(PROMPT.as_bytes())
    );
    // FreeBind=: the socket listens on ::1 before the address exists.
    machine.run(
        "sysctl --quiet --write net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.lo.disable_ipv6=0",
    );
    assert!(
        machine
            .converse("[::1]:3333", b"")
            .starts_with(b"Hello World:")
    );
}

/// Opens 400 connections to hello before it reads from any; returns how many got an answer.
fn flood(machine: &Machine) -> usize {
    let mut streams: Vec<TcpStream> = machine.in_network(|| {
        (0..400)
            .map_while(|_| TcpStream::connect(HELLO).ok())
            .collect()
    });
    streams
        .iter_mut()
        .filter_map(|stream| {
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut received = String::new();
            // systemd closes a connection above the limit; the client may see a reset.
            let ended = stream.read_to_string(&mut received);
            assert!(
                received.is_empty() || ended.is_ok() && received.starts_with("Hello World:"),
                "{ended:?} after {received:?}"
            );
            (!received.is_empty()).then_some(())
        })
        .count()
}

fn a_flood_does_not_fail_the_socket(release: Release) {
    let machine = Machine::serving(release);
    let state = || machine.run("systemctl show -p ActiveState,Result --value hello.socket");
    assert!(flood(&machine) >= 64);
    assert_eq!(state(), "success\nactive");

    // As long as no more than the limit are open at once, every connection gets an answer.
    let answered: usize = machine.in_network(|| {
        thread::scope(|scope| {
            let clients: Vec<_> = (0..40)
                .map(|_| {
                    scope.spawn(|| {
                        (0..10)
                            .filter(|_| {
                                let stream = TcpStream::connect(HELLO).unwrap();
                                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                                let received = rest(stream);
                                received.starts_with("Hello World:") && received.ends_with('\n')
                            })
                            .count()
                    })
                })
                .collect();
            clients
                .into_iter()
                .map(|client| client.join().unwrap())
                .sum()
        })
    });
    assert_eq!(answered, 400);
    assert_eq!(state(), "success\nactive");
    machine.expect_nothing_left_of("hello");

    // Control: with the default trigger limit of systemd, the same flood fails the socket.
    machine.write(
        "/etc/systemd/system/hello.socket.d/default.conf",
        "[Socket]\nTriggerLimitIntervalSec=2s\nTriggerLimitBurst=200\n",
    );
    machine.run("systemctl daemon-reload && systemctl restart hello.socket");
    flood(&machine);
    assert_eq!(state(), "trigger-limit-hit\nfailed");
}

/// Waits for the first prompt; returns false if systemd closes the connection instead.
#[track_caller]
fn is_served(stream: &mut TcpStream) -> bool {
    let mut prompt = [0; PROMPT.len()];
    match stream.read_exact(&mut prompt) {
        Ok(()) => {
            assert_eq!(prompt, PROMPT.as_bytes());
            true
        }
        Err(error) => {
            let closed = [ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset];
            assert!(closed.contains(&error.kind()), "{error}");
            false
        }
    }
}

#[track_caller]
fn ask(stream: &mut TcpStream) {
    stream.write_all(b"linus\n").unwrap();
    expect(stream, &format!(":linus, \ntorvalds\n{PROMPT}"));
}

fn the_per_source_limit_leaves_connections_for_other_sources(release: Release) {
    let machine = Machine::serving(release);
    let source = |last| Ipv4Addr::new(127, 0, 0, last);
    let mut clients: Vec<TcpStream> = Vec::new();
    for last in 1..=4 {
        let new = clients.len();
        clients.extend((0..64).map(|_| machine.connect_from(source(last), CELEBS)));
        for client in &mut clients[new..] {
            assert!(is_served(client));
        }
        // systemd closes one more connection of the same source, and keeps the others.
        assert!(!is_served(&mut machine.connect_from(source(last), CELEBS)));
        ask(&mut clients[new]);
    }
    // 256 connections are the limit of the socket: no source gets another one.
    assert!(!is_served(&mut machine.connect_from(source(5), CELEBS)));
    ask(clients.last_mut().unwrap());

    clients.swap_remove(0).write_all(b"quit\n").unwrap();
    wait_for("another connection is accepted after one has ended", || {
        is_served(&mut machine.connect_from(source(1), CELEBS))
    });
    drop(clients);
    machine.expect_nothing_left_of("celebs");
}
