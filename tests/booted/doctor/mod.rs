//! `sockunit doctor` on broken services, and on working ones.
//!
//! All are made in one machine per release, one after the other. Each begins as a working service.

mod answers;
mod broken;
mod hostile;
mod sandboxed;
#[cfg(feature = "sockets")]
mod sockets;
mod statements;
mod trial;
mod units;
mod unprivileged;

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::Value;

use self::broken::Broken;
use self::broken::Fixed::{self, By, ByItsCommands, ByItsLines};
use self::broken::{BROKEN, RELOAD, SHARED};
use self::sandboxed::{BACKEND, LENIENT};
use crate::machine::{Machine, Release};
use crate::support::{Mode, expect, wait_for};

on_both_releases!(
    the_problem_of_every_broken_service_is_found_and_its_fix_works,
    the_problem_of_every_broken_unit_is_found_and_its_fix_works,
    what_a_sandbox_forbids_is_found_and_its_fix_works,
    working_services_have_no_problem,
    a_shared_service_at_its_limit_is_found,
);

const UNITS: &str = "/etc/systemd/system";

/// The values of the table's placeholders for one service.
struct Case {
    name: String,
    port: usize,
}

impl Case {
    fn of(index: usize) -> Case {
        Case {
            name: format!("case{index}"),
            port: 4000 + index,
        }
    }

    fn fill(&self, text: &str) -> String {
        text.replace("BACKEND", BACKEND)
            .replace("LENIENT", LENIENT)
            .replace("RELOAD", RELOAD)
            .replace("SHARED", SHARED)
            .replace("PROGRAM", "/usr/local/bin/NAME")
            .replace("UNITS", UNITS)
            .replace("NAME", &self.name)
            .replace("PORT", &self.port.to_string())
    }
}

/// Writes a working service. Returns the script that starts it.
fn attach(machine: &Machine, case: &Case) -> String {
    for (path, text) in [
        (
            "UNITS/NAME.socket",
            "[Socket]\nListenStream=127.0.0.1:PORT\nAccept=yes\nMaxConnections=20\n",
        ),
        (
            "UNITS/NAME@.service",
            "[Service]\nExecStart=PROGRAM\nUser=nobody\nStandardInput=socket\nStandardError=journal\n",
        ),
        ("PROGRAM", "#!/bin/sh\necho here\n"),
    ] {
        machine.write(&case.fill(path), &case.fill(text));
    }
    case.fill("chmod 755 PROGRAM && cp PROGRAM UNITS/NAME.socket /root/ && RELOAD")
}

/// The output of doctor.
struct Report {
    works: bool,
    passed: Vec<String>,
    problem: Option<Value>,
}

impl Report {
    fn parse(text: &str) -> Report {
        let report: Value =
            serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"));
        let checks = report["services"][0]["checks"].as_array().unwrap();
        let problem = checks.iter().find(|check| check["verdict"] == "problem");
        let passed = checks.iter().filter(|check| check["verdict"] != "problem");
        let report = Report {
            works: report["works"].as_bool().unwrap(),
            passed: passed
                .map(|check| check["text"].as_str().unwrap().into())
                .collect(),
            problem: problem.cloned(),
        };
        assert_eq!(report.problem.is_none(), report.works, "{text}");
        report
    }

    fn answers(&self) -> bool {
        self.works && self.passed.last().unwrap().ends_with("answers \"here\"")
    }
}

/// Everything that doctor could change: files, and the states of the service's units, without the instances that any
/// client leaves.
const STATE: &str =
    "find /etc /home /root /srv /tmp /usr/local -xdev -mindepth 1 -printf '%p %M %U %G %s %T@ %l\\n' | sort
     systemctl list-units --all --plain --no-legend --full 'NAME*' | grep -v @ | tr -s ' ' || true";

const EXAMINE: &str = "sockunit doctor --json NAME && echo 0 || echo $?";

/// Runs doctor, and checks that it changes nothing and that its exit status is right.
fn examine(machine: &Machine, case: &Case) -> Report {
    let script = format!("{STATE}; echo =====; {EXAMINE}; echo =====; {STATE}");
    let printed = machine.run(&case.fill(&script));
    let parts: Vec<&str> = printed.split("=====\n").collect();
    let changed: Vec<_> = parts[0]
        .lines()
        .zip(parts[2].lines())
        .filter(|(before, after)| before != after)
        .collect();
    let count = |part: &str| part.trim_end().lines().count();
    assert!(
        changed.is_empty() && count(parts[0]) == count(parts[2]),
        "it changed something: {changed:#?}"
    );
    let (json, status) = parts[1].split_once('\n').unwrap();
    let report = Report::parse(json);
    assert_eq!(status.trim(), if report.works { "0" } else { "1" });
    report
}

