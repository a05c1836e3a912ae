//! Unit files: missing, with mistakes, or no unit files at all; and the kinds of sockets.

use std::fs;
use std::path::Path;

use super::{SOCKET, TEMPLATE, printed_by, problem, replace, tree};
use crate::tool;

#[test]
fn a_missing_unit_is_reported_with_the_files_that_exist_instead() {
    let printed = problem("missing", |tree| {
        fs::remove_file(tree.path(SOCKET)).unwrap()
    });
    assert!(
        printed.starts_with(
            "problem: there is no tick.socket in any unit directory\n    tick@.service exists"
        ),
        "{printed}"
    );
    let printed = problem("stray", |tree| {
        fs::rename(tree.path(SOCKET), tree.path("etc/systemd/system/tick")).unwrap();
    });
    assert!(
        printed.ends_with("    mv /etc/systemd/system/tick /etc/systemd/system/tick.socket\n"),
        "{printed}"
    );
    let printed = problem("xinetd", |tree| {
        fs::remove_file(tree.path(SOCKET)).unwrap();
        tree.write("etc/xinetd.d/tick", "service tick\n{\n}\n");
    });
    assert!(printed.contains("/etc/xinetd.d/tick exists"), "{printed}");
}

#[test]
fn mistakes_in_unit_files_are_reported_by_line() {
    for (name, path, from, to, expected) in [
        (
            "mask",
            SOCKET,
            "[Unit]\nDescription=x\n[Socket]\nListenStream=127.0.0.1:4000\nAccept=yes\n",
            "",
            "tick.socket is masked by /etc/systemd/system/tick.socket",
        ),
        (
            "header",
            SOCKET,
            "[Socket]",
            "[Socket",
            "/etc/systemd/system/tick.socket:3: a section header without ]",
        ),
        (
            "outside",
            TEMPLATE,
            "[Service]\n",
            "",
            "tick@.service sets no ExecStart=",
        ),
        (
            "accept",
            SOCKET,
            "Accept=yes\n",
            "",
            "tick.socket does not set Accept=yes",
        ),
        (
            "no",
            SOCKET,
            "Accept=yes",
            "Accept=off",
            "/etc/systemd/system/tick.socket:5 sets Accept=off",
        ),
        (
            "both",
            SOCKET,
            "Accept=yes",
            "Accept=yes\nService=x.service",
            "Service= needs Accept=no",
        ),
        (
            "nowhere",
            SOCKET,
            "ListenStream=127.0.0.1:4000\n",
            "",
            "tick.socket has no address",
        ),
        (
            "host",
            SOCKET,
            "127.0.0.1",
            "localhost",
            "tick.socket:4: localhost:4000 is not an address",
        ),
        (
            "twice",
            SOCKET,
            "Accept=yes",
            "ListenStream=4000\nAccept=yes",
            "tick.socket listens on port 4000 twice",
        ),
        (
            "start",
            TEMPLATE,
            "ExecStart",
            "ExecStop",
            "tick@.service sets no ExecStart=",
        ),
        (
            "quote",
            TEMPLATE,
            "%i",
            "\"%i",
            "tick@.service:2: ExecStart=-/usr/local/bin/tick \"%i: a quote",
        ),
        (
            "user",
            TEMPLATE,
            "User=ann",
            "User=bob",
            "tick@.service:3: the user bob does not exist",
        ),
        (
            "group",
            TEMPLATE,
            "User=ann",
            "Group=folk",
            "tick@.service:3: the group folk does not exist",
        ),
        (
            "port",
            "etc/services",
            "4000",
            "4001",
            "/etc/services:2: tick is port 4001, and tick.socket listens on 4000",
        ),
        (
            "stdout",
            TEMPLATE,
            "StandardError",
            "StandardOutput",
            "tick@.service sets StandardOutput=journal",
        ),
        (
            "families",
            SOCKET,
            "127.0.0.1:4000",
            "[::]:4000\nListenStream=0.0.0.0:4000",
            "tick.socket listens on port 4000 twice",
        ),
    ] {
        let printed = problem(name, |tree| replace(tree, path, from, to));
        assert!(
            printed.lines().next().unwrap().contains(expected),
            "{expected}: {printed}"
        );
    }
}

