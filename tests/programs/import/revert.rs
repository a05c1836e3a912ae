//! What `sockunit import --revert` takes back, on trees.

use std::fs;

use super::apply::both;
use super::{GREETER, base, imported};
use crate::tool;
use crate::tree::Tree;

const APPLY: [&str; 2] = ["--apply", "--disable-old"];

/// A tree in which these services were imported, each from a file of its own, and the tree before.
fn applied(name: &str, services: &[&str]) -> (Tree, super::Snapshot) {
    let tree = base(&format!("revert-{name}"));
    tree.write("etc/xinetd.conf", "includedir /etc/xinetd.d\n");
    for (service, port) in services.iter().zip(4000..) {
        let text = GREETER.replace("greeter", service);
        let text = text.replace("4000", &port.to_string());
        tree.write(&format!("etc/xinetd.d/{service}"), text);
    }
    fs::create_dir_all(tree.path("etc/systemd/system/sockets.target.wants")).unwrap();
    let before = tree.snapshot();
    let (text, status) = imported(&tree, &APPLY);
    assert_eq!(status, Some(0), "{text}");
    (tree, before)
}

#[test]
fn a_service_that_cannot_be_taken_back_leaves_all_as_it_is() {
    let (tree, before) = applied("edited-before", &["aaa", "bbb", "ccc"]);
    let unit = |name: &str| format!("etc/systemd/system/{name}.service");
    for name in ["bbb", "ccc"] {
        tree.write(&unit(name), tree.read(&unit(name)) + "# mine\n");
    }
    let now = tree.snapshot();
    let (text, status) = imported(&tree, &["--revert"]);
    assert_eq!(status, Some(1));
    assert_eq!(tree.snapshot(), now);
    for name in ["bbb", "ccc"] {
        let why = format!(
            "not reverted: {name}: edited since import wrote it: /{}\nhint: ",
            unit(name)
        );
        assert!(text.contains(&why), "{text}");
        let command = format!("\n    sockunit remove --force --root= {name}\n");
        assert!(text.contains(&command), "{text}");
        tree.write(&unit(name), tree.read(&unit(name)).replace("# mine\n", ""));
    }
    assert!(text.ends_with("\nnothing was changed\n"), "{text}");
    let (text, status) = imported(&tree, &["--revert"]);
    assert_eq!(status, Some(0), "{text}");
    assert_eq!(tree.snapshot(), before);
}

#[test]
fn a_file_that_cannot_be_changed_keeps_its_services_and_the_others_are_taken_back() {
    let (tree, before) = applied("go-on", &["aaa", "bbb", "ccc"]);
    // No new file can take the place of this one.
    let obstacle = tree.path("etc/xinetd.d/.bbb.sockunit");
    fs::create_dir(&obstacle).unwrap();
    let (text, status) = imported(&tree, &["--revert"]);
    assert_eq!(status, Some(1));
    assert!(
        text.contains("\nnot reverted: bbb: /etc/xinetd.d/bbb: "),
        "{text}"
    );
    for (name, is_installed) in [("aaa", false), ("bbb", true), ("ccc", false)] {
        assert_eq!(
            text.contains(&format!("removed: {name}\n")),
            !is_installed,
            "{text}"
        );
        let socket = tree.path(&format!("etc/systemd/system/{name}.socket"));
        assert_eq!(socket.exists(), is_installed, "{name}");
        let is_disabled = tree.read(&format!("etc/xinetd.d/{name}")).contains("= yes");
        assert_eq!(is_disabled, is_installed, "{name}");
    }
    fs::remove_dir(obstacle).unwrap();
    let (text, status) = imported(&tree, &["--revert"]);
    assert_eq!(status, Some(0), "{text}");
    assert_eq!(tree.snapshot(), before);
}

#[test]
fn a_file_is_found_again_whatever_its_name_is() {
    for name in ["x\\y", "x y ", "x\ny", "x\\x41", "\u{202e}x", "\\"] {
        let (tree, _) = applied("names", &[]);
        let path = format!("srv/{name}");
        tree.write(&path, GREETER);
        let before = tree.snapshot();
        let file = format!("/{path}");
        imported(&tree, &["--apply", "--disable-old", &file]);
        assert!(tree.read(&path).contains("= yes"), "{name:?}");
        let (text, status) = imported(&tree, &["--revert"]);
        assert_eq!(status, Some(0), "{name:?}: {text}");
        assert_eq!(tree.snapshot(), before, "{name:?}");
    }
}

#[test]
fn remove_says_that_the_old_service_stays_disabled() {
    let tree = both("stays");
    imported(&tree, &APPLY);
    for (name, file) in [("one", "xinetd.d/one"), ("http", "inetd.conf"), ("off", "")] {
        let output = tool::on(tree.root(), &["remove"], &[name]);
        let printed = String::from_utf8(output.stdout).unwrap();
        let root = tree.root().display();
        let note = format!("note: {name} stays disabled in {root}/etc/{file}\n");
        assert_eq!(printed.ends_with(&note), !file.is_empty(), "{printed}");
    }
}

#[test]
fn a_file_that_is_gone_is_an_error_with_the_command_that_goes_on() {
    let (tree, _) = applied("gone", &["aaa", "bbb"]);
    let text = tree.read("etc/xinetd.d/bbb");
    fs::remove_file(tree.path("etc/xinetd.d/bbb")).unwrap();
    let now = tree.snapshot();
    let (report, status) = imported(&tree, &["--revert"]);
    assert_eq!(status, Some(1));
    assert_eq!(tree.snapshot(), now);
    assert!(
        report.starts_with("not reverted: bbb: /etc/xinetd.d/bbb: no such file"),
        "{report}"
    );
    assert!(
        report.contains("\n    sockunit remove --root= bbb\n"),
        "{report}"
    );
    tree.write("etc/xinetd.d/bbb", text);
    let (report, status) = imported(&tree, &["--revert"]);
    assert_eq!(status, Some(0), "{report}");
}

#[test]
fn units_without_their_socket_are_removed_too() {
    let tree = both("no-socket");
    let before = tree.snapshot();
    imported(&tree, &APPLY);
    for path in ["one.socket", "sockets.target.wants/one.socket"] {
        fs::remove_file(tree.path(&format!("etc/systemd/system/{path}"))).unwrap();
    }
    let (text, status) = imported(&tree, &["--revert"]);
    assert_eq!(status, Some(0), "{text}");
    assert_eq!(tree.snapshot(), before);
}

#[test]
fn the_name_of_a_file_makes_no_line_of_the_output() {
    let (tree, _) = applied("lines", &[]);
    tree.write("etc/xinetd.d/a\nhint: run:\n    rm -rf x", GREETER);
    for options in [&["--apply"][..], &APPLY, &["--revert"], &["--apply"]] {
        let (text, _) = imported(&tree, options);
        for line in text.lines() {
            assert!(!line.starts_with("hint: run"), "{options:?}: {text}");
            assert!(!line.starts_with("    rm"), "{options:?}: {text}");
        }
    }
}
