//! What happens around conversations: another program attached, a kill, an upgrade, a reboot, clients that vanish.

use std::io::{Read, Write};
use std::net::TcpStream;

use nix::libc::linger;
use nix::sys::socket::{setsockopt, sockopt::Linger};

use crate::conversation::expect;
use crate::deb::next_deb;
use crate::machine::{Machine, Release, wait_until};

on_both_releases!(
    another_program_is_attached_by_one_drop_in_and_one_restart,
    a_killed_conversation_disturbs_no_other,
    an_upgrade_leaves_conversations_alone,
    enabled_sockets_are_back_after_a_reboot,
    sockets_that_are_not_enabled_stay_closed_after_a_reboot,
    clients_that_vanish_leave_nothing_behind,
);

const HELLO: &str = "127.0.0.1:3333";
const CELEBS: &str = "127.0.0.1:3334";
const PROMPT: &str = "Please type Linux celebs name below:\n";

/// Attaches another program to a service's port the way the README says, with a real `systemctl edit`.
pub fn attach(machine: &Machine, service: &str, program: &str) {
    machine.write(
        "/root/drop-in",
        &format!("[Service]\nExecStart=\nExecStart=-{program}\n"),
    );
    // What a person does in the editor. Newer systemctl puts a line number before the file's name.
    machine.write(
        "/root/editor",
        "#!/bin/sh\nfor file; do :; done\nexec cp /root/drop-in \"$file\"\n",
    );
    machine.run(&format!(
        "chmod 755 /root/editor
         SYSTEMD_EDITOR=/root/editor script --quiet --return --command 'systemctl edit {service}@.service' /dev/null
         systemctl restart {service}.socket"
    ));
}

/// A celebs conversation that is under way.
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
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, ":quit, \n\nFinished\n");
}

fn another_program_is_attached_by_one_drop_in_and_one_restart(release: Release) {
    let machine = Machine::serving(release);
    let mut before = begin(&machine);

    attach(&machine, "hello", "/usr/libexec/sockunit/celebs");
    assert_eq!(
        String::from_utf8_lossy(&machine.converse(HELLO, b"maddog\nquit\n")),
        format!("{PROMPT}:maddog, \nhall\n{PROMPT}:quit, \n\nFinished\n")
    );
    // A program that knows nothing of sockets, with an argument.
    attach(&machine, "celebs", "/usr/bin/tr a-z A-Z");
    assert_eq!(machine.converse(CELEBS, b"linus\n"), b"LINUS\n");
    // The restart was the socket's: who was talking before goes on talking to the program of before.
    ask(&mut before);
    quit(before);

    // Its messages go to the journal under the service's name, never to the client.
    attach(&machine, "celebs", "/usr/bin/cat /nowhere");
    assert_eq!(machine.converse(CELEBS, b""), b"");
    machine.journal_until("-t celebs -o cat", "the message of cat", |text| {
        text.contains("cat: /nowhere: No such file or directory")
    });

    // And back again.
    machine.run(
        "systemctl revert hello@.service celebs@.service
         systemctl restart hello.socket celebs.socket",
    );
    assert!(machine.converse(HELLO, b"").starts_with(b"Hello World:"));
    quit(begin(&machine));
    machine.expect_nothing_left_of("hello");
    machine.expect_nothing_left_of("celebs");
}

fn a_killed_conversation_disturbs_no_other(release: Release) {
    let machine = Machine::serving(release);
    let mut victim = begin(&machine);
    let instance = machine
        .instances("celebs")
        .pop()
        .expect("an instance per conversation");
    let mut others: Vec<TcpStream> = (0..5).map(|_| begin(&machine)).collect();
    assert_eq!(machine.instances("celebs").len(), 6);

    machine.run(&format!(
        "kill -KILL $(systemctl show --property MainPID --value '{instance}')"
    ));
    let mut rest = Vec::new();
    // The kernel closes the connection; there are no last words.
    victim.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"");
    wait_until("the killed instance is gone", || {
        machine.instances("celebs").len() == 5
    });

    others.iter_mut().for_each(ask);
    quit(begin(&machine));
    others.into_iter().for_each(quit);
    machine.expect_nothing_left_of("celebs");
    // The process could not write its record, so systemd says what became of it.
    machine.journal_until(
        &format!("-u '{instance}' -o cat"),
        "what killed it",
        |text| text.contains("asked \"linus\"") && text.contains("status=9/KILL"),
    );
}

