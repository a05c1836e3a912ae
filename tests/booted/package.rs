//! The package by itself: what installing, configuring, upgrading, removing and purging it do to a system.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;

use crate::deb::{deb, next_deb};
use crate::machine::{Machine, Release, repository};

on_both_releases!(
    installing_starts_enables_and_opens_nothing,
    services_lines_keep_the_file_as_it_was,
    a_taken_name_and_a_taken_port_are_left_alone,
    a_system_without_a_services_file_is_served_too,
    a_services_line_that_the_user_changed_stays,
    the_services_question_is_preseeded_and_answered_anew,
    an_upgrade_leaves_listeners_and_services_alone,
    removing_ends_everything_and_installing_begins_anew,
    purging_leaves_nothing_but_the_user,
    the_autopkgtest_passes,
);

const SOCKETS: [&str; 2] = ["hello.socket", "celebs.socket"];
const SERVICES: &str = "/etc/services";

impl Machine {
    fn services(&self) -> String {
        fs::read_to_string(self.outside(SERVICES)).unwrap()
    }

    fn purge(&self) {
        self.run("apt-get purge --yes --quiet sockunit");
    }

    /// Every unit in the manager's memory that belongs to the package, slices and remains included.
    fn units(&self) -> String {
        self.run("systemctl list-units --all --plain --no-legend '*hello*' '*celebs*' '*sockunit*'")
    }

    fn listeners(&self) -> String {
        self.run("ss --no-header --listening --tcp --numeric")
    }

    fn answer_services_question(&self, answer: bool) {
        self.run(&format!(
            "echo sockunit sockunit/services-entries boolean {answer} | debconf-set-selections"
        ));
    }
}

/// The lines that a text has more than another that it goes on from.
#[track_caller]
fn added<'t>(before: &str, after: &'t str) -> Vec<&'t str> {
    let added = after.strip_prefix(before);
    let added = added.unwrap_or_else(|| panic!("not a continuation:\n{before}\n=====\n{after}"));
    added.lines().collect()
}

fn installing_starts_enables_and_opens_nothing(release: Release) {
    let machine = Machine::start(release);
    let listeners = machine.listeners();
    machine.install(deb());
    assert_eq!(machine.listeners(), listeners);
    for socket in SOCKETS {
        let enabled = machine.output(&format!("systemctl is-enabled {socket}"));
        assert_eq!(enabled.stdout, b"disabled\n");
        let active = machine.output(&format!("systemctl is-active {socket}"));
        assert_eq!(active.stdout, b"inactive\n");
    }
    assert_eq!(machine.run("systemctl is-system-running"), "running");
    let version = machine.run("dpkg-query --show --showformat '${Version}' sockunit");
    assert_eq!(version, env!("CARGO_PKG_VERSION"));
    let files = machine.run("dpkg --listfiles sockunit");
    for page in [
        "man1/sockunit.1",
        "man8/sockunit-hello.8",
        "man8/sockunit-celebs.8",
    ] {
        let path = format!("/usr/share/man/{page}.gz");
        assert!(files.lines().any(|file| file == path), "{path}");
    }
    // The user cannot log in, and owns nothing of the package.
    let user = machine.run("getent passwd _sockunit");
    assert!(user.ends_with("/nologin"), "{user}");
    let owned = machine.run("dpkg --listfiles sockunit | xargs stat --format '%U %G %n'");
    for file in owned.lines() {
        assert!(file.starts_with("root root "), "{file}");
    }
}

fn services_lines_keep_the_file_as_it_was(release: Release) {
    let machine = Machine::start(release);
    machine.run("chown daemon:adm /etc/services && chmod 640 /etc/services");
    let stat = || machine.run("stat --format '%U %G %a' /etc/services");
    let before = machine.services();
    machine.install(deb());
    let services = machine.services();
    let lines = added(&before, &services);
    assert_eq!(lines.len(), 2, "{lines:?}");
    for (line, name, port) in [
        (lines[0], "hello", "3333/tcp"),
        (lines[1], "celebs", "3334/tcp"),
    ] {
        assert!(line.starts_with(name) && line.contains(port), "{line}");
        assert!(line.contains('#'), "the line is marked: {line}");
        let found = machine.run(&format!("getent services {name}"));
        assert_eq!(
            found.split_whitespace().collect::<Vec<_>>(),
            [name, port],
            "{found}"
        );
    }
    assert_eq!(stat(), "daemon adm 640");
    machine.purge();
    assert_eq!(machine.services(), before);
    assert_eq!(stat(), "daemon adm 640");
}

