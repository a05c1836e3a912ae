//! Clients that attack: floods, slow clients and bad input, at small size. `packaging/bench attack` has the whole size.

use std::io::Write;
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use crate::attacker::{Attack, attack};
use crate::machine::{CELEBS, Machine, Release};
use crate::support::{Mode, PROMPT, expect, rest};

on_both_releases!(
    attacks_harm_no_client_of_another_source,
    a_source_cannot_exceed_its_limit_and_others_are_served,
);

/// The limits on the connections of a source, and of all together.
const PER_SOURCE: usize = 64;
const ALL: usize = 256;

const EACH: &str = "127.0.0.1:4001";
const SHARED: &str = "127.0.0.1:4002";

/// How soon after an attack a client is served, while other tests run. systemd may still start and stop units.
fn soon(address: &str) -> Duration {
    Duration::from_secs(if address == EACH { 5 } else { 2 })
}

/// A machine with celebs in one process, and attached both ways.
fn prepared(release: Release) -> Machine {
    let machine = Machine::installed(release);
    machine.switch(&["celebs"], Mode::Shared);
    machine.run(
        "sockunit add each 4001 -- /usr/libexec/sockunit/celebs
         sockunit add --shared all 4002 -- /usr/libexec/sockunit/celebs",
    );
    machine
}

fn attacks_harm_no_client_of_another_source(release: Release) {
    let machine = prepared(release);
    for (service, address) in [("celebs", CELEBS), ("each", EACH), ("all", SHARED)] {
        for kind in Attack::ALL {
            // Those that hold their connections reach the limit of a source and, where others wait for their turn, the
            // limit on all: systemd would close the connections of everybody.
            let (sources, count) = match (service, kind.holds()) {
                ("each", false) => (4, 20),
                ("each", true) => (1, PER_SOURCE + 6),
                ("all", true) => (4, ALL),
                ("celebs", true) => (4, 4 * (PER_SOURCE + 6)),
                _ => (4, 100),
            };
            let server = address.parse().unwrap();
            let outcome = machine.in_network(|| attack(kind, server, count, sources));
            let what = format!("{service}, {}: {outcome:?}", kind.name());
            assert_eq!(outcome.connections, count, "{what}");
            assert_eq!((outcome.lost, outcome.others_lost), (0, 0), "{what}");
            assert!(outcome.next < soon(address), "{what}");
        }
        let socket = format!("{service}.socket");
        assert_eq!(machine.property(&socket, "ActiveState"), "active");
    }
    machine.expect_nothing_left_of("each");
}

/// Makes as many connections as a source may have. All of them are served.
fn held(machine: &Machine, source: Ipv4Addr, address: &str) -> Vec<TcpStream> {
    let connect = |_| machine.connect_from(source, address);
    let mut held: Vec<_> = (0..PER_SOURCE).map(connect).collect();
    held.iter_mut().for_each(|client| expect(client, PROMPT));
    held
}

/// Has a conversation from an address that holds no connections.
#[track_caller]
fn expect_answer(machine: &Machine, address: &str) {
    let begin = Instant::now();
    let answer = machine.converse(address, b"linus\nq\n");
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(answer.contains("torvalds"), "{address}: {answer}");
    let elapsed = begin.elapsed();
    assert!(elapsed < soon(address), "{address}: {elapsed:?}");
}

fn a_source_cannot_exceed_its_limit_and_others_are_served(release: Release) {
    let machine = prepared(release);
    let source = |number| Ipv4Addr::new(127, 0, 1, number);
    let told = "Too many connections from your address; please try again later\n";
    // systemd closes the surplus without a message.
    for (address, message) in [(CELEBS, told), (EACH, ""), (SHARED, told)] {
        let first = held(&machine, source(1), address);
        for _ in 0..6 {
            let refused = rest(machine.connect_from(source(1), address));
            assert_eq!(refused, message, "{address}");
        }
        expect_answer(&machine, address);
        drop(first);
        expect_answer(&machine, address);
    }
    let refused = machine.property("each.socket", "NRefused");
    assert_eq!(refused, "6");

    // The program of an earlier connection may not have ended yet.
    let held: Vec<_> = (2..=5)
        .map(|number| held(&machine, source(number), SHARED))
        .collect();
    assert_eq!(held.iter().map(Vec::len).sum::<usize>(), ALL);
    let mut waiting = machine.connect(SHARED);
    waiting.write_all(b"linus\nq\n").unwrap();
    let backlog = "ss --no-header --listening --tcp --numeric 'src = 127.0.0.1:4002'";
    let backlog = machine.run(backlog);
    assert_eq!(backlog.split_whitespace().nth(1), Some("1"), "{backlog}");
    drop(held);
    let begin = Instant::now();
    let answer = rest(waiting);
    assert!(answer.contains("torvalds"), "{answer}");
    let elapsed = begin.elapsed();
    assert!(elapsed < soon(SHARED), "{elapsed:?}");
    for service in ["celebs", "each", "all"] {
        let socket = format!("{service}.socket");
        assert_eq!(machine.property(&socket, "ActiveState"), "active");
    }
    machine.expect_nothing_left_of("each");
}
