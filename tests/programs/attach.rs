//! `sockunit add` and `remove` on trees of the tests' own: what is refused, what is written, and that it goes again.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::client::SOCKUNIT;

const SERVICES: &str = "ssh 22/tcp\nhttp 80/tcp www\n";

/// A system without a running manager.
struct Tree(PathBuf);

/// What a run of the tool came to.
struct Done {
    status: Option<i32>,
    said: String,
    complained: String,
}

impl Tree {
    fn new(name: &str) -> Tree {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("attach-{name}"));
        let _ = fs::remove_dir_all(&root);
        let tree = Tree(root);
        tree.write("etc/services", 0o644, SERVICES);
        tree.write(
            "etc/passwd",
            0o644,
            "ann:x:4321:4321::/home/ann:/bin/sh\n_taken:x:99:99::/:/bin/false\n",
        );
        tree.write("bin/sh", 0o755, elf(62, None));
        tree.write("usr/bin/env", 0o755, elf(62, None));
        tree.write("usr/bin/sockunit", 0o755, elf(62, None));
        tree.write("home/you/hello.sh", 0o755, "#!/bin/sh\necho hello\n");
        tree.mode("home/you", 0o700);
        tree
    }

    fn write(&self, path: &str, mode: u32, content: impl AsRef<[u8]>) {
        let file = self.0.join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
        self.mode(path, mode);
    }

    fn mode(&self, path: &str, mode: u32) {
        fs::set_permissions(self.0.join(path), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.0.join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
    }

    fn run(&self, command: &str, arguments: &[&str]) -> Done {
        let output = Command::new(SOCKUNIT)
            .args([command, "--root"])
            .arg(&self.0)
            .args(arguments)
            .output()
            .unwrap();
        Done {
            status: output.status.code(),
            said: String::from_utf8(output.stdout).unwrap(),
            complained: String::from_utf8(output.stderr).unwrap(),
        }
    }

    #[track_caller]
    fn add(&self, arguments: &[&str]) -> String {
        let done = self.run("add", arguments);
        assert_eq!((done.status, done.complained.as_str()), (Some(0), ""));
        done.said
    }

    #[track_caller]
    fn remove(&self, arguments: &[&str]) -> String {
        let done = self.run("remove", arguments);
        assert_eq!((done.status, done.complained.as_str()), (Some(0), ""));
        done.said
    }

    /// Every path with its mode and its bytes, or where it leads.
    fn snapshot(&self) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
        let mut all = BTreeMap::new();
        let mut folders = vec![self.0.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let stat = fs::symlink_metadata(&path).unwrap();
                let content = if stat.is_symlink() {
                    fs::read_link(&path)
                        .unwrap()
                        .into_os_string()
                        .into_encoded_bytes()
                } else if stat.is_dir() {
                    folders.push(path.clone());
                    Vec::new()
                } else {
                    fs::read(&path).unwrap()
                };
                all.insert(path, (stat.permissions().mode(), content));
            }
        }
        all
    }
}

