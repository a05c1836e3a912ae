//! `sockunit doctor` on trees of the tests' own: what files alone can tell.

mod commands;
mod pasted;
mod program;
mod report;
mod units;

use std::fs;
use std::path::Path;
use std::process::Output;

use crate::tool;
use crate::tree::Tree;

const SOCKET: &str = "etc/systemd/system/tick.socket";
const TEMPLATE: &str = "etc/systemd/system/tick@.service";
const PROGRAM: &str = "usr/local/bin/tick";

fn doctor(tree: &Tree, args: &[&str]) -> Output {
    tool::on(tree.root(), &["doctor"], args)
}

/// The output without the root directory; the exit status has to match.
#[track_caller]
fn printed_by(tree: &Tree, args: &[&str]) -> String {
    let output = doctor(tree, args);
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let faulty = printed.lines().any(|line| line.starts_with("problem: "));
    assert_eq!(output.status.code(), Some(i32::from(faulty)), "{printed}");
    let root = format!("{}/", tree.root().display());
    printed.replace(&root, "/")
}

/// A system with a service that has no problem.
fn tree(name: &str) -> Tree {
    let tree = Tree::new(&format!("doctor-{name}"));
    tree.write(
        SOCKET,
        "[Unit]\nDescription=x\n[Socket]\nListenStream=127.0.0.1:4000\nAccept=yes\n",
    )
    .write(
        TEMPLATE,
        "[Service]\nExecStart=-/usr/local/bin/tick %i\nUser=ann\nStandardInput=socket\nStandardError=journal\n",
    )
    .write(PROGRAM, "#!/bin/sh\necho here\n")
    .write("etc/passwd", "root:x:0:0::/root:/bin/sh\nann:x:4711:4711::/home/ann:/bin/sh\n")
    .write("etc/group", "ann:x:4711:\n")
    .write("etc/services", "http 80/tcp\ntick 4000/tcp\n");
    fs::create_dir_all(tree.path("bin")).unwrap();
    fs::copy("/bin/sh", tree.path("bin/sh")).unwrap();
    // Whatever loader it wants.
    for folder in ["lib", "lib64"] {
        if Path::new("/").join(folder).exists() {
            fs::create_dir_all(tree.path(folder)).unwrap();
        }
    }
    for loader in ["lib64/ld-linux-x86-64.so.2", "lib/ld-linux-aarch64.so.1"] {
        let here = Path::new("/").join(loader);
        if here.exists() {
            fs::copy(here, tree.path(loader)).unwrap();
        }
    }
    for path in [
        "",
        "usr",
        "usr/local",
        "usr/local/bin",
        PROGRAM,
        "bin",
        "bin/sh",
    ] {
        tree.set_mode(path, 0o755);
    }
    tree
}

/// The problem of a tree after a change.
#[track_caller]
fn problem(name: &str, change: impl FnOnce(&Tree)) -> String {
    let tree = tree(name);
    change(&tree);
    let printed = printed_by(&tree, &["tick"]);
    let at = printed
        .find("problem: ")
        .unwrap_or_else(|| panic!("no problem in {printed}"));
    printed[at..].to_string()
}

fn replace(tree: &Tree, path: &str, from: &str, to: &str) {
    let text = tree.read(path);
    assert!(text.contains(from), "{text}");
    tree.write(path, text.replace(from, to));
}
