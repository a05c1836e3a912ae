//! `sockunit check` on directory trees and listening sockets that the tests create.

mod superserver;

use std::net::TcpListener;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use crate::tool::{self, SOCKUNIT};
use crate::tree::Tree;

const ETC: &str = "etc/systemd/system";
const LIB: &str = "usr/lib/systemd/system";

fn check(tree: &Tree, args: &[&str]) -> Output {
    tool::on(tree.root(), &["check"], args)
}

/// The findings for `hello` and 3333; see [`found_by`].
#[track_caller]
fn found(tree: &Tree) -> Vec<String> {
    found_by(tree, &["hello", "3333"])
}

/// The lines of `check` before the verdict, with paths relative to the root. Asserts that the exit status agrees with the
/// verdict.
#[track_caller]
fn found_by(tree: &Tree, args: &[&str]) -> Vec<String> {
    let output = check(tree, args);
    let printed = String::from_utf8(output.stdout).unwrap();
    let root = format!("{}/", tree.root().display());
    let mut lines: Vec<_> = printed
        .lines()
        .map(|line| line.replace(&root, "/"))
        .collect();
    let verdict = lines.pop().unwrap();
    let status = match verdict.split(':').next() {
        Some("free") => 0,
        Some("taken") => 1,
        _ => panic!("{printed}"),
    };
    assert_eq!(output.status.code(), Some(status), "{printed}");
    assert_eq!(
        lines.iter().any(|line| line.starts_with("conflict: ")),
        status == 1,
        "{printed}"
    );
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    lines
}

#[test]
fn name_and_port_are_free_in_an_empty_system() {
    let tree = Tree::new("check-empty");
    let output = check(&tree, &["hello", "3333"]);
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "free: the name hello and the port 3333\n"
    );
}

#[test]
fn an_entry_in_services_is_a_note_because_nothing_listens() {
    let tree = Tree::new("check-services");
    for (line, finding) in [
        (
            "hello 4/tcp # x",
            "note: /etc/services:2: \"hello 4/tcp # x\" registers the name hello",
        ),
        (
            "x\t4/tcp\thello",
            "note: /etc/services:2: \"x 4/tcp hello\" registers the name hello",
        ),
        (
            "x 3333/tcp",
            "note: /etc/services:2: \"x 3333/tcp\" registers the port 3333",
        ),
        (
            "hello 3333/tcp",
            "note: /etc/services:2: \"hello 3333/tcp\" registers the name hello and the port 3333",
        ),
        (
            "hello 4/udp",
            "note: /etc/services:2: \"hello 4/udp\" registers the name hello, but not for TCP",
        ),
        (
            "x 3333/udp",
            "note: /etc/services:2: \"x 3333/udp\" registers the port 3333, but not for TCP",
        ),
    ] {
        tree.write(
            "etc/services",
            format!("ssh 22/tcp\n{line}\n# hello 3333/tcp\n"),
        );
        assert_eq!(found(&tree), [finding]);
    }
}

#[test]
fn the_line_that_sockunit_wrote_is_no_conflict() {
    let tree = Tree::new("check-ours");
    tree.write("etc/services", "ssh 22/tcp\n");
    let added = tool::on(tree.root(), &["services", "add"], &["hello", "3333"]);
    assert!(added.status.success());
    let lines = found(&tree);
    assert_eq!(lines.len(), 1);
    assert!(lines[0].starts_with("note: /etc/services:2: \"hello 3333/tcp # added by sockunit\" "));
}

#[test]
fn the_verdict_names_what_is_taken_and_what_is_free() {
    let tree = Tree::new("check-verdict");
    tree.link(
        &format!("{ETC}/sockets.target.wants/other.socket"),
        "/usr/lib/systemd/system/other.socket",
    );
    let install = "[Install]\nWantedBy=sockets.target\n";
    for (named, port, verdict) in [
        (true, 4444, "taken: the name hello; the port 3333 is free\n"),
        (
            false,
            3333,
            "taken: the port 3333; the name hello is free\n",
        ),
        (true, 3333, "taken: the name hello and the port 3333\n"),
    ] {
        let hello = format!("{LIB}/hello.socket");
        let _ = std::fs::remove_file(tree.path(&hello));
        if named {
            tree.write(&hello, format!("[Socket]\nListenStream=5555\n{install}"));
        }
        tree.write(
            &format!("{LIB}/other.socket"),
            format!("[Socket]\nListenStream={port}\n{install}"),
        );
        let output = check(&tree, &["hello", "3333"]);
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(printed.ends_with(verdict), "{printed}");
    }
}