/// The header of a program for a machine, with a dynamic loader if it has one.
fn elf(machine: u8, loader: Option<&str>) -> Vec<u8> {
    let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
    bytes.resize(64, 0);
    bytes[16] = 2;
    bytes[18] = machine;
    bytes[32] = 64;
    bytes[54] = 56;
    if let Some(loader) = loader {
        bytes[56] = 1;
        let mut entry = [0; 56];
        entry[0] = 3;
        entry[8] = 120;
        entry[32] = loader.len() as u8 + 1;
        bytes.extend(entry);
        bytes.extend(loader.as_bytes());
        bytes.push(0);
    }
    bytes
}

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
fn what_is_wrong_with_a_program_is_told_in_a_sentence_with_what_mends_it() {
    let tree = Tree::new("refused");
    tree.write("usr/local/bin/empty", 0o755, "");
    tree.write("usr/local/bin/plain", 0o755, "echo hello\n");
    tree.write("usr/local/bin/dos", 0o755, "#!/bin/sh\r\necho hello\r\n");
    tree.write("usr/local/bin/bom", 0o755, "\u{feff}#!/bin/sh\n");
    tree.write("usr/local/bin/data", 0o755, b"\0\x01\x02");
    tree.write("usr/local/bin/no-x", 0o644, "#!/bin/sh\n");
    tree.write("usr/local/bin/no-r", 0o711, "#!/bin/sh\n");
    tree.write("usr/local/bin/nothing", 0o755, "#!\n");
    tree.write("usr/local/bin/relative", 0o755, "#!sh\n");
    tree.write("usr/local/bin/tcl", 0o755, "#!/usr/bin/tclsh\n");
    tree.write("usr/local/bin/env-tcl", 0o755, "#!/usr/bin/env tclsh\n");
    tree.write("usr/local/bin/env-two", 0o755, "#!/usr/bin/env sh -e\n");
    tree.write("usr/local/bin/arm", 0o755, elf(183, None));
    tree.write(
        "usr/local/bin/musl",
        0o755,
        elf(62, Some("/lib/ld-musl-x86_64.so.1")),
    );
    tree.write("usr/local/bin/cut", 0o755, &elf(62, None)[..40]);
    tree.write("usr/local/bin/home", 0o755, "#!/home/you/hello.sh\n");
    tree.write("opt/mine/program", 0o755, "#!/bin/sh\n");
    tree.mode("opt/mine", 0o700);
    tree.write("tmp/program", 0o755, "#!/bin/sh\n");
    tree.write("usr/local/bin/it's", 0o755, "#!/bin/sh\n");
    symlink("loop", tree.0.join("usr/local/bin/loop")).unwrap();
    let before = tree.snapshot();

    let standard = &["--sandbox", "standard"][..];
    for (program, options, sentence) in [
        (
            "hello.sh",
            &[][..],
            "hello.sh is not a full path; name the program from the root on: \"$PWD/hello.sh\"",
        ),
        (
            "/usr/local/bin/absent",
            &[],
            "there is no file /usr/local/bin/absent; check the spelling of its path",
        ),
        (
            "/usr/lokal/bin/sh",
            &[],
            "there is no /usr/lokal on the way to /usr/lokal/bin/sh; check the spelling of the path",
        ),
        (
            "/bin/sh/x",
            &[],
            "/bin/sh is a file, and /bin/sh/x goes on; check the path",
        ),
        (
            "/usr/local/bin",
            &[],
            "/usr/local/bin is a directory; name the program in it",
        ),
        (
            "/usr/local/bin/empty",
            &[],
            "/usr/local/bin/empty is empty; write the program into it",
        ),
        (
            "/usr/local/bin/no-x",
            &[],
            "/usr/local/bin/no-x cannot be executed by the service's user; chmod o+rx /usr/local/bin/no-x mends that",
        ),
        (
            "/usr/local/bin/no-r",
            &[],
            "/usr/local/bin/no-r is a script that the service's user cannot read; chmod o+r /usr/local/bin/no-r mends that",
        ),
        (
            "/usr/local/bin/no-x",
            &["--user-name", "ann"],
            "/usr/local/bin/no-x cannot be executed by the user ann; chmod o+rx /usr/local/bin/no-x mends that",
        ),
        (
            "/opt/mine/program",
            &[],
            "/opt/mine is a directory that the service's user cannot pass; chmod o+x /opt/mine mends that",
        ),
        (
            "/home/you/hello.sh",
            standard,
            "/home/you is a directory that the service's user cannot pass; chmod o+x /home/you mends that",
        ),
        (
            "/tmp/program",
            &[],
            "/tmp/program is out of the service's sight, which sees nothing of the system's temporary files; copy the program to /usr/local/bin",
        ),
        (
            "/usr/local/bin/dos",
            &[],
            "/usr/local/bin/dos:1: the #! line ends in CR LF, so that the interpreter's name ends in a carriage return and is not found; sed -i 's/\\r$//' /usr/local/bin/dos mends that",
        ),
        (
            "/usr/local/bin/plain",
            &[],
            "/usr/local/bin/plain:1: the first line does not begin with #!, so that the kernel does not know what runs it; only a shell would try itself; sed -i '1i #!/bin/sh' /usr/local/bin/plain makes it a shell script",
        ),
        (
            "/usr/local/bin/bom",
            &[],
            "/usr/local/bin/bom:1: a byte order mark stands where #! has to stand; sed -i '1s/^\\xEF\\xBB\\xBF//' /usr/local/bin/bom mends that",
        ),
        (
            "/usr/local/bin/data",
            &[],
            "/usr/local/bin/data is neither an ELF file nor a script, so that the kernel cannot run it; name a program",
        ),
        (
            "/usr/local/bin/nothing",
            &[],
            "/usr/local/bin/nothing:1: the #! line names no interpreter; write its full path behind it, as in #!/bin/sh",
        ),
        (
            "/usr/local/bin/relative",
            &[],
            "/usr/local/bin/relative:1: the interpreter sh is not named by its full path; write #!/usr/bin/env sh, or the full path",
        ),
        (
            "/usr/local/bin/tcl",
            &[],
            "/usr/local/bin/tcl:1: its interpreter: there is no file /usr/bin/tclsh; install it, or correct that line",
        ),
        (
            "/usr/local/bin/env-tcl",
            &[],
            "/usr/local/bin/env-tcl:1: env finds no tclsh where a service looks for programs (/usr/local/sbin, /usr/local/bin, /usr/sbin, /usr/bin); install it, or name it by its full path",
        ),
        (
            "/usr/local/bin/env-two",
            &[],
            "/usr/local/bin/env-two:1: env takes \"sh -e\" for the name of one program; write #!/usr/bin/env -S sh -e",
        ),
        (
            "/usr/local/bin/home",
            &[],
            "/usr/local/bin/home:1: its interpreter: /home/you/hello.sh is needed to run the program and lies in a home, and the service sees none; copy it to /usr/local, or choose --sandbox standard, which does not hide homes",
        ),
        (
            "/usr/local/bin/arm",
            &[],
            "/usr/local/bin/arm is built for ARM64 (64 bits), and this is x86-64 (64 bits); build it for this machine",
        ),
        (
            "/usr/local/bin/musl",
            &[],
            "/usr/local/bin/musl wants the dynamic loader /lib/ld-musl-x86_64.so.1, and there is no /lib; install the C library that it was linked with, or link it statically",
        ),
        (
            "/usr/local/bin/cut",
            &[],
            "/usr/local/bin/cut is a broken or truncated ELF file; build or copy it again",
        ),
        (
            "/usr/local/bin/it's",
            &[],
            "\"/usr/local/bin/it's\" has a quote, a backslash or a control character in its name, which systemd does not take; rename it",
        ),
        (
            "/bin/sh",
            &["--user-name", "bob"],
            "there is no user bob; make one (adduser --system bob), or leave --user-name away",
        ),
        (
            "/bin/sh",
            &["--user", "--user-name", "ann"],
            "your own service manager runs programs as you, and not as ann; leave --user-name or --user away",
        ),
    ] {
        for kind in [&[][..], &["--shared"]] {
            let done = tree.run(
                "add",
                &[options, kind, &["greeter", "4000", "--", program]].concat(),
            );
            assert_eq!(done.complained, format!("sockunit: {sentence}\n"));
            assert_eq!((done.status, done.said.as_str()), (Some(1), ""));
        }
    }
    assert!(
        tree.run("add", &["greeter", "4000", "--", "/usr/local/bin/loop"])
            .complained
            .contains("/usr/local/bin/loop cannot be followed: ")
    );
    assert_eq!(tree.snapshot(), before);
}