fn a_taken_name_and_a_taken_port_are_left_alone(release: Release) {
    for (own, refused, accepted) in [
        ("hello 4000/tcp\n", "hello", "celebs"),
        ("somebody 3334/tcp\n", "celebs", "hello"),
    ] {
        let machine = Machine::start(release);
        let before = machine.services() + own;
        machine.write(SERVICES, &before);
        let there = machine.copy_in(deb());
        let said = machine.run(&format!("apt-get install --yes --quiet {there} 2>&1"));
        // It says who has it.
        let own_words = own.split_whitespace().next().unwrap();
        assert!(
            said.lines()
                .any(|line| line.contains(SERVICES) && line.contains(own_words)),
            "{said}"
        );
        let services = machine.services();
        let lines = added(&before, &services);
        assert_eq!(lines.len(), 1, "{refused} must not be added: {lines:?}");
        assert!(lines[0].starts_with(accepted), "{lines:?}");
        // Nothing else depends on the entry.
        machine.run("systemctl start hello.socket celebs.socket");
        assert!(
            machine
                .converse("127.0.0.1:3333", b"")
                .starts_with(b"Hello World:")
        );
        machine.purge();
        assert_eq!(machine.services(), before);
    }
}

fn a_system_without_a_services_file_is_served_too(release: Release) {
    let machine = Machine::start(release);
    machine.run("rm /etc/services");
    machine.install(deb());
    machine.run("systemctl start hello.socket");
    let greeting = machine.converse("127.0.0.1:3333", b"");
    assert!(greeting.starts_with(b"Hello World:"));
    machine.purge();
    assert!(!machine.outside(SERVICES).exists());
}

fn a_services_line_that_the_user_changed_stays(release: Release) {
    let machine = Machine::start(release);
    let before = machine.services();
    machine.install(deb());
    machine.run("sed --in-place '/^hello /s/$/, known to the firewall/' /etc/services");
    let changed = machine.services();
    machine.run("dpkg-reconfigure sockunit");
    assert_eq!(
        machine.services(),
        changed,
        "the name is taken, by the user now"
    );
    machine.purge();
    let services = machine.services();
    let lines = added(&before, &services);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].ends_with(", known to the firewall"), "{lines:?}");
}

fn the_services_question_is_preseeded_and_answered_anew(release: Release) {
    let machine = Machine::start(release);
    let before = machine.services();
    machine.answer_services_question(false);
    machine.install(deb());
    assert_eq!(machine.services(), before);

    machine.answer_services_question(true);
    machine.run("dpkg-reconfigure sockunit");
    let with_lines = machine.services();
    assert_eq!(added(&before, &with_lines).len(), 2);

    machine.answer_services_question(false);
    machine.run("dpkg-reconfigure sockunit");
    assert_eq!(machine.services(), before);

    // The answer outlives a removal, and goes with the purge.
    machine.run("apt-get remove --yes --quiet sockunit");
    machine.install(deb());
    assert_eq!(machine.services(), before);
    machine.purge();
    machine.install(deb());
    assert_eq!(machine.services(), with_lines);
}

fn an_upgrade_leaves_listeners_and_services_alone(release: Release) {
    let machine = Machine::serving(release);
    // What the user took away does not come back with each upgrade.
    machine.run("sed --in-place '/^hello /d' /etc/services");
    let services = machine.services();
    // With the inode of each: a listener that was closed and opened again would have another.
    let listeners = || {
        machine.run("ss --no-header --listening --tcp --numeric --extended 'sport = :3333 or sport = :3334'")
    };
    let before = listeners();
    assert_eq!(before.lines().count(), 4, "{before}");
    assert!(before.contains("ino:"), "{before}");

    machine.install(next_deb());
    assert_eq!(listeners(), before);
    assert_eq!(machine.services(), services);
    for socket in SOCKETS {
        let reload = machine.run(&format!(
            "systemctl show --property NeedDaemonReload --value {socket}"
        ));
        assert_eq!(reload, "no", "{socket}");
    }
}

