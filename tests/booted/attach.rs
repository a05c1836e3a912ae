//! `sockunit add`, `list` and `remove` in a system that runs.

use std::path::Path;
use std::process::Command;

use crate::client::Client;
use crate::machine::{Machine, Release, stdout_of};
use crate::support::wait_for;

on_both_releases!(
    the_tutorials_steps_are_one_command_each,
    programs_of_every_kind_are_attached_in_both_kinds,
    what_fails_while_it_is_attached_leaves_nothing,
    what_an_access_list_allows_is_not_refused,
    a_user_attaches_programs_without_root,
    root_changes_nothing_below_a_directory_of_another_user,
    after_add_or_remove_is_killed_at_any_call_remove_restores_the_tree,
    a_program_cannot_choose_the_priority_of_its_log_entries,
);

const KINDS: [&str; 2] = ["", "--shared"];

/// Names, modes, owners and contents of the files that add and remove together must not change.
fn tree(machine: &Machine) -> String {
    machine.run(
        "find /etc /home /usr/local /var/lib/systemd -printf '%p %M %u %g %l\\n' | sort
         find /etc /home /usr/local -type f -exec sha256sum {} + | sort",
    )
}

/// The units and files of a service that systemd still has.
fn known(machine: &Machine, name: &str) -> String {
    machine.run(&format!(
        "systemctl list-units --all --plain --no-legend '{name}.*' '{name}@*' '*-{name}.slice'
         ls /run/systemd/units | grep ':{name}[.@]' || true"
    ))
}

/// The same for the user's manager.
fn known_to_you(machine: &Machine, name: &str) -> String {
    machine.run(&format!(
        "su - you -c 'XDG_RUNTIME_DIR=/run/user/$(id -u) systemctl --user list-units --all --plain --no-legend \"*{name}*\"'"
    ))
}

fn write_program(machine: &Machine, path: &str, text: &str) {
    machine.write(path, text);
    machine.run(&format!("chmod 755 '{path}'"));
}

fn the_tutorials_steps_are_one_command_each(release: Release) {
    let machine = Machine::installed(release);
    machine
        .run("useradd --create-home you && chmod 700 /home/you && echo secret >/home/you/letter");
    write_program(
        &machine,
        "/home/you/hello.sh",
        "#!/bin/sh\necho \"hello was called with $*\" >&2\necho \"Hello World:$(date)\"\n",
    );
    let before = tree(&machine);
    for kind in KINDS {
        let printed = machine.run(&format!(
            "sockunit add {kind} greeter 4000 -- /home/you/hello.sh 'a b'"
        ));
        assert!(
            printed.contains("\n127.0.0.1 port 4000 answers:\n    \"Hello World:"),
            "{printed}"
        );
        let shown = Client::telnet_at_pipes(&machine, "localhost", "greeter").ended();
        assert!(shown.contains("\nHello World:"), "{shown}");
        machine.journal_until("-t greeter -o cat", "what it said on stderr", |text| {
            text.lines().any(|line| line == "hello was called with a b")
        });
        let kind = if kind.is_empty() {
            "per-connection"
        } else {
            "shared"
        };
        let lines = format!(
            "greeter  {kind:14}  strict   disabled  active      0\n    \
             listens: 127.0.0.1:4000 [::1]:4000\n    runs: /home/you/hello.sh a b\n"
        );
        wait_for("it is listed, without a connection", || {
            machine.run("sockunit list").contains(&lines)
        });
        if release == Release::Trixie {
            let pause = "systemctl show -p PollLimitIntervalUSec --value greeter.socket";
            assert_eq!(machine.run(pause), "0");
        }
        if kind == "per-connection" {
            machine.expect_nothing_left_of("greeter");
            let left = "find /run/systemd/units -name 'log-extra-fields:greeter@*'";
            assert_ne!(machine.run(left), "");
            machine.run("systemctl is-active sockunit-sweep.timer && systemctl start sockunit-sweep.service");
            assert_eq!(machine.run(left), "");
            machine.converse("127.0.0.1:4000", b"");
        }
        machine.run("sockunit remove greeter");
        assert_eq!(tree(&machine), before);
        assert_eq!(known(&machine, "greeter"), "");
    }
    assert_eq!(machine.journal("-b -p warning _PID=1"), "");
}

