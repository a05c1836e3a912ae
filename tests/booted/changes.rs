//! Changes of attached services that fail or are interrupted, and units of others that have the name.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Child;

use crate::machine::{Machine, Release};
use crate::support::wait_for;

on_both_releases!(
    units_of_others_with_the_name_are_never_stopped,
    a_signal_leaves_a_service_that_is_replaced_or_removed_in_use,
    a_killed_add_is_finished_by_the_same_command,
    what_systemctl_cannot_undo_is_not_started_by_the_next_boot,
    a_stopped_socket_and_files_that_systemd_has_not_read_are_told_apart_from_a_killed_add,
);

/// Echoes lines, with a word before them.
const PROGRAM: &str = "#!/bin/sh\nwhile read -r line; do echo \"$WORD $line\"; done\n";

fn with_program(release: Release) -> Machine {
    let machine = Machine::installed(release);
    machine.program("/usr/local/bin/echo-lines", PROGRAM);
    machine
}

/// The command that attaches it.
fn add(options: &str, name: &str, port: u16) -> String {
    format!("sockunit add {options} {name} {port} -- /usr/local/bin/echo-lines")
}

/// What a service answers.
fn answer(machine: &Machine, port: u16) -> String {
    let answer = machine.converse(&format!("127.0.0.1:{port}"), b"here\n");
    String::from_utf8(answer).unwrap()
}

/// Whether nothing listens on a port.
fn is_closed(machine: &Machine, port: u16) -> bool {
    machine
        .run(&format!("ss -Hltn 'sport = :{port}'"))
        .is_empty()
}

/// A connection that its service serves.
fn session(machine: &Machine, port: u16) -> TcpStream {
    let mut stream = machine.connect(&format!("127.0.0.1:{port}"));
    stream.write_all(b"begin\n").unwrap();
    stream.read_exact(&mut [0]).unwrap();
    stream
}

fn units_of_others_with_the_name_are_never_stopped(release: Release) {
    let machine = with_program(release);
    let service = "[Service]\nExecStart=/bin/sleep infinity\n";
    let runs = |unit: &str| {
        assert_eq!(machine.property(unit, "ActiveState"), "active", "{unit}");
        machine.property(unit, "MainPID")
    };
    // A template, as user@.service is one.
    machine.write("/usr/lib/systemd/system/other@.service", service);
    machine.run("systemctl daemon-reload");
    for change in [
        "sockunit remove other".to_owned(),
        add("--replace --shared", "other", 5051) + " && sockunit remove other",
        "systemctl stop other.socket && sockunit remove other".to_owned(),
    ] {
        machine.run(&add("--shared", "other", 5050));
        machine.run("systemctl start other@1.service");
        let pid = runs("other@1.service");
        machine.run(&change);
        assert_eq!(runs("other@1.service"), pid, "{change}");
        runs("system-other.slice");
        machine.run("systemctl stop other@1.service");
    }
    machine.run("systemctl start other@1.service");
    // While an instance runs, its name has clients.
    for command in [
        "sockunit check --shared other 5050",
        &add("--shared", "other", 5050),
    ] {
        let output = machine.output(command);
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8(text).unwrap();
        let taken = "/usr/lib/systemd/system/other@.service: other@.service uses the name other";
        assert!(text.contains(taken), "{text}");
        assert_eq!(output.status.code(), Some(1));
    }
    machine.run("systemctl stop other@1.service; rm /usr/lib/systemd/system/other@.service");

    // A service that is enabled later, and an instance that has a file of its own.
    machine.run(&add("", "other", 5050));
    machine.write("/usr/lib/systemd/system/other.service", service);
    machine.write("/etc/systemd/system/other@mine.service", service);
    machine.run("systemctl daemon-reload; systemctl start other.service other@mine.service");
    let pids = || ["other.service", "other@mine.service"].map(runs);
    let before = pids();
    let open = session(&machine, 5050);
    machine.run(&add("--replace", "other", 5051));
    assert_eq!(pids(), before);
    drop(open);
    let open = session(&machine, 5051);
    machine.run("sockunit remove other");
    assert_eq!(pids(), before);
    drop(open);
    wait_for("the service's own instances have ended", || {
        machine.instances("other") == ["other@mine.service"]
    });
    // A failed add undoes what it did, and no more.
    machine.write(
        "/etc/systemd/system/other.socket.d/bad.conf",
        "[Socket]\nSocketUser=nobody-of-this-name\n",
    );
    machine.run("systemctl stop other.service");
    machine.run(&format!("! {}", add("", "other", 5050)));
    assert_eq!(runs("other@mine.service"), before[1]);
}

