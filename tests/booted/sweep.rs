//! The timer that removes what systemd leaves in /run of connections that have ended.

use std::io::{Read, Write};

use crate::conversation::expect;
use crate::machine::{Machine, Release, wait_until};

on_both_releases!(
    one_sweep_leaves_the_files_of_connections_that_go_on_and_no_other,
    the_timer_sweeps_again_and_again,
    the_timer_is_active_exactly_while_a_socket_is,
);

const HELLO: &str = "127.0.0.1:3333";
const CELEBS: &str = "127.0.0.1:3334";
const PROMPT: &str = "Please type Linux celebs name below:\n";

/// The instances of our templates that have a file with the fields of their records.
fn files(machine: &Machine) -> Vec<String> {
    machine
        .run("find /run/systemd/units -name 'log-extra-fields:hello@*' -o -name 'log-extra-fields:celebs@*'")
        .lines()
        .map(|path| path.rsplit_once("log-extra-fields:").unwrap().1.to_string())
        .collect()
}

/// The sweep did its work in silence.
#[track_caller]
fn expect_silence(machine: &Machine) {
    assert_eq!(
        machine.journal("_PID=1 -p notice UNIT=sockunit-sweep.service + UNIT=sockunit-sweep.timer"),
        ""
    );
    let all = "UNIT=sockunit-sweep.service + _SYSTEMD_UNIT=sockunit-sweep.service";
    assert_eq!(machine.journal(all), "");
    assert_eq!(machine.run("systemctl --failed --plain --no-legend"), "");
}

fn is_active(machine: &Machine, unit: &str) -> bool {
    let output = machine.output(&format!("systemctl is-active {unit}"));
    output.stdout == b"active\n"
}

fn one_sweep_leaves_the_files_of_connections_that_go_on_and_no_other(release: Release) {
    let machine = Machine::serving(release);
    // It would be at work in between.
    machine.run("systemctl stop sockunit-sweep.timer");
    let mut stream = machine.connect(CELEBS);
    expect(&mut stream, PROMPT);
    let going_on = machine.instances("celebs").pop().unwrap();
    for _ in 0..150 {
        assert!(machine.converse(HELLO, b"").starts_with(b"Hello World:"));
        machine.converse(CELEBS, b"quit\n");
    }
    machine.expect_nothing_left_of("hello");
    wait_until("only the one conversation is left", || {
        machine.instances("celebs") == [going_on.as_str()]
    });
    // With a systemd that removes them itself there would be no need for the sweep.
    assert_eq!(files(&machine).len(), 301);
    // A manager that has read its state anew knows its units all the same.
    machine.run("systemctl daemon-reload && systemctl start sockunit-sweep.service");
    assert_eq!(files(&machine), [going_on.as_str()]);

    // A journald that is started anew looks into the file again.
    machine.run("systemctl restart systemd-journald.service");
    stream.write_all(b"linus\nquit\n").unwrap();
    stream.read_to_string(&mut String::new()).unwrap();
    let connection = going_on.strip_prefix("celebs@").unwrap();
    let connection = connection.strip_suffix(".service").unwrap();
    machine.journal_until(
        &format!("-o cat _SYSTEMD_UNIT='{going_on}' CONNECTION='{connection}'"),
        "the records after the sweep",
        |text| text.contains("asked \"linus\"") && text.contains(" quit: "),
    );
    machine.expect_nothing_left_of("celebs");
    machine.run("systemctl start sockunit-sweep.service");
    assert_eq!(files(&machine), [""; 0]);
    expect_silence(&machine);
}

fn the_timer_sweeps_again_and_again(release: Release) {
    let machine = Machine::installed(release);
    // The first run is due a minute after the start of the socket.
    machine.write(
        "/etc/systemd/system/sockunit-sweep.timer.d/soon.conf",
        "[Timer]\nOnActiveSec=\nOnUnitActiveSec=\nOnActiveSec=200ms\nOnUnitActiveSec=200ms\nAccuracySec=1ms\n",
    );
    machine.run("systemctl daemon-reload && systemctl start hello.socket");
    let last = || {
        machine
            .run("systemctl show --property LastTriggerUSecMonotonic --value sockunit-sweep.timer")
    };
    for _ in 0..3 {
        assert!(machine.converse(HELLO, b"").starts_with(b"Hello World:"));
        machine.expect_nothing_left_of("hello");
        wait_until("the file of the connection is gone", || {
            files(&machine).is_empty()
        });
        // A time when there is nothing to sweep, and no service is started, does not end it.
        let before = last();
        wait_until("it was due once more", || last() != before);
    }
    expect_silence(&machine);
}

fn the_timer_is_active_exactly_while_a_socket_is(release: Release) {
    const TIMER: &str = "sockunit-sweep.timer";
    let mut machine = Machine::installed(release);
    assert!(!is_active(&machine, TIMER));
    machine.run("systemctl start celebs.socket");
    wait_until("the timer is active", || is_active(&machine, TIMER));
    machine.run("systemctl start hello.socket && systemctl stop celebs.socket");
    // What stops it when it is not needed any more would do so now.
    machine.run("systemctl daemon-reload");
    assert!(is_active(&machine, TIMER));
    machine.run("systemctl stop hello.socket");
    wait_until("the timer ends with the last socket", || {
        !is_active(&machine, TIMER)
    });

    // A socket that could not be started wants nothing.
    machine.write(
        "/etc/systemd/system/hello.socket.d/nobody.conf",
        "[Socket]\nSocketUser=nobody-of-this-name\n",
    );
    machine.run("systemctl daemon-reload && ! systemctl start hello.socket");
    wait_until("the timer is not active", || !is_active(&machine, TIMER));

    machine.run("systemctl revert hello.socket && systemctl enable celebs.socket");
    machine.reboot();
    assert!(is_active(&machine, TIMER));
    machine.run("systemctl disable celebs.socket");
    machine.reboot();
    assert!(!is_active(&machine, TIMER));
    expect_silence(&machine);
}