fn programs_of_every_kind_are_attached_in_both_kinds(release: Release) {
    let machine = Machine::installed(release);
    let source = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("upper-{release:?}.c"));
    let program = source.with_extension("static");
    std::fs::write(
        &source,
        "#include <ctype.h>\n#include <stdio.h>\nint main(void) { int c; while ((c = getchar()) != EOF) putchar(toupper(c)); return 0; }\n",
    )
    .unwrap();
    stdout_of(
        Command::new("cc")
            .args(["-static", "-o"])
            .args([&program, &source]),
    );
    let compiled = machine.copy_in(&program);
    machine.run(&format!("install -m 755 {compiled} /usr/local/bin/upper-c"));
    write_program(
        &machine,
        "/usr/local/bin/upper-sh",
        "#!/bin/sh\nwhile read -r line; do echo \"$line\" | tr a-z A-Z; done\n",
    );
    write_program(
        &machine,
        "/usr/local/bin/upper-perl",
        "#!/usr/bin/env perl\nwhile (<STDIN>) { print uc }\n",
    );
    write_program(
        &machine,
        "/usr/local/bin/upper dos",
        "#!/bin/sh\r\ntr a-z A-Z\r\n",
    );
    write_program(
        &machine,
        "/usr/local/bin/print 100% of $HOME",
        "#!/usr/bin/perl\nprint join(\"\\0\", @ARGV);\n",
    );
    let before = tree(&machine);
    let arguments = [
        "", "a b", "'", "\"", "\\", "\\n", "\n", "\t", "$HOME", "${HOME}", "$$", "%n", "%%", ";",
        "-x", "@", ":x", "+", "!", "#", "é", "a\\", "\u{1}", "*",
    ];
    let quoted: Vec<String> = arguments
        .iter()
        .map(|word| format!("'{}'", word.replace('\'', "'\\''")))
        .collect();
    let quoted = quoted.join(" ");
    for kind in KINDS {
        for (name, sandboxes) in [
            ("upper-c", &["strict"][..]),
            ("upper-perl", &["strict"]),
            ("upper-sh", &["strict", "standard", "off"]),
        ] {
            for sandbox in sandboxes {
                let printed = machine.run(&format!(
                    "sockunit add {kind} --sandbox {sandbox} {name} 4000 -- /usr/local/bin/{name}"
                ));
                assert!(
                    printed.contains("127.0.0.1 port 4000 waits for its client to speak first\n"),
                    "{printed}"
                );
                for address in ["127.0.0.1:4000", "[::1]:4000"] {
                    assert_eq!(machine.converse(address, b"one\ntwo\n"), b"ONE\nTWO\n");
                }
                machine.run(&format!("sockunit remove {name}"));
                assert_eq!(known(&machine, name), "");
            }
        }
        let refused = machine.output(&format!(
            "sockunit add {kind} dos 4000 -- '/usr/local/bin/upper dos'"
        ));
        assert_eq!(
            String::from_utf8(refused.stderr).unwrap(),
            "sockunit: cannot attach dos: /usr/local/bin/upper dos:1: the #! line ends in CR LF, and the CR becomes part of the \
             interpreter's name\nhint: remove the CR characters\n    sed -i 's/\\r$//' '/usr/local/bin/upper dos'\n"
        );
        assert_eq!(refused.status.code(), Some(1));

        machine.run(&format!(
            "sockunit add {kind} print 4000 -- '/usr/local/bin/print 100% of $HOME' {quoted}"
        ));
        let printed = machine.converse("127.0.0.1:4000", b"");
        let printed: Vec<_> = printed
            .split(|&byte| byte == 0)
            .map(String::from_utf8_lossy)
            .collect();
        assert_eq!(printed, arguments);
        machine.run("sockunit remove print");
    }
    assert_eq!(tree(&machine), before);
    assert_eq!(machine.run("systemctl --failed --plain --no-legend"), "");
}

