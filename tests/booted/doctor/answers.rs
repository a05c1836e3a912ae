//! What doctor says about the answers of services that work, and about what they complain of.

use super::{Case, attach};
use crate::machine::{Machine, Release};

on_both_releases!(
    silence_is_told_from_buffering_and_slowness,
    a_byte_every_quarter_second_for_ever_delays_no_command_beyond_its_deadline,
    what_a_program_complains_about_is_noted_with_its_entries,
);

/// The last lines of doctor's output, and its exit status.
fn doctor(machine: &Machine, case: &Case, options: &str) -> (Option<i32>, String) {
    let output = machine.output(&case.fill(&format!("timeout 30 sockunit doctor {options} NAME")));
    let printed = String::from_utf8(output.stdout).unwrap();
    (output.status.code(), printed)
}

/// Makes a service with this program.
fn service(machine: &Machine, index: usize, program: &str) -> Case {
    let case = Case::of(index);
    let begin = attach(machine, &case);
    machine.run(&begin);
    machine.write(&case.fill("PROGRAM"), program);
    case
}

const BUFFERED: &str = "note: it sends its output only after the client has closed its sending half; if the program buffers its output, ";

fn silence_is_told_from_buffering_and_slowness(release: Release) {
    let machine = Machine::installed(release);
    let prompt = "print \"name? \"; $n = <STDIN>; print \"hello $n\\n\";";
    for (index, (program, expected, noted)) in [
        (format!("#!/usr/bin/perl\n{prompt}\n"), "answers \"name? hello \"\n", true),
        (format!("#!/usr/bin/perl\n$| = 1; {prompt}\n"), "answers \"name? \"\n", false),
        ("#!/bin/sh\nsleep 3; echo here\n".into(), " s: \"here\"\n", false),
        ("#!/bin/sh\nexec cat\n".into(), "waits for its client to speak first\n", false),
        (
            "#!/bin/sh\nexec sleep 1000\n".into(),
            "note: 127.0.0.1 port PORT is connected, and has sent nothing within 10s, though its client has closed its sending half\n",
            false,
        ),
        ("#!/bin/sh\nwhile printf .; do sleep 0.25; done\n".into(), "answers \"....", false),
    ]
    .into_iter()
    .enumerate()
    {
        let case = service(&machine, index, &program);
        let (status, printed) = doctor(&machine, &case, "");
        assert_eq!(status, Some(0), "{program}: {printed}");
        assert!(printed.contains(&case.fill(expected)), "{program}: {printed}");
        assert_eq!(printed.contains(BUFFERED), noted, "{program}: {printed}");
        let waits = printed.contains("waits for its client");
        assert_eq!(waits, program.contains("cat"), "{printed}");
    }
    // What it says is what its client says first.
    let case = service(&machine, 10, "#!/bin/sh\nread -r line; echo \"to $line\"\n");
    let (_, printed) = doctor(&machine, &case, "--send you");
    assert!(
        printed.ends_with(&case.fill("127.0.0.1 port PORT answers \"to you\"\n")),
        "{printed}"
    );
    // A program that ends late and without an answer may have waited for its client.
    let case = service(&machine, 11, "#!/bin/sh\nsleep 4\n");
    let (status, printed) = doctor(&machine, &case, "");
    let note = "note: 127.0.0.1 port PORT closes the connection without a byte after 4.";
    assert!(
        status == Some(0) && printed.contains(&case.fill(note)),
        "{printed}"
    );
    // The same with one process for all connections.
    machine.run(
        "sockunit add shared 4020 --shared -- /usr/bin/perl -e 'print qq(name? ); $n = <STDIN>;'",
    );
    let printed = machine.run("sockunit doctor shared");
    assert!(
        printed.contains("answers \"name? \"\n") && printed.contains(BUFFERED),
        "{printed}"
    );
    // add connects in the same way.
    let printed =
        machine.run("sockunit add once 4021 -- /usr/bin/perl -e 'print qq(name? ); $n = <STDIN>;'");
    assert!(printed.contains("stdbuf -oL"), "{printed}");
}