fn the_problem_of_every_broken_service_is_found_and_its_fix_works(release: Release) {
    find_and_fix_all(release, BROKEN, 0);
}

fn the_problem_of_every_broken_unit_is_found_and_its_fix_works(release: Release) {
    find_and_fix_all(release, units::BROKEN, 100);
}

fn what_a_sandbox_forbids_is_found_and_its_fix_works(release: Release) {
    find_and_fix_all(release, sandboxed::BROKEN, 200);
}

fn find_and_fix_all(release: Release, table: &[Broken], first: usize) {
    // SOCKUNIT_CASE=case7,case209 runs these only.
    let only = std::env::var("SOCKUNIT_CASE").ok();
    let named = |case: &Case| {
        only.as_ref()
            .is_none_or(|only| only.split(',').any(|only| only == case.name))
    };
    let cases = table.iter().enumerate();
    let cases = cases.map(|(index, broken)| (Case::of(first + index), broken));
    let cases: Vec<_> = cases.filter(|(case, _)| named(case)).collect();
    if cases.is_empty() {
        assert!(only.is_some());
        return;
    }
    let machine = Machine::installed(release);
    // One that fails does not hide the others.
    let failed: Vec<&str> = cases
        .iter()
        .filter(|(case, broken)| {
            catch_unwind(AssertUnwindSafe(|| find_and_fix(&machine, case, broken))).is_err()
        })
        .map(|(case, _)| case.name.as_str())
        .collect();
    assert!(failed.is_empty(), "{failed:?}");
}

fn find_and_fix(machine: &Machine, case: &Case, broken: &Broken) {
    let begin = attach(machine, case);
    machine.run(&format!("{begin}\n{}", case.fill(broken.how)));
    let held: Vec<_> = (0..broken.held)
        .map(|_| {
            let mut client = machine.connect(&format!("127.0.0.1:{}", case.port));
            expect(&mut client, "here\n");
            client
        })
        .collect();
    let Report {
        passed, problem, ..
    } = examine(machine, case);
    let problem =
        problem.unwrap_or_else(|| panic!("{}: nothing was found: {passed:#?}", broken.problem));
    let found = problem["text"].as_str().unwrap();
    assert!(
        found.contains(&case.fill(broken.problem)),
        "expected {}, found {problem:#}",
        case.fill(broken.problem)
    );
    assert!(
        !problem["commands"].to_string().contains("chown"),
        "{problem:#}"
    );
    fix(machine, case, problem, &broken.fixed);
    drop(held);
}

/// Runs the printed commands until no problem is left. One problem may hide another: a unit that is unmasked still has
/// to be started.
fn fix(machine: &Machine, case: &Case, problem: Value, fixed: &Fixed) {
    let mut script = match fixed {
        By(script) => case.fill(script),
        ByItsCommands | ByItsLines => String::new(),
    };
    let mut seen = Vec::new();
    let mut problem = Some(problem);
    while let Some(found) = problem {
        let shown = format!("{} {} {}", found["text"], found["hint"], found["commands"]);
        assert!(
            !seen.contains(&shown) && seen.len() < 4,
            "its fix does not help: {found:#}"
        );
        seen.push(shown);
        let commands = found["commands"].as_array().unwrap();
        match fixed {
            ByItsCommands => assert!(!commands.is_empty(), "it has no command for {found:#}"),
            ByItsLines => {
                assert!(commands.is_empty(), "{found:#}");
                script += &drop_in(found["hint"].as_str().unwrap());
            }
            By(_) => {}
        }
        for command in commands {
            script = format!("{script}\n{}", command.as_str().unwrap());
        }
        let output = machine.run(&format!("{script}\n{}", case.fill(EXAMINE)));
        let json = output.lines().rev().nth(1).unwrap();
        let report = Report::parse(json);
        assert!(report.answers() || !report.works, "{json}");
        problem = report.problem;
        script.clear();
    }
}

/// A script that makes the drop-in of a hint such as "…: A=1, B=2 in a drop-in for a.service allow it".
fn drop_in(hint: &str) -> String {
    let parts = || {
        let (before, after) = hint.split_once(" in a drop-in for ")?;
        Some((before.rsplit_once(": ")?.1, after.split_once(" allow")?.0))
    };
    let (lines, unit) = parts().unwrap_or_else(|| panic!("it has no lines: {hint}"));
    let lines = lines.replace(", ", "\n");
    let shared = unit.replace("@.", ".");
    format!(
        "mkdir -p {UNITS}/{unit}.d; echo '[Service]\n{lines}' >>{UNITS}/{unit}.d/own.conf
         systemctl daemon-reload; ! systemctl --quiet is-active {shared} || systemctl restart {shared}"
    )
}

