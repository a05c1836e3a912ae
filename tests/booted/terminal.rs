//! What the commands print in a system that runs, for people at a terminal and for scripts.

use std::io::{Read, Write};

use crate::machine::{Machine, Release};
use crate::support::wait_for;

on_both_releases!(
    a_chatty_program_fills_ten_lines_of_add,
    add_names_the_drop_in_that_has_the_socket_listen_elsewhere,
    add_says_what_a_caller_without_root_or_without_a_manager_needs,
    remove_says_that_it_waits_for_connections,
    scripts_get_the_same_status_and_output_each_time,
);

fn write_program(machine: &Machine, path: &str, text: &str) {
    machine.write(path, text);
    machine.run(&format!("chmod 755 '{path}'"));
}

fn a_chatty_program_fills_ten_lines_of_add(release: Release) {
    let machine = Machine::installed(release);
    for (name, script) in [
        ("talks", "seq 1 1000"),
        ("never-ends", "yes"),
        ("one-line", "head -c 100000 /dev/zero | tr '\\0' x"),
        // The connection closes without a byte; its journal entries are shown.
        ("complains", "seq 1 1000 >&2"),
    ] {
        let path = format!("/usr/local/bin/{name}");
        write_program(&machine, &path, &format!("#!/bin/sh\n{script}\n"));
        for kind in ["", "--shared"] {
            let printed = machine.run(&format!("sockunit add {kind} {name} 4000 -- {path}"));
            let lines = printed.lines().filter(|line| line.starts_with("    "));
            assert!((1..=11).contains(&lines.count()), "{name}: {printed}");
            assert!(printed.lines().all(|line| line.len() < 250), "{printed}");
            machine.run(&format!("sockunit remove {name}"));
        }
    }
}

fn add_names_the_drop_in_that_has_the_socket_listen_elsewhere(release: Release) {
    let machine = Machine::installed(release);
    let drop_in = "/etc/systemd/system/greeter.socket.d/override.conf";
    for kind in ["", "--shared"] {
        machine.run(&format!("sockunit add {kind} greeter 4000 -- /bin/cat"));
        machine.write(drop_in, "[Socket]\nListenStream=\nListenStream=4001\n");
        machine.run("systemctl daemon-reload");
        let removed = machine.run("sockunit remove greeter");
        assert!(removed.contains("/greeter.socket.d: kept, "), "{removed}");
        let printed = machine.run(&format!("sockunit add {kind} greeter 4000 -- /bin/cat"));
        assert!(
            printed.contains(&format!(
                "127.0.0.1 port 4000: nothing listens there, because {drop_in} sets other addresses\n"
            )),
            "{printed}"
        );
        let listed = machine.run("sockunit list");
        assert!(listed.contains("    listens: [::]:4001\n"), "{listed}");
        machine.run("sockunit remove greeter && rm -r /etc/systemd/system/greeter.socket.d");
    }
}

fn add_says_what_a_caller_without_root_or_without_a_manager_needs(release: Release) {
    let machine = Machine::installed(release);
    machine.run("useradd --create-home you");
    for (option, error) in [
        (
            "",
            "/etc/systemd/system: permission denied\n\
             hint: run this as root, or with --user for your own services\n",
        ),
        (
            "--user",
            "your user has no service manager here\n\
             hint: log in as that user (a shell from su or sudo has no service manager), or run this \
             as root without --user\n",
        ),
    ] {
        // With su, PAM may start a service manager.
        let output = machine.output(&format!(
            "export HOME=/home/you
             exec setpriv --reuid=you --clear-groups sockunit add {option} greeter 4000 -- /bin/cat"
        ));
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(stderr, format!("sockunit: cannot attach greeter: {error}"));
        assert_eq!(output.status.code(), Some(1));
    }
    assert_eq!(machine.run("find /home/you -name '*greeter*'"), "");
    // The directory of the manager stays when it has ended.
    let output = machine.output(
        "id=$(id -u you); mkdir -p /run/user/$id/systemd; chown -R you: /run/user/$id
         export HOME=/home/you
         exec setpriv --reuid=you --clear-groups sockunit add --user greeter 4000 -- /bin/cat",
    );
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.contains("your user has no service manager here\n"),
        "{stderr}"
    );
    assert_eq!(machine.run("find /home/you -name '*greeter*'"), "");
}

fn remove_says_that_it_waits_for_connections(release: Release) {
    let machine = Machine::installed(release);
    for (kind, says) in [
        ("", "greeter: stopping; ending 1 connection\n"),
        ("--shared", "greeter: stopping; waiting up to "),
    ] {
        machine.run(&format!("sockunit add {kind} greeter 4000 -- /bin/cat"));
        wait_for("the first connection has ended", || {
            machine
                .run("sockunit status greeter")
                .contains("connections: 0 now")
        });
        let mut stream = machine.connect("127.0.0.1:4000");
        stream.write_all(b"x\n").unwrap();
        stream.read_exact(&mut [0; 2]).unwrap();
        let mut remove = machine.spawn("exec sockunit remove greeter");
        let mut said = vec![0; says.len()];
        remove
            .stdout
            .as_mut()
            .unwrap()
            .read_exact(&mut said)
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&said), says);
        drop(stream);
        let output = remove.wait_with_output().unwrap();
        assert!(output.status.success());
        let rest = String::from_utf8(output.stdout).unwrap();
        assert!(rest.contains("/greeter.socket: removed\n"), "{rest}");
    }
}

/// As a configuration management tool does, which runs commands and compares what they print.
fn scripts_get_the_same_status_and_output_each_time(release: Release) {
    let machine = Machine::installed(release);
    for kind in ["", "--shared"] {
        let add = format!("sockunit add {kind} --enable greeter 4000 -- /bin/cat");
        let first = machine.run(&add);
        assert!(first.contains("greeter.socket: started\n"), "{first}");
        let before = machine.run("systemctl show -p InvocationID --value greeter.socket");
        for _ in 0..2 {
            let again = machine.output(&add);
            assert!(again.status.success());
            assert_eq!(
                String::from_utf8(again.stdout).unwrap(),
                "unchanged: greeter is attached with these options already\n"
            );
            assert_eq!(String::from_utf8(again.stderr).unwrap(), "");
        }
        let after = machine.run("systemctl show -p InvocationID --value greeter.socket");
        assert_eq!(after, before, "the socket was restarted");
        let replaced = machine.run(&add.replace("add", "add --replace --per-source 5"));
        assert!(!replaced.contains("/etc/services"), "{replaced}");
        machine.run("sockunit remove greeter");
        for _ in 0..2 {
            let again = machine.output("sockunit remove greeter");
            assert!(again.status.success());
            assert_eq!(
                String::from_utf8(again.stdout).unwrap(),
                "unchanged: greeter is not an attached service\nhint: this shows the names\n    sockunit list\n"
            );
        }
    }
}
