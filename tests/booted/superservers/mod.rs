//! The services of Debian's packages under the super-server that they are made for, and as the units that
//! `sockunit import` writes: clients see the same.
//!
//! The packages of a group are installed in one machine, because they have different ports.

mod group;
mod probe;
mod table;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use self::group::{Group, Service};
use self::probe::{Ask, Sees, timeless};
use self::table::{ABSENT, GROUPS};
use crate::machine::{Machine, Release};
use crate::support::wait_for;

on_both_releases!(
    packages_for_openbsd_inetd_serve_as_before,
    packages_with_the_same_ports_for_openbsd_inetd_serve_as_before,
    third_packages_for_the_same_ports_serve_as_before,
    packages_for_inetutils_inetd_serve_as_before,
    packages_for_xinetd_serve_as_before,
    examples_for_xinetd_in_documentation_serve_as_before,
    packages_of_pure_ftpd_for_databases_serve_as_before,
    other_packages_have_no_entry,
);

/// The packages that apt-get can install in the image, one a line: those with services, super-servers and clients.
const PACKAGES: &str = include_str!("packages");

/// Those that name xinetd, inetd or update-inetd, or served from inetd.conf once, and neither ship nor register a service.
const WITHOUT_SERVICES: &str = include_str!("packages-without-services");

fn packages_for_openbsd_inetd_serve_as_before(release: Release) {
    table::OPENBSD.serves_as_before(release);
}

fn packages_with_the_same_ports_for_openbsd_inetd_serve_as_before(release: Release) {
    table::OPENBSD_SECOND.serves_as_before(release);
}

fn third_packages_for_the_same_ports_serve_as_before(release: Release) {
    table::OPENBSD_THIRD.serves_as_before(release);
}

fn packages_for_inetutils_inetd_serve_as_before(release: Release) {
    table::INETUTILS.serves_as_before(release);
}

fn packages_for_xinetd_serve_as_before(release: Release) {
    table::XINETD.serves_as_before(release);
}

fn examples_for_xinetd_in_documentation_serve_as_before(release: Release) {
    table::XINETD_SECOND.serves_as_before(release);
}

fn packages_of_pure_ftpd_for_databases_serve_as_before(release: Release) {
    for group in &table::PURE_FTPD {
        group.serves_as_before(release);
    }
}

/// Whether a release has a package.
fn has(release: Release, package: &str) -> bool {
    !ABSENT.contains(&(package, release))
}

/// Prints `package` if the package of a file ships or registers a service.
const REGISTERS: &str = "cd /var/cache/apt/archives
    for file in *.deb; do
        if dpkg-deb --fsys-tarfile $file | tar --list | grep -q '^./etc/xinetd.d/.' ||
            dpkg-deb --ctrl-tarfile $file | tar --extract --to-stdout ./postinst 2>/dev/null |
            sed ':a; /\\\\$/ { N; s/\\\\\\n//; ba }' | grep -qE '(update-inetd|UPDATE_INETD).*--(add|group)'
        then
            dpkg-deb --field $file Package
        fi
    done";

