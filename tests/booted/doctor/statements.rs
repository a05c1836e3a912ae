//! What doctor says about systemd in general, as the systemd of each release does it.

use std::net::Ipv4Addr;

use super::{Case, attach};
use crate::machine::{Machine, Release};
use crate::support::{expect, rest, wait_for};

on_both_releases!(
    what_doctor_says_about_systemd_holds,
    what_doctor_says_about_limits_and_exit_statuses_holds,
);

fn what_doctor_says_about_systemd_holds(release: Release) {
    let machine = Machine::installed(release);
    let service = |index: usize, change: &str| {
        let case = Case::of(index);
        let begin = attach(&machine, &case);
        machine.run(&case.fill(&format!("{change}\n{begin}")));
        case
    };
    let load_state = |case: &Case| machine.property(&case.fill("NAME.socket"), "LoadState");

    // Failed instances do not count against MaxConnections=.
    let failing = service(
        0,
        "sed -i s/^MaxConnections=.*/MaxConnections=2/ UNITS/NAME.socket; echo exit 3 >>PROGRAM",
    );
    for _ in 0..5 {
        assert_eq!(machine.converse("127.0.0.1:4000", b""), b"here\n");
    }
    let count = machine.run(&failing.fill(
        "until [ $(systemctl list-units --failed --plain --no-legend 'NAME@*' | wc -l) = 5 ]; do sleep 0.02; done; echo 5",
    ));
    assert_eq!(count, "5");

    // With StandardInput=socket, standard output and error inherit the connection.
    service(
        1,
        "sed -i /StandardError/d UNITS/NAME@.service; echo 'echo there >&2' >>PROGRAM",
    );
    assert_eq!(machine.converse("127.0.0.1:4001", b""), b"here\nthere\n");

    // systemd does not load a socket with Accept=yes and Service=, nor one with a host name.
    let case = service(2, "");
    machine.run(&case.fill("echo Service=x.service >>UNITS/NAME.socket; systemctl daemon-reload"));
    assert_eq!(load_state(&case), "bad-setting");
    let case = service(3, "");
    machine.run(
        &case.fill("sed -i s/127.0.0.1:/localhost:/ UNITS/NAME.socket; systemctl daemon-reload"),
    );
    assert_eq!(load_state(&case), "bad-setting");

    // A service with Accept=no that ends without accepting a connection takes the socket down.
    let case = service(
        4,
        "SHARED
         sed -i '1i [Unit]\\nStartLimitIntervalSec=0' UNITS/NAME.service; printf '#!/bin/sh\\n' >PROGRAM",
    );
    machine.run(&case.fill(
        "systemctl restart NAME.socket; sockunit connect 127.0.0.1 PORT 2>/dev/null || :
         until systemctl is-failed --quiet NAME.socket; do sleep 0.02; done",
    ));
    assert_eq!(
        machine.property(&case.fill("NAME.socket"), "Result"),
        "trigger-limit-hit"
    );
}

/// The exit statuses of systemd that doctor explains, and directives with which a unit ends with them.
const STATUSES: &[(u16, &str)] = &[
    (200, "WorkingDirectory=/nowhere"),
    (203, "ExecStart=/bin/sh/nowhere"),
    (208, "StandardInput=file:/nowhere"),
    (209, "StandardOutput=file:/nowhere/x"),
    (216, "Group=no-such-group"),
    (217, "User=no-such-user"),
    (226, "BindPaths=/nowhere"),
];

