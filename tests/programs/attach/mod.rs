//! `sockunit add` and `remove` on trees of the tests' own: what is refused, what is written, and that it goes again.

mod refused;
mod tree;

use std::fs;
use std::os::unix::fs::symlink;
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

#[test]
fn a_database_that_is_a_link_is_left_alone_and_stands_in_nobodys_way() {
    let tree = Tree::new("linked-services");
    tree.write("usr/services", 0o644, SERVICES);
    fs::remove_file(tree.0.join("etc/services")).unwrap();
    symlink("../usr/services", tree.0.join("etc/services")).unwrap();
    let before = tree.snapshot();
    tree.add(&["greeter", "4000", "--", "/bin/sh"]);
    assert_eq!(tree.read("usr/services"), SERVICES);
    tree.remove(&["greeter"]);
    assert_eq!(tree.snapshot(), before);
    // One that has gone meanwhile.
    let tree = Tree::new("lost-services");
    tree.add(&["--enable", "greeter", "4000", "--", "/bin/sh"]);
    fs::remove_file(tree.0.join("etc/services")).unwrap();
    tree.remove(&["greeter"]);
    assert!(!tree.0.join("etc/systemd").exists());
}

#[test]
fn what_somebody_changed_is_not_taken_for_the_rest_of_an_add_that_was_killed() {
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
        done.complained.contains("greeter@.service was changed"),
        "{}",
        done.complained
    );
    assert_eq!(tree.snapshot(), before);
}

#[test]
fn addresses_that_others_cover_are_left_out() {
    for (listen, lines) in [
        (&["*", "::"][..], &["ListenStream=4000"][..]),
        (&["0.0.0.0", "127.0.0.1"], &["ListenStream=0.0.0.0:4000"]),
        (
            &["::1", "::", "127.0.0.1"],
            &[
                "ListenStream=[::]:4000",
                "ListenStream=127.0.0.1:4000",
                "BindIPv6Only=ipv6-only",
            ],
        ),
    ] {
        let tree = Tree::new("covered");
        let mut arguments: Vec<&str> = listen.iter().flat_map(|a| ["--listen", a]).collect();
        arguments.extend(["greeter", "4000", "--", "/bin/sh"]);
        tree.add(&arguments);
        let socket = tree.read("etc/systemd/system/greeter.socket");
        let said: Vec<&str> = socket
            .lines()
            .filter(|line| line.starts_with("ListenStream=") || line.starts_with("BindIPv6Only="))
            .collect();
        assert_eq!(said, lines);
    }
}

#[test]
fn links_in_a_tree_lead_nowhere_out_of_it() {
    let tree = Tree::new("inside");
    let outside = tree.0.with_extension("outside");
    let _ = fs::remove_dir_all(&outside);
    fs::create_dir_all(&outside).unwrap();
    fs::create_dir_all(tree.0.join("etc/systemd/system")).unwrap();
    fs::create_dir_all(tree.0.join("wants")).unwrap();
    // In that system this is its own folder.
    let wants = tree.0.join("etc/systemd/system/sockets.target.wants");
    symlink("/wants", &wants).unwrap();
    fs::rename(tree.0.join("etc/passwd"), tree.0.join("usr/passwd")).unwrap();
    symlink("/usr/passwd", tree.0.join("etc/passwd")).unwrap();
    let before = tree.snapshot();
    let add = [
        "--enable",
        "--user-name",
        "ann",
        "greeter",
        "4000",
        "--",
        "/bin/sh",
    ];
    tree.add(&add);
    assert!(fs::symlink_metadata(tree.0.join("wants/greeter.socket")).is_ok());
    tree.remove(&["greeter"]);
    assert_eq!(tree.snapshot(), before);
    fs::remove_file(&wants).unwrap();
    symlink(&outside, &wants).unwrap();
    tree.run("add", &add);
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    fs::remove_dir_all(&outside).unwrap();
}

#[test]
fn the_twin_of_another_protocol_stands_in_nobodys_way() {
    let tree = Tree::new("twin");
    tree.write(
        "etc/services",
        0o644,
        "greeter 4000/tcp\ngreeter 4000/udp\n",
    );
    tree.add(&["greeter", "4000", "--", "/bin/sh"]);
}

#[test]
fn list_tells_the_program_of_a_service_as_it_is_written() {
    let tree = Tree::new("listed");
    tree.add(&["greeter", "4000", "--", "/bin/sh", "x", "serve", "--", "y"]);
    let listed = tree.run("list", &[]).said;
    assert!(listed.contains("/bin/sh x serve -- y"), "{listed}");
}