fn a_byte_every_quarter_second_for_ever_delays_no_command_beyond_its_deadline(release: Release) {
    let machine = Machine::serving(release);
    machine.program(
        "/usr/local/bin/drips",
        "#!/bin/sh\nwhile printf .; do sleep 0.25; done\n",
    );
    for (name, port, kind) in [("one", 4020, ""), ("all", 4021, "--shared")] {
        // 5 s of it are for the answer.
        let printed = machine.run(&format!(
            "timeout 30 sockunit add {kind} {name} {port} -- /usr/local/bin/drips"
        ));
        assert!(printed.contains("answers:\n    \"....."), "{printed}");
    }
    // 10 s of it for each service.
    let commands = ["doctor one", "doctor all", "doctor", "try one"];
    let running = commands.map(|command| {
        (
            command,
            machine.spawn(&format!("timeout 60 sockunit {command}")),
        )
    });
    for (command, child) in running {
        let output = child.wait_with_output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{command}: {printed}");
        assert!(printed.contains("....."), "{command}: {printed}");
    }
    machine.run("timeout 60 sockunit remove one && timeout 60 sockunit remove all");
}

fn what_a_program_complains_about_is_noted_with_its_entries(release: Release) {
    let machine = Machine::installed(release);
    let note = "note: since then the journal has errors or warnings of the program: ";
    for (index, (line, noted)) in [
        (
            "echo '<3>the disk is full' >&2",
            Some("\"the disk is full\""),
        ),
        (
            "echo '/srv/x: Permission denied' >&2",
            Some("\"/srv/x: Permission denied\""),
        ),
        (
            "seq 20 >&2; echo '/srv/y: Permission denied' >&2",
            Some("\"/srv/y: Permission denied\""),
        ),
        ("echo 'one request' >&2", None),
    ]
    .into_iter()
    .enumerate()
    {
        let case = service(&machine, index, &format!("#!/bin/sh\n{line}\necho here\n"));
        let (status, printed) = doctor(&machine, &case, "");
        assert_eq!(status, Some(0), "{printed}");
        match noted {
            Some(entry) => assert!(
                printed.contains(&format!("{note}{entry}")),
                "{line}: {printed}"
            ),
            None => assert!(!printed.contains(note), "{line}: {printed}"),
        }
        // What it wrote before is not a new complaint.
        machine.write(&case.fill("PROGRAM"), "#!/bin/sh\necho here\n");
        let (_, printed) = doctor(&machine, &case, "");
        assert!(!printed.contains(note), "{line}: {printed}");
    }
    machine.program(
        "/usr/local/bin/warns",
        "#!/bin/sh\necho no disk >&2\necho here\n",
    );
    for (name, port, options) in [("one", 4020, ""), ("all", 4021, "--shared")] {
        machine.run(&format!(
            "sockunit add {name} {port} {options} -- /usr/local/bin/warns"
        ));
        let printed = machine.run(&format!("sockunit doctor {name}"));
        assert!(printed.contains(&format!("{note}\"no disk\"")), "{printed}");
    }
    // The drop-in that would allow what failed is named, though clients are served.
    let case = service(&machine, 10, "#!/bin/sh\necho x >/tmp/log\necho here\n");
    machine.run(
        &case.fill("echo ProtectSystem=strict >>UNITS/NAME@.service; systemctl daemon-reload"),
    );
    let (status, printed) = doctor(&machine, &case, "");
    assert_eq!(status, Some(0), "{printed}");
    let hint = "UNITS/NAME@.service:6: ProtectSystem=strict): PrivateTmp=yes in a drop-in for NAME@.service allows it\n";
    assert!(printed.ends_with(&case.fill(hint)), "{printed}");
}
