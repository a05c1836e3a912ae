//! `sockunit doctor` on trees of the tests' own: what files alone can tell.

use std::fs;
use std::os::unix::fs::PermissionsExt;
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

/// What is told, without the root; the exit status has to go with it.
#[track_caller]
fn told(tree: &Tree, args: &[&str]) -> String {
    let output = doctor(tree, args);
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let faulty = told.lines().any(|line| line.starts_with("fault: "));
    assert_eq!(output.status.code(), Some(i32::from(faulty)), "{told}");
    let root = format!("{}/", tree.root().display());
    told.replace(&root, "/")
}

fn set_mode(tree: &Tree, path: &str, mode: u32) {
    fs::set_permissions(tree.path(path), fs::Permissions::from_mode(mode)).unwrap();
}

/// A system with a service in which there is nothing to find.
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
        set_mode(&tree, path, 0o755);
    }
    tree
}

/// The fault of a tree in which one file is another.
#[track_caller]
fn fault(name: &str, change: impl FnOnce(&Tree)) -> String {
    let tree = tree(name);
    change(&tree);
    let told = told(&tree, &["tick"]);
    let at = told
        .find("fault: ")
        .unwrap_or_else(|| panic!("no fault in {told}"));
    told[at..].to_string()
}

fn replace(tree: &Tree, path: &str, from: &str, to: &str) {
    let text = tree.read(path);
    assert!(text.contains(from), "{text}");
    tree.write(path, text.replace(from, to));
}

#[test]
fn what_is_well_is_told_line_by_line_and_what_only_runs_is_left_open() {
    let tree = tree("well");
    let expected = "\
ok: /etc/systemd/system/tick.socket
ok: /etc/systemd/system/tick@.service, for each connection
ok: tick.socket is for 127.0.0.1:4000: clients on this machine only, over IPv4 alone
ok: /etc/services:2: tick is port 4000
ok: tick@.service runs as the user ann, who exists
ok: /usr/local/bin/tick can be started
ok: standard input and output are the connection, and standard error is journal
note: whether it listens is known in the running system only
";
    for name in ["tick", "tick.socket", "tick@.service"] {
        assert_eq!(told(&tree, &[name]), expected);
    }
    // A user's units are those for all users there, and the names of users do not count.
    let told = told(&tree, &["--user", "tick"]);
    assert!(told.starts_with("fault: there is no tick.socket"), "{told}");
}

#[test]
fn a_service_that_is_not_there_is_told_with_what_there_is_instead() {
    let told = fault("missing", |tree| {
        fs::remove_file(tree.path(SOCKET)).unwrap()
    });
    assert!(
        told.starts_with(
            "fault: there is no tick.socket in any folder of units\n    tick@.service is there"
        ),
        "{told}"
    );
    let told = fault("stray", |tree| {
        fs::rename(tree.path(SOCKET), tree.path("etc/systemd/system/tick")).unwrap();
    });
    assert!(
        told.ends_with("    mv /etc/systemd/system/tick /etc/systemd/system/tick.socket\n"),
        "{told}"
    );
    let told = fault("xinetd", |tree| {
        fs::remove_file(tree.path(SOCKET)).unwrap();
        tree.write("etc/xinetd.d/tick", "service tick\n{\n}\n");
    });
    assert!(
        told.contains("/etc/xinetd.d/tick says that xinetd serves tick"),
        "{told}"
    );
}

#[test]
fn unit_files_that_do_not_say_what_was_meant_are_told_by_line() {
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
            "/etc/systemd/system/tick@.service:1: an assignment before the first section header",
        ),
        (
            "accept",
            SOCKET,
            "Accept=yes\n",
            "",
            "tick.socket does not say Accept=yes",
        ),
        (
            "no",
            SOCKET,
            "Accept=yes",
            "Accept=off",
            "/etc/systemd/system/tick.socket:5 says Accept=off",
        ),
        (
            "both",
            SOCKET,
            "Accept=yes",
            "Accept=yes\nService=x.service",
            "Service= goes with Accept=no only",
        ),
        (
            "nowhere",
            SOCKET,
            "ListenStream=127.0.0.1:4000\n",
            "",
            "tick.socket listens nowhere",
        ),
        (
            "host",
            SOCKET,
            "127.0.0.1",
            "localhost",
            "tick.socket:4: localhost:4000 is no address",
        ),
        (
            "twice",
            SOCKET,
            "Accept=yes",
            "ListenStream=4000\nAccept=yes",
            "tick.socket wants port 4000 twice",
        ),
        (
            "start",
            TEMPLATE,
            "ExecStart",
            "ExecStop",
            "tick@.service says no ExecStart=",
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
            "tick@.service:3: there is no user bob",
        ),
        (
            "group",
            TEMPLATE,
            "User=ann",
            "Group=folk",
            "tick@.service:3: there is no group folk",
        ),
        (
            "port",
            "etc/services",
            "4000",
            "4001",
            "/etc/services:2: says that tick is port 4001, and tick.socket listens on 4000",
        ),
        (
            "stdin",
            TEMPLATE,
            "StandardInput=socket\n",
            "",
            "tick@.service does not say StandardInput=socket",
        ),
        (
            "stdout",
            TEMPLATE,
            "StandardError",
            "StandardOutput",
            "tick@.service says StandardOutput=journal",
        ),
        (
            "stderr",
            TEMPLATE,
            "StandardError=journal\n",
            "",
            "tick@.service does not say StandardError=journal",
        ),
    ] {
        let told = fault(name, |tree| replace(tree, path, from, to));
        assert!(
            told.lines().next().unwrap().contains(expected),
            "{expected}: {told}"
        );
    }
}

