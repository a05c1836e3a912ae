//! The paths in the commands that doctor prints.

use std::fs;

use super::{SOCKET, TEMPLATE, problem, replace};
use crate::tree::Tree;

const UNITS: &str = "etc/systemd/system";
const WITHHELD: &str = "\n    (no command is printed: others can change the path)\n";

/// Moves the directory of the units to /srv/units of the tree, and leaves an absolute link.
fn linked(tree: &Tree) {
    fs::create_dir_all(tree.path("srv")).unwrap();
    fs::rename(tree.path(UNITS), tree.path("srv/units")).unwrap();
    tree.link(UNITS, "/srv/units");
}

#[track_caller]
fn expect(name: &str, commands: &[&str], change: impl Fn(&Tree)) {
    let printed = problem(&format!("pasted-{name}"), |tree| {
        change(tree);
        linked(tree);
    });
    let lines: String = commands
        .iter()
        .map(|line| format!("    {line}\n"))
        .collect();
    assert!(printed.ends_with(&format!("\n{lines}")), "{printed}");
    // The same where another user can change the units.
    let printed = problem(&format!("pasted-open-{name}"), |tree| {
        change(tree);
        linked(tree);
        tree.set_mode("srv", 0o777);
    });
    assert!(printed.ends_with(WITHHELD), "{printed}");
}

#[test]
fn a_command_stays_below_the_root_directory_and_names_no_path_that_others_can_change() {
    expect(
        "drop-in",
        &[
            "mkdir -p /srv/units/tick@.service.d",
            "printf '%s\\n' '[Service]' StandardOutput=socket >>/srv/units/tick@.service.d/doctor.conf",
        ],
        |tree| {
            replace(
                tree,
                TEMPLATE,
                "StandardError",
                "StandardOutput=journal\nStandardError",
            )
        },
    );
    expect(
        "reset",
        &["sed -i '3i ExecStart=' /srv/units/tick@.service"],
        |tree| replace(tree, TEMPLATE, "User", "ExecStart=/bin/true\nUser"),
    );
    // The link that masks it, and not /dev/null.
    expect("mask", &["rm /srv/units/tick.socket"], |tree| {
        fs::remove_file(tree.path(SOCKET)).unwrap();
        tree.link(SOCKET, "/dev/null");
    });
    expect(
        "rename",
        &["mv /srv/units/tick /srv/units/tick.socket"],
        |tree| fs::rename(tree.path(SOCKET), tree.path(&format!("{UNITS}/tick"))).unwrap(),
    );
    expect(
        "template",
        &["mv /srv/units/tick.service /srv/units/tick@.service"],
        |tree| {
            let wrong = tree.path(&format!("{UNITS}/tick.service"));
            fs::rename(tree.path(TEMPLATE), wrong).unwrap();
        },
    );
}

#[test]
fn the_services_database_and_configuration_of_xinetd_are_those_of_the_tree() {
    let printed = problem("pasted-database", |tree| {
        replace(tree, "etc/services", "4000", "4001");
        fs::create_dir_all(tree.path("srv")).unwrap();
        fs::rename(tree.path("etc/services"), tree.path("srv/services")).unwrap();
        tree.link("etc/services", "/srv/services");
    });
    assert!(
        printed.ends_with("\n    sed -i 2s,4001/tcp,4000/tcp, /srv/services\n"),
        "{printed}"
    );
    let gone = |tree: &Tree| {
        fs::remove_file(tree.path(SOCKET)).unwrap();
        tree.write("srv/tick", "service tick\n{\n}\n");
        tree.link("etc/xinetd.d/tick", "/srv/tick");
    };
    let printed = problem("pasted-xinetd", gone);
    let command = "\n    sockunit import --apply --disable-old --root=";
    assert!(printed.contains(command), "{printed}");
    assert!(printed.ends_with(" /srv/tick\n"), "{printed}");
    let printed = problem("pasted-xinetd-open", |tree| {
        gone(tree);
        tree.set_mode("srv", 0o777);
    });
    assert!(printed.ends_with(WITHHELD), "{printed}");
}

#[test]
fn no_user_is_created_in_a_tree_that_others_can_change() {
    let printed = problem("pasted-user", |tree| {
        replace(tree, TEMPLATE, "User=ann", "User=nobody-here");
        tree.set_mode("etc", 0o777);
    });
    assert!(printed.ends_with(WITHHELD), "{printed}");
}
