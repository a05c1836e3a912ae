//! `sockunit check` on directory trees and listening sockets that the tests create.

use std::net::TcpListener;
use std::process::{Command, Output};

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
        lines.iter().any(|line| line.starts_with("taken: ")),
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
            "note: /etc/services:2: \"hello 4/tcp # x\" uses the name hello",
        ),
        (
            "x\t4/tcp\thello",
            "note: /etc/services:2: \"x 4/tcp hello\" uses the name hello",
        ),
        (
            "x 3333/tcp",
            "note: /etc/services:2: \"x 3333/tcp\" uses the port 3333",
        ),
        (
            "hello 3333/tcp",
            "note: /etc/services:2: \"hello 3333/tcp\" uses the name hello and the port 3333",
        ),
        (
            "hello 4/udp",
            "note: /etc/services:2: \"hello 4/udp\" uses the name hello, but not for TCP",
        ),
        (
            "x 3333/udp",
            "note: /etc/services:2: \"x 3333/udp\" uses the port 3333, but not for TCP",
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
            "taken: /usr/lib/systemd/system/hello.socket:2: hello.socket uses the name hello and listens on 127.0.0.1:3333, [::1]:3333 (disabled)",
            "taken: /usr/lib/systemd/system/hello@.service: hello@.service uses the name hello (static)",
            "taken: /usr/lib/systemd/system/other.socket:3: other.socket listens on 3333 (enabled)",
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
        "note: /usr/lib/systemd/system/hello.socket:2: hello.socket listens on 127.0.0.1:3333, [::1]:3333 (disabled)"
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
            "taken: /etc/systemd/system/other.socket.d/port.conf:3: other.socket listens on 4444 (enabled)"
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
            "taken: /etc/systemd/system/hello.socket: hello.socket uses the name hello (masked)",
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

/// A tree with xinetd.conf, a program and a user.
fn xinetd(name: &str) -> Tree {
    let tree = Tree::new(&format!("check-{name}"));
    tree.write("etc/xinetd.conf", "includedir /etc/xinetd.d\n")
        .write("etc/passwd", "root:x:0:0::/root:/bin/sh\n")
        .write("etc/services", "finger 79/tcp\nx 3333/udp\n")
        .write("bin/cat", "")
        .set_mode("bin/cat", 0o755);
    tree
}

/// An entry with `lines` and what else xinetd requires.
fn entry(name: &str, lines: &str) -> String {
    format!("service {name}\n{{\n{lines}\n wait = no\n user = root\n server = /bin/cat\n}}\n")
}

/// An entry for an unlisted TCP service with `lines`.
fn unlisted(name: &str, lines: &str) -> String {
    let lines = format!(" type = UNLISTED\n socket_type = stream\n{lines}");
    entry(name, &lines)
}

#[test]
fn services_that_xinetd_serves_conflict_by_port() {
    let tree = xinetd("xinetd");
    tree.write(
        "etc/xinetd.conf",
        "defaults\n{\n disabled = off-here\n}\nincludedir /etc/xinetd.d\ninclude /etc/more\n",
    );
    tree.write("etc/more", unlisted("more", " port = 3333"));
    tree.write(
        "etc/xinetd.d/hello",
        unlisted("hello", " port = 4\n disable = no"),
    );
    tree.write(
        "etc/xinetd.d/off",
        unlisted("hello", " id = off\n disable = yes\n port = 3333")
            + &unlisted("hello", " port = 5\n id = off-here"),
    );
    tree.write(
        "etc/xinetd.d/hello.dpkg-old",
        unlisted("hello", " port = 3333"),
    );
    tree.write("etc/xinetd.d/hello~", unlisted("hello", " port = 3333"));
    tree.write(
        "etc/xinetd.d/udp",
        entry("x", " type = UNLISTED\n protocol = udp\n port = 3333"),
    );
    let lines = found(&tree);
    assert_eq!(
        lines[1..],
        [
            "note: /etc/xinetd.d/hello:5: the xinetd service hello uses the name hello",
            "note: /etc/xinetd.d/off:7: the disabled xinetd service off uses the name hello and the port 3333",
            "note: /etc/xinetd.d/off:16: the disabled xinetd service off-here uses the name hello",
            "note: /etc/xinetd.d/udp:5: the xinetd service x uses the port 3333, but not for TCP",
            "taken: /etc/more:5: the xinetd service more uses the port 3333",
        ]
    );
    // xinetd takes the port from the services database.
    tree.write(
        "etc/xinetd.d/finger",
        entry("finger", " socket_type = stream"),
    );
    assert!(found_by(&tree, &["free", "79"]).contains(
        &"taken: /etc/xinetd.d/finger:1: the xinetd service finger uses the port 79".into()
    ));
}

/// Asserts that `check` finds the port 3333 taken by the only entry.
#[track_caller]
fn assert_served(name: &str, content: &str, line: usize) {
    let tree = xinetd(name);
    tree.write("etc/xinetd.d/greeter", content);
    let lines = found_by(&tree, &["free", "3333"]);
    let finding = format!(
        "taken: /etc/xinetd.d/greeter:{line}: the xinetd service greeter uses the port 3333"
    );
    assert_eq!(lines[1..], [finding], "{content}");
}

#[test]
fn a_comment_after_disable_leaves_an_xinetd_service_on() {
    let content = unlisted("greeter", " port = 3333\n disable = yes # x");
    assert_served("disable-comment", &content, 5);
}

#[test]
fn the_first_disable_of_an_xinetd_service_counts() {
    let content = unlisted("greeter", " port = 3333\n disable = no\n disable = yes");
    assert_served("disable-twice", &content, 5);
}

#[test]
fn the_first_port_of_an_xinetd_service_counts() {
    let content = unlisted("greeter", " port = 3333\n port = 4444");
    assert_served("port-twice", &content, 5);
}

#[test]
fn attributes_of_an_xinetd_service_may_be_upper_case() {
    assert_served("upper-case", &unlisted("greeter", " PORT = 3333"), 5);
}

#[test]
fn the_protocol_of_an_xinetd_service_may_be_an_alias() {
    let lines = " type = UNLISTED\n protocol = TCP\n port = 3333";
    assert_served("alias", &entry("greeter", lines), 5);
}

#[test]
fn the_socket_type_of_an_xinetd_service_implies_the_protocol_in_upper_case_too() {
    let lines = " type = UNLISTED\n socket_type = STREAM\n port = 3333";
    assert_served("socket-type", &entry("greeter", lines), 5);
}

#[test]
fn words_after_the_name_of_an_xinetd_service_are_dropped() {
    assert_served("words", &unlisted("greeter # old", " port = 3333"), 5);
}

#[test]
fn second_defaults_in_a_file_do_not_disable_an_xinetd_service() {
    let content = "defaults\n{\n}\ndefaults\n{\n disabled = greeter\n}\n".to_string()
        + &unlisted("greeter", " port = 3333");
    assert_served("defaults", &content, 12);
}

#[test]
fn services_that_xinetd_refuses_are_notes_with_the_reason() {
    for (content, why) in [
        (
            entry("greeter", " socket_type = stream\n port = 3333"),
            "greeter/tcp is not in the services database",
        ),
        (
            entry("finger", " socket_type = stream\n port = 3333"),
            "port 3333, but the services database has port 79 for it",
        ),
        (
            unlisted("greeter", " port = 3333\n instances=1"),
            "no blank between instances and the = in line 6",
        ),
        (
            unlisted("greeter", " port = 3333\n flags = REUSE NOSUCH").replace("REUSE ", ""),
            "flags in line 6: NOSUCH is not one of REUSE, INTERCEPT, NORETRY, IDONLY, NAMEINARGS, \
             NODELAY, KEEPALIVE, NOLIBWRAP, SENSOR, IPv4, IPv6, LABELED",
        ),
        (
            unlisted("greeter", " port = 3333").replace("/bin/cat", "/bin/none"),
            "server in line 8: no executable file",
        ),
        (
            unlisted("greeter", " port = 3333").replace("user = root", "user = nobody"),
            "user in line 7: no such user",
        ),
        (
            unlisted("greeter", " port = 3333").replace(" wait = no\n", ""),
            "no wait",
        ),
        (
            "}\n".to_string() + &unlisted("greeter", " port = 3333"),
            "after the fault in line 1, xinetd skips all lines to the next lone }",
        ),
    ] {
        let tree = xinetd("refused");
        tree.write("etc/xinetd.d/greeter", &content);
        let lines = found_by(&tree, &["free", "3333"]);
        let end = format!(" uses the port 3333, but xinetd does not serve it: {why}");
        assert!(
            lines[1].starts_with("note: ") && lines[1].ends_with(&end),
            "{lines:?}"
        );
        assert_eq!(lines.len(), 2, "{lines:?}");
    }
}

#[test]
fn a_bad_value_in_defaults_ends_xinetd_and_frees_its_ports() {
    let tree = xinetd("fatal");
    let defaults = "defaults\n{\n instances = many\n}\n".to_string();
    tree.write(
        "etc/xinetd.conf",
        defaults + &unlisted("greeter", " port = 3333"),
    );
    let root = tree.root().display();
    let why = format!("{root}/etc/xinetd.conf:3: a bad value in defaults");
    let lines = found_by(&tree, &["free", "3333"]);
    assert!(lines[1].starts_with("note: "), "{lines:?}");
    assert!(
        lines[1].ends_with(&why.replace(&format!("{root}/"), "/")),
        "{lines:?}"
    );
}

#[test]
fn files_in_xinetd_d_are_not_read_without_includedir() {
    let tree = xinetd("no-includedir");
    tree.write("etc/xinetd.d/greeter", unlisted("greeter", " port = 3333"));
    assert_eq!(found_by(&tree, &["free", "3333"]).len(), 2);
    tree.write("etc/xinetd.conf", "# includedir /etc/xinetd.d\n");
    assert_eq!(found_by(&tree, &["free", "3333"]).len(), 1);
}

#[test]
fn enabled_inetd_services_conflict_by_port() {
    let tree = Tree::new("check-inetd");
    tree.write("etc/services", "finger 3333/tcp\n");
    tree.write(
        "etc/inetd.conf",
        "127.0.0.1:hello stream tcp nowait root /bin/x x\n#<off># 3333 stream tcp nowait root /bin/x x\n#hello stream tcp nowait root /bin/x\n",
    );
    tree.write(
        "etc/inetd.d/finger",
        "finger\tstream\ttcp6\tnowait root /bin/x\n",
    );
    let lines = found(&tree);
    assert_eq!(
        lines[1..],
        [
            "note: /etc/inetd.conf:1: the inetd service hello uses the name hello, but inetd does not serve it: it is not in the services database",
            "note: /etc/inetd.conf:2: the disabled inetd service 3333 uses the port 3333",
            "taken: /etc/inetd.d/finger:1: the inetd service finger uses the port 3333",
        ]
    );
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
            "taken: /usr/lib/systemd/system/hello.socket:2: hello.socket listens on 3333 (static)",
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
            "taken: {address}: listening socket: process {} \"",
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
