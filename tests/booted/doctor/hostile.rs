//! What clients and programs write to the journal is no evidence for `sockunit doctor`.

use super::{Case, Report, attach, examine};
use crate::machine::{Machine, Release};
use crate::support::Mode;

on_both_releases!(journal_text_is_quoted_and_makes_no_verdict_and_no_command);

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