fn what_fails_while_it_is_attached_leaves_nothing(release: Release) {
    let machine = Machine::serving(release);
    let before = tree(&machine);
    for (arguments, status, sentence) in [
        (
            "hello 4000 -- /bin/cat",
            1,
            "hint: use another name or port",
        ),
        (
            "other 3334 -- /bin/cat",
            1,
            "hint: use another name or port",
        ),
        (
            "--listen 127.0.0.1 --listen 127.0.0.1:x other 4000 -- /bin/cat",
            2,
            "give an address of this host",
        ),
    ] {
        let output = machine.output(&format!("sockunit add {arguments}"));
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.contains(sentence), "{stderr}");
        assert_eq!(output.status.code(), Some(status));
        assert_eq!(tree(&machine), before);
    }
    // A drop-in that waits for the unit makes its start fail, or its program.
    for (drop_in, text, sentence) in [
        (
            "other.socket.d",
            "[Socket]\nSocketUser=nobody-of-this-name\n",
            "other.socket does not start: ",
        ),
        (
            "other@.service.d",
            "[Service]\nRootDirectory=/nowhere\n",
            "systemd cannot start the program: ",
        ),
    ] {
        machine.write(&format!("/etc/systemd/system/{drop_in}/mine.conf"), text);
        let with = tree(&machine);
        let output = machine.output("sockunit add other 4000 -- /bin/cat");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.contains(sentence), "{stderr}");
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(tree(&machine), with);
        machine.run(&format!("rm -r /etc/systemd/system/{drop_in}"));
    }
    machine.run("systemctl daemon-reload");
    assert_eq!(known(&machine, "other"), "");
    // Another run at the same time is waited for, but not for ever.
    let mut holder = machine.spawn("flock /run/sockunit-units.lock sh -c 'echo; read -r _'");
    std::io::Read::read_exact(holder.stdout.as_mut().unwrap(), &mut [0]).unwrap();
    let output = machine.output("sockunit add other 4000 -- /bin/cat");
    assert!(
        String::from_utf8_lossy(&output.stderr).starts_with(
            "sockunit: cannot attach other: another sockunit command is running\nhint: "
        )
    );
    drop(holder.stdin.take());
    holder.wait().unwrap();
    assert_eq!(tree(&machine), before);
}

fn what_an_access_list_allows_is_not_refused(release: Release) {
    let machine = Machine::installed(release);
    machine.run("useradd --create-home you && useradd --system web && chmod 700 /home/you");
    write_program(
        &machine,
        "/home/you/hello.sh",
        "#!/bin/sh\necho \"Hello World:$(id -un)\"\n",
    );
    machine.run("chmod 700 /home/you/hello.sh && chown -R you: /home/you");
    let add =
        "sockunit add --sandbox standard --user-name web greeter 4000 -- /home/you/hello.sh 2>&1";
    for (refused, list) in [
        (
            "/home/you is a directory that the user web cannot search",
            "u:web:x /home/you",
        ),
        (
            "/home/you/hello.sh cannot be executed by the user web",
            "u:web:x /home/you/hello.sh",
        ),
        (
            "/home/you/hello.sh is a script that the user web cannot read",
            "u:web:rx /home/you/hello.sh",
        ),
    ] {
        let printed = String::from_utf8(machine.output(add).stdout).unwrap();
        assert!(printed.contains(refused), "{printed}");
        machine.run(&format!("setfacl -m {list}"));
    }
    let printed = machine.run(add);
    assert!(
        printed.contains("answers:\n    \"Hello World:web\""),
        "{printed}"
    );
    machine.run("sockunit doctor greeter");
}

