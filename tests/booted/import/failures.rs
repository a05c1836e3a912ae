//! `sockunit import` where it cannot go on, or where a service of inetd deceives it.

use super::{answer, connected, whole, with_programs};
use crate::machine::{Machine, Release};
use crate::support::wait_for;

on_both_releases!(
    a_line_whose_port_stays_in_use_is_given_back_as_a_whole,
    a_signal_has_the_old_service_back_before_it_ends_import,
    a_child_of_inetd_does_not_hide_the_options_of_inetd,
    a_revert_that_was_killed_is_completed_by_the_next,
    whatever_systemctl_does_not_do_a_port_has_one_service_or_import_says_what_is_left,
);

/// The first line has a socket for IPv4 and one for IPv6.
const INETD: &str = "\
7003	stream	tcp	wait	nobody	/usr/local/bin/accepts	accepts
7004	stream	tcp	nowait	nobody	/usr/local/bin/count	count
7005	stream	tcp	nowait	nobody	/usr/local/bin/liar	liar
";

/// Leaves a process that calls itself inetd.
const LIAR: &str =
    "#!/bin/bash\n(exec -a inetd sleep 1000) </dev/null >/dev/null 2>&1 &\necho liar\n";

const APPLY: &str = "sockunit import --apply --disable-old";

/// A machine in which openbsd-inetd serves, with these options.
fn with_inetd(release: Release, options: &str) -> Machine {
    let machine = with_programs(release);
    machine.program("/usr/local/bin/liar", LIAR);
    machine.write("/etc/inetd.conf", INETD);
    machine.run(&format!(
        "systemctl disable --now xinetd.service
         cd /opt/openbsd-inetd
         sed 's,/usr/sbin/inetd,/opt/openbsd-inetd/usr/sbin/inetd {options},' $(find . -name inetd.service) \
             >/etc/systemd/system/inetd.service"
    ));
    restart(&machine);
    machine
}

/// Has inetd read its configuration, and that of its unit, from the start.
fn restart(machine: &Machine) {
    machine.run("systemctl daemon-reload; systemctl restart inetd.service");
    wait_for("inetd serves", || {
        answer(connected(machine, "127.0.0.1:7004"), b"12345") == "5\n"
    });
}

/// Has the program with `wait` run, with the IPv4 socket.
fn hold(machine: &Machine) {
    assert!(whole(machine, "127.0.0.1:7003").starts_with("1 "));
}

/// The program exits after its second connection.
fn release_port(machine: &Machine) {
    assert!(whole(machine, "127.0.0.1:7003").starts_with("2 "));
}

/// What a machine has of the first line: the lines of inetd.conf, and the names of units.
fn first_line(machine: &Machine) -> (String, String) {
    let line = machine.run("grep 7003 /etc/inetd.conf");
    let units = machine.run("find /etc/systemd/system -name 'port-7003*'");
    (line, units)
}

fn untouched() -> (String, String) {
    (INETD.lines().next().unwrap().to_owned(), String::new())
}

fn a_line_whose_port_stays_in_use_is_given_back_as_a_whole(release: Release) {
    let machine = with_inetd(release, "");
    hold(&machine);
    let report = || {
        let output = machine.output(APPLY);
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stdout).unwrap()
    };
    let why = "\nnot installed: port-7003, port-7003-tcp6: the port 7003 is still in use\n\
               the old service is enabled again: /etc/inetd.conf\nhint: ";
    let text = report();
    assert!(text.contains(why), "{text}");
    assert!(
        text.contains("\nstarted, now and at every boot: port-7004\n"),
        "{text}"
    );
    assert_eq!(first_line(&machine), untouched());
    assert!(whole(&machine, "[::1]:7003").starts_with("1 "));
    assert!(whole(&machine, "[::1]:7003").starts_with("2 "));

    // An earlier run was killed when it had disabled the line.
    machine.run(&format!(
        "{APPLY} >/dev/null 2>&1 & pid=$!
         until grep -q '^#<off># 7003' /etc/inetd.conf; do sleep 0.1; done
         kill -KILL $pid; wait $pid || true"
    ));
    assert!(first_line(&machine).1.contains("port-7003-tcp6.socket"));
    let text = report();
    assert!(text.contains(why), "{text}");
    assert_eq!(first_line(&machine), untouched());

    release_port(&machine);
    let text = machine.run(APPLY);
    let started = "\nstarted, now and at every boot: port-7003\nstarted, now and at every boot: port-7003-tcp6\n";
    assert!(text.contains(started), "{text}");
    for address in ["127.0.0.1:7003", "[::1]:7003"] {
        assert!(whole(&machine, address).starts_with("1 "), "{address}");
    }
    machine.run("sockunit import --revert");
    assert_eq!(machine.run("cat /etc/inetd.conf") + "\n", INETD);
}

