//! Installation, configuration, upgrade, removal and purge of the package.

use std::collections::BTreeSet;
use std::fs;

use crate::deb::{deb, next_deb};
use crate::machine::{CELEBS, HELLO, Machine, Release, repository};
use crate::support::{PROMPT, expect, rest};

on_both_releases!(
    installing_starts_enables_and_opens_nothing,
    services_lines_are_appended_and_purge_restores_the_file,
    a_name_or_port_in_use_gets_no_line,
    the_package_works_without_a_services_file,
    a_services_line_that_the_user_changed_is_kept,
    the_services_question_can_be_preseeded_and_reconfigured,
    an_upgrade_keeps_listeners_and_services_lines,
    removal_ends_all_sessions_and_a_new_installation_works,
    purge_leaves_only_the_user,
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

    /// Every loaded unit of the package, including slices and units that have no file any more.
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

/// The lines that `after` has in addition to `before`, which it begins with.
#[track_caller]
fn added<'t>(before: &str, after: &'t str) -> Vec<&'t str> {
    let added = after.strip_prefix(before);
    let added = added.unwrap_or_else(|| panic!("not an extension:\n{before}\n=====\n{after}"));
    added.lines().collect()
}

/// The file names of the manual pages, such as `sockunit-add.1`.
fn manual_pages() -> Vec<String> {
    let sources = fs::read_dir(repository().join("packaging/man")).unwrap();
    let names = sources.map(|source| source.unwrap().file_name().into_string().unwrap());
    let pages: Vec<String> = names
        .filter_map(|name| Some(name.strip_suffix(".in")?.to_owned()))
        .collect();
    assert!(pages.len() > 10, "{pages:?}");
    pages
}

fn installing_starts_enables_and_opens_nothing(release: Release) {
    let machine = Machine::start(release);
    let listeners = machine.listeners();
    machine.install(deb());
    assert_eq!(machine.listeners(), listeners);
    for socket in SOCKETS {
        assert_eq!(machine.property(socket, "UnitFileState"), "disabled");
        assert_eq!(machine.property(socket, "ActiveState"), "inactive");
    }
    assert_eq!(machine.run("systemctl is-system-running"), "running");
    let version = machine.run("dpkg-query --show --showformat '${Version}' sockunit");
    assert_eq!(version, env!("CARGO_PKG_VERSION"));
    for page in manual_pages() {
        let (_, section) = page.rsplit_once('.').unwrap();
        let path = format!("/usr/share/man/man{section}/{page}.gz");
        let text = machine.run(&format!("gzip --decompress --stdout {path}"));
        for heading in [
            "NAME",
            "SYNOPSIS",
            "DESCRIPTION",
            "OPTIONS",
            "EXIT STATUS",
            "SEE ALSO",
        ] {
            let is_heading = |line: &str| {
                let title = line.strip_prefix(".SH ");
                title.is_some_and(|title| title.trim_matches('"') == heading)
            };
            assert!(text.lines().any(is_heading), "{path}: {heading}");
        }
    }
    // The user cannot log in, and owns no file of the package.
    let user = machine.run("getent passwd _sockunit");
    assert!(user.ends_with("/nologin"), "{user}");
    let owned = machine.run("dpkg --listfiles sockunit | xargs stat --format '%U %G %n'");
    for file in owned.lines() {
        assert!(file.starts_with("root root "), "{file}");
    }
}

fn services_lines_are_appended_and_purge_restores_the_file(release: Release) {
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

fn a_name_or_port_in_use_gets_no_line(release: Release) {
    for (own, refused, accepted) in [
        ("hello 4000/tcp\n", "hello", "celebs"),
        ("somebody 3334/tcp\n", "celebs", "hello"),
    ] {
        let machine = Machine::start(release);
        let before = machine.services() + own;
        machine.write(SERVICES, &before);
        let there = machine.copy_in(deb());
        let output = machine.run(&format!("apt-get install --yes --quiet {there} 2>&1"));
        // The message names the entry that has the name or the port.
        let owner = own.split_whitespace().next().unwrap();
        assert!(
            output
                .lines()
                .any(|line| line.contains(SERVICES) && line.contains(owner)),
            "{output}"
        );
        let services = machine.services();
        let lines = added(&before, &services);
        assert_eq!(lines.len(), 1, "{refused} must not be added: {lines:?}");
        assert!(lines[0].starts_with(accepted), "{lines:?}");
        // The sockets do not need the entry.
        machine.run("systemctl start hello.socket celebs.socket");
        assert!(machine.converse(HELLO, b"").starts_with(b"Hello World:"));
        machine.purge();
        assert_eq!(machine.services(), before);
    }
}

fn the_package_works_without_a_services_file(release: Release) {
    let machine = Machine::start(release);
    machine.run("rm /etc/services");
    machine.install(deb());
    machine.run("systemctl start hello.socket");
    let greeting = machine.converse(HELLO, b"");
    assert!(greeting.starts_with(b"Hello World:"));
    machine.purge();
    assert!(!machine.outside(SERVICES).exists());
}

fn a_services_line_that_the_user_changed_is_kept(release: Release) {
    let machine = Machine::start(release);
    let before = machine.services();
    machine.install(deb());
    machine.run("sed --in-place '/^hello /s/$/, known to the firewall/' /etc/services");
    let changed = machine.services();
    machine.run("dpkg-reconfigure sockunit");
    assert_eq!(
        machine.services(),
        changed,
        "the line of the user has the name"
    );
    machine.purge();
    let services = machine.services();
    let lines = added(&before, &services);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].ends_with(", known to the firewall"), "{lines:?}");
}

