//! `sockunit doctor`: services that are broken, each in a way of its own, and what it says of them.
//!
//! All of a release are built in one machine, one after the other. Each begins as a service that works.

mod broken;

use std::io::Write;

use serde_json::Value;

use self::broken::Mended::{self, By, ByItsCommands};
use self::broken::{BROKEN, RELOAD, SHARED};
use crate::conversation::expect;
use crate::machine::{Machine, Mode, Release};

on_both_releases!(
    every_broken_service_is_told_with_what_mends_it,
    services_that_work_have_nothing_to_find,
    a_process_for_all_connections_that_takes_no_more_is_told,
    a_users_own_services_are_looked_at_without_root,
);

const UNITS: &str = "/etc/systemd/system";

/// The words of the table for one of its services.
struct Words {
    name: String,
    port: usize,
}

impl Words {
    fn of(index: usize) -> Words {
        Words {
            name: format!("case{index}"),
            port: 4000 + index,
        }
    }

    fn fill(&self, text: &str) -> String {
        text.replace("RELOAD", RELOAD)
            .replace("SHARED", SHARED)
            .replace("PROGRAM", "/usr/local/bin/NAME")
            .replace("UNITS", UNITS)
            .replace("NAME", &self.name)
            .replace("PORT", &self.port.to_string())
    }
}

/// Puts a service there that works; the script that starts it.
fn attach(machine: &Machine, words: &Words) -> String {
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
        machine.write(&words.fill(path), &words.fill(text));
    }
    words.fill("chmod 755 PROGRAM && cp PROGRAM UNITS/NAME.socket /root/ && RELOAD")
}

/// What the doctor said.
struct Said {
    well: bool,
    passed: Vec<String>,
    fault: Option<Value>,
}

impl Said {
    fn parse(text: &str) -> Said {
        let said: Value =
            serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"));
        let checks = said["services"][0]["checks"].as_array().unwrap();
        let fault = checks.iter().find(|check| check["verdict"] == "fault");
        let passed = checks.iter().filter(|check| check["verdict"] != "fault");
        let said = Said {
            well: said["works"].as_bool().unwrap(),
            passed: passed
                .map(|check| check["text"].as_str().unwrap().into())
                .collect(),
            fault: fault.cloned(),
        };
        assert_eq!(said.fault.is_none(), said.well, "{text}");
        said
    }

    fn answers(&self) -> bool {
        self.well && self.passed.last().unwrap().ends_with("answers \"here\"")
    }
}

/// All that a doctor could have changed: files, and the states of the service's units. An instance is what any client
/// leaves.
const STATE: &str =
    "find /etc /home /root /srv /tmp /usr/local -xdev -printf '%p %M %U %G %s %T@ %l\\n' | sort
     systemctl list-units --all --plain --no-legend --full 'NAME*' | grep -v @ || true";

const EXAMINE: &str = "sockunit doctor --json NAME && echo 0 || echo $?";

/// Asks the doctor, and checks that nothing is changed by it and that its exit status is right.
fn examine(machine: &Machine, words: &Words) -> Said {
    let script = format!("{STATE}; echo =====; {EXAMINE}; echo =====; {STATE}");
    let told = machine.run(&words.fill(&script));
    let parts: Vec<&str> = told.split("=====\n").collect();
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
    let said = Said::parse(json);
    assert_eq!(status.trim(), if said.well { "0" } else { "1" });
    said
}

