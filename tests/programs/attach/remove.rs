//! `sockunit remove`, and what an interrupted `sockunit add` leaves.

use std::fs;

use super::tree::Tree;

#[test]
fn remove_restores_the_tree_that_add_found() {
    let tree = Tree::new("round");
    for options in [
        &[][..],
        &["--enable"],
        &["--shared"],
        &["--user", "--enable"],
    ] {
        let before = tree.snapshot();
        let user: &[&str] = if options.contains(&"--user") {
            &["--user"]
        } else {
            &[]
        };
        tree.add(&[options, &["greeter", "4000", "--", "/home/you/hello.sh"]].concat());
        assert_ne!(tree.snapshot(), before);
        tree.remove(&[user, &["greeter"]].concat());
        assert_eq!(tree.snapshot(), before, "{options:?}");
    }
}

#[test]
fn missing_directories_are_made_and_no_file_is_left_in_them() {
    let tree = Tree::new("bare");
    fs::remove_dir_all(tree.0.join("etc/systemd")).unwrap();
    tree.add(&["--enable", "greeter", "4000", "--", "/bin/sh"]);
    let wants = "etc/systemd/system/sockets.target.wants";
    assert!(fs::symlink_metadata(tree.0.join(wants).join("greeter.socket")).is_ok());
    tree.remove(&["greeter"]);
    assert_eq!(fs::read_dir(tree.0.join(wants)).unwrap().count(), 0);
    assert_eq!(
        fs::read_dir(tree.0.join("etc/systemd/system"))
            .unwrap()
            .count(),
        1
    );
}

#[test]
fn two_services_can_be_removed_in_either_order() {
    let tree = Tree::new("two");
    let before = tree.snapshot();
    for order in [["one", "two"], ["two", "one"]] {
        tree.add(&["one", "4001", "--enable", "--", "/bin/sh"]);
        tree.add(&["two", "4002", "--enable", "--", "/bin/sh"]);
        for name in order {
            tree.remove(&[name]);
        }
        assert_eq!(tree.snapshot(), before);
    }
}

#[test]
fn only_files_that_add_wrote_are_removed_and_changed_ones_only_with_force() {
    let tree = Tree::new("changed");
    tree.write(
        "etc/systemd/system/other.socket",
        0o644,
        "[Socket]\nListenStream=1\n",
    );
    tree.write(
        "etc/systemd/system/greeter.socket.d/mine.conf",
        0o644,
        "[Socket]\n",
    );
    let before = tree.snapshot();
    for name in ["other", "nobody"] {
        assert_eq!(
            tree.remove(&[name]),
            format!(
                "unchanged: {name} is not an attached service\nhint: this shows the names\n    sockunit list --root={}\n",
                tree.0.display()
            )
        );
    }
    assert_eq!(tree.snapshot(), before);
    tree.write("usr/lib/systemd/system/hello.socket", 0o644, "[Socket]\n");
    assert_eq!(
        tree.remove(&["hello"]),
        "unchanged: hello belongs to the package\n"
    );
    std::fs::remove_dir_all(tree.0.join("usr/lib")).unwrap();
    tree.add(&["greeter", "4000", "--", "/bin/sh"]);
    let socket = "etc/systemd/system/greeter.socket";
    tree.write(socket, 0o644, tree.read(socket) + "# mine\n");
    let attached = tree.snapshot();
    let done = tree.run("remove", &["greeter"]);
    assert_eq!(done.status, Some(1));
    assert!(
        done.stderr
            .contains("greeter.socket has changed since sockunit wrote it\nhint: move your changes to a drop-in"),
        "{}",
        done.stderr
    );
    assert_eq!(tree.snapshot(), attached);
    let stdout = tree.remove(&["--force", "greeter"]);
    assert!(
        stdout.contains("greeter.socket.d: kept, because sockunit did not write it\n"),
        "{stdout}"
    );
    assert_eq!(tree.snapshot(), before);
}

#[test]
fn an_interrupted_add_is_undone_by_the_next_add_and_by_remove() {
    let tree = Tree::new("cut-off");
    let before = tree.snapshot();
    let cut_off = || {
        tree.add(&["greeter", "4000", "--enable", "--", "/bin/sh"]);
        fs::remove_file(tree.0.join("etc/systemd/system/greeter.socket")).unwrap();
        tree.write("etc/systemd/system/.greeter.socket.sockunit", 0o644, "[Uni");
    };
    cut_off();
    tree.remove(&["greeter"]);
    assert_eq!(tree.snapshot(), before);
    cut_off();
    tree.add(&["greeter", "4001", "--shared", "--", "/bin/sh"]);
    assert!(
        tree.read("etc/services")
            .ends_with("\ngreeter          4001/tcp                       # added by sockunit\n")
    );
    tree.remove(&["greeter"]);
    assert_eq!(tree.snapshot(), before);
    tree.write("etc/systemd/system/.greeter@.service.sockunit", 0o644, "");
    assert_eq!(
        tree.remove(&["greeter"]),
        "removed the temporary files of an interrupted sockunit add\n"
    );
    assert_eq!(tree.snapshot(), before);
}

#[test]
fn changed_files_are_not_taken_for_those_of_an_interrupted_add() {
    let tree = Tree::new("changed-rest");
    tree.add(&["greeter", "4000", "--", "/bin/sh"]);
    let units = "etc/systemd/system";
    let unit = format!("{units}/greeter@.service");
    tree.write(&unit, 0o644, tree.read(&unit) + "# mine\n");
    let socket = tree.0.join(units).join("greeter.socket");
    fs::rename(&socket, socket.with_extension("off")).unwrap();
    let before = tree.snapshot();
    let done = tree.run("add", &["greeter", "4000", "--", "/bin/sh"]);
    assert_eq!(done.status, Some(1));
    assert!(
        done.stderr.contains("greeter@.service has changed"),
        "{}",
        done.stderr
    );
    assert_eq!(tree.snapshot(), before);
}
