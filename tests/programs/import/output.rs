//! `sockunit import --output`.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::process::Command;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::{imported, three, units};
use crate::tool::{self, SOCKUNIT};
use crate::tree::{ACCESS_LIST, Tree};

#[test]
fn units_are_written_to_a_directory() {
    let tree = three("written");
    let output = tree.path("output/units");
    let (text, _) = imported(&tree, &["--output", output.to_str().unwrap()]);
    assert_eq!(units(&text), [""; 0]);
    let socket = tree.read("output/units/two.socket");
    assert!(socket.contains("\nListenStream=4002\n"), "{socket}");
    assert_eq!(fs::read_dir(output).unwrap().count(), 4);
}

/// The directory is the user's own, but it has what somebody else could have put there.
#[test]
fn units_are_written_through_no_link_and_into_no_pipe() {
    let tree = three("through");
    tree.write("victim", "mine\n")
        .link("output/one.socket", "../victim")
        .link("output/.one.service.sockunit", "../victim");
    mkfifo(&tree.path("output/two.socket"), Mode::S_IRWXU).unwrap();
    let output = tree.path("output");
    let (text, status) = imported(&tree, &["--output", output.to_str().unwrap()]);
    assert_eq!(status, Some(0), "{text}");
    assert_eq!(tree.read("victim"), "mine\n");
    for unit in ["one.service", "one.socket", "two.service", "two.socket"] {
        let stat = fs::symlink_metadata(output.join(unit)).unwrap();
        assert!(stat.is_file(), "{unit}");
    }
    assert_eq!(fs::read_dir(output).unwrap().count(), 4);
}

#[test]
fn a_unit_that_cannot_be_written_leaves_no_part_of_it() {
    let tree = three("no-room");
    fs::create_dir(tree.path("output")).unwrap();
    let import = format!(
        "trap '' XFSZ; ulimit -f 0; exec {SOCKUNIT} import --root {0} --output {0}/output",
        tree.root().display()
    );
    let output = Command::new("sh").args(["-c", &import]).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.ends_with(": file too large\n"), "{stderr}");
    assert_eq!(fs::read_dir(tree.path("output")).unwrap().count(), 0);
}

/// Has units written to a directory, which fails because another user can change it.
fn refused(tree: &Tree, path: &str) {
    let output = tree.path(path);
    let output = tool::on(
        tree.root(),
        &["import"],
        &["--output", output.to_str().unwrap()],
    );
    assert_eq!(output.status.code(), Some(1), "{path}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{path}");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.starts_with("sockunit: cannot write: "), "{stderr}");
    assert!(
        stderr.contains(": another user can change it\nhint: "),
        "{stderr}"
    );
}

#[test]
fn a_directory_in_which_others_can_write_gets_no_units() {
    let tree = three("of-others");
    fs::create_dir_all(tree.path("open")).unwrap();
    fs::create_dir_all(tree.path("listed")).unwrap();
    tree.set_list("listed", ACCESS_LIST, [7, 7, 5, 7, 5]);
    refused(&tree, "listed");
    refused(&tree, "listed/units");
    tree.set_mode("open", 0o777);
    refused(&tree, "open");
    refused(&tree, "open/units");
    assert!(!tree.path("open/units").exists());
    // In a directory such as /tmp, nobody else can replace what is in it.
    tree.set_mode("open", 0o1777);
    imported(
        &tree,
        &["--output", tree.path("open/units").to_str().unwrap()],
    );
    assert_eq!(fs::read_dir(tree.path("open/units")).unwrap().count(), 4);
}

#[test]
#[ignore = "needs root, to give files to another user"]
fn a_directory_of_another_user_or_with_their_files_gets_no_units() {
    let tree = three("of-another");
    let output = tree.path("units");
    imported(&tree, &["--output", output.to_str().unwrap()]);
    chown(&output, Some(1000), Some(1000)).unwrap();
    refused(&tree, "units");
    refused(&tree, "units/more");
    chown(&output, Some(0), Some(1000)).unwrap();
    tree.set_mode("units", 0o775);
    refused(&tree, "units");
    chown(&output, Some(0), Some(0)).unwrap();
    let socket = output.join("one.socket");
    chown(&socket, Some(1000), Some(1000)).unwrap();
    refused(&tree, "units");
    assert_eq!(fs::metadata(&socket).unwrap().uid(), 1000);
}