fn every_broken_service_is_told_with_what_mends_it(release: Release) {
    let machine = Machine::installed(release);
    let only = std::env::var("SOCKUNIT_CASE").ok();
    for (index, broken) in BROKEN.iter().enumerate() {
        let words = Words::of(index);
        if only.as_ref().is_some_and(|only| *only != words.name) {
            continue;
        }
        let begin = attach(&machine, &words);
        if index == 0 {
            machine.run(&begin);
            assert!(examine(&machine, &words).answers());
        }
        machine.run(&format!("{begin}\n{}", words.fill(broken.how)));
        let held: Vec<_> = (0..broken.held)
            .map(|_| {
                let mut client = machine.connect(&format!("127.0.0.1:{}", words.port));
                expect(&mut client, "here\n");
                client
            })
            .collect();
        let Said { passed, fault, .. } = examine(&machine, &words);
        let fault =
            fault.unwrap_or_else(|| panic!("{}: nothing was found: {passed:#?}", broken.told));
        let told = fault["text"].as_str().unwrap();
        assert!(
            told.contains(&words.fill(broken.told)),
            "{} expected, and told: {fault:#}",
            words.fill(broken.told)
        );
        assert!(
            !fault.to_string().contains("chown nobody /etc"),
            "{fault:#}"
        );
        mend(&machine, &words, fault, &broken.mended);
        drop(held);
    }
}

/// Does what the doctor says until it has nothing more to say. One fault may stand before another: a unit that is
/// unmasked still has to be started.
fn mend(machine: &Machine, words: &Words, fault: Value, mended: &Mended) {
    let mut script = match mended {
        By(script) => words.fill(script),
        ByItsCommands => String::new(),
    };
    let mut told = Vec::new();
    let mut fault = Some(fault);
    while let Some(found) = fault {
        let text = found["text"].to_string();
        assert!(
            !told.contains(&text) && told.len() < 4,
            "what it says does not help: {found:#}"
        );
        told.push(text);
        let commands = found["commands"].as_array().unwrap();
        assert!(
            !commands.is_empty() || matches!(mended, By(_)),
            "it has no command for {found:#}"
        );
        for command in commands {
            script = format!("{script}\n{}", command.as_str().unwrap());
        }
        let output = machine.run(&format!("{script}\n{}", words.fill(EXAMINE)));
        let json = output.lines().rev().nth(1).unwrap();
        let said = Said::parse(json);
        assert!(said.answers() || !said.well, "{json}");
        fault = said.fault;
        script.clear();
    }
}