fn working_services_have_no_problem(release: Release) {
    let machine = Machine::installed(release);
    // As the README shows it.
    let output = machine.output("sockunit doctor hello");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text.ends_with(
            "problem: hello.socket is inactive: it was not started, or was stopped\n  \
             Clients see \"Connection refused\".\nhint: start it\n    systemctl start hello.socket\n"
        ),
        "{text}"
    );
    // Without a name, a service that is not started is not a problem.
    machine.run("sockunit doctor");

    machine.program("/usr/local/bin/upper", "#!/bin/sh\nexec tr a-z A-Z\n");
    machine.run(
        "sockunit add one 4000 -- /usr/local/bin/upper
         sockunit add all 4001 --shared -- /usr/local/bin/upper",
    );
    for mode in [Mode::PerConnection, Mode::Shared] {
        machine.switch(&["hello", "celebs"], mode);
        let printed = machine.run("sockunit doctor");
        assert_eq!(printed.matches("answers \"").count(), 2, "{printed}");
        let waits = "is connected, and waits for its client to speak first";
        assert_eq!(printed.matches(waits).count(), 2, "{printed}");
        assert!(!printed.contains("note: "), "{printed}");
    }
    // A service of another package, on an AF_UNIX socket.
    machine.run("sockunit doctor dbus");
    // A service with the default limits of systemd.
    let case = Case {
        name: "plain".into(),
        port: 4002,
    };
    machine.run(&attach(&machine, &case));
    let printed = machine.run("sockunit doctor plain");
    let note = match release {
        Release::Bookworm => {
            "note: systemd stops plain.socket after 200 connections in 2s (TriggerLimitBurst=200); TriggerLimit"
        }
        Release::Trixie => {
            "note: plain.socket accepts at most 150 connections in 2s (PollLimitBurst=150), and others wait in the backlog; PollLimit"
        }
    };
    let line = format!("{note}IntervalSec=0 in a drop-in for plain.socket removes the limit");
    assert!(printed.lines().any(|shown| shown == line), "{printed}");
    // A service with the name of another one in /etc/services.
    let case = Case {
        name: "ssh".into(),
        port: 4003,
    };
    machine.run(&attach(&machine, &case));
    let printed = machine.run("sockunit doctor ssh");
    assert!(
        printed.contains(": ssh is port 22: clients have to use the port number"),
        "{printed}"
    );
    // One that is found on PATH, and one with specifiers.
    machine.write(
        "/etc/systemd/system/at@.socket",
        "[Socket]\nListenStream=127.0.0.1:%i\n",
    );
    machine.write(
        "/etc/systemd/system/at@.service",
        "[Service]\nExecStart=/usr/bin/sockunit serve -- cat\n",
    );
    machine.run("systemctl daemon-reload && systemctl start at@4004.socket");
    assert_eq!(machine.converse("127.0.0.1:4004", b"hi"), b"hi");
    machine.run("sockunit doctor at@4004");
}

fn a_shared_service_at_its_limit_is_found(release: Release) {
    let machine = Machine::installed(release);
    for (options, port, problem, shown) in [
        (
            "--max-connections 1",
            4000,
            "problem: full.service does not accept connections: 1 in the listen backlog\n    status: \"1 connection",
            "--max-connections 1",
        ),
        (
            "--per-source 1",
            4001,
            "problem: 127.0.0.1 port 4001 refuses this client\n    ",
            "refused",
        ),
    ] {
        machine.run(&format!(
            "sockunit add full {port} --shared {options} -- /bin/cat"
        ));
        wait_for("the connection of add has ended", || {
            machine
                .property("full.service", "StatusText")
                .starts_with("0 ")
        });
        let mut client = machine.connect(&format!("127.0.0.1:{port}"));
        client.write_all(b"here\n").unwrap();
        expect(&mut client, "here\n");
        let output = machine.output("sockunit doctor full");
        let printed = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(1), "{printed}");
        assert!(
            printed.contains(problem) && printed.contains(shown),
            "{printed}"
        );
        drop(client);
        machine.run("sockunit remove full");
    }
    machine.run("sockunit add loop 4002 --shared -- /bin/cat");
    machine.write(
        "/etc/systemd/system/loop.service.d/wrong.conf",
        "[Service]\nExecStart=\nExecStart=/usr/bin/sockunit serve --banner /nowhere -- /bin/cat\n",
    );
    machine.run("systemctl daemon-reload && systemctl restart loop.socket");
    let output = machine.output("sockunit doctor loop");
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{printed}");
    let problem =
        "problem: loop.service ends, and systemd restarts it: its program ended with exit status 1";
    assert!(printed.contains(problem), "{printed}");
}