#[test]
fn a_name_or_port_that_cannot_be_had_is_refused() {
    let tree = Tree::new("names");
    let before = tree.snapshot();
    for (name, port, status, sentence) in [
        (
            "www",
            "4000",
            1,
            "etc/services:2: \"http 80/tcp www\" has the name www; choose another name or port ",
        ),
        (
            "greeter",
            "80",
            1,
            "etc/services:2: \"http 80/tcp www\" has the port 80; choose another name or port ",
        ),
        ("a+b", "4000", 1, "a+b is no name for a unit"),
        ("taken", "4000", 1, "there is a user _taken already"),
        ("a b", "4000", 2, "a service name begins with"),
        ("greeter", "0", 2, "a port is a number from 1 to 65535"),
    ] {
        let done = tree.run("add", &[name, port, "--", "/bin/sh"]);
        assert!(done.complained.contains(sentence), "{}", done.complained);
        assert_eq!(done.status, Some(status));
    }
    let done = tree.run(
        "add",
        &["--listen", "everywhere", "greeter", "4000", "--", "/bin/sh"],
    );
    assert!(
        done.complained.contains("give an address of this host"),
        "{}",
        done.complained
    );
    assert_eq!(done.status, Some(2));
    assert_eq!(tree.snapshot(), before);

    tree.add(&["greeter", "4000", "--", "/bin/sh"]);
    let done = tree.run("add", &["greeter", "4001", "--", "/bin/sh"]);
    assert_eq!(
        (done.status, done.complained.as_str()),
        (
            Some(1),
            "sockunit: greeter is attached already; sockunit remove greeter takes it away\n"
        )
    );
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
