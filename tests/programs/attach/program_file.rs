//! Program files that `add` refuses.

use std::fs;
use std::os::unix::fs::symlink;

use super::tree::{ARM64, Tree, X86_64, elf};

#[test]
fn a_program_that_cannot_be_executed_is_refused_with_the_reason_and_a_hint() {
    let tree = Tree::new("refused");
    tree.write("usr/local/bin/empty", 0o755, "");
    tree.write("etc/secret", 0o600, "secret");
    tree.write("etc/long", 0o644, [b'x'; 16385]);
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
    tree.write("usr/local/bin/arm", 0o755, elf(ARM64, None));
    tree.write(
        "usr/local/bin/musl",
        0o755,
        elf(X86_64, Some("/lib/ld-musl-x86_64.so.1")),
    );
    tree.write("usr/local/bin/cut", 0o755, &elf(X86_64, None)[..40]);
    tree.write("usr/local/bin/home", 0o755, "#!/home/you/hello.sh\n");
    tree.write("opt/mine/program", 0o755, "#!/bin/sh\n");
    tree.mode("opt/mine", 0o700);
    tree.write("tmp/program", 0o755, "#!/bin/sh\n");
    tree.write("usr/local/bin/it's", 0o755, "#!/bin/sh\n");
    symlink("loop", tree.0.join("usr/local/bin/loop")).unwrap();
    std::fs::create_dir_all(tree.0.join("srv/a\nExecStartPre=/bin/b")).unwrap();
    let before = tree.snapshot();

    let standard = &["--sandbox", "standard"][..];
    for (program, options, sentence) in [
        (
            "hello.sh",
            &[][..],
            "hello.sh: not found in PATH\nhint: check the spelling, or give its path",
        ),
        (
            "./hello.sh",
            &[],
            "./hello.sh is not an absolute path\nhint: with --root, give the absolute path inside that root directory",
        ),
        (
            "/bin/sh -n",
            &[],
            "there is no program \"/bin/sh -n\"\nhint: leave out the quotes: the program and its arguments are separate words",
        ),
        (
            "sh -n",
            &[],
            "there is no program \"sh -n\"\nhint: leave out the quotes: the program and its arguments are separate words",
        ),
        (
            "/usr/local/bin/absent",
            &[],
            "/usr/local/bin/absent does not exist\nhint: check the spelling of the path",
        ),
        (
            "/usr/lokal/bin/sh",
            &[],
            "/usr/lokal/bin/sh does not exist: there is no /usr/lokal\nhint: check the spelling of the path",
        ),
        (
            "/bin/sh/x",
            &[],
            "/bin/sh/x does not exist: /bin/sh is a file\nhint: check the path",
        ),
        (
            "/usr/local/bin",
            &[],
            "/usr/local/bin is a directory\nhint: name a program in it",
        ),
        (
            "/usr/local/bin/empty",
            &[],
            "/usr/local/bin/empty is empty\nhint: write the program",
        ),
        (
            "/usr/local/bin/no-x",
            &[],
            "/usr/local/bin/no-x cannot be executed by the service's user\nhint: give that user execute permission\n    chmod o+rx ROOT/usr/local/bin/no-x",
        ),
        (
            "/usr/local/bin/no-r",
            &[],
            "/usr/local/bin/no-r is a script that the service's user cannot read\nhint: give that user read permission\n    chmod o+r ROOT/usr/local/bin/no-r",
        ),
        (
            "/usr/local/bin/no-x",
            &["--user-name", "ann"],
            "/usr/local/bin/no-x cannot be executed by the user ann\nhint: give that user execute permission\n    chmod o+rx ROOT/usr/local/bin/no-x",
        ),
        (
            "/opt/mine/program",
            &[],
            "/opt/mine is a directory that the service's user cannot search\nhint: give that user search permission\n    chmod o+x ROOT/opt/mine",
        ),
        (
            "/home/you/hello.sh",
            standard,
            "/home/you is a directory that the service's user cannot search\nhint: give that user search permission\n    chmod o+x ROOT/home/you",
        ),
        (
            "/tmp/program",
            &[],
            "/tmp/program is hidden from the service, which has a /tmp of its own\nhint: copy the program to /usr/local/bin",
        ),
        (
            "/usr/local/bin/dos",
            &[],
            "/usr/local/bin/dos:1: the #! line ends in CR LF, and the CR becomes part of the interpreter's name\nhint: remove the CR characters\n    sed -i 's/\\r$//' ROOT/usr/local/bin/dos",
        ),
        (
            "/usr/local/bin/plain",
            &[],
            "/usr/local/bin/plain:1: the first line does not begin with #!, and the kernel cannot run the file without an interpreter (a shell does)\nhint: if it is a shell script, name the shell\n    sed -i '1i #!/bin/sh' ROOT/usr/local/bin/plain",
        ),
        (
            "/usr/local/bin/bom",
            &[],
            "/usr/local/bin/bom:1: a byte order mark precedes the #!\nhint: remove the byte order mark\n    sed -i '1s/^\\xEF\\xBB\\xBF//' ROOT/usr/local/bin/bom",
        ),
        (
            "/usr/local/bin/data",
            &[],
            "/usr/local/bin/data is neither an ELF file nor a script, and the kernel cannot run it\nhint: name a program",
        ),
        (
            "/usr/local/bin/nothing",
            &[],
            "/usr/local/bin/nothing:1: the #! line names no interpreter\nhint: write its absolute path, as in #!/bin/sh",
        ),
        (
            "/usr/local/bin/relative",
            &[],
            "/usr/local/bin/relative:1: the interpreter sh is not an absolute path\nhint: write #!/usr/bin/env sh, or the absolute path",
        ),
        (
            "/usr/local/bin/tcl",
            &[],
            "/usr/local/bin/tcl:1: its interpreter: /usr/bin/tclsh does not exist\nhint: install it, or correct that line",
        ),
        (
            "/usr/local/bin/env-tcl",
            &[],
            "/usr/local/bin/env-tcl:1: env finds no tclsh in the PATH of a service (/usr/local/sbin, /usr/local/bin, /usr/sbin, /usr/bin)\nhint: install it, or name it by its absolute path",
        ),
        (
            "/usr/local/bin/env-two",
            &[],
            "/usr/local/bin/env-two:1: env takes \"sh -e\" for the name of one program\nhint: write #!/usr/bin/env -S sh -e",
        ),
        (
            "/usr/local/bin/home",
            &[],
            "/usr/local/bin/home:1: its interpreter: /home/you/hello.sh is needed to run the program, and home directories are hidden from the service\nhint: copy it to /usr/local, or use --sandbox standard, which does not hide home directories",
        ),
        (
            "/usr/local/bin/arm",
            &[],
            "/usr/local/bin/arm is built for ARM64 (64 bits), and this machine is x86-64 (64 bits)\nhint: build it for this machine",
        ),
        (
            "/usr/local/bin/musl",
            &[],
            "/usr/local/bin/musl needs the dynamic loader /lib/ld-musl-x86_64.so.1, and there is no /lib\nhint: install the C library that it was linked with, or link it statically",
        ),
        (
            "/usr/local/bin/cut",
            &[],
            "/usr/local/bin/cut is a damaged or truncated ELF file\nhint: build or copy it again",
        ),
        (
            "/usr/local/bin/it's",
            &[],
            "/usr/local/bin/it's: the path has a quote, a backslash or a control character, which systemd does not accept\nhint: rename it",
        ),
        (
            "/bin/sh",
            &["--user-name", "bob"],
            "the user bob does not exist\nhint: create it, or leave out --user-name\n    adduser --system bob",
        ),
        (
            "/bin/sh",
            &["--group", "folk"],
            "the group folk does not exist\nhint: create it, or leave out --group\n    addgroup --system folk",
        ),
        (
            "/bin/sh",
            &["--directory", "/none"],
            "--directory /none: not a directory\nhint: give the absolute path of a directory",
        ),
        (
            "/bin/sh",
            &["--directory", "/srv/a\nExecStartPre=/bin/b"],
            "--directory /srv/a\\nExecStartPre=/bin/b: the path has a quote, a backslash or a control character, which systemd does not accept\nhint: rename it, or use another directory",
        ),
        (
            "/bin/sh",
            &["--directory", "/home/you"],
            "--directory /home/you: hidden from the service by its sandbox\nhint: use another directory, --state for one of its own, or --sandbox standard",
        ),
        (
            "/bin/sh",
            &["--user", "--state"],
            "--state is for services of the system\nhint: leave out --user, or use --sandbox standard and a directory of your own",
        ),
        (
            "/bin/sh",
            &["--user-name", "root"],
            "root has no privileges in the sandbox strict\nhint: for a server that starts as root and drops privileges itself, use --sandbox privileged; for another program, another user",
        ),
        (
            "/bin/sh",
            &["--user-name", "root", "--sandbox", "standard"],
            "root has no privileges in the sandbox standard\nhint: for a server that starts as root and drops privileges itself, use --sandbox privileged; for another program, another user",
        ),
        (
            "/bin/sh",
            &["--user-name", "ann", "--sandbox", "privileged"],
            "--sandbox privileged is for servers that start as root, not as ann\nhint: leave out --user-name, or use another level",
        ),
        (
            "/bin/sh",
            &["--user", "--sandbox", "privileged"],
            "--sandbox privileged is for servers that start as root\nhint: leave out --user, or use another level",
        ),
        (
            "/bin/sh",
            &["--banner", "/etc/none"],
            "--banner /etc/none does not exist\nhint: check the spelling of the path",
        ),
        (
            "/bin/sh",
            &["--banner", "/home/you/hello.sh"],
            "--banner /home/you/hello.sh: hidden from the service by its sandbox\nhint: copy the file to /etc",
        ),
        (
            "/bin/sh",
            &["--refused-banner", "/opt/mine/program"],
            "--refused-banner /opt/mine is a directory that the service's user cannot search\nhint: give that user search permission\n    chmod o+x ROOT/opt/mine",
        ),
        (
            "/bin/sh",
            &["--refused-banner", "/etc/secret"],
            "--refused-banner /etc/secret: cannot be read by the service's user\nhint: give that user read permission\n    chmod o+r ROOT/etc/secret",
        ),
        (
            "/bin/sh",
            &["--banner", "/etc/long"],
            "--banner /etc/long: has 16385 bytes\nhint: a banner has at most 16384 bytes",
        ),
        (
            "/bin/sh",
            &["--user", "--user-name", "ann"],
            "your service manager runs programs as you, not as ann\nhint: leave out --user-name and --group, or --user",
        ),
    ] {
        for kind in [&[][..], &["--shared"]] {
            let done = tree.run(
                "add",
                &[options, kind, &["greeter", "4000", "--", program]].concat(),
            );
            let sentence = sentence.replace("ROOT", &tree.0.display().to_string());
            assert_eq!(
                done.stderr,
                format!("sockunit: cannot attach greeter: {sentence}\n")
            );
            assert_eq!((done.status, done.stdout.as_str()), (Some(1), ""));
        }
    }
    assert!(
        tree.run("add", &["greeter", "4000", "--", "/usr/local/bin/loop"])
            .stderr
            .contains("/usr/local/bin/loop cannot be followed: ")
    );
    assert_eq!(tree.snapshot(), before);
}

