//! `sockunit doctor` on trees of the tests' own: what files alone can tell.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

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

#[test]
fn each_check_has_a_line_and_those_of_a_running_system_are_left_out() {
    let tree = tree("well");
    let expected = "\
ok: /etc/systemd/system/tick.socket
ok: /etc/systemd/system/tick@.service, one instance per connection
ok: tick.socket listens on 127.0.0.1:4000: reachable from this machine only, IPv4 only
ok: /etc/services:2: tick is port 4000
ok: tick@.service runs as the user ann
ok: /usr/local/bin/tick can be executed
ok: standard input and output are the connection, standard error is journal
note: only the running system shows whether it listens
";
    for name in ["tick", "tick.socket", "tick@.service"] {
        assert_eq!(printed_by(&tree, &[name]), expected);
    }
    // A user's units are those for all users there, and the names of users do not count.
    let printed = printed_by(&tree, &["--user", "tick"]);
    assert!(
        printed.starts_with("problem: there is no tick.socket"),
        "{printed}"
    );
}

#[test]
fn a_missing_unit_is_reported_with_the_files_that_exist_instead() {
    let printed = problem("missing", |tree| {
        fs::remove_file(tree.path(SOCKET)).unwrap()
    });
    assert!(
        printed.starts_with(
            "problem: there is no tick.socket in any unit directory\n    tick@.service exists"
        ),
        "{printed}"
    );
    let printed = problem("stray", |tree| {
        fs::rename(tree.path(SOCKET), tree.path("etc/systemd/system/tick")).unwrap();
    });
    assert!(
        printed.ends_with("    mv /etc/systemd/system/tick /etc/systemd/system/tick.socket\n"),
        "{printed}"
    );
    let printed = problem("xinetd", |tree| {
        fs::remove_file(tree.path(SOCKET)).unwrap();
        tree.write("etc/xinetd.d/tick", "service tick\n{\n}\n");
    });
    assert!(printed.contains("/etc/xinetd.d/tick exists"), "{printed}");
}

#[test]
fn mistakes_in_unit_files_are_reported_by_line() {
    for (name, path, from, to, expected) in [
        (
            "mask",
            SOCKET,
            "[Unit]\nDescription=x\n[Socket]\nListenStream=127.0.0.1:4000\nAccept=yes\n",
            "",
            "tick.socket is masked by /etc/systemd/system/tick.socket",
        ),
        (
            "header",
            SOCKET,
            "[Socket]",
            "[Socket",
            "/etc/systemd/system/tick.socket:3: a section header without ]",
        ),
        (
            "outside",
            TEMPLATE,
            "[Service]\n",
            "",
            "tick@.service sets no ExecStart=",
        ),
        (
            "accept",
            SOCKET,
            "Accept=yes\n",
            "",
            "tick.socket does not set Accept=yes",
        ),
        (
            "no",
            SOCKET,
            "Accept=yes",
            "Accept=off",
            "/etc/systemd/system/tick.socket:5 sets Accept=off",
        ),
        (
            "both",
            SOCKET,
            "Accept=yes",
            "Accept=yes\nService=x.service",
            "Service= needs Accept=no",
        ),
        (
            "nowhere",
            SOCKET,
            "ListenStream=127.0.0.1:4000\n",
            "",
            "tick.socket has no address",
        ),
        (
            "host",
            SOCKET,
            "127.0.0.1",
            "localhost",
            "tick.socket:4: localhost:4000 is not an address",
        ),
        (
            "twice",
            SOCKET,
            "Accept=yes",
            "ListenStream=4000\nAccept=yes",
            "tick.socket listens on port 4000 twice",
        ),
        (
            "start",
            TEMPLATE,
            "ExecStart",
            "ExecStop",
            "tick@.service sets no ExecStart=",
        ),
        (
            "quote",
            TEMPLATE,
            "%i",
            "\"%i",
            "tick@.service:2: ExecStart=-/usr/local/bin/tick \"%i: a quote",
        ),
        (
            "user",
            TEMPLATE,
            "User=ann",
            "User=bob",
            "tick@.service:3: the user bob does not exist",
        ),
        (
            "group",
            TEMPLATE,
            "User=ann",
            "Group=folk",
            "tick@.service:3: the group folk does not exist",
        ),
        (
            "port",
            "etc/services",
            "4000",
            "4001",
            "/etc/services:2: tick is port 4001, and tick.socket listens on 4000",
        ),
        (
            "stdout",
            TEMPLATE,
            "StandardError",
            "StandardOutput",
            "tick@.service sets StandardOutput=journal",
        ),
        (
            "families",
            SOCKET,
            "127.0.0.1:4000",
            "[::]:4000\nListenStream=0.0.0.0:4000",
            "tick.socket listens on port 4000 twice",
        ),
    ] {
        let printed = problem(name, |tree| replace(tree, path, from, to));
        assert!(
            printed.lines().next().unwrap().contains(expected),
            "{expected}: {printed}"
        );
    }
}