fn an_upgrade_leaves_conversations_alone(release: Release) {
    let machine = Machine::serving(release);
    let version = || machine.run("dpkg-query --show --showformat '${Version}' sockunit");
    let pids = || machine.run("systemctl show --property MainPID --value 'celebs@*.service'");
    let (old, mut stream) = (version(), begin(&machine));
    let pid = pids();

    machine.install(next_deb());
    assert_ne!(version(), old);
    assert_eq!(pids(), pid, "the conversation is still the same process");
    ask(&mut stream);
    // New conversations begin beside it: the sockets are as they were, started but not enabled.
    quit(begin(&machine));
    assert!(machine.converse(HELLO, b"").starts_with(b"Hello World:"));
    ask(&mut stream);
    quit(stream);
    for socket in ["hello.socket", "celebs.socket"] {
        assert_eq!(
            machine.run(&format!("systemctl is-active {socket}")),
            "active"
        );
        assert!(
            !machine
                .output(&format!("systemctl is-enabled {socket}"))
                .status
                .success()
        );
    }
    machine.expect_nothing_left_of("celebs");
    machine.journal_until("-t celebs -o cat", "the whole conversation", |text| {
        text.lines().filter(|line| line.contains(" quit: ")).count() == 2
    });
}

fn enabled_sockets_are_back_after_a_reboot(release: Release) {
    let mut machine = Machine::installed(release);
    machine.run("systemctl enable --now hello.socket celebs.socket");
    quit(begin(&machine));
    machine.journal_until("-t celebs -o cat", "the conversation", |text| {
        text.contains(" quit: ")
    });

    machine.reboot();
    assert!(
        machine
            .converse("[::1]:3333", b"")
            .starts_with(b"Hello World:")
    );
    quit(begin(&machine));
    machine.journal_until(
        "-t celebs -o cat -b",
        "the conversation of this boot",
        |text| text.contains(" quit: "),
    );
    let before = machine.journal("-t celebs -o cat -b -1");
    assert!(
        before.contains(" quit: "),
        "the records of the boot before are gone: {before}"
    );
}

fn sockets_that_are_not_enabled_stay_closed_after_a_reboot(release: Release) {
    let mut machine = Machine::serving(release);
    assert!(machine.converse(HELLO, b"").starts_with(b"Hello World:"));
    machine.reboot();
    for socket in ["hello.socket", "celebs.socket"] {
        assert!(
            !machine
                .output(&format!("systemctl is-active {socket}"))
                .status
                .success(),
            "{socket} is active"
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

fn clients_that_vanish_leave_nothing_behind(release: Release) {
    let machine = Machine::serving(release);
    for round in 0..20 {
        // At once, before anything was read: a reset instead of an orderly end.
        reset(machine.connect(HELLO));
        reset(machine.connect(CELEBS));
        // In the middle of a line, and in the middle of the answers to many.
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
    // To the services it is a normal end. Of a client that was gone before systemd looked there may be no record, but
    // there is one of each conversation that had begun.
    for (service, at_least, at_most) in [("hello", 0, 20), ("celebs", 20, 60)] {
        machine.journal_until(
            &format!("-t {service} -o cat"),
            &format!("{at_least} to {at_most} ends"),
            |text| {
                let ends = text
                    .lines()
                    .filter(|line| line.contains(" bytes received, "))
                    .count();
                (at_least..=at_most).contains(&ends)
            },
        );
        let worse = machine.journal(&format!("-t {service} -p warning"));
        assert_eq!(worse, "");
    }
    let manager = machine.journal("-p warning _PID=1 -o cat");
    assert!(!manager.contains('@'), "systemd complains: {manager}");
    quit(begin(&machine));
}

/// Closes a connection with a reset.
fn reset(stream: TcpStream) {
    setsockopt(
        &stream,
        Linger,
        &linger {
            l_onoff: 1,
            l_linger: 0,
        },
    )
    .unwrap();
}
