//! `sockunit services` on trees of the tests' own.

use std::process::Output;

use crate::tool;
use crate::tree::Tree;

fn tree(name: &str, services: &str) -> Tree {
    let tree = Tree::new(name);
    tree.write("etc/services", services);
    tree
}

fn run(tree: &Tree, args: &[&str]) -> Output {
    tool::on(tree.root(), &["services", args[0]], &args[1..])
}

#[test]
fn remove_restores_the_file_that_add_changed() {
    let tree = tree("services-round", "ssh 22/tcp\n");
    for _ in 0..2 {
        assert!(run(&tree, &["add", "hello", "3333"]).status.success());
    }
    assert_eq!(
        tree.read("etc/services"),
        "ssh 22/tcp\nhello            3333/tcp                       # added by sockunit\n"
    );
    for _ in 0..2 {
        assert!(run(&tree, &["remove", "hello", "3333"]).status.success());
    }
    assert_eq!(tree.read("etc/services"), "ssh 22/tcp\n");
}

#[test]
fn a_port_in_use_is_reported_with_its_line_and_exit_status_1() {
    let tree = tree("services-taken", "ssh 22/tcp\nmine 3333/tcp\n");
    let output = run(&tree, &["add", "hello", "3333"]);
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        error.contains("etc/services:2: the port 3333/tcp is in use by \"mine 3333/tcp\"\nhint: ")
    );
    assert_eq!(tree.read("etc/services"), "ssh 22/tcp\nmine 3333/tcp\n");
}

#[test]
fn a_change_that_is_not_needed_says_what_the_file_has() {
    let tree = tree("services-unchanged", "ssh 22/tcp\n");
    let said = |args: &[&str]| String::from_utf8(run(&tree, args).stdout).unwrap();
    let end = ": unchanged: it has no line ssh 22/tcp that sockunit added\n";
    assert!(said(&["remove", "ssh", "22"]).ends_with(end));
    said(&["add", "hello", "3333"]);
    let end = ": unchanged: it has the line hello 3333/tcp already\n";
    assert!(said(&["add", "hello", "3333"]).ends_with(end));
}

#[test]
fn a_line_that_sockunit_added_is_no_dead_end() {
    let tree = tree("services-own", "");
    run(&tree, &["add", "hello", "3333"]);
    let error = String::from_utf8(run(&tree, &["add", "hello", "4444"]).stderr).unwrap();
    let root = tree.root().display();
    let hint = format!(
        "\nhint: sockunit added that line; this removes it\n    sockunit services remove --root={root} hello 3333\n"
    );
    assert!(error.ends_with(&hint), "{error}");
}

#[test]
fn a_dry_run_prints_the_line_and_changes_nothing() {
    let tree = tree("services-dry", "");
    let output = run(&tree, &["add", "hello", "3333", "--dry-run"]);
    assert!(output.status.success());
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(
        printed.contains("\nhello            3333/tcp "),
        "{printed}"
    );
    assert_eq!(tree.read("etc/services"), "");
}

#[test]
fn an_invalid_name_or_port_is_a_usage_error() {
    let tree = tree("services-usage", "");
    for (args, why) in [
        (["add", "hel lo", "3333"], "a service name begins with"),
        (["add", "hello", "0"], "a port is a number from 1 to 65535"),
        (
            ["add", "hello", "65536"],
            "a port is a number from 1 to 65535",
        ),
    ] {
        let output = run(&tree, &args);
        assert_eq!(output.status.code(), Some(2));
        assert!(
            String::from_utf8(output.stderr).unwrap().contains(why),
            "{args:?}"
        );
    }
}
