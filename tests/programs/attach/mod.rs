//! `sockunit add` and `remove` on trees of the tests' own: what is refused, written and removed.

mod golden;
mod refused;
mod tree;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use self::tree::{SERVICES, Tree};

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
fn the_same_add_again_changes_nothing_and_another_shows_the_difference() {
    let tree = Tree::new("again");
    let before = tree.snapshot();
    for kind in [&[][..], &["--shared"]] {
        let add = |options: &[&str], rest: &[&str]| {
            let words = ["greeter", "4000", "--", "/home/you/hello.sh"];
            tree.run("add", &[kind, options, &words, rest].concat())
        };
        assert_eq!(add(&[], &["a"]).status, Some(0));
        let attached = tree.snapshot();
        let again = add(&[], &["a"]);
        assert_eq!(
            (again.status, again.stdout.as_str()),
            (
                Some(0),
                "unchanged: greeter is attached with these options already\n"
            )
        );
        assert_eq!(tree.snapshot(), attached);
        let other = add(&["--max-connections", "9"], &["b"]);
        assert_eq!(
            (other.status, other.stderr.as_str()),
            (
                Some(1),
                "sockunit: cannot attach greeter: it is attached with other options\n\
                 hint: --replace applies the difference\n"
            )
        );
        let lines: Vec<&str> = other.stdout.lines().collect();
        let (old, new) = (&lines[1], &lines[lines.len() - 1]);
        assert!(
            lines.len() > 4 && old.starts_with("- ") && new.starts_with("+ "),
            "{lines:?}"
        );
        assert!(other.stdout.contains("hello.sh a\n") && other.stdout.contains("hello.sh b\n"));
        assert_eq!(tree.snapshot(), attached);
        assert_eq!(
            add(&["--replace", "--max-connections", "9"], &["b"]).status,
            Some(0)
        );
        assert_eq!(
            add(&["--max-connections", "9"], &["b"]).stdout,
            "unchanged: greeter is attached with these options already\n"
        );
        // Back to the first options, also with another port and the other kind in between.
        let kinds: &[&str] = if kind.is_empty() { &["--shared"] } else { &[] };
        let words = ["--replace", "greeter", "4001", "--", "/bin/sh"];
        tree.add(&[kinds, &words].concat());
        let services = tree.read("etc/services");
        assert!(services.contains("4001/tcp") && !services.contains("4000/tcp"));
        assert_eq!(add(&["--replace"], &["a"]).status, Some(0));
        assert_eq!(tree.snapshot(), attached);
        tree.remove(&["greeter"]);
        assert_eq!(tree.snapshot(), before);
    }
}

