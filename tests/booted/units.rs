//! What the units promise: where they listen, how many they let in, and that a flood takes nothing down.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::thread;

use crate::conversation::expect;
use crate::machine::{Machine, PATIENCE, Release, repository, wait_until};

on_both_releases!(
    systemd_analyze_finds_nothing_to_say,
    the_sandbox_is_as_tight_as_promised,
    nobody_but_the_machine_itself_is_served,
    a_drop_in_opens_a_port_to_the_network,
    without_ipv6_the_sockets_start_and_serve,
    a_flood_does_not_take_the_listener_down,
    one_source_cannot_take_all_connections,
);

const CELEBS: &str = "127.0.0.1:3334";
const PROMPT: &str = "Please type Linux celebs name below:\n";

fn systemd_analyze_finds_nothing_to_say(release: Release) {
    let machine = Machine::installed(release);
    // --man=no: these machines have no man to ask for the pages, so they are looked for by hand.
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
        // 257 would otherwise pause the listener after 150 connections in 2 s. 252 has no such setting to show.
        let pause = machine.run(&format!(
            "systemctl show -p PollLimitIntervalUSec --value {socket}"
        ));
        let pause_lifted = match release {
            Release::Bookworm => pause.is_empty(),
            Release::Trixie => pause == "0",
        };
        assert!(pause_lifted, "{socket}: {pause:?}");
    }
}

fn the_sandbox_is_as_tight_as_promised(release: Release) {
    let machine = Machine::installed(release);
    for (unit, promised) in [
        ("hello@1.service", 2.0),
        ("celebs@1.service", 2.0),
        ("sockunit-sweep.service", 1.0),
    ] {
        let said = machine.run(&format!("systemd-analyze security --no-pager {unit}"));
        let exposure: f64 = said
            .lines()
            .find_map(|line| line.split_once("Overall exposure level for"))
            .and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse().ok())
            .unwrap_or_else(|| panic!("no exposure in {said}"));
        assert!(exposure <= promised, "{said}");
    }
    // One sandbox, written twice.
    let sandbox = |unit| {
        let text = std::fs::read_to_string(repository().join("systemd").join(unit)).unwrap();
        text.split_once("\nUser=_sockunit\n").unwrap().1.to_string()
    };
    assert_eq!(sandbox("hello@.service"), sandbox("celebs@.service"));
}

/// The local addresses of all TCP listeners.
fn listeners(machine: &Machine) -> BTreeSet<String> {
    machine
        .run("ss --no-header --listening --tcp --numeric")
        .lines()
        .map(|line| line.split_whitespace().nth(3).unwrap().to_string())
        .collect()
}

/// A network of its own beside the machine's, joined by one cable; the machine is 192.0.2.1 on it.
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

/// What a client in the second network receives; nothing when it is refused.
fn from_second_network(machine: &Machine, port: u16) -> String {
    let output = machine.output(&format!(
        "ip netns exec beside nc -N -w 30 192.0.2.1 {port} </dev/null"
    ));
    String::from_utf8(output.stdout).unwrap()
}

fn nobody_but_the_machine_itself_is_served(release: Release) {
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
    assert_eq!(from_second_network(&machine, 3333), "");
    assert_eq!(from_second_network(&machine, 3334), "");
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
    assert!(
        machine
            .converse("127.0.0.1:3333", b"")
            .starts_with(b"Hello World:")
    );
    assert!(
        machine
            .converse("[::1]:3333", b"")
            .starts_with(b"Hello World:")
    );
    assert_eq!(from_second_network(&machine, 3334), "");
}