/// A command in a process group of its own, as a shell starts it at a terminal. The first line is its process ID.
fn started(machine: &Machine, command: &str) -> (Child, String) {
    let mut child = machine.spawn(&format!("exec setsid sh -c 'echo $$; exec {command}'"));
    let mut pid = Vec::new();
    let mut byte = [0];
    let output = child.stdout.as_mut().unwrap();
    while output.read_exact(&mut byte).is_ok() && byte != *b"\n" {
        pid.extend(byte);
    }
    let pid = String::from_utf8(pid).unwrap();
    (child, pid)
}

fn a_signal_leaves_a_service_that_is_replaced_or_removed_in_use(release: Release) {
    let machine = with_program(release);
    machine.run(&add("--shared --env WORD=old", "all", 5050));
    let units = || machine.run("cat /etc/systemd/system/all.*; cat /etc/services");
    let before = units();
    for (command, kept) in [
        (
            add("--replace --shared --env WORD=new", "all", 5051),
            "cannot attach all: interrupted; the service keeps its previous options",
        ),
        (
            add("--replace --shared --env WORD=new", "all", 5050),
            "cannot attach all: interrupted; the service keeps its previous options",
        ),
        (
            "sockunit remove all".to_owned(),
            "cannot remove all: interrupted; it stays attached",
        ),
    ] {
        // To the process alone, and to its process group, as Ctrl-C.
        for signal in ["-TERM ", "-INT -"] {
            let mut open = session(&machine, 5050);
            let (child, pid) = started(&machine, &command);
            wait_for("the service waits for its connection", || {
                machine.property("all.service", "ActiveState") == "deactivating"
            });
            machine.run(&format!("kill {signal}{pid}"));
            let output = child.wait_with_output().unwrap();
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert_eq!(stderr, format!("sockunit: {kept}\n"), "{command} {signal}");
            assert_eq!(output.status.code(), Some(1));
            assert_eq!(units(), before);
            // Its connection has not been ended for the command.
            open.write_all(b"more\n").unwrap();
            open.shutdown(std::net::Shutdown::Write).unwrap();
            assert!(crate::support::rest(open).ends_with("old more\n"));
            assert_eq!(answer(&machine, 5050), "old here\n", "{command} {signal}");
            assert!(is_closed(&machine, 5051));
            assert_eq!(machine.property("all.socket", "ActiveState"), "active");
        }
    }
    machine.run(&add("--replace --shared --env WORD=new", "all", 5051));
    assert_eq!(answer(&machine, 5051), "new here\n");
    assert!(is_closed(&machine, 5050));
}

/// Kills a command at its N-th call of one of these system calls, for all N, and runs it again each time.
fn kill_at_each(
    machine: &Machine,
    calls: &str,
    command: &str,
    mut prepare: impl FnMut(),
    mut check: impl FnMut(&str),
) {
    let mut kills = 0;
    loop {
        prepare();
        let at = kills + 1;
        let killed = machine.output(&format!(
            "strace -qq -o /dev/null -e trace='{calls}' -e inject='{calls}':signal=KILL:when={at} {command}"
        ));
        if killed.status.success() {
            break;
        }
        kills += 1;
        check(&format!("{calls} {at}: {}", machine.run(command)));
    }
    assert!(kills > 1, "{calls}");
}

