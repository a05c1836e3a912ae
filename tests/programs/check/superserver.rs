//! Services of xinetd and inetd, which read their own files in their own way.

use super::{found, found_by};
use crate::tree::Tree;

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
            "conflict: /etc/more:5: the xinetd service more uses the port 3333",
        ]
    );
    // xinetd takes the port from the services database.
    tree.write(
        "etc/xinetd.d/finger",
        entry("finger", " socket_type = stream"),
    );
    assert!(found_by(&tree, &["free", "79"]).contains(
        &"conflict: /etc/xinetd.d/finger:1: the xinetd service finger uses the port 79".into()
    ));
}

/// Asserts that `check` finds the port 3333 taken by the only entry.
#[track_caller]
fn assert_served(name: &str, content: &str, line: usize) {
    let tree = xinetd(name);
    tree.write("etc/xinetd.d/greeter", content);
    let lines = found_by(&tree, &["free", "3333"]);
    let finding = format!(
        "conflict: /etc/xinetd.d/greeter:{line}: the xinetd service greeter uses the port 3333"
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
            "the attribute wait is missing",
        ),
        (
            "}\n".to_string() + &unlisted("greeter", " port = 3333"),
            "after the fault in line 1, xinetd skips all lines up to the next line with } alone",
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
            "conflict: /etc/inetd.d/finger:1: the inetd service finger uses the port 3333",
        ]
    );
}

#[test]
fn xinetd_reads_inetd_conf_if_it_is_configured_so() {
    let tree = Tree::new("check-compat");
    tree.write("etc/services", "finger 3333/tcp\n")
        .write("etc/passwd", "root:x:0:0::/root:/bin/sh\n")
        .write("etc/xinetd.conf", "")
        .write("etc/inetd.conf", "finger stream tcp nowait root /bin/x x\n")
        .write("usr/sbin/xinetd", "")
        .write("etc/init.d/xinetd", "");
    let by_inetd = "conflict: /etc/inetd.conf:1: the inetd service finger uses the port 3333";
    let by_xinetd = "conflict: /etc/inetd.conf:1: the xinetd service finger uses the port 3333; \
                     xinetd reads the file with -inetd_compat";
    let unit = "usr/lib/systemd/system/xinetd.service";
    for (file, text, expected) in [
        ("etc/default/xinetd", "# INETD_COMPAT=Yes\n", by_inetd),
        ("etc/default/xinetd", "INETD_COMPAT=yes\n", by_xinetd),
        (
            "etc/default/xinetd",
            "INETD_COMPAT=Yes\nINETD_COMPAT=No\n",
            by_inetd,
        ),
        (
            "etc/default/xinetd",
            "XINETD_OPTS=\"-stayalive -inetd_compat\"\n",
            by_xinetd,
        ),
        // A unit file replaces the script.
        (
            unit,
            "[Service]\nExecStart=/usr/sbin/xinetd -dontfork\n",
            by_inetd,
        ),
        (
            unit,
            "[Service]\nExecStart=/usr/sbin/xinetd -dontfork -inetd_compat\n",
            by_xinetd,
        ),
        ("etc/systemd/system/xinetd.service", "", by_inetd),
    ] {
        tree.write(file, text);
        let lines = found_by(&tree, &["free", "3333"]);
        assert!(lines.contains(&expected.into()), "{file} {text}: {lines:?}");
    }
    // The package was removed: its configuration stays.
    for file in ["etc/systemd/system/xinetd.service", "usr/sbin/xinetd"] {
        std::fs::remove_file(tree.path(file)).unwrap();
    }
    let lines = found_by(&tree, &["free", "3333"]);
    assert!(lines.contains(&by_inetd.into()), "{lines:?}");
}
