//! Options of `sockunit add` in running systems: addresses, and the rules for connections.

use std::net::Ipv4Addr;

use crate::machine::{Machine, Release};
use crate::support::rest;

on_both_releases!(
    a_service_listens_on_several_ports_and_on_a_path,
    rules_hold_for_connections_of_both_kinds,
);

const KINDS: [&str; 2] = ["", "--shared"];

fn a_service_listens_on_several_ports_and_on_a_path(release: Release) {
    let machine = Machine::installed(release);
    machine.run("groupadd readers && useradd --groups readers ann && useradd you");
    let listen = "--listen 127.0.0.2 --listen [::1]:4001 --listen '/run/echo here.sock'";
    for kind in KINDS {
        let add = |options: &str| format!("sockunit add {kind} {options} echo 4000 -- echo here");
        machine.run(&add(listen));
        for address in ["127.0.0.2:4000", "[::1]:4001"] {
            assert_eq!(rest(machine.connect(address)), "here\n");
        }
        // Without a group, every user may connect.
        let connect = "sockunit connect '/run/echo here.sock'";
        assert_eq!(machine.run(&format!("su you -c \"{connect}\"")), "here");
        assert!(machine.run(&add(listen)).starts_with("unchanged: "));
        let listed = machine.run("sockunit list");
        for address in ["127.0.0.2:4000", "[::1]:4001", "/run/echo here.sock"] {
            assert!(listed.contains(address), "{listed}");
        }
        machine.run("sockunit doctor echo");
        for address in ["*:4001", "'/run/echo here.sock'"] {
            let refused = machine.run(&format!(
                "! sockunit add --listen {address} other 4002 -- cat 2>&1"
            ));
            assert!(refused.contains("echo.socket"), "{refused}");
        }
        let printed = machine.run(&add(&format!("--replace --group readers {listen}")));
        assert!(printed.contains("answers:\n    \"here\""), "{printed}");
        assert_eq!(machine.run(&format!("su ann -c \"{connect}\"")), "here");
        let refused = machine.run(&format!("! su you -c \"{connect}\" 2>&1"));
        assert!(refused.contains("permission denied"), "{refused}");
        machine.run("sockunit remove echo && ! test -e '/run/echo here.sock'");

        // A file that is not a socket stays.
        machine.run("echo mine >/run/mine");
        let refused = machine.run(&format!("! {} 2>&1", add("--listen /run/mine")));
        assert!(
            refused.contains("a file that is not a socket, which systemd would delete"),
            "{refused}"
        );
        assert_eq!(machine.run("cat /run/mine"), "mine");
    }
}

fn rules_hold_for_connections_of_both_kinds(release: Release) {
    let machine = Machine::installed(release);
    machine.write("/etc/welcome", "Welcome\n");
    for kind in KINDS {
        let answer_with = |options: &str, from: Ipv4Addr| {
            machine.run(&format!("sockunit add {kind} {options} echo 4000 -- cat"));
            let answer = rest(machine.connect_from(from, "127.0.0.1:4000"));
            machine.run("sockunit remove echo");
            answer
        };
        let (here, there) = (Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 2));
        for (options, from, answer) in [
            ("--banner /etc/welcome --idle-timeout 1s", here, "Welcome\n"),
            ("--time-limit 1s", here, ""),
            (
                "--deny 127.0.0.2 --message 'address=100% no, $USER'",
                there,
                "100% no, $USER\n",
            ),
            (
                "--allow 127.0.0.1 --refused-banner /etc/welcome",
                there,
                "Welcome\nYour address may not use this service\n",
            ),
            (
                "--max-load 0.0001 --message load=Later WHEN-FULL",
                here,
                "Later\n",
            ),
            (
                "--access-times $(date -d '2 hours' +%H):00-$(date -d '3 hours' +%H):00",
                here,
                "This service is closed at this time of day\n",
            ),
        ] {
            // Without it, clients of a shared service wait until the load is lower.
            let when_full = if kind.is_empty() {
                ""
            } else {
                "--when-full refuse"
            };
            let options = options.replace("WHEN-FULL", when_full);
            assert_eq!(answer_with(&options, from), answer, "{kind} {options}");
        }
        if kind == "--shared" {
            // The first connection is that of add.
            assert_eq!(
                answer_with("--rate 1/1h --when-full refuse", here),
                "Too many connections in a short time; please try again later\n"
            );
        }
    }
}
