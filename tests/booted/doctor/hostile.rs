//! What clients and programs write to the journal is not evidence for `sockunit doctor`.

use super::{Case, Report, attach, examine};
use crate::machine::{Machine, Release};
use crate::support::Mode;

on_both_releases!(
    journal_text_is_quoted_and_makes_no_verdict_and_no_command,
    no_text_of_a_program_makes_a_command_that_weakens_its_sandbox,
    no_command_for_root_names_a_file_that_its_user_can_replace,
    entries_that_a_program_forges_fail_no_add_and_cost_no_memory,
);

/// What a client can have logged, and what an attached program can write.
const HOSTILE: &str = "/var/lib/dpkg/status: Permission denied";

fn journal_text_is_quoted_and_makes_no_verdict_and_no_command(release: Release) {
    let machine = Machine::installed(release);
    // Clients of celebs choose the text of its log entries, while doctor looks at them.
    for mode in [Mode::PerConnection, Mode::Shared] {
        machine.switch(&["celebs"], mode);
        let script = format!(
            "for i in $(seq 1 40); do printf '{HOSTILE}\\nquit\\n' | sockunit connect celebs; done >/dev/null &
             sockunit doctor --json celebs; wait"
        );
        let output = machine.run(&script);
        let json = output.lines().find(|line| line.starts_with('{')).unwrap();
        let report = Report::parse(json);
        assert!(report.works, "{output}");
        assert!(
            !json.contains("chown")
                && !json.contains("\"commands\":")
                && !json.contains("Permission denied"),
            "{json}"
        );
    }
    let case = Case {
        name: "evil".into(),
        port: 4000,
    };
    machine.run(&attach(&machine, &case));
    // A program that answers, and one that fails; both write what looks like a path and lines of a drop-in.
    let write = "printf '%s\\n' '/var/lib/dpkg/status: Permission denied' '/tmp/a\\n[Service]\\nUser=root\\nb: Read-only file system' '/tmp/$(reboot): Read-only file system' >&2";
    machine.write(
        "/usr/local/bin/evil",
        &format!("#!/bin/sh\n{write}\necho here\n"),
    );
    let answers = examine(&machine, &case);
    assert!(answers.works, "{:?}", answers.problem);
    let note = answers.passed.last().unwrap();
    assert!(
        note.contains("if the program wrote that")
            && note.contains("\"/tmp/$(reboot): Read-only file system\""),
        "{note}"
    );
    machine.write(
        "/usr/local/bin/evil",
        &format!("#!/bin/sh\n{write}\nexit 3\n"),
    );
    machine.run(
        "sockunit connect 127.0.0.1 4000 || :
         until systemctl list-units --all --plain --no-legend 'evil@*' | grep -q failed; do sleep 0.02; done",
    );
    let fails = examine(&machine, &case).problem.unwrap();
    assert!(
        fails["text"]
            .as_str()
            .unwrap()
            .contains("failed: its program ended with exit status 3"),
        "{fails:#}"
    );
    assert_eq!(
        fails["commands"],
        serde_json::json!(["systemctl reset-failed 'evil@*.service'"]),
        "{fails:#}"
    );
}

fn no_text_of_a_program_makes_a_command_that_weakens_its_sandbox(release: Release) {
    let machine = Machine::installed(release);
    machine.program("/usr/local/bin/evil", "#!/bin/sh\nexec cat\n");
    machine.run("sockunit add evil 4000 -- /usr/local/bin/evil");
    let case = Case {
        name: "evil".into(),
        port: 4000,
    };
    for (text, line) in [
        ("x: Connection refused", "PrivateNetwork=no"),
        ("x: no new privileges", "NoNewPrivileges=no"),
        ("Address family not supported by protocol", "AF_INET"),
        ("/dev/x: Permission denied", "PrivateDevices=no"),
        ("/tmp/x: Read-only file system", "PrivateTmp=yes"),
    ] {
        let program = format!("#!/bin/sh\necho '{text}' >&2\n");
        machine.write("/usr/local/bin/evil", &program);
        let found = examine(&machine, &case).problem.unwrap();
        let hint = found["hint"].as_str().unwrap();
        assert!(
            hint.starts_with("if the program wrote the entries above: ") && hint.contains(line),
            "{found:#}"
        );
        assert!(
            found["commands"].as_array().is_none_or(Vec::is_empty),
            "{found:#}"
        );
    }
}

/// A user has a program in their home, and replaces it by a link to a file that only root can read.
fn no_command_for_root_names_a_file_that_its_user_can_replace(release: Release) {
    let machine = Machine::installed(release);
    machine.run(
        "useradd --create-home you && chmod 755 /home/you
         printf '#!/bin/sh\\necho here\\n' >/home/you/prog && chmod 755 /home/you/prog && chown -R you: /home/you",
    );
    let add = "sockunit add --sandbox standard evil 4000 -- /home/you/prog";
    machine.run(add);
    machine.run("runuser -u you -- ln -sf /etc/shadow /home/you/prog");
    let case = Case {
        name: "evil".into(),
        port: 4000,
    };
    let found = examine(&machine, &case).problem.unwrap();
    assert_eq!(
        (found["text"].as_str().unwrap(), &found["commands"]),
        (
            "/home/you/prog cannot be executed by the service's user",
            &serde_json::Value::Null
        ),
        "{found:#}"
    );
    machine.run("sockunit remove evil");
    let output = machine.output(add);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.ends_with(
            "hint: give that user execute permission\n    (no command is printed: others can change the path)\n"
        ),
        "{said}"
    );
    // A user can change the files of their own service.
    machine.run("systemctl start user@$(id -u you).service");
    machine.run("rm /home/you/prog && runuser -u you -- sh -c 'echo x >/home/you/prog'");
    let output = machine.output(
        "runuser -u you -- env XDG_RUNTIME_DIR=/run/user/$(id -u you) sockunit add --user evil 4000 -- /home/you/prog",
    );
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.ends_with("\n    chmod u+rx /home/you/prog\n"),
        "{said}"
    );
}

/// A program writes what systemd writes about a program that it cannot start, and an entry of 10 MB that is not UTF-8.
fn entries_that_a_program_forges_fail_no_add_and_cost_no_memory(release: Release) {
    let machine = Machine::installed(release);
    machine.program(
        "/usr/local/bin/forge",
        "#!/bin/sh
         printf '%s\\n' MESSAGE_ID=641257651c1b4ec9a8624d7a40a9e1e7 'MESSAGE=forge@1: Failed to execute /usr/local/bin/forge' |
             logger --journald
         { printf 'SYSLOG_IDENTIFIER=forge\\nMESSAGE='; head -c 10000000 /dev/zero | tr '\\0' '\\377'; echo; } | logger --journald
         logger --tag forge after\n",
    );
    // For sockunit, and for what it runs.
    let limited = "prlimit --data=67108864";
    let added = machine.run(&format!(
        "{limited} sockunit add --sandbox off forge 4000 -- /usr/local/bin/forge 2>&1"
    ));
    assert!(
        added.contains("closes the connection without a byte; its journal entries:\n")
            && added.contains("\n    (an entry of more than 4096 bytes)\n    \"after\"\n"),
        "{added}"
    );
    let output = machine.output(&format!("{limited} sockunit doctor forge"));
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("closes it without a byte"), "{said}");
}
