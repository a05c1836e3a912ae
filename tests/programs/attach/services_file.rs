//! Entries in /etc/services.

use std::fs;
use std::os::unix::fs::symlink;

use super::tree::{SERVICES, Tree};

#[test]
fn an_entry_in_services_that_existed_before_stays() {
    let tree = Tree::new("line");
    let line = "greeter          4000/tcp                       # added by sockunit\n";
    tree.write("etc/services", 0o644, format!("{SERVICES}{line}"));
    let before = tree.snapshot();
    tree.add(&["greeter", "4000", "--", "/bin/sh"]);
    tree.remove(&["greeter"]);
    assert_eq!(tree.snapshot(), before);
}

#[test]
fn a_services_file_that_is_a_link_or_missing_is_left_alone() {
    let tree = Tree::new("linked-services");
    tree.write("usr/services", 0o644, SERVICES);
    fs::remove_file(tree.0.join("etc/services")).unwrap();
    symlink("../usr/services", tree.0.join("etc/services")).unwrap();
    let before = tree.snapshot();
    tree.add(&["greeter", "4000", "--", "/bin/sh"]);
    assert_eq!(tree.read("usr/services"), SERVICES);
    tree.remove(&["greeter"]);
    assert_eq!(tree.snapshot(), before);
    // It is deleted after add.
    let tree = Tree::new("lost-services");
    tree.add(&["--enable", "greeter", "4000", "--", "/bin/sh"]);
    fs::remove_file(tree.0.join("etc/services")).unwrap();
    tree.remove(&["greeter"]);
    let wants = tree.0.join("etc/systemd/system/sockets.target.wants");
    assert_eq!(fs::read_dir(wants).unwrap().count(), 0);
}

#[test]
fn a_registered_name_or_port_is_no_conflict_and_gets_no_second_entry() {
    let tree = Tree::new("registered");
    let before = tree.snapshot();
    for (name, port) in [("www", "4000"), ("greeter", "80"), ("ssh", "22")] {
        tree.add(&[name, port, "--", "/bin/sh"]);
        assert_eq!(tree.read("etc/services"), SERVICES);
        tree.remove(&[name]);
        assert_eq!(tree.snapshot(), before);
    }
}

#[test]
fn an_entry_of_another_protocol_is_no_conflict() {
    let tree = Tree::new("twin");
    tree.write(
        "etc/services",
        0o644,
        "greeter 4000/tcp\ngreeter 4000/udp\n",
    );
    tree.add(&["greeter", "4000", "--", "/bin/sh"]);
}