#[test]
fn a_line_without_effect_and_a_matter_of_taste_are_notes() {
    for (name, path, from, to, expected) in [
        (
            "stderr",
            TEMPLATE,
            "StandardError=journal\n",
            "",
            "note: tick@.service does not set StandardError=journal: the program's error messages go to the client",
        ),
        (
            "key",
            TEMPLATE,
            "User",
            "ExecStrat=x\nUser",
            "note: /etc/systemd/system/tick@.service:3: ExecStrat=x: systemd reports \"Unknown key",
        ),
        (
            "section",
            SOCKET,
            "[Unit]",
            "[Unti]",
            "note: /etc/systemd/system/tick.socket:1: systemd reports \"Unknown section 'Unti'",
        ),
    ] {
        let tree = tree(&format!("note-{name}"));
        replace(&tree, path, from, to);
        let printed = printed_by(&tree, &["tick"]);
        let noted = printed.lines().any(|line| line.starts_with(expected));
        assert!(noted && !printed.contains("problem: "), "{printed}");
    }
    let moved = tree("moved");
    moved.write(
        "etc/systemd/system/tick.socket.d/port.conf",
        "[Socket]\nListenStream=\nListenStream=127.0.0.1:4001\n",
    );
    let printed = printed_by(&moved, &["tick"]);
    let note = "note: /etc/systemd/system/tick.socket.d/port.conf:3: ListenStream=127.0.0.1:4001 replaces the addresses of \
                /etc/systemd/system/tick.socket\n";
    assert!(printed.contains(note), "{printed}");
}

#[test]
fn a_socket_of_another_kind_is_named_and_not_judged() {
    for (key, value) in [
        ("ListenDatagram", "/run/tick"),
        ("ListenSequentialPacket", "/run/tick"),
        ("ListenFIFO", "/run/tick"),
        ("ListenNetlink", "audit 1"),
        ("ListenSpecial", "/dev/rfkill"),
        ("ListenMessageQueue", "/tick"),
    ] {
        let tree = tree("kind");
        replace(
            &tree,
            SOCKET,
            "ListenStream=127.0.0.1:4000\nAccept=yes",
            &format!("{key}={value}"),
        );
        fs::remove_file(tree.path(TEMPLATE)).unwrap();
        let expected = format!(
            "ok: /etc/systemd/system/tick.socket\n\
             note: tick.socket has {key}=: doctor checks stream sockets only, and stops here\n"
        );
        assert_eq!(printed_by(&tree, &["tick"]), expected);
    }
    let tree = tree("of-systemd");
    replace(&tree, SOCKET, "Description=x", "DefaultDependencies=no");
    replace(
        &tree,
        TEMPLATE,
        "/usr/local/bin/tick",
        "/usr/lib/systemd/systemd-tick",
    );
    let printed = printed_by(&tree, &["tick"]);
    let note =
        "note: tick.socket and tick@.service are a part of systemd: doctor does not check them\n";
    assert!(printed.ends_with(note), "{printed}");
}