fn a_user_attaches_programs_without_root(release: Release) {
    let machine = Machine::installed(release);
    machine.run("useradd --create-home you && chmod 700 /home/you && systemctl start user@$(id -u you).service");
    write_program(
        &machine,
        "/home/you/hello.sh",
        "#!/bin/sh\necho \"Hello World:$(id -un)\"\ncat /home/you/letter\n",
    );
    machine.write("/home/you/letter", "secret\n");
    machine.run("mkdir -p /home/you/.config/systemd/user/sockets.target.wants; chown -R you: /home/you; chmod 700 /home/you/hello.sh");
    let you = |command: &str| machine.run(&format!("su - you -c '{command}'"));
    let before = tree(&machine);
    for kind in KINDS {
        for (sandbox, answer) in [
            ("strict", "Hello World:you\n"),
            ("standard", "Hello World:you\nsecret\n"),
            ("off", "Hello World:you\nsecret\n"),
        ] {
            let printed = you(&format!(
                "sockunit add --user {kind} --sandbox {sandbox} --enable greeter 4000 -- /home/you/hello.sh"
            ));
            assert!(
                printed.contains("\n127.0.0.1 port 4000 answers:\n    \"Hello World:you\"\n"),
                "{printed}"
            );
            let received = machine.converse("127.0.0.1:4000", b"");
            assert_eq!(String::from_utf8_lossy(&received), answer);
            let listed = you("sockunit list --user");
            assert!(
                listed.contains(&format!("  {sandbox}  ")) && listed.contains("  enabled  "),
                "{listed}"
            );
            if release == Release::Trixie {
                let pause = "XDG_RUNTIME_DIR=/run/user/$(id -u) systemctl --user show -p PollLimitIntervalUSec --value greeter.socket";
                assert_eq!(you(pause), "0");
            }
            you("sockunit remove --user greeter");
            assert_eq!(tree(&machine), before);
            assert_eq!(known_to_you(&machine, "greeter"), "");
        }
    }
    // Without root and --user, the system's unit directory is not writable.
    let output = machine.output("su - you -c 'sockunit add greeter 4000 -- /bin/cat'");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.ends_with(
            "permission denied\nhint: run this as root, or with --user for your own services\n"
        ),
        "{stderr}"
    );
}

/// Kills add, and then remove, at the N-th system call of each name, for all N. The calls change a file or wait, for
/// a child process or a connection. An architecture has one or both of renameat and renameat2, and of poll and ppoll;
/// strace ignores the one that does not exist.
const KILL: &str = r#"
tree() {
    find $watched -printf '%p %M %u %g %l\n' | sort
    find $watched -type f -exec sha256sum {} + | sort
}
expect_same() {
    tree | diff /tmp/before - && return
    echo "$1 killed at $call $count leaves this"
    exit 1
}
killed() { # COMMAND...: fails if the command exits with 0
    status=0
    strace -qq -o /dev/null -e trace="?$call" -e inject="?$call":signal=KILL:when="$count" "$@" >/tmp/output 2>&1 || status=$?
    case $status in
    0) return 1 ;;
    137) return 0 ;; # strace ends by the signal that killed the command
    esac
    echo "exit status $status at $call $count: $(cat /tmp/output)"
    exit 1
}
tree >/tmp/before
runs=0
for call in $calls; do
    count=1
    while killed sockunit add $options greeter 4000 -- /usr/libexec/sockunit/hello; do
        # The next add undoes the interrupted one as well as remove does, unless only the first connection was missing.
        [ $((count % 2)) = 0 ] || sockunit add $options greeter 4000 -- /usr/libexec/sockunit/hello >/dev/null 2>&1 || true
        sockunit remove $where greeter >/dev/null 2>&1 || true
        expect_same add
        count=$((count + 1)) runs=$((runs + 1))
    done
    sockunit remove $where greeter >/dev/null
    expect_same 'add, not'
    count=1
    while sockunit add $options greeter 4000 -- /usr/libexec/sockunit/hello >/dev/null; killed sockunit remove $where greeter; do
        sockunit remove $where greeter >/dev/null 2>&1 || true
        expect_same remove
        count=$((count + 1)) runs=$((runs + 1))
    done
    expect_same 'remove, not'
done
echo "$runs runs"
"#;