fn a_killed_add_is_finished_by_the_same_command(release: Release) {
    let machine = with_program(release);
    // It speaks first, so that the first connection takes no time.
    machine.write(
        "/usr/local/bin/echo-lines",
        "#!/bin/sh\necho \"$WORD here\"\n",
    );
    // A file is changed, or a process waited for.
    let (renames, waits) = ("?renameat,?renameat2", "?poll,?ppoll");
    let new = add("--shared --enable --env WORD=new", "all", 5051);
    let replace = new.replace("--shared", "--shared --replace");
    let remove = "sockunit remove all";
    let from = |kind, port| format!("{remove}; {}", add(kind, "all", port));
    for (before, calls, command) in [
        (remove.to_owned(), waits, &new),
        (from("--shared", 5050), renames, &replace),
        (from("--shared", 5050), waits, &replace),
        (from("", 5051), renames, &replace),
    ] {
        let mut finished = 0;
        kill_at_each(
            &machine,
            calls,
            command,
            || drop(machine.run(&before)),
            |again| {
                let line = "finished what an interrupted sockunit add had begun\n";
                finished += usize::from(again.contains(line));
                let answer = crate::support::rest(machine.connect("127.0.0.1:5051"));
                assert_eq!(answer, "new here\n", "{again}");
                assert!(is_closed(&machine, 5050), "{again}");
                assert!(machine.run(command).starts_with("unchanged: "), "{again}");
            },
        );
        assert_eq!(finished > 0, calls == waits, "{before}");
    }
    assert_eq!(machine.run("systemctl --failed --plain --no-legend"), "");
}

fn what_systemctl_cannot_undo_is_not_started_by_the_next_boot(release: Release) {
    let mut machine = with_program(release);
    machine.run("mkdir -p /etc/systemd/system/sockets.target.wants");
    let tree = |machine: &Machine| {
        machine.run("find /etc -not -name ld.so.cache | sort; cat /etc/services")
    };
    let before = tree(&machine);
    for (kind, service) in [("", "'all@*.service'"), ("--shared", "all.service")] {
        let output = machine.output(&format!(
            "chmod a-x /usr/bin/systemctl
             {} || status=$?
             chmod a+x /usr/bin/systemctl
             exit ${{status:-0}}",
            add(&format!("{kind} --enable"), "all", 5050)
        ));
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(
            stderr.starts_with("sockunit: cannot attach all: cannot run systemctl: permission denied; its units may still run: ")
                && stderr.ends_with(&format!("\nhint: this stops them\n    systemctl stop all.socket {service}\n")),
            "{stderr}"
        );
        assert_eq!(tree(&machine), before);
    }
    machine.reboot();
    assert!(is_closed(&machine, 5050));
    machine.run(&add("", "all", 5050));
    assert_eq!(answer(&machine, 5050), " here\n");
}

fn a_stopped_socket_and_files_that_systemd_has_not_read_are_told_apart_from_a_killed_add(
    release: Release,
) {
    let machine = with_program(release);
    let add = add("--shared", "all", 5050);
    let unchanged = "unchanged: all is attached with these options already";
    machine.run(&add);
    assert_eq!(machine.run(&add), unchanged);
    let drop_in = |backlog: u32| {
        let text = format!("[Socket]\nBacklog={backlog}\n");
        machine.write("/etc/systemd/system/all.socket.d/mine.conf", &text);
    };
    // systemd 252 does not notice a directory that is new.
    drop_in(10);
    machine.run("systemctl daemon-reload");
    assert_eq!(machine.run(&add), unchanged);
    drop_in(20);
    assert_eq!(
        machine.run(&add),
        format!(
            "{unchanged}\nits files have changed since systemd read them; to have it read them: systemctl daemon-reload"
        )
    );
    machine.run("systemctl daemon-reload; systemctl stop all.socket");
    assert_eq!(
        machine.run(&add),
        format!("{unchanged}\nits socket is not active; to start it: systemctl start all.socket")
    );
    assert!(is_closed(&machine, 5050));
}
