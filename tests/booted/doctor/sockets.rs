//! `sockunit doctor` on every socket unit of Debian's own packages.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::machine::{Machine, Release};

on_both_releases!(no_socket_of_debians_packages_has_a_problem_where_there_is_none);

/// The packages, one a line.
const PACKAGES: &str = include_str!("socket-packages");

/// The sockets that do not serve clients in such a machine, with a part of the problem's text.
const BROKEN: [(&str, &str); 13] = [
    // They have ConditionVirtualization=!container, or there are no virus signatures.
    ("acpid", "a condition in its [Unit] section is not met"),
    (
        "clamav-daemon",
        "a condition in its [Unit] section is not met",
    ),
    ("multipathd", "a condition in its [Unit] section is not met"),
    // It has the ports of protocols whose packages are not installed.
    (
        "dovecot",
        "accepts the connection and closes it without a byte",
    ),
    // The kernel has no InfiniBand.
    ("ibacm", "ibacm.socket failed to start: resources"),
    // They are bound to sssd.service, which does not run without a configuration.
    ("sssd-autofs", "sssd-autofs.socket is inactive"),
    ("sssd-nss", "sssd-nss.socket is inactive"),
    ("sssd-pam", "sssd-pam.socket is inactive"),
    ("sssd-pam-priv", "sssd-pam-priv.socket is inactive"),
    ("sssd-ssh", "sssd-ssh.socket is inactive"),
    ("sssd-sudo", "sssd-sudo.socket is inactive"),
    // It has no certificate, and exits.
    ("systemd-journal-remote", ""),
    // micro-httpd.socket has port 80 too.
    ("tangd", "port 80 is in use: tangd.socket cannot listen on"),
];

/// Prints the names of all socket units that are not templates.
const NAMES: &str = "find /usr/lib/systemd/system /lib/systemd/system/ /run/systemd/generator* -name '*.socket' -printf '%f\\n' \
                     | sed 's/\\.socket$//' | grep -v '@$' | sort -u";

fn no_socket_of_debians_packages_has_a_problem_where_there_is_none(release: Release) {
    let machine = Machine::with_socket_packages(release);
    let mut count = 0;
    for package in PACKAGES.lines() {
        let listed = format!(
            "dpkg -L {package} 2>/dev/null | grep -c 'lib/systemd/system/[^/]*\\.socket$' || :"
        );
        // A package may have the unit in one of the releases only.
        count += usize::from(machine.run(&listed).trim() != "0");
    }
    assert!(count >= 40, "only {count} packages have a socket unit");

    // Without waiting: some depend on what is not there.
    machine.run(&format!(
        "{NAMES} | sed 's/$/.socket/' | xargs systemctl start --no-block"
    ));
    let printed = machine.run(&format!(
        "{NAMES} | xargs -P 8 -I NAME sh -c 'r=$(sockunit doctor --json NAME) && s=0 || s=$?; printf \"%s %s\\n\" $s \"$r\"'"
    ));
    let reports: BTreeMap<String, (i32, Value)> = printed
        .lines()
        .map(|line| {
            let (status, json) = line.split_once(' ').unwrap();
            let report: Value = serde_json::from_str(json).unwrap();
            let service = report["services"][0].clone();
            let name = service["name"].as_str().unwrap().to_string();
            (name, (status.parse().unwrap(), service))
        })
        .collect();
    assert!(reports.len() >= 60, "{:#?}", reports.keys());
    for (name, (status, report)) in &reports {
        let checks = report["checks"].as_array().unwrap();
        let problem = checks.iter().find(|check| check["verdict"] == "problem");
        let known = BROKEN.iter().find(|(broken, _)| broken == name);
        match (problem, known) {
            (None, None) => assert_eq!(*status, 0, "{name}: {report:#}"),
            (Some(problem), Some((_, text))) => {
                assert!(
                    problem["text"].as_str().unwrap().contains(text),
                    "{name}: {report:#}"
                );
            }
            (Some(_), None) => panic!("{name} is healthy: {report:#}"),
            (None, Some(_)) => panic!("{name} is not healthy: {report:#}"),
        }
        // Nothing that the system needs is stopped.
        let commands = problem.map_or(String::new(), |problem| problem["commands"].to_string());
        assert!(
            !commands.contains("systemctl stop systemd-"),
            "{name}: {commands}"
        );
    }
    // A service that listens itself does without its socket.
    machine.run("systemctl stop ssh.socket; systemctl start ssh.service");
    let printed = machine.run("sockunit doctor ssh");
    assert!(
        printed.ends_with(
            "note: ssh.service listens itself, without ssh.socket: doctor checks no further"
        ),
        "{printed}"
    );
}
