//! What happens around sessions: another program attached, a killed process, an upgrade, a reboot, connections that
//! clients reset.

use std::io::Write;
use std::net::TcpStream;

use crate::deb::next_deb;
use crate::machine::{CELEBS, HELLO, Machine, Release};
use crate::support::{PROMPT, expect, reset, rest, wait_for};

on_both_releases!(
    one_drop_in_and_one_restart_attach_another_program,
    a_killed_process_ends_only_its_own_session,
    an_upgrade_keeps_sessions_alive,
    enabled_sockets_listen_after_a_reboot,
    disabled_sockets_do_not_listen_after_a_reboot,
    connections_that_clients_reset_leave_no_units,
);

const SOCKETS: [&str; 2] = ["hello.socket", "celebs.socket"];

/// Attaches another program to the port of a service with `systemctl edit`, as the README shows.
pub fn attach(machine: &Machine, service: &str, program: &str) {
    machine.write(
        "/root/drop-in",
        &format!("[Service]\nExecStart=\nExecStart=-{program}\n"),
    );
    // Stands in for the editor. systemctl 257 passes a line number before the file name.
    machine.program(
        "/root/editor",
        "#!/bin/sh\nfor file; do :; done\nexec cp /root/drop-in \"$file\"\n",
    );
    machine.run(&format!(
        "SYSTEMD_EDITOR=/root/editor script --quiet --return --command 'systemctl edit {service}@.service' /dev/null
         systemctl restart {service}.socket"
    ));
}

/// A celebs session that has answered one name.
fn begin(machine: &Machine) -> TcpStream {
    let mut stream = machine.connect(CELEBS);
    expect(&mut stream, PROMPT);
    ask(&mut stream);
    stream
}

#[track_caller]
fn ask(stream: &mut TcpStream) {
    stream.write_all(b"linus\n").unwrap();
    expect(stream, &format!(":linus, \ntorvalds\n{PROMPT}"));
}

#[track_caller]
fn quit(mut stream: TcpStream) {
    stream.write_all(b"quit\n").unwrap();
    assert_eq!(rest(stream), ":quit, \n\nFinished\n");
}

fn one_drop_in_and_one_restart_attach_another_program(release: Release) {
    let machine = Machine::serving(release);
    let mut before = begin(&machine);

    attach(&machine, "hello", "/usr/libexec/sockunit/celebs");
    assert_eq!(
        String::from_utf8_lossy(&machine.converse(HELLO, b"maddog\nquit\n")),
        format!("{PROMPT}:maddog, \nhall\n{PROMPT}:quit, \n\nFinished\n")
    );
    // A program without socket code, with arguments.
    attach(&machine, "celebs", "/usr/bin/tr a-z A-Z");
    assert_eq!(machine.converse(CELEBS, b"linus\n"), b"LINUS\n");
    // Only the socket was restarted: the session from before continues with the program from before.
    ask(&mut before);
    quit(before);

    // Standard error goes to the journal under the service name, not to the client.
    attach(&machine, "celebs", "/usr/bin/cat /nowhere");
    assert_eq!(machine.converse(CELEBS, b""), b"");
    machine.journal_until("-t celebs -o cat", "the message of cat", |text| {
        text.contains("cat: /nowhere: No such file or directory")
    });

    // Without the drop-ins the services are as installed.
    machine.run(
        "systemctl revert hello@.service celebs@.service
         systemctl restart hello.socket celebs.socket",
    );
    assert!(machine.converse(HELLO, b"").starts_with(b"Hello World:"));
    quit(begin(&machine));
    machine.expect_nothing_left_of("hello");
    machine.expect_nothing_left_of("celebs");
}

fn a_killed_process_ends_only_its_own_session(release: Release) {
    let machine = Machine::serving(release);
    let victim = begin(&machine);
    let instance = machine
        .instances("celebs")
        .pop()
        .expect("there is an instance for the session");
    let mut others: Vec<TcpStream> = (0..5).map(|_| begin(&machine)).collect();
    assert_eq!(machine.instances("celebs").len(), 6);

    machine.run(&format!(
        "kill -KILL {}",
        machine.property(&instance, "MainPID")
    ));
    // The kernel closes the connection; celebs sends nothing.
    assert_eq!(rest(victim), "");
    wait_for("the killed instance is gone", || {
        machine.instances("celebs").len() == 5
    });

    others.iter_mut().for_each(ask);
    quit(begin(&machine));
    others.into_iter().for_each(quit);
    machine.expect_nothing_left_of("celebs");
    // The killed process writes no log entry; systemd logs the signal.
    machine.journal_until(
        &format!("-u '{instance}' -o cat"),
        "what killed it",
        |text| text.contains("asked \"linus\"") && text.contains("status=9/KILL"),
    );
}