fn removing_ends_everything_and_installing_begins_anew(release: Release) {
    let machine = Machine::start(release);
    let services = machine.services();
    machine.install(deb());
    let with_lines = machine.services();
    machine.run("systemctl start hello.socket celebs.socket");
    let listeners = machine.listeners();
    let mut conversation = machine.connect("127.0.0.1:3334");
    conversation.read_exact(&mut [0; 6]).unwrap();
    machine.run("systemctl start sockunit-sweep.service");
    machine.converse("127.0.0.1:3333", b"");
    assert_ne!(machine.units(), "");

    machine.run("apt-get remove --yes --quiet sockunit");
    // The conversation ends with the program that held it.
    let mut rest = Vec::new();
    conversation.read_to_end(&mut rest).unwrap();
    assert_eq!(machine.units(), "");
    assert_eq!(machine.services(), services);
    assert_ne!(machine.listeners(), listeners);
    assert!(!machine.output("pgrep --uid _sockunit").status.success());
    let left =
        machine.run("find /run /etc -name '*hello*' -o -name '*celebs*' -o -name '*sockunit*'");
    assert_eq!(left, "", "files in /run and /etc");
    assert_eq!(machine.run("systemctl is-system-running"), "running");

    machine.install(deb());
    assert_eq!(machine.services(), with_lines);
    for socket in SOCKETS {
        let active = machine.output(&format!("systemctl is-active {socket}"));
        assert_eq!(active.stdout, b"inactive\n");
    }
    machine.run("systemctl start hello.socket celebs.socket");
    let greeting = machine.converse("[::1]:3333", b"");
    assert!(greeting.starts_with(b"Hello World:"));
}

/// Every file with its type, mode, owner, target and, in /etc, its content; without the records of dpkg and apt,
/// the logs, and the databases of users.
fn everything(machine: &Machine) -> String {
    machine.run(
        "cd /
         find . -xdev \\( -path ./var/log -o -path ./var/cache -o -path ./var/lib/dpkg -o -path ./var/lib/apt \
                -o -path ./root -o -path ./var/tmp \\) -prune \
             -o -path './etc/*' -name '*passwd*' -o -path './etc/*' -name '*group*' \
             -o -path './etc/*' -name '*shadow*' -o -path './etc/*' -name '.pwd.lock' \
             -o -path './etc/*' -name 'subuid*' -o -path './etc/*' -name 'subgid*' \
             -o -printf '%p %M %u %g %l\\n' | sort
         find etc -xdev -type f ! -name '*passwd*' ! -name '*group*' ! -name '*shadow*' ! -name 'subuid*' \
             ! -name 'subgid*' -exec sha256sum {} + | sort",
    )
}

fn purging_leaves_nothing_but_the_user(release: Release) {
    let machine = Machine::start(release);
    let users = machine.run("cut -d: -f1 /etc/passwd");
    let before = everything(&machine);
    machine.install(deb());
    machine.run("systemctl enable --now hello.socket celebs.socket");
    let received = machine.converse("127.0.0.1:3334", b"linus\nquit\n");
    assert!(received.ends_with(b"Finished\n"));
    assert_ne!(everything(&machine), before);

    machine.purge();
    let after = everything(&machine);
    let (had, has): (BTreeSet<_>, BTreeSet<_>) =
        (before.lines().collect(), after.lines().collect());
    let left: Vec<_> = has.difference(&had).collect();
    let lost: Vec<_> = had.difference(&has).collect();
    assert!(
        left.is_empty() && lost.is_empty(),
        "left behind: {left:#?}, lost: {lost:#?}"
    );
    assert_eq!(machine.units(), "");
    assert_eq!(
        machine.run("cut -d: -f1 /etc/passwd"),
        format!("{users}\n_sockunit")
    );
    // debconf has forgotten question and answer, deb-systemd-helper the sockets.
    for file in [
        "/var/cache/debconf/config.dat",
        "/var/cache/debconf/templates.dat",
        "/var/lib/dpkg/status",
    ] {
        assert!(
            !machine
                .output(&format!("grep sockunit {file}"))
                .status
                .success(),
            "{file}"
        );
    }
}

fn the_autopkgtest_passes(release: Release) {
    let machine = Machine::start(release);
    let there = machine.copy_in(deb());
    // All of the source that the test needs, as a tree that is built already: from any other, autopkgtest wants dpkg-dev.
    for file in ["changelog", "control", "tests/control", "tests/converse"] {
        let source = repository().join("debian").join(file);
        machine.write(
            &format!("/root/source/debian/{file}"),
            &fs::read_to_string(source).unwrap(),
        );
    }
    machine.write("/root/source/debian/files", "");
    machine.run("chmod 755 /root/source/debian/tests/converse");
    let output = machine.output(&format!(
        "autopkgtest --no-built-binaries {there} /root/source/ -- null 2>&1"
    ));
    let said = String::from_utf8_lossy(&output.stdout);
    // 0 means that all tests passed; skipped ones are 2 or 8.
    assert!(output.status.success(), "{}:\n{said}", output.status);
    assert!(
        said.lines()
            .any(|line| line.starts_with("converse") && line.ends_with("PASS")),
        "{said}"
    );
}