#[test]
fn a_unit_conflicts_by_a_name_that_add_would_write_and_by_its_port_if_enabled() {
    let tree = Tree::new("check-units");
    tree.write(
        &format!("{LIB}/hello.socket"),
        "[Socket]\nListenStream=127.0.0.1:3333\nListenStream=[::1]:3333\n[Install]\nWantedBy=sockets.target\n",
    );
    tree.write(&format!("{LIB}/hello@.service"), "[Service]\n");
    tree.write(
        &format!("{LIB}/other.socket"),
        "# other\n[Socket]\nListenStream=3333\nListenDatagram=9\n[Install]\nWantedBy=sockets.target\n",
    );
    tree.write(
        &format!("{LIB}/udp.socket"),
        "[Socket]\nListenDatagram=3333\n",
    );
    tree.link(
        &format!("{ETC}/sockets.target.wants/other.socket"),
        "/usr/lib/systemd/system/other.socket",
    );
    assert_eq!(
        found(&tree),
        [
            "conflict: /usr/lib/systemd/system/hello.socket:2: hello.socket uses the name hello and is configured to listen on 127.0.0.1:3333, [::1]:3333 (disabled)",
            "conflict: /usr/lib/systemd/system/hello@.service: hello@.service uses the name hello (static)",
            "conflict: /usr/lib/systemd/system/other.socket:3: other.socket is configured to listen on 3333 (enabled)",
        ]
    );
    // A shared service has no template.
    let shared = found_by(&tree, &["--shared", "hello", "3333"]);
    assert!(
        shared[1].starts_with("note: /usr/lib/systemd/system/hello@.service: "),
        "{shared:?}"
    );
    // A disabled unit does not have its port.
    let notes = found_by(&tree, &["free", "3333"]);
    assert_eq!(
        notes[0],
        "note: /usr/lib/systemd/system/hello.socket:2: hello.socket is configured to listen on 127.0.0.1:3333, [::1]:3333 (disabled)"
    );
    // A drop-in moves the unit to another port, and the first port is free.
    tree.write(
        &format!("{ETC}/other.socket.d/port.conf"),
        "[Socket]\nListenStream=\nListenStream=4444\n",
    );
    assert_eq!(found(&tree).len(), 2);
    assert_eq!(
        found_by(&tree, &["free", "4444"]),
        [
            "conflict: /etc/systemd/system/other.socket.d/port.conf:3: other.socket is configured to listen on 4444 (enabled)"
        ]
    );
}

#[test]
fn masked_units_conflict_by_name_and_units_that_add_does_not_write_are_notes() {
    let tree = Tree::new("check-masked");
    tree.link(&format!("{ETC}/hello.socket"), "/dev/null");
    tree.write(
        "run/systemd/generator/hello.service",
        "[Service]\nExecStart=/bin/true\n",
    );
    assert_eq!(
        found(&tree),
        [
            "note: /run/systemd/generator/hello.service: hello.service uses the name hello (static)",
            "conflict: /etc/systemd/system/hello.socket: hello.socket uses the name hello (masked)",
        ]
    );
    let tree = Tree::new("check-alias");
    tree.write(
        &format!("{LIB}/other.service"),
        "[Service]\n[Install]\nAlias=hello.service\n",
    );
    tree.link(
        &format!("{ETC}/hello.service"),
        "/usr/lib/systemd/system/other.service",
    );
    assert_eq!(
        found(&tree),
        [
            "note: /usr/lib/systemd/system/other.service: hello.service uses the name hello as an alias of other.service (enabled)"
        ]
    );
}

#[test]
fn drop_ins_of_a_missing_unit_are_noted() {
    let tree = Tree::new("check-drop-ins");
    tree.write(
        &format!("{ETC}/hello.socket.d/override.conf"),
        "[Socket]\nAccept=no\n",
    );
    tree.write(&format!("{ETC}/socket.d/all.conf"), "[Socket]\nBacklog=9\n");
    assert_eq!(
        found(&tree),
        [
            "note: /etc/systemd/system/hello.socket.d/override.conf: hello.socket does not exist, but this drop-in would apply to it"
        ]
    );
    // A ListenStream= in a drop-in alone does not make a unit.
    tree.write(
        &format!("{ETC}/hello.socket.d/override.conf"),
        "[Socket]\nListenStream=3333\n",
    );
    assert!(found(&tree)[0].starts_with("note: "));
}

#[test]
fn a_port_below_1024_is_free_with_a_note() {
    let tree = Tree::new("check-low");
    let lines = found_by(&tree, &["hello", "333"]);
    assert_eq!(lines.len(), 1);
    assert!(
        lines[0].starts_with("note: the port 333 is below 1024: "),
        "{lines:?}"
    );
    assert_eq!(found_by(&tree, &["hello", "1024"]).len(), 0);
}