#[test]
fn a_program_out_of_reach_of_its_user_or_sandbox_is_told() {
    let told = fault("gone", |tree| fs::remove_file(tree.path(PROGRAM)).unwrap());
    assert!(
        told.starts_with("fault: there is no file /usr/local/bin/tick\n"),
        "{told}"
    );
    assert!(
        told.contains(
            "    /etc/systemd/system/tick@.service:2: ExecStart=-/usr/local/bin/tick %i\n"
        ),
        "{told}"
    );
    let told = fault("mode", |tree| set_mode(tree, PROGRAM, 0o644));
    assert!(
        told.starts_with("fault: /usr/local/bin/tick cannot be executed by the user ann\n"),
        "{told}"
    );
    assert!(
        told.ends_with("in that system, this mends it: chmod o+rx /usr/local/bin/tick\n"),
        "{told}"
    );
    let told = fault("crlf", |tree| replace(tree, PROGRAM, "\n", "\r\n"));
    assert!(
        told.contains("/usr/local/bin/tick:1: the #! line ends in CR LF"),
        "{told}"
    );
    let told = fault("interpreter", |tree| {
        replace(tree, PROGRAM, "/bin/sh", "/bin/perl")
    });
    assert!(
        told.contains("its interpreter: there is no file /bin/perl"),
        "{told}"
    );

    let in_a_home = |tree: &Tree| {
        tree.write("home/ann/tick", "#!/bin/sh\necho here\n");
        for path in ["home", "home/ann", "home/ann/tick"] {
            set_mode(tree, path, 0o755);
        }
        replace(tree, TEMPLATE, "/usr/local/bin", "/home/ann");
        replace(tree, TEMPLATE, "User", "ProtectHome=yes\nUser");
    };
    let told = fault("home", in_a_home);
    assert!(
        told.starts_with("fault: /home/ann/tick lies in a home, and tick@.service sees no homes"),
        "{told}"
    );
    assert!(told.contains("tick@.service:3: ProtectHome=yes"), "{told}");
    let tree = tree("bound");
    in_a_home(&tree);
    tree.write(
        "etc/systemd/system/tick@.service.d/view.conf",
        "[Service]\nBindReadOnlyPaths=/home/ann/tick\n",
    );
    let told = self::told(&tree, &["tick"]);
    assert!(
        told.contains("ok: /home/ann/tick can be started\n"),
        "{told}"
    );
}

#[test]
fn with_one_process_for_all_the_program_has_to_know_listening_sockets() {
    let shared = |tree: &Tree| {
        replace(tree, SOCKET, "Accept=yes\n", "");
        replace(tree, TEMPLATE, "StandardInput=socket\n", "");
        let text = tree.read(TEMPLATE);
        tree.write("etc/systemd/system/tick.service", text);
    };
    let told = fault("shared", shared);
    assert!(
        told.starts_with("fault: tick.service is handed the listening socket, and /usr/local/bin/tick knows nothing"),
        "{told}"
    );
    let tree = tree("knows");
    shared(&tree);
    replace(&tree, PROGRAM, "echo", "echo $LISTEN_FDS");
    let told = self::told(&tree, &["tick"]);
    assert!(
        told.contains("ok: /usr/local/bin/tick takes the listening socket\n"),
        "{told}"
    );
}

#[test]
fn every_command_that_mends_works_as_it_is_printed() {
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
        let Some(fault) = checks.iter().find(|check| check["verdict"] == "fault") else {
            assert!(output.status.success());
            break;
        };
        let commands: Vec<&str> = fault["commands"]
            .as_array()
            .unwrap()
            .iter()
            .map(|command| command.as_str().unwrap())
            .collect();
        assert!(!commands.is_empty(), "{fault:#}");
        let done = Command::new("sh")
            .args(["-e", "-c", &commands.join("\n")])
            .status();
        assert!(done.unwrap().success(), "{commands:?}");
        rounds += 1;
        assert!(rounds < 9, "{fault:#}");
    }
    assert_eq!(rounds, 4);
}

#[test]
fn without_a_name_all_that_the_package_brings_is_looked_at() {
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
            set_mode(&tree, path, 0o755);
        }
        set_mode(&tree, &format!("usr/libexec/sockunit/{name}"), 0o755);
    }
    tree.write("etc/passwd", "_sockunit:x:990:990::/:/bin/false\n");
    let told = self::told(&tree, &[]);
    assert!(told.starts_with("celebs\nok: "), "{told}");
    assert!(told.contains("\n\nhello\nok: "), "{told}");
    assert!(!told.contains("tick"), "{told}");

    let empty = Tree::new("doctor-none");
    let told = self::told(&empty, &[]);
    assert_eq!(
        told,
        "there is no service of sockunit's here; name one: sockunit doctor NAME\n"
    );
}