#[test]
fn a_line_without_effect_and_a_matter_of_taste_are_notes() {
    for (name, path, from, to, expected) in [
        (
            "stderr",
            TEMPLATE,
            "StandardError=journal\n",
            "",
            "note: tick@.service does not set StandardError=journal: the program's error messages go to the client",
        ),
        (
            "key",
            TEMPLATE,
            "User",
            "ExecStrat=x\nUser",
            "note: /etc/systemd/system/tick@.service:3: ExecStrat=x: systemd reports \"Unknown key",
        ),
        (
            "section",
            SOCKET,
            "[Unit]",
            "[Unti]",
            "note: /etc/systemd/system/tick.socket:1: systemd reports \"Unknown section 'Unti'",
        ),
    ] {
        let tree = tree(&format!("note-{name}"));
        replace(&tree, path, from, to);
        let printed = printed_by(&tree, &["tick"]);
        let noted = printed.lines().any(|line| line.starts_with(expected));
        assert!(noted && !printed.contains("problem: "), "{printed}");
    }
    let other = tree("other-service");
    let drop_in = "etc/systemd/system/tick.service.d/user.conf";
    other.write(drop_in, "[Service]\nUser=root\n");
    let printed = printed_by(&other, &["tick"]);
    let note = format!(
        "note: /{drop_in} is a drop-in for tick.service, and the socket starts tick@.service: it has no effect\n"
    );
    assert!(printed.contains(&note), "{printed}");
    let moved = tree("moved");
    moved.write(
        "etc/systemd/system/tick.socket.d/port.conf",
        "[Socket]\nListenStream=\nListenStream=127.0.0.1:4001\n",
    );
    let printed = printed_by(&moved, &["tick"]);
    let note = "note: /etc/systemd/system/tick.socket.d/port.conf:3: ListenStream=127.0.0.1:4001 replaces the addresses of \
                /etc/systemd/system/tick.socket\n";
    assert!(printed.contains(note), "{printed}");
}

#[test]
fn a_socket_of_another_kind_is_named_and_not_judged() {
    for (key, value) in [
        ("ListenDatagram", "/run/tick"),
        ("ListenSequentialPacket", "/run/tick"),
        ("ListenFIFO", "/run/tick"),
        ("ListenNetlink", "audit 1"),
        ("ListenSpecial", "/dev/rfkill"),
        ("ListenMessageQueue", "/tick"),
    ] {
        let tree = tree("kind");
        replace(
            &tree,
            SOCKET,
            "ListenStream=127.0.0.1:4000\nAccept=yes",
            &format!("{key}={value}"),
        );
        fs::remove_file(tree.path(TEMPLATE)).unwrap();
        let expected = format!(
            "ok: /etc/systemd/system/tick.socket\n\
             note: tick.socket has {key}=: doctor checks stream sockets only, and stops here\n"
        );
        assert_eq!(printed_by(&tree, &["tick"]), expected);
    }
    let tree = tree("of-systemd");
    replace(&tree, SOCKET, "Description=x", "DefaultDependencies=no");
    replace(
        &tree,
        TEMPLATE,
        "/usr/local/bin/tick",
        "/usr/lib/systemd/systemd-tick",
    );
    let printed = printed_by(&tree, &["tick"]);
    let note =
        "note: tick.socket and tick@.service are a part of systemd: doctor does not check them\n";
    assert!(printed.ends_with(note), "{printed}");
}

#[test]
fn a_file_that_is_no_unit_file_ends_in_a_sentence_at_once() {
    let tree = tree("no-file");
    for (make, why) in [
        (
            Box::new(|path: &Path| {
                nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap();
            }) as Box<dyn Fn(&Path)>,
            "tick.socket cannot be read: /etc/systemd/system/tick.socket: not a regular file",
        ),
        (
            Box::new(|path| fs::File::create(path).unwrap().set_len(1 << 30).unwrap()),
            "tick.socket cannot be read: /etc/systemd/system/tick.socket: larger than 16 MiB",
        ),
        (
            Box::new(|path| std::os::unix::fs::symlink("tick.socket", path).unwrap()),
            "there is no tick.socket in any unit directory",
        ),
        (
            Box::new(|path| fs::create_dir(path).unwrap()),
            "there is no tick.socket in any unit directory",
        ),
    ] {
        let path = tree.path(SOCKET);
        let _ = fs::remove_file(&path);
        make(&path);
        let printed = printed_by(&tree, &["tick"]);
        assert!(
            printed.starts_with(&format!("problem: {why}\n")),
            "{printed}"
        );
        let check = tool::on(tree.root(), &["check"], &["tick", "4000"]);
        assert!(
            check.status.code().is_some_and(|code| code < 2),
            "{check:?}"
        );
        let list = tool::on(tree.root(), &["list"], &[]);
        assert!(list.status.code().is_some_and(|code| code < 2), "{list:?}");
    }
}