#[test]
fn user_units_share_ports_but_not_names_with_system_units() {
    let tree = Tree::new("check-user");
    tree.write(
        &format!("{LIB}/hello.socket"),
        "[Socket]\nListenStream=3333\n",
    );
    tree.write("etc/systemd/user/mine.service", "[Service]\n");
    assert_eq!(found_by(&tree, &["--user", "hello", "4444"]).len(), 0);
    let lines = found_by(&tree, &["--user", "mine", "3333"]);
    assert_eq!(
        lines,
        [
            "note: /etc/systemd/user/mine.service: mine.service uses the name mine (static)",
            "conflict: /usr/lib/systemd/system/hello.socket:2: hello.socket is configured to listen on 3333 (static)",
        ]
    );
    assert_eq!(found_by(&tree, &["mine", "4444"]).len(), 0);
}

#[test]
fn json_has_the_verdict_and_each_finding_with_its_location() {
    let tree = Tree::new("check-json");
    tree.write("etc/services", "x 3333/udp\n");
    tree.write(
        &format!("{LIB}/hello.socket"),
        "[Socket]\nListenStream=3333\n",
    );
    let output = check(&tree, &["hello", "3333", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["name"], "hello");
    assert_eq!(value["port"], 3333);
    assert_eq!(value["name_taken"], true);
    assert_eq!(value["port_taken"], true);
    let [entry, unit] = value["findings"].as_array().unwrap().as_slice() else {
        panic!("{value}");
    };
    assert_eq!(entry["severity"], "note");
    assert_eq!(entry["kind"], "services");
    assert_eq!(entry["line"], 1);
    assert_eq!(
        (&entry["name"], &entry["port"]),
        (&false.into(), &true.into())
    );
    assert_eq!(unit["severity"], "conflict");
    assert_eq!(unit["kind"], "unit");
    let file = tree.path(&format!("{LIB}/hello.socket"));
    assert_eq!(unit["file"], file.to_str().unwrap());
    assert_eq!(unit["unit"], "hello.socket");
    assert_eq!(unit["enablement"], "static");
    assert_eq!(unit["listens"][0], "3333");
}

#[test]
fn control_characters_in_files_are_escaped() {
    let tree = Tree::new("check-terminal");
    tree.write("etc/services", b"\x1b[2J\xff 3333/tcp\n");
    tree.write("etc/xinetd.conf", "includedir /etc/xinetd.d\n");
    tree.write(
        "etc/xinetd.d/a\x1b]0;a",
        "service \x1b[1m\n{\n port = 3333\n}\n",
    );
    tree.write(
        &format!("{LIB}/a.socket"),
        "[Socket]\nListenStream=\x1b[1m:3333\n",
    );
    let lines = found(&tree);
    assert_eq!(lines.len(), 3, "{lines:?}");
    for line in lines {
        assert!(!line.contains('\x1b') && line.contains("\\u{1b}"), "{line}");
    }
}

#[test]
fn a_listening_socket_is_reported_with_its_process() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let output = Command::new(SOCKUNIT)
            .args(["check", "nobody-has-this-name", &address.port().to_string()])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        let printed = String::from_utf8(output.stdout).unwrap();
        let process = format!(
            "conflict: {address}: listening socket: process {} \"",
            std::process::id()
        );
        assert!(printed.contains(&process), "{printed}");
        assert!(
            printed.ends_with("; the name nobody-has-this-name is free\n"),
            "{printed}"
        );
    }
}

#[test]
fn an_invalid_name_or_port_is_a_usage_error() {
    let tree = Tree::new("check-usage");
    for args in [
        &["hello"][..],
        &["hel lo", "3333"],
        &["hello", "0"],
        &["hello", "x"],
        &["3", "3"],
    ] {
        assert_eq!(check(&tree, args).status.code(), Some(2), "{args:?}");
    }
}

#[test]
fn thousands_of_units_are_checked_in_a_time_that_grows_with_their_number_only() {
    let tree = Tree::new("check-many");
    for number in 1..=1600 {
        tree.write(
            &format!("{ETC}/s{number}.socket"),
            format!("[Socket]\nListenStream={}\nAccept=yes\n", 10_000 + number),
        )
        .write(
            &format!("{ETC}/s{number}@.service"),
            "[Service]\nExecStart=/bin/true\n",
        );
    }
    let begin = Instant::now();
    assert_eq!(
        found_by(&tree, &["hello", "11600"]),
        [
            "conflict: /etc/systemd/system/s1600.socket:2: s1600.socket is configured to listen on 11600 (static)"
        ]
    );
    let taken = begin.elapsed();
    // It is a tenth of a second; a directory that is read for each unit makes it a minute.
    assert!(taken < Duration::from_secs(5), "{taken:?}");
}
