//! `sockunit add` and `remove` on trees of the tests' own: what is refused, what is written, and that it goes again.

mod refused;
mod tree;

use std::fs;
use std::path::Path;

use self::tree::{SERVICES, Tree};

#[test]
fn add_and_remove_bring_back_the_same_tree_whether_its_folders_are_there_or_not() {
    let tree = Tree::new("round");
    for there in [
        "",
        "etc/systemd/system",
        "etc/systemd/system/sockets.target.wants",
    ] {
        fs::create_dir_all(tree.0.join(there)).unwrap();
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
            assert_eq!(tree.snapshot(), before, "{there} {options:?}");
        }
    }
}

#[test]
fn of_two_services_either_may_go_first() {
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
fn a_dry_run_prints_every_file_and_writes_none() {
    let tree = Tree::new("dry");
    let before = tree.snapshot();
    let options = [
        "--dry-run",
        "--enable",
        "--listen",
        "192.0.2.1",
        "--listen",
        "::",
    ];
    let printed = tree.add(
        &[
            &options[..],
            &["greeter", "4000", "--", "/home/you/hello.sh", "a b"],
        ]
        .concat(),
    );
    assert_eq!(tree.snapshot(), before);
    let folder = tree.0.join("etc/systemd/system");
    for text in [
        &format!(
            "==> {}/greeter@.service <==\n# Made by sockunit add; to take it away: sockunit remove greeter\n",
            folder.display()
        ),
        &format!("==> {}/greeter.socket <==\n", folder.display()),
        &format!(
            "==> {}/sockets.target.wants/greeter.socket <==\na link to ../greeter.socket\n",
            folder.display()
        ),
        "\nExecStart=-/home/you/hello.sh \"a b\"\n",
        "\nBindReadOnlyPaths=\"/home/you/hello.sh\"\n",
        "\nListenStream=192.0.2.1:4000\nListenStream=[::]:4000\nBindIPv6Only=ipv6-only\n",
        "one more line:\ngreeter          4000/tcp                       # added by sockunit\n",
    ] {
        assert!(printed.contains(text), "{text} is not in\n{printed}");
    }
}

#[test]
fn only_what_add_made_is_removed_and_what_was_changed_only_by_force() {
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
        let done = tree.run("remove", &[name]);
        assert_eq!(done.status, Some(1));
        assert_eq!(
            done.complained,
            format!(
                "sockunit: there is no {name} that sockunit add made; sockunit list says what there is\n"
            )
        );
    }
    tree.add(&["greeter", "4000", "--", "/bin/sh"]);
    let socket = "etc/systemd/system/greeter.socket";
    tree.write(socket, 0o644, tree.read(socket) + "# mine\n");
    let attached = tree.snapshot();
    let done = tree.run("remove", &["greeter"]);
    assert_eq!(done.status, Some(1));
    assert!(
        done.complained
            .contains("greeter.socket was changed since sockunit add made it; "),
        "{}",
        done.complained
    );
    assert_eq!(tree.snapshot(), attached);
    let said = tree.remove(&["--force", "greeter"]);
    assert!(
        said.contains("greeter.socket.d: not made by sockunit add, and kept\n"),
        "{said}"
    );
    assert_eq!(tree.snapshot(), before);
}

#[test]
fn the_line_in_services_stays_where_it_was_there_before() {
    let tree = Tree::new("line");
    let line = "greeter          4000/tcp                       # added by sockunit\n";
    tree.write("etc/services", 0o644, format!("{SERVICES}{line}"));
    let before = tree.snapshot();
    tree.add(&["greeter", "4000", "--", "/bin/sh"]);
    tree.remove(&["greeter"]);
    assert_eq!(tree.snapshot(), before);
}

#[test]
fn an_add_that_was_cut_off_is_taken_back_by_the_next_one_and_by_remove() {
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
    tree.write("etc/.systemd.sockunit/system/greeter@.service", 0o644, "");
    assert_eq!(
        tree.remove(&["greeter"]),
        "removed what a sockunit add that was cut off had left\n"
    );
    assert_eq!(tree.snapshot(), before);
}

#[test]
fn list_tells_what_is_attached_and_the_services_of_the_package() {
    let tree = Tree::new("list");
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    for unit in ["hello.socket", "hello@.service"] {
        let text = fs::read(repository.join("systemd").join(unit)).unwrap();
        tree.write(&format!("usr/lib/systemd/system/{unit}"), 0o644, text);
    }
    tree.write(
        "etc/systemd/system/other.socket",
        0o644,
        "[Socket]\nListenStream=1\n",
    );
    let loud = ["--", "/home/you/hello.sh", "--loud"];
    tree.add(&[&["greeter", "4000", "--enable"], &loud[..]].concat());
    tree.add(
        &[
            &[
                "all",
                "4001",
                "--shared",
                "--sandbox",
                "off",
                "--listen",
                "*",
            ],
            &["--", "/bin/sh"][..],
        ]
        .concat(),
    );
    let done = tree.run("list", &[]);
    assert_eq!((done.status, done.complained.as_str()), (Some(0), ""));
    assert_eq!(
        done.said,
        "\
NAME     LISTENS                    KIND    SANDBOX  BOOT      STATE  NOW  PROGRAM
all      4001                       shared  off      disabled  -      -    /bin/sh
greeter  127.0.0.1:4000,[::1]:4000  single  strict   enabled   -      -    /home/you/hello.sh --loud
hello    127.0.0.1:3333,[::1]:3333  single  -        disabled  -      -    /usr/libexec/sockunit/hello
"
    );
    let done = tree.run("list", &["--json"]);
    assert!(done.said.contains(r#""connections":null"#), "{}", done.said);
    assert!(
        done.said
            .contains(r#""listen":["127.0.0.1:4000","[::1]:4000"]"#),
        "{}",
        done.said
    );
}