fn services_that_work_have_nothing_to_find(release: Release) {
    let machine = Machine::installed(release);
    // As the README shows it.
    let told = machine.output("sockunit doctor hello");
    let text = String::from_utf8_lossy(&told.stdout);
    assert_eq!(told.status.code(), Some(1));
    assert!(
        text.ends_with(
            "fault: hello.socket is inactive: it was not started, or was stopped\n  \
             A client is told: Connection refused.\n  start it:\n    systemctl start hello.socket\n"
        ),
        "{text}"
    );
    // Nobody wanted them started.
    machine.run("sockunit doctor");

    machine.write("/usr/local/bin/upper", "#!/bin/sh\nexec tr a-z A-Z\n");
    machine.run(
        "chmod 755 /usr/local/bin/upper
         sockunit add one 4000 -- /usr/local/bin/upper
         sockunit add all 4001 --shared -- /usr/local/bin/upper",
    );
    for mode in [Mode::Single, Mode::Shared] {
        machine.switch(&["hello", "celebs"], mode);
        let told = machine.run("sockunit doctor");
        assert_eq!(told.matches("answers \"").count(), 2, "{told}");
        let waits = "is connected, and waits for its client to speak first";
        assert_eq!(told.matches(waits).count(), 2, "{told}");
        assert!(!told.contains("note: "), "{told}");
    }
    // A service of somebody else's, on a path.
    machine.run("sockunit doctor dbus");
    // One that has the limits of systemd's own choice.
    let words = Words {
        name: "plain".into(),
        port: 4002,
    };
    machine.run(&attach(&machine, &words));
    let told = machine.run("sockunit doctor plain");
    let note = match release {
        Release::Bookworm => {
            "note: more than 200 connections in 2s take plain.socket down (TriggerLimitBurst=200); TriggerLimit"
        }
        Release::Trixie => {
            "note: plain.socket takes no more than 150 connections in 2s (PollLimitBurst=150), and lets others wait; PollLimit"
        }
    };
    let line = format!("{note}IntervalSec=0 in a drop-in for plain.socket lifts that");
    assert!(told.lines().any(|told| told == line), "{told}");
    // One whose name is somebody else's.
    let words = Words {
        name: "ssh".into(),
        port: 4003,
    };
    machine.run(&attach(&machine, &words));
    let told = machine.run("sockunit doctor ssh");
    assert!(
        told.contains(": ssh is port 22, so that clients have to give this"),
        "{told}"
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

fn a_process_for_all_connections_that_takes_no_more_is_told(release: Release) {
    let machine = Machine::installed(release);
    for (options, port, fault, shown) in [
        (
            "--max-connections 1",
            4000,
            "fault: full.service accepts nobody: connections wait for it, 1 by now\n    its status: \"1 connection now, ",
            "--max-connections 1",
        ),
        (
            "--per-source 1",
            4001,
            "fault: 127.0.0.1 port 4001 refuses clients such as this one\n    ",
            "refused: per-source limit reached",
        ),
    ] {
        machine.run(&format!(
            "sockunit add full {port} --shared {options} -- /bin/cat"
        ));
        let mut client = machine.connect(&format!("127.0.0.1:{port}"));
        client.write_all(b"here\n").unwrap();
        expect(&mut client, "here\n");
        let output = machine.output("sockunit doctor full");
        let told = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains(fault) && told.contains(shown), "{told}");
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
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    let fault = "fault: loop.service ends, and systemd starts it again: its program ended with exit status 1";
    assert!(told.contains(fault), "{told}");
}

fn a_users_own_services_are_looked_at_without_root(release: Release) {
    let machine = Machine::installed(release);
    machine.run(
        "useradd --create-home --shell /bin/sh you
         systemctl start user@$(id -u you).service",
    );
    let units = "/home/you/.config/systemd/user";
    machine.write(
        &format!("{units}/tick.socket"),
        "[Socket]\nListenStream=127.0.0.1:4000\nAccept=yes\n",
    );
    machine.write(
        &format!("{units}/tick@.service"),
        "[Service]\nExecStart=/home/you/tick\nStandardInput=socket\nStandardError=journal\n",
    );
    machine.write("/home/you/tick", "#!/bin/sh\necho here\necho there >&2\n");
    let as_you = |script: &str| machine.output(&format!("su - you -c '{script}' 2>&1"));
    let told = |script: &str| String::from_utf8(as_you(script).stdout).unwrap();
    machine.run("chmod 755 /home/you/tick && chown -R you: /home/you");
    let first = told("sockunit doctor --user tick");
    assert!(
        first.contains("fault: tick.socket is inactive")
            && first.ends_with("    systemctl --user start tick.socket\n"),
        "{first}"
    );
    let start = "XDG_RUNTIME_DIR=/run/user/$(id -u) systemctl --user";
    told(&format!("{start} daemon-reload; {start} start tick.socket"));
    let second = as_you("sockunit doctor --user tick");
    let said = String::from_utf8_lossy(&second.stdout);
    assert!(second.status.success(), "{said}");
    assert!(said.ends_with("answers \"here\"\n"), "{said}");

    machine.run("systemctl stop user@$(id -u you).service");
    let away = machine.output(
        "setpriv --reuid=you --regid=you --init-groups env -i HOME=/home/you PATH=/usr/bin:/bin sockunit doctor --user tick",
    );
    let said = String::from_utf8_lossy(&away.stdout);
    assert!(
        said.contains(
            "fault: your own service manager does not run, so that nothing listens for tick.socket"
        ),
        "{said}"
    );
    machine.write(
        &format!("{units}/tick.socket"),
        "[Socket]\nListenStream=127.0.0.1:400\nAccept=yes\n",
    );
    let third = told("sockunit doctor --user tick");
    assert!(
        third.contains(&format!(
            "fault: {units}/tick.socket:2: port 400 is below 1024, and only root may listen there"
        )),
        "{third}"
    );
    // What belongs to the system he may look at too, but for the journal.
    machine.run("systemctl start hello.socket");
    let fourth = as_you("sockunit doctor hello");
    assert!(
        fourth.status.success(),
        "{}",
        String::from_utf8_lossy(&fourth.stdout)
    );
}