#[test]
fn a_program_that_its_user_or_sandbox_cannot_execute_is_reported() {
    let printed = problem("gone", |tree| fs::remove_file(tree.path(PROGRAM)).unwrap());
    assert!(
        printed.starts_with("problem: /usr/local/bin/tick does not exist\n"),
        "{printed}"
    );
    assert!(
        printed.contains(
            "    /etc/systemd/system/tick@.service:2: ExecStart=-/usr/local/bin/tick %i\n"
        ),
        "{printed}"
    );
    let printed = problem("mode", |tree| {
        tree.set_mode(PROGRAM, 0o644);
    });
    assert!(
        printed.starts_with("problem: /usr/local/bin/tick cannot be executed by the user ann\n"),
        "{printed}"
    );
    assert!(
        printed.ends_with(
            "hint: give that user execute permission\n    chmod o+rx /usr/local/bin/tick\n"
        ),
        "{printed}"
    );
    let printed = problem("crlf", |tree| replace(tree, PROGRAM, "\n", "\r\n"));
    assert!(
        printed.contains("/usr/local/bin/tick:1: the #! line ends in CR LF"),
        "{printed}"
    );
    let printed = problem("interpreter", |tree| {
        replace(tree, PROGRAM, "/bin/sh", "/bin/perl")
    });
    assert!(
        printed.contains("its interpreter: /bin/perl does not exist"),
        "{printed}"
    );

    let in_a_home = |tree: &Tree| {
        tree.write("home/ann/tick", "#!/bin/sh\necho here\n");
        for path in ["home", "home/ann", "home/ann/tick"] {
            tree.set_mode(path, 0o755);
        }
        replace(tree, TEMPLATE, "/usr/local/bin", "/home/ann");
        replace(tree, TEMPLATE, "User", "ProtectHome=yes\nUser");
    };
    let printed = problem("home", in_a_home);
    assert!(
        printed.starts_with(
            "problem: /home/ann/tick is in a home, and homes are hidden from tick@.service"
        ),
        "{printed}"
    );
    assert!(
        printed.contains("tick@.service:3: ProtectHome=yes"),
        "{printed}"
    );
    let tree = tree("bound");
    in_a_home(&tree);
    tree.write(
        "etc/systemd/system/tick@.service.d/view.conf",
        "[Service]\nBindReadOnlyPaths=/home/ann/tick\n",
    );
    let printed = printed_by(&tree, &["tick"]);
    assert!(
        printed.contains("ok: /home/ann/tick can be executed\n"),
        "{printed}"
    );
}

#[test]
fn only_a_connection_shows_whether_a_program_uses_file_descriptor_3() {
    let tree = tree("descriptor");
    replace(&tree, TEMPLATE, "StandardInput=socket\n", "");
    let printed = printed_by(&tree, &["tick"]);
    let note = "note: tick@.service does not set StandardInput=socket: the program gets the connection as file descriptor 3\n";
    assert!(printed.contains(note), "{printed}");
    replace(&tree, SOCKET, "Accept=yes\n", "");
    let text = tree.read(TEMPLATE);
    tree.write("etc/systemd/system/tick.service", text);
    let printed = printed_by(&tree, &["tick"]);
    let ok = "ok: tick.service gets the listening socket as file descriptor 3\n";
    assert!(printed.contains(ok), "{printed}");
}

#[test]
fn no_name_in_a_unit_or_path_becomes_part_of_a_command_unless_it_is_safe_to_paste() {
    let parent = Tree::new("doctor-pasted");
    let marker = parent.path("run");
    let touch = format!("$(touch {})", marker.display());
    // The root directory has blanks and what a shell acts on.
    let root = parent.path("a b';$x `y`");
    for (user, printed) in [
        (touch.as_str(), true),
        ("x'; touch run; '", true),
        ("-rf", true),
        ("a\\\\nb", false),
        ("a\u{9b}2Jb", false),
        ("a\u{202e}b", false),
    ] {
        let _ = fs::remove_dir_all(&root);
        let put = |path: &str, text: &str| {
            fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            fs::write(root.join(path), text).unwrap();
        };
        put(
            SOCKET,
            "[Socket]\nListenStream=127.0.0.1:4000\nAccept=yes\n",
        );
        put(
            TEMPLATE,
            &format!("[Service]\nExecStart=/bin/sh\nUser={user}\nStandardInput=socket\n"),
        );
        let output = tool::on(&root, &["doctor"], &["--json", "tick"]);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let checks = report["services"][0]["checks"].as_array().unwrap();
        let problem = checks.last().unwrap();
        assert!(
            problem["text"].as_str().unwrap().contains(user),
            "{problem:#}"
        );
        let Some(commands) = problem["commands"].as_array() else {
            assert!(!printed, "{user}: {problem:#}");
            let shown = tool::on(&root, &["doctor"], &["tick"]).stdout;
            let shown = String::from_utf8(shown).unwrap();
            assert!(shown.ends_with("(no command is printed: a name in it has characters that are not safe to paste)\n"), "{shown}");
            continue;
        };
        assert!(printed, "{user}: {problem:#}");
        // Show the arguments instead of creating the user.
        let [command] = &commands[..] else {
            panic!("{problem:#}")
        };
        let line = command
            .as_str()
            .unwrap()
            .replacen("useradd", "printf '%s\\n'", 1);
        let pasted = Command::new("sh")
            .args(["-e", "-c", &line])
            .current_dir(parent.root())
            .output()
            .unwrap();
        let words = String::from_utf8(pasted.stdout).unwrap();
        let words: Vec<&str> = words.lines().collect();
        assert_eq!(words[..2], ["--system", "--no-create-home"]);
        assert_eq!(words[2], format!("--root={}", root.display()));
        assert_eq!(words.last(), Some(&user));
        assert!(!marker.exists(), "{user} was run");
    }
}