fn a_signal_has_the_old_service_back_before_it_ends_import(release: Release) {
    let machine = with_inetd(release, "");
    hold(&machine);
    let status = machine.run(&format!(
        "{APPLY} >/root/report 2>&1 & pid=$!
         until grep -q '^#<off># 7003' /etc/inetd.conf; do sleep 0.1; done
         kill -TERM $pid; wait $pid || echo $?"
    ));
    // By the signal.
    assert_eq!(status, "143");
    let report = machine.run("cat /root/report");
    for line in [
        "not installed: port-7003, port-7003-tcp6: interrupted",
        "the old service is enabled again: /etc/inetd.conf",
        "not installed: port-7004: interrupted",
    ] {
        assert!(report.contains(&format!("\n{line}\n")), "{line}: {report}");
    }
    assert_eq!(machine.run("cat /etc/inetd.conf") + "\n", INETD);
    assert_eq!(machine.run("find /etc/systemd/system -name 'port-*'"), "");
    for address in ["127.0.0.1:7004", "[::1]:7004"] {
        assert_eq!(answer(connected(&machine, address), b"12345"), "5\n");
    }
    assert!(whole(&machine, "[::1]:7003").starts_with("1 "));
}

fn a_child_of_inetd_does_not_hide_the_options_of_inetd(release: Release) {
    let machine = with_inetd(release, "-l");
    machine.write("/etc/hosts.deny", "accepts: ALL\n");
    assert_eq!(whole(&machine, "127.0.0.1:7005"), "liar\n");
    let liar = machine.run("pgrep -u nobody -f '^inetd 1000'");
    // systemd knows which process is inetd, unless a script has started it.
    let of_script = "[Service]\nType=forking\nGuessMainPID=no\nWatchdogSec=0\n";
    for (drop_in, options) in [("", "-l"), ("", ""), (of_script, ""), (of_script, "-l")] {
        machine.write("/etc/systemd/system/inetd.service.d/type.conf", drop_in);
        machine.run(&format!(
            "sed -i 's,usr/sbin/inetd.*,usr/sbin/inetd {options},' /etc/systemd/system/inetd.service"
        ));
        restart(&machine);
        assert_eq!(machine.run("pgrep -u nobody -f '^inetd 1000'"), liar);
        let report = machine.output("sockunit import").stdout;
        let report = String::from_utf8(report).unwrap();
        let applies = report
            .matches("not written: inetd -l applies the rules")
            .count();
        let expected = if options == "-l" { 4 } else { 0 };
        assert_eq!(applies, expected, "{drop_in} {options}: {report}");
    }
}

fn a_revert_that_was_killed_is_completed_by_the_next(release: Release) {
    let machine = with_inetd(release, "");
    machine.run(APPLY);
    // The line is enabled again already, and inetd does not know it.
    machine.write("/etc/inetd.conf", INETD);
    let report = machine.run("sockunit import --revert");
    assert!(report.contains("removed: port-7004\n"), "{report}");
    wait_for("inetd serves again", || {
        answer(connected(&machine, "127.0.0.1:7004"), b"12345") == "5\n"
    });
}

/// A systemctl that fails from one of its calls on, to another.
const FAILING: &str = r#"#!/bin/sh
n=$(($(cat /run/calls) + 1))
echo $n >/run/calls
if [ $n -ge "$FIRST" ] && [ $n -le "$LAST" ]; then
    echo "no answer" >&2
    exit 1
fi
exec /usr/bin/systemctl "$@"
"#;

/// The ports of two lines of inetd.conf.
const PORTS: [u16; 2] = [7004, 7006];

