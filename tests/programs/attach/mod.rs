//! `sockunit add` and `remove` on trees of the tests' own: what is refused, written and removed.

mod addresses;
mod golden;
mod list;
mod pasted;
mod program_file;
mod refused;
mod remove;
mod services_file;
mod tree;

use std::fs;
use std::os::unix::fs::symlink;

use self::tree::Tree;

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
    let missing = "sockets.target.wants/greeter.socket: no such file or directory";
    assert!(done.stderr.contains(missing), "{}", done.stderr);
    assert_eq!(done.status, Some(1));
    assert_eq!(tree.snapshot(), before);
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    fs::remove_dir_all(&outside).unwrap();
}