fn root_changes_nothing_below_a_directory_of_another_user(release: Release) {
    let machine = Machine::installed(release);
    machine.run(
        "useradd --create-home you
         mkdir /srv/marks && touch /srv/marks/greeter
         mkdir -p /home/you/run/sockunit && ln -s /srv/marks /home/you/run/sockunit/draining
         chown -R --no-dereference you /home/you
         ln -s /home/you/run /root/run",
    );
    let resume = |directory: &str| {
        machine.output(&format!(
            "XDG_RUNTIME_DIR={directory} sockunit resume --user greeter"
        ))
    };
    for directory in ["/home/you/run", "/root/run"] {
        assert_eq!(
            String::from_utf8_lossy(&resume(directory).stderr),
            "sockunit: cannot resume greeter: /home/you: belongs to another user\n\
             hint: run this as the user who owns the directory\n"
        );
    }
    assert_eq!(machine.run("ls /srv/marks").trim(), "greeter");
    assert_eq!(
        String::from_utf8_lossy(&resume("/run/user/0").stderr),
        "sockunit: cannot resume greeter: there is no greeter.socket in any unit directory\n\
         hint: this shows the names\n    sockunit list --user\n"
    );
}

fn after_add_or_remove_is_killed_at_any_call_remove_restores_the_tree(release: Release) {
    let machine = Machine::installed(release);
    machine.run(
        "mkdir -p /root/tree/etc/systemd/system/sockets.target.wants /root/tree/usr/libexec/sockunit
         mkdir -p /etc/systemd/system/sockets.target.wants
         cp /etc/services /root/tree/etc
         cp /usr/libexec/sockunit/hello /usr/libexec/sockunit/serve /root/tree/usr/libexec/sockunit
         useradd --create-home you && systemctl start user@$(id -u you).service
         su - you -c 'mkdir -p .config/systemd/user/sockets.target.wants'",
    );
    for (user, watched, place, calls) in [
        (
            "root",
            "/root/tree",
            "--root /root/tree",
            "write renameat renameat2 unlinkat symlinkat fchmod",
        ),
        ("root", "/etc", "", "renameat renameat2 poll ppoll"),
        (
            "you",
            "/home/you",
            "--user",
            "renameat renameat2 poll ppoll",
        ),
    ] {
        machine.write(
            "/usr/local/bin/kill-everywhere",
            &format!(
                "watched={watched} where='{place}' options='{place} --enable' calls='{calls}'\n{KILL}"
            ),
        );
        let printed = machine.run(&format!(
            "su - {user} -c 'sh -e /usr/local/bin/kill-everywhere'"
        ));
        let runs: usize = printed
            .trim_end_matches(" runs")
            .parse()
            .unwrap_or_else(|_| panic!("{printed}"));
        // The commands made such calls.
        assert!(runs > 10, "{printed}");
        machine.run("rm /tmp/before /tmp/output");
    }
    wait_for("systemd knows nothing of it", || {
        known(&machine, "greeter").is_empty()
    });
    wait_for("the user's manager knows nothing of it", || {
        known_to_you(&machine, "greeter").is_empty()
    });
}

fn a_program_cannot_choose_the_priority_of_its_log_entries(release: Release) {
    let machine = Machine::installed(release);
    write_program(
        &machine,
        "/usr/local/bin/loud",
        "#!/bin/sh\necho '<0>the machine is on fire' >&2\necho here\n",
    );
    for kind in KINDS {
        machine.run(&format!(
            "sockunit add {kind} loud 4000 -- /usr/local/bin/loud"
        ));
        let entry = "-b -t loud -o cat --output-fields=MESSAGE,PRIORITY";
        machine.journal_until(entry, "its text with what it wrote before it", |text| {
            text.contains("<0>the machine is on fire")
        });
        // In a shared service, what programs write to standard error is a warning.
        assert_eq!(machine.journal("-b -t loud -p err -o cat"), "");
        machine.run("sockunit remove loud && journalctl --rotate --vacuum-time=1s");
    }
}