#[test]
fn a_file_that_is_no_unit_file_ends_in_a_sentence_at_once() {
    let tree = tree("no-file");
    for (make, why) in [
        (
            Box::new(|path: &Path| {
                nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap();
            }) as Box<dyn Fn(&Path)>,
            "tick.socket cannot be read: /etc/systemd/system/tick.socket: not a regular file",
        ),
        (
            Box::new(|path| fs::File::create(path).unwrap().set_len(1 << 30).unwrap()),
            "tick.socket cannot be read: /etc/systemd/system/tick.socket: larger than 16 MiB",
        ),
        (
            Box::new(|path| std::os::unix::fs::symlink("tick.socket", path).unwrap()),
            "there is no tick.socket in any unit directory",
        ),
    ] {
        let path = tree.path(SOCKET);
        let _ = fs::remove_file(&path);
        make(&path);
        let printed = printed_by(&tree, &["tick"]);
        assert!(
            printed.starts_with(&format!("problem: {why}\n")),
            "{printed}"
        );
        let check = tool::on(tree.root(), &["check"], &["tick", "4000"]);
        assert!(
            check.status.code().is_some_and(|code| code < 2),
            "{check:?}"
        );
        let list = tool::on(tree.root(), &["list"], &[]);
        assert!(list.status.code().is_some_and(|code| code < 2), "{list:?}");
    }
}

#[test]
fn every_printed_command_fixes_the_problem() {
    let tree = tree("commands");
    replace(&tree, SOCKET, "Accept=yes\n", "ListenStream=4000\n");
    replace(
        &tree,
        TEMPLATE,
        "StandardInput=socket\nStandardError=journal\n",
        "",
    );
    replace(&tree, "etc/services", "4000", "4001");
    let mut rounds = 0;
    loop {
        let output = doctor(&tree, &["--json", "tick"]);
        let said: Value = serde_json::from_slice(&output.stdout).unwrap();
        let service = &said["services"][0];
        assert_eq!(service["name"], "tick");
        assert_eq!(said["works"], service["works"]);
        let checks = service["checks"].as_array().unwrap();
        let Some(problem) = checks.iter().find(|check| check["verdict"] == "problem") else {
            assert!(output.status.success());
            break;
        };
        let commands: Vec<&str> = problem["commands"]
            .as_array()
            .unwrap()
            .iter()
            .map(|command| command.as_str().unwrap())
            .collect();
        assert!(!commands.is_empty(), "{problem:#}");
        let done = Command::new("sh")
            .args(["-e", "-c", &commands.join("\n")])
            .status();
        assert!(done.unwrap().success(), "{commands:?}");
        rounds += 1;
        assert!(rounds < 9, "{problem:#}");
    }
    assert_eq!(rounds, 3);
}

#[test]
fn without_a_name_all_services_of_the_package_are_checked() {
    let tree = tree("all");
    for name in ["hello", "celebs"] {
        for unit in [format!("{name}.socket"), format!("{name}@.service")] {
            let text = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("systemd")
                .join(&unit);
            tree.write(
                &format!("usr/lib/systemd/system/{unit}"),
                fs::read(text).unwrap(),
            );
        }
        tree.write(&format!("usr/libexec/sockunit/{name}"), "#!/bin/sh\n");
        for path in ["usr/lib", "usr/libexec", "usr/libexec/sockunit"] {
            tree.set_mode(path, 0o755);
        }
        tree.set_mode(&format!("usr/libexec/sockunit/{name}"), 0o755);
    }
    tree.write("etc/passwd", "_sockunit:x:990:990::/:/bin/false\n");
    let printed = printed_by(&tree, &[]);
    assert!(printed.starts_with("celebs\nok: "), "{printed}");
    assert!(printed.contains("\n\nhello\nok: "), "{printed}");
    assert!(!printed.contains("tick"), "{printed}");

    let empty = Tree::new("doctor-none");
    let printed = printed_by(&empty, &[]);
    assert_eq!(
        printed,
        "no service of sockunit is installed here; name another: sockunit doctor NAME\n"
    );
}