fn an_upgrade_keeps_sessions_alive(release: Release) {
    let machine = Machine::serving(release);
    let version = || machine.run("dpkg-query --show --showformat '${Version}' sockunit");
    let pids = || machine.property("celebs@*.service", "MainPID");
    let (old, mut stream) = (version(), begin(&machine));
    let pid = pids();

    machine.install(next_deb());
    assert_ne!(version(), old);
    assert_eq!(pids(), pid, "the session has the same process");
    ask(&mut stream);
    // New sessions begin meanwhile. The sockets are as before: started but not enabled.
    quit(begin(&machine));
    assert!(machine.converse(HELLO, b"").starts_with(b"Hello World:"));
    ask(&mut stream);
    quit(stream);
    for socket in SOCKETS {
        assert_eq!(machine.property(socket, "ActiveState"), "active");
        assert_eq!(machine.property(socket, "UnitFileState"), "disabled");
    }
    machine.expect_nothing_left_of("celebs");
    machine.journal_until("-t celebs -o cat", "both sessions", |text| {
        text.lines().filter(|line| line.contains(" quit: ")).count() == 2
    });
}

fn enabled_sockets_listen_after_a_reboot(release: Release) {
    let mut machine = Machine::installed(release);
    machine.run("systemctl enable --now hello.socket celebs.socket");
    quit(begin(&machine));
    machine.journal_until("-t celebs -o cat", "the session", |text| {
        text.contains(" quit: ")
    });

    machine.reboot();
    assert!(
        machine
            .converse("[::1]:3333", b"")
            .starts_with(b"Hello World:")
    );
    quit(begin(&machine));
    machine.journal_until("-t celebs -o cat -b", "the session of this boot", |text| {
        text.contains(" quit: ")
    });
    let before = machine.journal("-t celebs -o cat -b -1");
    assert!(
        before.contains(" quit: "),
        "entries of the boot before: {before}"
    );
}

fn disabled_sockets_do_not_listen_after_a_reboot(release: Release) {
    let mut machine = Machine::serving(release);
    assert!(machine.converse(HELLO, b"").starts_with(b"Hello World:"));
    machine.reboot();
    for socket in SOCKETS {
        assert_eq!(
            machine.property(socket, "ActiveState"),
            "inactive",
            "{socket}"
        );
    }
    for port in [3333, 3334] {
        let refused = machine.in_network(|| TcpStream::connect(("127.0.0.1", port)));
        assert_eq!(
            refused.unwrap_err().kind(),
            std::io::ErrorKind::ConnectionRefused
        );
    }
}

fn connections_that_clients_reset_leave_no_units(release: Release) {
    let machine = Machine::serving(release);
    for round in 0..20 {
        // Before the client reads anything.
        reset(machine.connect(HELLO));
        reset(machine.connect(CELEBS));
        // In the middle of a line, and in the middle of many answers.
        let mut stream = begin(&machine);
        stream.write_all(b"lin").unwrap();
        reset(stream);
        let mut stream = machine.connect(CELEBS);
        stream
            .write_all(&b"linus\n".repeat(1000 * (round % 2)))
            .unwrap();
        reset(stream);
    }
    machine.expect_nothing_left_of("hello");
    machine.expect_nothing_left_of("celebs");
    // For the services a reset is a normal end. If systemd accepts a connection after its reset there may be no entry, but
    // each session that had begun has one.
    for (service, sessions) in [("hello", 0..=20), ("celebs", 20..=60)] {
        machine.journal_until(
            &format!("-t {service} -o cat"),
            &format!("{sessions:?} ends"),
            |text| sessions.contains(&text.matches(" bytes received, ").count()),
        );
        let worse = machine.journal(&format!("-t {service} -p warning"));
        assert_eq!(worse, "");
    }
    let manager = machine.journal("-p warning _PID=1 -o cat");
    assert!(!manager.contains('@'), "systemd logs a warning: {manager}");
    quit(begin(&machine));
}
