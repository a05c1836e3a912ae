//! What `sockunit check` finds in a running system.

use crate::machine::{Machine, Mode, Release, wait_until};

on_both_releases!(each_holder_of_a_name_or_a_port_is_told_with_its_place);

/// What is said, without the last line, which has to go with the exit status.
#[track_caller]
fn check(machine: &Machine, arguments: &str) -> Vec<String> {
    check_as(machine, "", arguments)
}

#[track_caller]
fn check_as(machine: &Machine, through: &str, arguments: &str) -> Vec<String> {
    let output = machine.output(&format!("{through} sockunit check {arguments}"));
    let told = String::from_utf8(output.stdout).unwrap();
    let mut lines: Vec<_> = told.lines().map(str::to_string).collect();
    let free = lines.pop().unwrap().starts_with("free: ");
    assert_eq!(output.status.code(), Some(i32::from(!free)), "{told}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    lines
}

#[track_caller]
fn expect(lines: &[String], wanted: &[&str]) {
    for line in wanted {
        assert!(
            lines.iter().any(|l| l.ends_with(line)),
            "no {line} in {lines:#?}"
        );
    }
}

fn each_holder_of_a_name_or_a_port_is_told_with_its_place(release: Release) {
    let machine = Machine::installed(release);
    assert_eq!(check(&machine, "greeter 4000"), [""; 0]);

    // Installed, and nothing else.
    let lines = check(&machine, "hello 3333");
    expect(
        &lines,
        &[
            "hello.socket uses the name hello and listens on 127.0.0.1:3333, [::1]:3333 (disabled, inactive)",
            "/hello@.service: hello@.service uses the name hello (static)",
            "/hello.service: hello.service uses the name hello (static, inactive)",
        ],
    );
    assert!(lines[0].starts_with("note: /etc/services:"), "{lines:#?}");
    assert_eq!(lines.len(), 4);

    // Enabled and started, a unit for each connection.
    machine.run("systemctl --quiet enable --now hello.socket");
    expect(
        &check(&machine, "hello 3333"),
        &[
            "[::1]:3333 (enabled, active)",
            "taken: 127.0.0.1:3333: listening socket: process 1 \"systemd\", for hello.socket",
            "taken: [::1]:3333: listening socket: process 1 \"systemd\", for hello.socket",
        ],
    );
    let nobody = "setpriv --reuid=65534 --regid=65534 --clear-groups";
    expect(
        &check_as(&machine, nobody, "greeter 3333"),
        &[
            "127.0.0.1:3333: listening socket: a process that is visible only to root, for hello.socket",
        ],
    );

    // One process for all holds the socket too.
    machine.switch(&["celebs"], Mode::Shared);
    assert!(!machine.converse("127.0.0.1:3334", b"quit\n").is_empty());
    let pid = machine.run("systemctl show --property=MainPID --value celebs.service");
    let both = format!(
        "process 1 \"systemd\", process {pid} \"celebs\" of celebs.service, for celebs.socket"
    );
    expect(&check(&machine, "greeter 3334"), &[&both]);

    // The file says one thing and systemd still another.
    machine.write(
        "/etc/systemd/system/hello.socket.d/port.conf",
        "[Socket]\nListenStream=\nListenStream=127.0.0.1:4000\n",
    );
    expect(
        &check(&machine, "greeter 4000"),
        &["hello.socket.d/port.conf:3: hello.socket listens on 127.0.0.1:4000 (enabled, active)"],
    );
    expect(
        &check(&machine, "greeter 3333"),
        &["hello.socket listens on 127.0.0.1:3333, [::1]:3333 (enabled, active)"],
    );

    // Nobody wrote a file for this one.
    machine.run(
        "systemd-run --quiet --unit=ghost --socket-property=ListenStream=127.0.0.1:4001 /bin/true",
    );
    expect(
        &check(&machine, "ghost 4001"),
        &[
            "ghost.socket uses the name ghost and listens on 127.0.0.1:4001 (static, active)",
            "127.0.0.1:4001: listening socket: process 1 \"systemd\", for ghost.socket",
        ],
    );

    machine.write(
        "/etc/xinetd.d/greeter",
        "service greeter\n{\n\ttype = UNLISTED\n\tport = 4002\n}\n",
    );
    let xinetd = "taken: /etc/xinetd.d/greeter:4: the xinetd service greeter uses the name greeter and the port 4002";
    assert_eq!(check(&machine, "greeter 4002"), [xinetd]);

    let mut socat = machine.spawn("echo $$; exec socat TCP-LISTEN:4003,fork /dev/null");
    let pid = {
        use std::io::BufRead;
        let mut line = String::new();
        let mut reader = std::io::BufReader::new(socat.stdout.take().unwrap());
        reader.read_line(&mut line).unwrap();
        line.trim().to_string()
    };
    let process = format!("taken: 0.0.0.0:4003: listening socket: process {pid} \"socat\"");
    wait_until("socat listens", || {
        check(&machine, "free 4003") == [process.as_str()]
    });
    machine.run(&format!("kill {pid}"));
    socat.wait().unwrap();

    // A user's own manager.
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
    expect(
        &check_as(&machine, someone, "--user mine 4004"),
        &[
            "/home/someone/.config/systemd/user/mine.socket:2: mine.socket uses the name mine and listens on 127.0.0.1:4004 (static, active)",
            ", for mine.socket",
        ],
    );
    assert_eq!(check(&machine, "mine 4005"), [""; 0]);
    expect(
        &check_as(&machine, someone, "--user hello 3333"),
        &["hello.socket listens on 127.0.0.1:3333, [::1]:3333 (enabled, active)"],
    );
}