#[test]
fn changed_files_are_not_replaced() {
    let tree = Tree::new("replace-changed");
    tree.add(&["greeter", "4000", "--", "/bin/sh"]);
    let socket = "etc/systemd/system/greeter.socket";
    tree.write(socket, 0o644, tree.read(socket) + "# mine\n");
    let before = tree.snapshot();
    let words = ["--replace", "greeter", "4001", "--", "/bin/sh"];
    let done = tree.run("add", &words);
    assert_eq!(done.status, Some(1));
    assert!(
        done.stderr.contains("greeter.socket has changed"),
        "{}",
        done.stderr
    );
    assert_eq!(tree.snapshot(), before);
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
            "==> {}/greeter@.service <==\n# Made by sockunit add; to remove it: sockunit remove greeter\n",
            folder.display()
        ),
        &format!("==> {}/greeter.socket <==\n", folder.display()),
        &format!(
            "==> {}/sockets.target.wants/greeter.socket <==\na link to ../greeter.socket\n",
            folder.display()
        ),
        "\nExecStart=-/usr/libexec/sockunit/serve --name greeter --isolate -- /home/you/hello.sh \"a b\"\n",
        "\nBindReadOnlyPaths=\"/home/you/hello.sh\"\n",
        "\nListenStream=192.0.2.1:4000\nListenStream=[::]:4000\nBindIPv6Only=ipv6-only\n",
        "one more line:\ngreeter          4000/tcp                       # added by sockunit\n",
    ] {
        assert!(printed.contains(text), "{text} is not in\n{printed}");
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
            format!("unchanged: sockunit add has not attached {name}\n")
        );
    }
    assert_eq!(tree.snapshot(), before);
    tree.add(&["greeter", "4000", "--", "/bin/sh"]);
    let socket = "etc/systemd/system/greeter.socket";
    tree.write(socket, 0o644, tree.read(socket) + "# mine\n");
    let attached = tree.snapshot();
    let done = tree.run("remove", &["greeter"]);
    assert_eq!(done.status, Some(1));
    assert!(
        done.stderr
            .contains("greeter.socket has changed since sockunit add wrote it\nhint: keep a copy"),
        "{}",
        done.stderr
    );
    assert_eq!(tree.snapshot(), attached);
    let stdout = tree.remove(&["--force", "greeter"]);
    assert!(
        stdout.contains("greeter.socket.d: kept, because sockunit add did not write it\n"),
        "{stdout}"
    );
    assert_eq!(tree.snapshot(), before);
}

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
fn list_shows_what_is_attached_and_the_services_of_the_package() {
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
    assert_eq!((done.status, done.stderr.as_str()), (Some(0), ""));
    assert_eq!(
        done.stdout,
        "\
NAME     KIND            SANDBOX  ENABLED   STATE  NOW
all      shared          off      disabled  -        -
    listens: 4001
    runs: /bin/sh
greeter  per-connection  strict   enabled   -        -
    listens: 127.0.0.1:4000 [::1]:4000
    runs: /home/you/hello.sh --loud
hello    per-connection  -        disabled  -        -
    listens: 127.0.0.1:3333 [::1]:3333
    runs: /usr/libexec/sockunit/hello
"
    );
    let done = tree.run("list", &["--json"]);
    assert!(
        done.stdout.contains(r#""connections":null"#),
        "{}",
        done.stdout
    );
    assert!(
        done.stdout
            .contains(r#""listen":["127.0.0.1:4000","[::1]:4000"]"#),
        "{}",
        done.stdout
    );
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

#[test]
fn addresses_that_another_covers_are_left_out() {
    for (listen, lines) in [
        (&["*", "::"][..], &["ListenStream=4000"][..]),
        (&["0.0.0.0", "127.0.0.1"], &["ListenStream=0.0.0.0:4000"]),
        (
            &[
                "127.0.0.1",
                "127.0.0.1:4000",
                "*:4001",
                "[::1]:4001",
                "/run/x",
            ],
            &[
                "ListenStream=127.0.0.1:4000",
                "ListenStream=4001",
                "ListenStream=/run/x",
            ],
        ),
        (
            &["*:4001", "[::]:80"],
            &[
                "ListenStream=0.0.0.0:4001",
                "ListenStream=[::]:4001",
                "ListenStream=[::]:80",
                "BindIPv6Only=ipv6-only",
            ],
        ),
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
        let stdout: Vec<&str> = socket
            .lines()
            .filter(|line| line.starts_with("ListenStream=") || line.starts_with("BindIPv6Only="))
            .collect();
        assert_eq!(stdout, lines);
    }
}

#[test]
fn several_addresses_are_added_again_replaced_listed_and_removed() {
    let tree = Tree::new("several");
    let before = tree.snapshot();
    let add = |addresses: &[&str]| {
        let listen: Vec<&str> = addresses.iter().flat_map(|a| ["--listen", a]).collect();
        let words = ["greeter", "4000", "--", "/bin/sh"];
        tree.run("add", &[&listen[..], &words].concat())
    };
    let addresses = ["[::1]:4000", "127.0.0.1:4001", "/run/greeter.sock"];
    assert_eq!(add(&addresses).status, Some(0));
    let again = add(&["::1", "127.0.0.1:4001", "/run/greeter.sock"]);
    assert!(again.stdout.starts_with("unchanged: "), "{}", again.stderr);
    let listed = tree.run("list", &[]).stdout;
    for address in ["[::1]:4000", "127.0.0.1:4001", "/run/greeter.sock"] {
        assert!(listed.contains(address), "{listed}");
    }
    let other = add(&["::1", "127.0.0.1:4001", "/run/greeter"]);
    assert_eq!(other.status, Some(1));
    for line in [
        "\n- ListenStream=/run/greeter.sock\n",
        "\n+ ListenStream=/run/greeter\n",
    ] {
        assert!(other.stdout.contains(line), "{}", other.stdout);
    }
    assert!(
        tree.read("etc/services")
            .contains("greeter          4000/tcp")
    );
    // No address has the port of the service any more.
    tree.add(&[
        "--replace",
        "--listen",
        "/run/greeter",
        "greeter",
        "4000",
        "--",
        "/bin/sh",
    ]);
    assert_eq!(tree.read("etc/services"), SERVICES);
    tree.remove(&["greeter"]);
    assert_eq!(tree.snapshot(), before);
}

#[test]
fn no_link_in_a_tree_leads_out_of_it() {
    let tree = Tree::new("inside");
    let outside = tree.0.with_extension("outside");
    let _ = fs::remove_dir_all(&outside);
    fs::create_dir_all(&outside).unwrap();
    fs::create_dir_all(tree.0.join("wants")).unwrap();
    // In that system this is its own directory.
    let wants = tree.0.join("etc/systemd/system/sockets.target.wants");
    fs::remove_dir(&wants).unwrap();
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
    let before = tree.snapshot();
    let done = tree.run("add", &add);
    let missing = "sockets.target.wants/greeter.socket: No such file or directory";
    assert!(done.stderr.contains(missing), "{}", done.stderr);
    assert_eq!(done.status, Some(1));
    assert_eq!(tree.snapshot(), before);
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    fs::remove_dir_all(&outside).unwrap();
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

#[test]
fn list_shows_the_program_of_a_service_with_its_arguments() {
    let tree = Tree::new("listed");
    tree.add(&["greeter", "4000", "--", "/bin/sh", "x", "serve", "--", "y"]);
    let listed = tree.run("list", &[]).stdout;
    assert!(listed.contains("/bin/sh x serve -- y"), "{listed}");
}
