//! What doctor says about systemd in general, as the systemd of each release does it.

use super::{Case, attach};
use crate::machine::{Machine, Release};

on_both_releases!(what_doctor_says_about_systemd_holds);

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
