//! `sockunit check` on a running system.

use std::io::{BufRead, BufReader};

use crate::machine::{CELEBS, Machine, Release};
use crate::support::{Mode, wait_for};

on_both_releases!(
    every_conflict_is_reported_with_its_location,
    sixteen_hundred_sockets_are_checked_in_a_second,
    sockets_with_drop_ins_and_instances_are_checked_with_as_many_system_calls_for_each,
);

/// The lines before the verdict. Asserts that the exit status agrees with the verdict.
#[track_caller]
fn check(machine: &Machine, arguments: &str) -> Vec<String> {
    check_as(machine, "", arguments)
}

/// As `check`, run by a command such as setpriv.
#[track_caller]
fn check_as(machine: &Machine, by: &str, arguments: &str) -> Vec<String> {
    let output = machine.output(&format!("{by} sockunit check {arguments}"));
    let printed = String::from_utf8(output.stdout).unwrap();
    let mut lines: Vec<_> = printed.lines().map(str::to_string).collect();
    let free = lines.pop().unwrap().starts_with("free: ");
    assert_eq!(output.status.code(), Some(i32::from(!free)), "{printed}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    lines
}

/// Asserts that each text is the end of one of the lines.
#[track_caller]
fn assert_lines_end_with(lines: &[String], wanted: &[&str]) {
    for line in wanted {
        assert!(
            lines.iter().any(|l| l.ends_with(line)),
            "no {line} in {lines:#?}"
        );
    }
}

fn every_conflict_is_reported_with_its_location(release: Release) {
    let machine = Machine::installed(release);
    assert_eq!(check(&machine, "greeter 4000"), [""; 0]);

    // Installed only.
    let lines = check(&machine, "hello 3333");
    assert_lines_end_with(
        &lines,
        &[
            "hello.socket uses the name hello and is configured to listen on 127.0.0.1:3333, [::1]:3333 (disabled, inactive)",
            "/hello@.service: hello@.service uses the name hello (static)",
            "/hello.service: hello.service uses the name hello (static, inactive)",
        ],
    );
    assert!(lines[0].starts_with("note: /etc/services:"), "{lines:#?}");
    assert_eq!(lines.len(), 4);

    // Enabled and started, with a unit for each connection.
    machine.run("systemctl --quiet enable --now hello.socket");
    assert_lines_end_with(
        &check(&machine, "hello 3333"),
        &[
            "[::1]:3333 (enabled, active)",
            "conflict: 127.0.0.1:3333: listening socket: process 1 \"systemd\", for hello.socket",
            "conflict: [::1]:3333: listening socket: process 1 \"systemd\", for hello.socket",
        ],
    );
    let nobody = "setpriv --reuid=65534 --regid=65534 --clear-groups";
    assert_lines_end_with(
        &check_as(&machine, nobody, "greeter 3333"),
        &[
            "127.0.0.1:3333: listening socket: a process that is visible only to root, for hello.socket",
        ],
    );

    // A shared process holds the socket too.
    machine.switch(&["celebs"], Mode::Shared);
    assert!(!machine.converse(CELEBS, b"quit\n").is_empty());
    let pid = machine.property("celebs.service", "MainPID");
    let both = format!(
        "process 1 \"systemd\", process {pid} \"celebs\" of celebs.service, for celebs.socket"
    );
    assert_lines_end_with(&check(&machine, "greeter 3334"), &[&both]);

    // The drop-in has one port, and systemd has still loaded another.
    machine.write(
        "/etc/systemd/system/hello.socket.d/port.conf",
        "[Socket]\nListenStream=\nListenStream=127.0.0.1:4000\n",
    );
    assert_lines_end_with(
        &check(&machine, "greeter 4000"),
        &["hello.socket.d/port.conf:3: hello.socket listens on 127.0.0.1:4000 (enabled, active)"],
    );
    assert_lines_end_with(
        &check(&machine, "greeter 3333"),
        &["hello.socket listens on 127.0.0.1:3333, [::1]:3333 (enabled, active)"],
    );

    // A transient unit has no file of an administrator or a package.
    machine.run(
        "systemd-run --quiet --unit=ghost --socket-property=ListenStream=127.0.0.1:4001 /bin/true",
    );
    assert_lines_end_with(
        &check(&machine, "ghost 4001"),
        &[
            "ghost.socket uses the name ghost and listens on 127.0.0.1:4001 (static, active)",
            "127.0.0.1:4001: listening socket: process 1 \"systemd\", for ghost.socket",
        ],
    );

    machine.write(
        "/etc/xinetd.d/greeter",
        "service greeter\n{\n\ttype = UNLISTED\n\tport = 4002\n\tsocket_type = stream\n\twait = no\n\tuser = root\n\tserver = /bin/cat\n}\n",
    );
    let xinetd = "conflict: /etc/xinetd.d/greeter:4: the xinetd service greeter uses the port 4002";
    assert_eq!(check(&machine, "greeter 4002"), [xinetd]);

    let mut socat = machine.spawn("echo $$; exec socat TCP-LISTEN:4003,fork /dev/null");
    let mut pid = String::new();
    let mut stdout = BufReader::new(socat.stdout.take().unwrap());
    stdout.read_line(&mut pid).unwrap();
    let pid = pid.trim();
    let process = format!("conflict: 0.0.0.0:4003: listening socket: process {pid} \"socat\"");
    wait_for("socat listens", || {
        check(&machine, "free 4003") == [process.as_str()]
    });
    machine.run(&format!("kill {pid}"));
    socat.wait().unwrap();

    // Units of a user's service manager.
    machine.run("useradd --create-home --uid 1000 someone");
    machine.write(
        "/home/someone/.config/systemd/user/mine.socket",
        "[Socket]\nListenStream=127.0.0.1:4004\n",
    );
    machine.write(
        "/home/someone/.config/systemd/user/mine.service",
        "[Service]\nExecStart=/bin/true\n",
    );
    machine.run("chown -R someone: /home/someone && systemctl start user@1000.service");
    let someone = "setpriv --reuid=1000 --regid=1000 --clear-groups env HOME=/home/someone";
    machine.run(&format!(
        "{someone} XDG_RUNTIME_DIR=/run/user/1000 systemctl --user start mine.socket"
    ));
    assert_lines_end_with(
        &check_as(&machine, someone, "--user mine 4004"),
        &[
            "/home/someone/.config/systemd/user/mine.socket:2: mine.socket uses the name mine and listens on 127.0.0.1:4004 (static, active)",
            ", for mine.socket",
        ],
    );
    assert_eq!(check(&machine, "mine 4005"), [""; 0]);
    assert_lines_end_with(
        &check_as(&machine, someone, "--user hello 3333"),
        &["hello.socket listens on 127.0.0.1:3333, [::1]:3333 (enabled, active)"],
    );
}

fn sixteen_hundred_sockets_are_checked_in_a_second(release: Release) {
    let machine = Machine::installed(release);
    machine.run(
        "cd /etc/systemd/system; mkdir -p sockets.target.wants
         for n in $(seq 1600); do
             printf '[Socket]\\nListenStream=%d\\nAccept=yes\\n' $((10000 + n)) >s$n.socket
             printf '[Service]\\nExecStart=/bin/true\\n' >s$n@.service
             ln -s ../s$n.socket sockets.target.wants
         done
         systemctl daemon-reload",
    );
    let timed = |command: &str| {
        let output = machine.output(&format!(
            "begin=$(date +%s%N); {command} >&2 || :; echo $((($(date +%s%N) - begin) / 1000000))"
        ));
        let taken: u64 = String::from_utf8(output.stdout)
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        (taken, String::from_utf8(output.stderr).unwrap())
    };
    // The machine may be busy with something else.
    let (taken, said) = (0..5)
        .map(|_| timed("sockunit check new 11600"))
        .min()
        .unwrap();
    assert!(
        said.contains("s1600.socket is configured to listen on 11600 (enabled"),
        "{said}"
    );
    assert!(taken < 1000, "{taken} ms");
}

/// Half of them have their port from a drop-in, and half are instances of a template, which have a drop-in too.
fn sockets_with_drop_ins_and_instances_are_checked_with_as_many_system_calls_for_each(
    release: Release,
) {
    let machine = Machine::installed(release);
    machine.run(
        "cd /etc/systemd/system; mkdir -p sockets.target.wants
         printf '[Socket]\\nListenStream=%%i\\nAccept=yes\\n' >t@.socket
         printf '[Service]\\nExecStart=/bin/true\\n' >t@.service",
    );
    let calls = |first: u32, last: u32| -> u32 {
        machine.run(&format!(
            "cd /etc/systemd/system
             for n in $(seq {first} 2 {last}); do
                 printf '[Socket]\\nListenStream=1\\nAccept=yes\\n' >s$n.socket
                 printf '[Service]\\nExecStart=/bin/true\\n' >s$n@.service
                 mkdir s$n.socket.d t@$((10001 + n)).socket.d
                 printf '[Socket]\\nListenStream=\\nListenStream=%d\\n' $((10000 + n)) >s$n.socket.d/port.conf
                 printf '[Socket]\\nBacklog=5\\n' >t@$((10001 + n)).socket.d/backlog.conf
                 ln -s ../s$n.socket sockets.target.wants
                 ln -s ../t@.socket sockets.target.wants/t@$((10001 + n)).socket
             done
             systemctl daemon-reload"
        ));
        let port = 10000 + last - 1;
        let output = machine.output(&format!("sockunit check new {port}"));
        let said = String::from_utf8(output.stdout).unwrap();
        let taken = format!(
            "s{}.socket is configured to listen on {port} (enabled",
            last - 1
        );
        assert!(said.contains(&taken), "{said}");
        let calls = machine.run(
            "strace -f -qq -o /root/calls sockunit check new 9 >/dev/null; wc -l </root/calls",
        );
        calls.trim().parse().unwrap()
    };
    let half = calls(1, 800);
    let all = calls(801, 1600);
    assert!(all < 5 * half / 2, "{half} calls for 800, {all} for 1600");
}