fn what_doctor_says_about_limits_and_exit_statuses_holds(release: Release) {
    let machine = Machine::installed(release);
    let service = |index: usize, change: &str| {
        let case = Case::of(index);
        let begin = attach(&machine, &case);
        machine.run(&case.fill(&format!("{change}\n{begin}")));
        case
    };

    // The default trigger limits: 200 connections in 2 seconds, 20 with Accept=no.
    let case = service(0, "");
    let limit = |case: &Case, name: &str| machine.property(&case.fill("NAME.socket"), name);
    assert_eq!(limit(&case, "TriggerLimitIntervalUSec"), "2s");
    assert_eq!(limit(&case, "TriggerLimitBurst"), "200");
    let shared = service(1, "SHARED");
    assert_eq!(limit(&shared, "TriggerLimitIntervalUSec"), "2s");
    assert_eq!(limit(&shared, "TriggerLimitBurst"), "20");

    // Beyond PollLimitBurst=, connections wait in the backlog, and none is refused.
    if release == Release::Trixie {
        service(
            2,
            "printf 'PollLimitIntervalSec=3s\\nPollLimitBurst=2\\n' >>UNITS/NAME.socket",
        );
        for _ in 0..5 {
            assert_eq!(machine.converse("127.0.0.1:4002", b""), b"here\n");
        }
    }

    // At MaxConnections= and MaxConnectionsPerSource=, systemd closes a new connection without a byte, and other
    // addresses are served in the second case.
    service(
        3,
        "sed -i s/^MaxConnections=.*/MaxConnections=1/ UNITS/NAME.socket; echo exec cat >>PROGRAM",
    );
    let mut held = machine.connect("127.0.0.1:4003");
    expect(&mut held, "here\n");
    assert_eq!(rest(machine.connect("127.0.0.1:4003")), "");
    service(
        4,
        "echo MaxConnectionsPerSource=1 >>UNITS/NAME.socket; echo exec cat >>PROGRAM",
    );
    let mut held = machine.connect("127.0.0.1:4004");
    expect(&mut held, "here\n");
    assert_eq!(rest(machine.connect("127.0.0.1:4004")), "");
    let mut other = machine.connect_from(Ipv4Addr::new(127, 0, 0, 2), "127.0.0.1:4004");
    expect(&mut other, "here\n");

    // An IPv6 socket on :: accepts IPv4 connections, unless BindIPv6Only=ipv6-only.
    let case = service(5, "sed -i 's/127.0.0.1:/[::]:/' UNITS/NAME.socket");
    assert_eq!(machine.converse("127.0.0.1:4005", b""), b"here\n");
    machine.run(&case.fill("echo BindIPv6Only=ipv6-only >>UNITS/NAME.socket; RELOAD"));
    let refused = machine.output("sockunit connect 127.0.0.1 4005 2>&1");
    assert!(String::from_utf8_lossy(&refused.stdout).contains("connection refused"));

    // Without StandardInput=socket, the program reads /dev/null and writes to the journal.
    let case = service(
        6,
        "sed -i /StandardInput/d UNITS/NAME@.service; echo 'readlink /proc/self/fd/0' >>PROGRAM",
    );
    assert_eq!(machine.converse("127.0.0.1:4006", b""), b"");
    wait_for("the program has written to the journal", || {
        let entries =
            machine.run(&case.fill("journalctl --sync; journalctl -q -o cat -u 'NAME@*'"));
        entries.contains("here\n") && entries.contains("/dev/null\n")
    });

    // A service with two ExecStart= lines is not loaded.
    machine.write(
        "/etc/systemd/system/two.service",
        "[Service]\nExecStart=/bin/true\nExecStart=/bin/true\n",
    );
    machine.run("systemctl daemon-reload");
    assert_eq!(machine.property("two.service", "LoadState"), "bad-setting");

    // The exit statuses.
    for (index, (status, directive)) in STATUSES.iter().enumerate() {
        let unit = format!("status{index}.service");
        machine.write(
            &format!("/etc/systemd/system/{unit}"),
            &format!("[Service]\nType=oneshot\nExecStart=/bin/true\n{directive}\n")
                .replace("ExecStart=/bin/true\nExecStart", "ExecStart"),
        );
        machine.run(&format!(
            "systemctl daemon-reload; systemctl start {unit} || :"
        ));
        assert_eq!(
            machine.property(&unit, "ExecMainStatus"),
            status.to_string(),
            "{directive}"
        );
    }

    // A path below TemporaryFileSystem= is made writable by BindPaths=.
    machine.run(
        "install -d -o nobody /srv/writable
         systemd-run --quiet --wait -p User=nobody -p TemporaryFileSystem=/srv:ro -p BindPaths=/srv/writable touch /srv/writable/x
         test -e /srv/writable/x",
    );
    // TemporaryFileSystem= wins over PrivateTmp= and BindPaths=.
    for more in ["PrivateTmp=yes", "BindPaths=/tmp"] {
        let written = machine.output(&format!(
            "systemd-run --quiet --wait -p TemporaryFileSystem=/tmp:ro -p {more} touch /tmp/x"
        ));
        assert!(!written.status.success(), "{more}");
    }
}
