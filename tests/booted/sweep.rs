//! The timer that removes the files which systemd leaves in /run after a connection ends.

use std::io::Write;

use crate::machine::{CELEBS, HELLO, Machine, Release};
use crate::support::{PROMPT, expect, rest, wait_for};

on_both_releases!(
    a_sweep_keeps_only_the_files_of_open_connections,
    the_timer_sweeps_repeatedly,
    the_timer_is_active_while_a_socket_is_active,
);

/// The instances of hello@.service and celebs@.service that have a file with the fields of their log entries.
fn files(machine: &Machine) -> Vec<String> {
    machine
        .run("find /run/systemd/units -name 'log-extra-fields:hello@*' -o -name 'log-extra-fields:celebs@*'")
        .lines()
        .map(|path| path.rsplit_once("log-extra-fields:").unwrap().1.to_string())
        .collect()
}

/// Asserts that the sweep logged nothing and that no unit failed.
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
    machine.property(unit, "ActiveState") == "active"
}

fn a_sweep_keeps_only_the_files_of_open_connections(release: Release) {
    let machine = Machine::serving(release);
    // The test counts the files before the sweep.
    machine.run("systemctl stop sockunit-sweep.timer");
    let mut stream = machine.connect(CELEBS);
    expect(&mut stream, PROMPT);
    let open = machine.instances("celebs").pop().unwrap();
    for _ in 0..150 {
        assert!(machine.converse(HELLO, b"").starts_with(b"Hello World:"));
        machine.converse(CELEBS, b"quit\n");
    }
    machine.expect_nothing_left_of("hello");
    wait_for("only the open connection has an instance", || {
        machine.instances("celebs") == [open.as_str()]
    });
    // Control: systemd does not remove the files itself.
    assert_eq!(files(&machine).len(), 301);
    // After a daemon-reload systemd still knows which units are loaded.
    machine.run("systemctl daemon-reload && systemctl start sockunit-sweep.service");
    assert_eq!(files(&machine), [open.as_str()]);

    // A restarted journald reads the file of the open connection again.
    machine.run("systemctl restart systemd-journald.service");
    stream.write_all(b"linus\nquit\n").unwrap();
    rest(stream);
    let connection = open.strip_prefix("celebs@").unwrap();
    let connection = connection.strip_suffix(".service").unwrap();
    machine.journal_until(
        &format!("-o cat _SYSTEMD_UNIT='{open}' CONNECTION='{connection}'"),
        "the entries after the sweep",
        |text| text.contains("asked \"linus\"") && text.contains(" quit: "),
    );
    machine.expect_nothing_left_of("celebs");
    machine.run("systemctl start sockunit-sweep.service");
    assert_eq!(files(&machine), [""; 0]);
    expect_silence(&machine);
}

fn the_timer_sweeps_repeatedly(release: Release) {
    let machine = Machine::installed(release);
    // The shipped timer elapses for the first time a minute after the start of the socket.
    machine.write(
        "/etc/systemd/system/sockunit-sweep.timer.d/soon.conf",
        "[Timer]\nOnActiveSec=\nOnUnitActiveSec=\nOnActiveSec=200ms\nOnUnitActiveSec=200ms\nAccuracySec=1ms\n",
    );
    machine.run("systemctl daemon-reload && systemctl start hello.socket");
    let last = || machine.property("sockunit-sweep.timer", "LastTriggerUSecMonotonic");
    for _ in 0..3 {
        assert!(machine.converse(HELLO, b"").starts_with(b"Hello World:"));
        machine.expect_nothing_left_of("hello");
        wait_for("the file of the connection is gone", || {
            files(&machine).is_empty()
        });
        // The timer goes on after a time without files to sweep, at which it starts no service.
        let before = last();
        wait_for("the timer has elapsed again", || last() != before);
    }
    expect_silence(&machine);
}

fn the_timer_is_active_while_a_socket_is_active(release: Release) {
    const TIMER: &str = "sockunit-sweep.timer";
    let mut machine = Machine::installed(release);
    assert!(!is_active(&machine, TIMER));
    machine.run("systemctl start celebs.socket");
    wait_for("the timer is active", || is_active(&machine, TIMER));
    machine.run("systemctl start hello.socket && systemctl stop celebs.socket");
    // With one socket active, a daemon-reload does not stop the timer.
    machine.run("systemctl daemon-reload");
    assert!(is_active(&machine, TIMER));
    machine.run("systemctl stop hello.socket");
    wait_for("the timer stops with the last socket", || {
        !is_active(&machine, TIMER)
    });

    // A socket that fails to start does not keep the timer active.
    machine.write(
        "/etc/systemd/system/hello.socket.d/nobody.conf",
        "[Socket]\nSocketUser=nobody-of-this-name\n",
    );
    machine.run("systemctl daemon-reload && ! systemctl start hello.socket");
    wait_for("the timer is not active", || !is_active(&machine, TIMER));

    machine.run("systemctl revert hello.socket && systemctl enable celebs.socket");
    machine.reboot();
    assert!(is_active(&machine, TIMER));
    machine.run("systemctl disable celebs.socket");
    machine.reboot();
    assert!(!is_active(&machine, TIMER));
    expect_silence(&machine);
}
