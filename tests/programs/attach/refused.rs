//! What add refuses, each in a sentence and before anything is changed.

use std::fs;
use std::os::unix::fs::symlink;

use super::tree::{Tree, elf};

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
            "etc/services:2: \"http 80/tcp www\" uses the name www; choose another name or port ",
        ),
        (
            "greeter",
            "80",
            1,
            "etc/services:2: \"http 80/tcp www\" uses the port 80; choose another name or port ",
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
fn what_a_hostile_program_says_of_itself_costs_nothing_and_steers_no_terminal() {
    let tree = Tree::new("hostile");
    tree.write("usr/local/bin/steer", 0o755, "#!\x1b[2Jfoo\nx\n");
    let mut large = elf(62, None);
    large[54..58].fill(0xff);
    tree.write("usr/local/bin/large", 0o755, large);
    let file = fs::File::options()
        .write(true)
        .open(tree.0.join("usr/local/bin/large"))
        .unwrap();
    file.set_len(5 << 30).unwrap();
    for program in ["/usr/local/bin/steer", "/usr/local/bin/large"] {
        let done = tree.run("add", &["greeter", "4000", "--", program]);
        assert_eq!(done.status, Some(1), "{}", done.said);
        assert!(!done.complained.contains('\x1b'), "{:?}", done.complained);
    }
}

#[test]
fn a_program_behind_a_link_needs_its_way_too() {
    let tree = Tree::new("way");
    fs::create_dir(tree.0.join("srv")).unwrap();
    tree.mode("srv", 0o700);
    symlink("/home/you/hello.sh", tree.0.join("srv/l")).unwrap();
    let done = tree.run("add", &["greeter", "4000", "--", "/srv/l"]);
    assert_eq!(done.status, Some(1));
    assert!(
        done.complained.contains("/srv is a directory that"),
        "{}",
        done.complained
    );
    for (program, argument, why) in [
        ("/bin/sh/", "x", "/bin/sh/ ends in a slash"),
        ("/bin/sh", "a\u{ffff}b", "no character"),
    ] {
        let done = tree.run("add", &["greeter", "4000", "--", program, argument]);
        assert!(done.complained.contains(why), "{}", done.complained);
    }
}