fn without_ipv6_the_sockets_start_and_serve(release: Release) {
    let machine = Machine::installed(release);
    machine.run(
        "sysctl --quiet --write net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.lo.disable_ipv6=1",
    );
    assert_eq!(machine.run("ip -6 address"), "");
    machine.run("systemctl start hello.socket celebs.socket");
    machine.run("sockunit doctor");
    assert!(
        machine
            .converse("127.0.0.1:3333", b"")
            .starts_with(b"Hello World:")
    );
    assert!(
        machine
            .converse(CELEBS, b"quit\n")
            .starts_with(PROMPT.as_bytes())
    );
    // The listener on ::1 waits for the address.
    machine.run(
        "sysctl --quiet --write net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.lo.disable_ipv6=0",
    );
    assert!(
        machine
            .converse("[::1]:3333", b"")
            .starts_with(b"Hello World:")
    );
}

/// Opens 400 connections to hello as fast as it goes, before it reads from any; returns how many were answered.
fn flood(machine: &Machine) -> usize {
    let mut streams: Vec<TcpStream> = machine.in_network(|| {
        (0..400)
            .map_while(|_| TcpStream::connect("127.0.0.1:3333").ok())
            .collect()
    });
    streams
        .iter_mut()
        .filter_map(|stream| {
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut received = String::new();
            // One over the limit is closed, and may be reset.
            let ended = stream.read_to_string(&mut received);
            assert!(
                received.is_empty() || ended.is_ok() && received.starts_with("Hello World:"),
                "{ended:?} after {received:?}"
            );
            (!received.is_empty()).then_some(())
        })
        .count()
}

fn a_flood_does_not_take_the_listener_down(release: Release) {
    let machine = Machine::serving(release);
    let state = || machine.run("systemctl show -p ActiveState,Result --value hello.socket");
    assert!(flood(&machine) >= 64);
    assert_eq!(state(), "success\nactive");

    // Clients that keep to the limit are all answered, however many they are.
    let answered: usize = machine.in_network(|| {
        thread::scope(|scope| {
            let clients: Vec<_> = (0..40)
                .map(|_| {
                    scope.spawn(|| {
                        (0..10)
                            .filter(|_| {
                                let mut stream = TcpStream::connect("127.0.0.1:3333").unwrap();
                                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                                let mut received = String::new();
                                stream.read_to_string(&mut received).unwrap();
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

    // The flood is one that matters: with systemd's own default it ends the service to everyone.
    machine.write(
        "/etc/systemd/system/hello.socket.d/default.conf",
        "[Socket]\nTriggerLimitIntervalSec=2s\nTriggerLimitBurst=200\n",
    );
    machine.run("systemctl daemon-reload && systemctl restart hello.socket");
    flood(&machine);
    assert_eq!(state(), "trigger-limit-hit\nfailed");
}

/// Waits for the first prompt; false when the connection is closed instead.
fn let_in(stream: &mut TcpStream) -> bool {
    let mut prompt = [0; PROMPT.len()];
    let read = stream.read_exact(&mut prompt);
    assert!(read.is_err() || prompt == PROMPT.as_bytes());
    read.is_ok()
}

#[track_caller]
fn ask(stream: &mut TcpStream) {
    stream.write_all(b"linus\n").unwrap();
    expect(stream, &format!(":linus, \ntorvalds\n{PROMPT}"));
}

fn one_source_cannot_take_all_connections(release: Release) {
    let machine = Machine::serving(release);
    let source = |last| Ipv4Addr::new(127, 0, 0, last);
    let mut clients: Vec<TcpStream> = Vec::new();
    for last in 1..=4 {
        let new = clients.len();
        clients.extend((0..64).map(|_| machine.connect_from(source(last), CELEBS)));
        for client in &mut clients[new..] {
            assert!(let_in(client));
        }
        // One more of the same source is closed; the others do not notice.
        assert!(!let_in(&mut machine.connect_from(source(last), CELEBS)));
        ask(&mut clients[new]);
    }
    // 256 in all: no source gets another one.
    assert!(!let_in(&mut machine.connect_from(source(5), CELEBS)));
    ask(clients.last_mut().unwrap());

    clients.swap_remove(0).write_all(b"quit\n").unwrap();
    wait_until("the place of a connection that has ended is free", || {
        let_in(&mut machine.connect_from(source(1), CELEBS))
    });
    drop(clients);
    machine.expect_nothing_left_of("celebs");
}