fn other_packages_have_no_entry(release: Release) {
    let machine = Machine::with_superserver_packages(release);
    for package in PACKAGES.lines().chain(WITHOUT_SERVICES.lines()) {
        let candidate = machine.run(&format!("apt-cache policy {package}"));
        let is_there =
            candidate.contains("Candidate: ") && !candidate.contains("Candidate: (none)");
        assert_eq!(is_there, has(release, package), "{package}: {candidate}");
        let file = machine.run(&format!(
            "ls /var/cache/apt/archives | grep -c '^{package}_' || :"
        ));
        assert_eq!(file, if is_there { "1" } else { "0" }, "{package}");
    }
    let with_entry = machine.run(REGISTERS);
    let with_entry: BTreeSet<&str> = with_entry.lines().collect();
    let services = GROUPS.iter().flat_map(|group| group.services);
    let tested: BTreeSet<&str> = services
        .filter(|service| service.is_in(release))
        .map(|service| service.package)
        .collect();
    let missing: Vec<_> = with_entry.difference(&tested).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// What a client sees of each service.
type Seen = BTreeMap<&'static str, String>;

impl Group {
    fn serves_as_before(&self, release: Release) {
        let machine = Machine::with_superserver_packages(release);
        self.install(&machine, release);
        let services: Vec<&Service> = self
            .services
            .iter()
            .filter(|service| service.is_in(release))
            .collect();
        let mut failures = Vec::new();

        machine.run(&format!(
            "systemd-run --quiet --unit=trace strace --follow-forks --string-limit=200 --trace=execve \
             --output=/root/trace --attach=$(pgrep --oldest --exact {})",
            self.super_server.process()
        ));
        wait_for("strace is attached", || {
            let status = machine.run(&format!(
                "grep TracerPid /proc/$(pgrep --oldest --exact {})/status",
                self.super_server.process()
            ));
            !status.ends_with("\t0")
        });
        let before = seen(&machine, &services);
        machine.run("systemctl stop trace");
        let trace = machine.run("cat /root/trace");
        for service in &services {
            let answer = &before[service.name];
            println!("{release:?} {} {}: {answer}", service.package, service.name);
            let sees_it = match service.sees {
                Sees::Answer(text) | Sees::AfterByte(_, text) => answer.contains(text),
                Sees::Nothing(_) => answer.is_empty(),
            };
            let call = format!("execve(\"{}\"", service.program);
            let started = service.program.is_empty()
                || trace
                    .lines()
                    .any(|line| line.contains(&call) && !line.contains(" = -1 "));
            if !sees_it || !started {
                failures.push(format!(
                    "{} before: {answer} (started: {started})",
                    service.name
                ));
            }
        }

        let report = machine.output("sockunit import --json --apply --disable-old");
        let report: Value = serde_json::from_slice(&report.stdout).unwrap();
        let report = report["services"].as_array().unwrap();
        let sockets = machine.run("ss -Hlntup");
        let old = format!("((\"{}\"", self.super_server.process());
        for service in &services {
            if let Err(why) = service.is_imported(report, &sockets, &old) {
                failures.push(format!("{} import: {why}", service.name));
            }
        }
        if services.iter().any(|service| service.port == 0) {
            // As the report says.
            machine.run(&format!("systemctl restart {}", self.super_server.unit()));
        }
        let after = seen(&machine, &services);
        for service in &services {
            let expected = match service.sees {
                Sees::Answer(_) | Sees::Nothing(_) => &before[service.name],
                Sees::AfterByte(byte, _) => before[service.name].strip_prefix(byte).unwrap_or("?"),
            };
            if timeless(&after[service.name]) != timeless(expected) {
                failures.push(format!(
                    "{}:\nbefore: {}\nafter:  {}",
                    service.name, before[service.name], after[service.name]
                ));
            }
            if let Err(why) = service.was_started(&machine, report) {
                failures.push(format!("{} started: {why}", service.name));
            }
            if let Sees::Nothing(why) = service.sees {
                println!("{}: started, without an answer: {why}", service.name);
            }
        }
        assert!(failures.is_empty(), "{release:?}\n{}", failures.join("\n"));
    }
}

fn seen(machine: &Machine, services: &[&Service]) -> Seen {
    let each = services.iter();
    each.map(|service| (service.name, service.ask.answer(machine, service.port)))
        .collect()
}

impl Service {
    fn is_in(&self, release: Release) -> bool {
        has(release, self.package) && self.release.is_none_or(|only| only == release)
    }

    fn is_datagram(&self) -> bool {
        matches!(self.ask, Ask::Datagram(..))
    }

    /// What the report says of the service.
    fn entry<'r>(&self, report: &'r [Value]) -> Option<&'r Value> {
        let port = format!("\nPort={}\n", self.port);
        report.iter().find(|entry| {
            let units = entry["units"].as_array().unwrap();
            let text: String = units
                .iter()
                .map(|unit| unit["text"].as_str().unwrap())
                .collect();
            entry["enabled"] == true
                && text.contains(&port)
                && text.contains("\nListenDatagram=") == self.is_datagram()
        })
    }

    /// Whether import has installed it, and systemd has the port and the super-server has not.
    fn is_imported(&self, report: &[Value], sockets: &str, old: &str) -> Result<(), String> {
        if self.port == 0 {
            let name = self.name;
            let entry = report.iter().find(|entry| entry["name"] == name);
            let entry = entry.ok_or("no such service")?;
            let why = entry["not_written"][0]["why"].as_str().unwrap_or_default();
            let hint = entry["not_written"][0]["hint"].as_str().unwrap_or_default();
            return match why {
                "systemd does not register services with rpcbind"
                    if hint.contains("Restart openbsd-inetd") =>
                {
                    Ok(())
                }
                why => Err(format!("{why}: {entry}")),
            };
        }
        let entry = self.entry(report).ok_or("no such service")?;
        if entry["installed"] != "started" {
            return Err(format!("{}: {}", entry["name"], entry["error"]));
        }
        let kind = if self.is_datagram() { "udp" } else { "tcp" };
        let own: Vec<&str> = sockets
            .lines()
            .filter(|line| {
                let mut words = line.split_whitespace();
                words.next() == Some(kind)
                    && words
                        .nth(3)
                        .is_some_and(|local| local.ends_with(&format!(":{}", self.port)))
            })
            .collect();
        // A program with wait that runs may have its socket still.
        let is_listening = own.iter().any(|line| line.contains("(\"systemd\",pid=1,"));
        match is_listening && !own.iter().any(|line| line.contains(old)) {
            true => Ok(()),
            false => Err(format!("{own:?}")),
        }
    }

    /// Whether its unit has started the program.
    fn was_started(&self, machine: &Machine, report: &[Value]) -> Result<(), String> {
        let Some(entry) = self.entry(report) else {
            return match self.port {
                0 => Ok(()),
                _ => Err("no such service".into()),
            };
        };
        let name = entry["name"].as_str().unwrap();
        if self.is_datagram() {
            let pid = machine.property(&format!("{name}.service"), "ExecMainPID");
            return (pid != "0").then_some(()).ok_or("no process".into());
        }
        let journal = machine.journal(&format!("-t {name} -o cat"));
        let has_entry = ["exited ", "killed "]
            .iter()
            .any(|how| journal.contains(how));
        has_entry.then_some(()).ok_or(journal)
    }
}