/// Runs import with a systemctl that fails from one call on, once or for good. Returns its report, and whether
/// systemctl was called that often.
fn with_failing_systemctl(
    machine: &Machine,
    options: &str,
    first: u32,
    last: u32,
) -> (String, bool) {
    let text = machine.run(&format!(
        "echo 0 >/run/calls
         FIRST={first} LAST={last} PATH=/opt/failing:$PATH sockunit import {options} 2>&1 || status=$?
         echo \"exit status ${{status:-0}}, calls: $(cat /run/calls)\""
    ));
    let (report, calls) = text.rsplit_once(", calls: ").unwrap();
    let calls: u32 = calls.parse().unwrap();
    assert!(
        report.ends_with("exit status 0") || calls >= first,
        "{first}: {text}"
    );
    (report.to_owned(), calls >= first)
}

/// Runs the commands of hints in a report.
fn paste(machine: &Machine, report: &str) {
    let is_command =
        |line: &&str| line.starts_with("    systemctl ") || line.starts_with("    sockunit ");
    let commands = report.lines().filter(is_command);
    // A unit that did not run is not loaded any more.
    machine.run(
        &commands
            .map(|line| format!("{line} || :\n"))
            .collect::<String>(),
    );
}

/// Whether systemd serves each port, and not inetd. Asserts that one of them does.
fn served_by_systemd(machine: &Machine, report: &str) -> [bool; 2] {
    let text = machine.run("cat /etc/inetd.conf");
    PORTS.map(|port| {
        let is_off = text.contains(&format!("#<off># {port}"));
        let has_units = machine.run(&format!(
            "find /etc/systemd/system -name 'port-{port}*'; systemctl --quiet is-active port-{port}.socket && echo runs || :"
        ));
        let expected = match is_off {
            true => 4,
            false => 0,
        };
        assert_eq!(has_units.lines().count(), expected, "{has_units}: {report}");
        for address in ["127.0.0.1", "[::1]"] {
            wait_for(&format!("somebody serves {address} port {port}: {report}"), || {
                let client = connected(machine, &format!("{address}:{port}"));
                answer(client, b"12345") == "5\n"
            });
        }
        is_off
    })
}

fn whatever_systemctl_does_not_do_a_port_has_one_service_or_import_says_what_is_left(
    release: Release,
) {
    let machine = with_inetd(release, "");
    let line = |port| format!("{port} stream tcp nowait nobody /usr/local/bin/count count\n");
    let before = PORTS.map(line).concat();
    machine.write("/etc/inetd.conf", &before);
    machine.program("/opt/failing/systemctl", FAILING);
    restart(&machine);
    let installed =
        |report: &str| PORTS.map(|port| report.contains(&format!("boot: port-{port}\n")));
    // For good, a call after each third is enough.
    for (last, step) in [(None, 1), (Some(u32::MAX), 3)] {
        let mut first = 0;
        loop {
            first += step;
            let (report, has_failed) = with_failing_systemctl(
                &machine,
                "--apply --disable-old /etc/inetd.conf",
                first,
                last.unwrap_or(first),
            );
            paste(&machine, &report);
            let by_systemd = served_by_systemd(&machine, &report);
            assert_eq!(by_systemd, installed(&report), "{first}: {report}");
            if !has_failed {
                break;
            }
            if by_systemd != [false; 2] {
                machine.run("sockunit import --revert");
            }
            assert_eq!(machine.run("cat /etc/inetd.conf") + "\n", before);
        }
        assert!(first > 5, "{first}");
        // The same for the way back.
        let mut first = 0;
        loop {
            first += step;
            let (report, has_failed) =
                with_failing_systemctl(&machine, "--revert", first, last.unwrap_or(first));
            paste(&machine, &report);
            let by_systemd = served_by_systemd(&machine, &report);
            if !has_failed {
                assert_eq!(by_systemd, [false; 2], "{report}");
                break;
            }
            machine.run(&format!("{APPLY} /etc/inetd.conf"));
        }
        assert!(first > 5, "{first}");
    }
    assert_eq!(machine.run("cat /etc/inetd.conf") + "\n", before);
    assert_eq!(machine.run("systemctl --failed --plain --no-legend"), "");
}
