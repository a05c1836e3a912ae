//! The real xinetd on the files of tests/golden/xinetd: the ports that it listens on are those that `sockunit check`
//! finds in its files.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::machine::{Machine, Release, repository};
use crate::support::wait_for;

on_both_releases!(check_finds_the_ports_that_xinetd_listens_on);

/// It has a host name that only a name server could know: xinetd refuses it, and `check` cannot know that.
const NOT_COMPARED: &str = "addresses";

/// Where a drop-in of xinetd.service has the option with which it reads inetd.conf.
const DROP_INS: &str = "/etc/systemd/system/xinetd.service.d";

const LOG: &str = "/var/log/xinetd-test.log";

fn check_finds_the_ports_that_xinetd_listens_on(release: Release) {
    let machine = Machine::installed(release);
    let golden = repository().join("tests/golden/xinetd");
    let mut names: Vec<_> = fs::read_dir(&golden)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != NOT_COMPARED && golden.join(name).join("etc/xinetd.conf").exists())
        .collect();
    names.sort();
    assert!(names.len() > 10, "{names:?}");
    let mut served = 0;
    for name in names {
        machine.run(&format!(
            "cd /etc; rm -rf xinetd.conf inetd.conf xinetd.d more bom relative {DROP_INS}"
        ));
        let directory = golden.join(&name);
        copy(&machine, &directory.join("etc"), "/etc");
        // The script, which the tree has too, sets the option by /etc/default/xinetd.
        let mut options = "-stayalive -dontfork".to_owned();
        if directory.join("etc/inetd.conf").exists() {
            options += " -inetd_compat";
            let start = format!("[Service]\nExecStart=\nExecStart=/usr/sbin/xinetd {options}\n");
            machine.write(&format!("{DROP_INS}/compat.conf"), &start);
        }
        let expected = fs::read_to_string(directory.join("expected.txt")).unwrap();
        let ports = ports_in(&expected);
        let found = taken(&machine, &ports);
        let listening = listening(&machine, &options, &ports);
        assert_eq!(found, listening, "{name}");
        served += listening.len();
    }
    assert!(served > 50, "{served}");
}

/// Copies the files of a directory into the machine.
fn copy(machine: &Machine, from: &Path, to: &str) {
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = format!("{to}/{}", path.file_name().unwrap().to_str().unwrap());
        if path.is_dir() {
            copy(machine, &path, &target);
        } else {
            machine.write(&target, &fs::read_to_string(&path).unwrap());
        }
    }
}

/// The ports other than 0 in a golden file.
fn ports_in(expected: &str) -> BTreeSet<u16> {
    let words: Vec<_> = expected.split_whitespace().collect();
    let pairs = words.windows(2).filter(|pair| pair[0] == "port");
    let ports = pairs.filter_map(|pair| pair[1].parse().ok());
    ports.filter(|port| *port != 0).collect()
}

/// The ports that `sockunit check` reports as taken while nothing listens.
#[track_caller]
fn taken(machine: &Machine, ports: &BTreeSet<u16>) -> BTreeSet<u16> {
    let ports: String = ports.iter().map(|port| format!(" {port}")).collect();
    let script = format!(
        "for port in{ports}; do
             status=0
             sockunit check free $port >/dev/null || status=$?
             [ $status -le 1 ]
             [ $status -eq 0 ] || echo $port
         done"
    );
    let lines = machine.run(&script);
    lines.lines().map(|port| port.parse().unwrap()).collect()
}

/// The TCP ports that xinetd listens on, of those in the file.
#[track_caller]
fn listening(machine: &Machine, options: &str, ports: &BTreeSet<u16>) -> BTreeSet<u16> {
    machine.run(&format!(
        "rm -f {LOG}; systemd-run --quiet --collect --unit=xinetd-test \
         /usr/sbin/xinetd {options} -filelog {LOG}"
    ));
    wait_for("xinetd serves or ends", || {
        let ended = "systemctl is-active --quiet xinetd-test.service || echo ended";
        let log = machine.run(&format!("cat {LOG} || true"));
        log.contains("Started working") || machine.run(ended) == "ended"
    });
    let sockets = machine.run("ss --no-header --listening --numeric --tcp");
    machine.run("systemctl stop xinetd-test.service || true");
    let addresses = sockets
        .lines()
        .filter_map(|line| line.split_whitespace().nth(3));
    let open = addresses.filter_map(|address| address.rsplit_once(':')?.1.parse().ok());
    open.filter(|port| ports.contains(port)).collect()
}