#[test]
fn a_hostile_program_file_costs_no_memory_and_does_not_control_the_terminal() {
    let tree = Tree::new("hostile");
    tree.write("usr/local/bin/steer", 0o755, "#!\x1b[2Jfoo\nx\n");
    let mut large = elf(X86_64, None);
    large[54..58].fill(0xff);
    tree.write("usr/local/bin/large", 0o755, large);
    let file = fs::File::options()
        .write(true)
        .open(tree.0.join("usr/local/bin/large"))
        .unwrap();
    file.set_len(5 << 30).unwrap();
    for program in ["/usr/local/bin/steer", "/usr/local/bin/large"] {
        let done = tree.run("add", &["greeter", "4000", "--", program]);
        assert_eq!(done.status, Some(1), "{}", done.stdout);
        assert!(!done.stderr.contains('\x1b'), "{:?}", done.stderr);
    }
}

#[test]
fn the_directories_of_a_link_have_to_be_searchable_too() {
    let tree = Tree::new("way");
    fs::create_dir(tree.0.join("srv")).unwrap();
    tree.mode("srv", 0o700);
    symlink("/home/you/hello.sh", tree.0.join("srv/l")).unwrap();
    let done = tree.run("add", &["greeter", "4000", "--", "/srv/l"]);
    assert_eq!(done.status, Some(1));
    assert!(
        done.stderr.contains("/srv is a directory that"),
        "{}",
        done.stderr
    );
    for (program, argument, why) in [
        ("/bin/sh/", "x", "/bin/sh/ ends in a slash"),
        ("/bin/sh", "a\u{ffff}b", "noncharacter"),
    ] {
        let done = tree.run("add", &["greeter", "4000", "--", program, argument]);
        assert!(done.stderr.contains(why), "{}", done.stderr);
    }
}