fn the_services_question_can_be_preseeded_and_reconfigured(release: Release) {
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

    // The answer is kept on removal, and removed on purge.
    machine.run("apt-get remove --yes --quiet sockunit");
    machine.install(deb());
    assert_eq!(machine.services(), before);
    machine.purge();
    machine.install(deb());
    assert_eq!(machine.services(), with_lines);
}

fn an_upgrade_keeps_listeners_and_services_lines(release: Release) {
    let machine = Machine::serving(release);
    // An upgrade does not add a line that the user removed.
    machine.run("sed --in-place '/^hello /d' /etc/services");
    let services = machine.services();
    // ss prints the inode of each: a listener that was closed and opened again has another.
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
        assert_eq!(
            machine.property(socket, "NeedDaemonReload"),
            "no",
            "{socket}"
        );
    }
}

fn removal_ends_all_sessions_and_a_new_installation_works(release: Release) {
    let machine = Machine::start(release);
    let (services, listeners) = (machine.services(), machine.listeners());
    machine.install(deb());
    let with_lines = machine.services();
    machine.run("systemctl start hello.socket celebs.socket");
    let mut session = machine.connect(CELEBS);
    expect(&mut session, PROMPT);
    machine.run("systemctl start sockunit-sweep.service");
    machine.converse(HELLO, b"");
    assert_ne!(machine.units(), "");

    machine.run("apt-get remove --yes --quiet sockunit");
    // SIGTERM ends the program, and the kernel closes the connection.
    assert_eq!(rest(session), "");
    assert_eq!(machine.units(), "");
    assert_eq!(machine.services(), services);
    assert_eq!(machine.listeners(), listeners);
    assert_eq!(machine.pgrep("--uid _sockunit"), "");
    let left =
        machine.run("find /run /etc -name '*hello*' -o -name '*celebs*' -o -name '*sockunit*'");
    assert_eq!(left, "", "files in /run and /etc");
    assert_eq!(machine.run("systemctl is-system-running"), "running");

    machine.install(deb());
    assert_eq!(machine.services(), with_lines);
    for socket in SOCKETS {
        assert_eq!(machine.property(socket, "ActiveState"), "inactive");
    }
    machine.run("systemctl start hello.socket celebs.socket");
    let greeting = machine.converse("[::1]:3333", b"");
    assert!(greeting.starts_with(b"Hello World:"));
}

/// Every file with its type, mode, owner, target and, in /etc, its content; without the databases of dpkg and apt,
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

fn purge_leaves_only_the_user(release: Release) {
    let machine = Machine::start(release);
    let users = machine.run("cut -d: -f1 /etc/passwd");
    let before = everything(&machine);
    machine.install(deb());
    machine.run("systemctl enable --now hello.socket celebs.socket");
    let received = machine.converse(CELEBS, b"linus\nquit\n");
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
        "not removed: {left:#?}, lost: {lost:#?}"
    );
    assert_eq!(machine.units(), "");
    assert_eq!(
        machine.run("cut -d: -f1 /etc/passwd"),
        format!("{users}\n_sockunit")
    );
    // debconf has no question and answer, and dpkg no package.
    for file in [
        "/var/cache/debconf/config.dat",
        "/var/cache/debconf/templates.dat",
        "/var/lib/dpkg/status",
    ] {
        // Exit status 1 means that no line matches.
        let grep = machine.output(&format!("grep sockunit {file}"));
        assert_eq!(grep.status.code(), Some(1), "{file}: {grep:?}");
    }
}

fn the_autopkgtest_passes(release: Release) {
    let machine = Machine::start(release);
    let there = machine.copy_in(deb());
    // The part of the source that the test needs. debian/files marks it as built; otherwise autopkgtest needs dpkg-dev.
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
    let report = String::from_utf8_lossy(&output.stdout);
    // Exit status 0 means that all tests passed; 2 and 8 mean that tests were skipped.
    assert!(output.status.success(), "{}:\n{report}", output.status);
    assert!(
        report
            .lines()
            .any(|line| line.starts_with("converse") && line.ends_with("PASS")),
        "{report}"
    );
}
