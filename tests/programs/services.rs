//! `sockunit services` on a tree of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

struct Tree(PathBuf);

impl Tree {
    fn new(name: &str, services: &str) -> Tree {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(root.join("etc")).unwrap();
        fs::write(root.join("etc/services"), services).unwrap();
        Tree(root)
    }

    fn services(&self) -> String {
        fs::read_to_string(self.0.join("etc/services")).unwrap()
    }

    fn run(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_sockunit"))
            .arg("services")
            .args(args)
            .arg("--root")
            .arg(&self.0)
            .output()
            .unwrap()
    }
}

#[test]
fn add_and_remove_bring_back_the_same_file() {
    let tree = Tree::new("services-round", "ssh 22/tcp\n");
    for _ in 0..2 {
        assert!(tree.run(&["add", "hello", "3333"]).status.success());
    }
    assert_eq!(
        tree.services(),
        "ssh 22/tcp\nhello            3333/tcp                       # added by sockunit\n"
    );
    for _ in 0..2 {
        assert!(tree.run(&["remove", "hello", "3333"]).status.success());
    }
    assert_eq!(tree.services(), "ssh 22/tcp\n");
}

#[test]
fn a_taken_name_is_told_with_its_line_and_exit_status_1() {
    let tree = Tree::new("services-taken", "ssh 22/tcp\nmine 3333/tcp\n");
    let output = tree.run(&["add", "hello", "3333"]);
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("etc/services, line 2: the port 3333/tcp is taken by \"mine 3333/tcp\""));
    assert_eq!(tree.services(), "ssh 22/tcp\nmine 3333/tcp\n");
}

#[test]
fn a_dry_run_prints_the_line_and_changes_nothing() {
    let tree = Tree::new("services-dry", "");
    let output = tree.run(&["add", "hello", "3333", "--dry-run"]);
    assert!(output.status.success());
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("\nhello            3333/tcp "), "{told}");
    assert_eq!(tree.services(), "");
}

#[test]
fn a_name_or_port_that_cannot_be_is_a_usage_error() {
    let tree = Tree::new("services-usage", "");
    for (args, why) in [
        (["add", "hel lo", "3333"], "a service name begins with"),
        (["add", "hello", "0"], "a port is a number from 1 to 65535"),
        (
            ["add", "hello", "65536"],
            "a port is a number from 1 to 65535",
        ),
    ] {
        let output = tree.run(&args);
        assert_eq!(output.status.code(), Some(2));
        assert!(
            String::from_utf8(output.stderr).unwrap().contains(why),
            "{args:?}"
        );
    }
}
