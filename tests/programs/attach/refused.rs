//! What `add` refuses, before anything is changed.

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
            "./hello.sh is not an absolute path\nhint: with --root, give the program's path from that root directory on",
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
            "--state is for services of the system\nhint: leave out --user, or use --sandbox standard and a directory of yours",
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
fn a_name_or_port_that_is_invalid_or_in_use_is_refused() {
    let tree = Tree::new("names");
    tree.write(
        "etc/systemd/system/other.socket",
        0o644,
        "[Socket]\nListenStream=4444\n",
    );
    tree.write("etc/xinetd.conf", 0o644, "includedir /etc/xinetd.d\n");
    tree.write(
        "etc/xinetd.d/finger",
        0o644,
        "service finger\n{\n\ttype = UNLISTED\n\tport = 79\n\tsocket_type = stream\n\twait = no\n\
         \tuser = ann\n\tserver = /bin/sh\n}\n",
    );
    let before = tree.snapshot();
    for (name, port, status, sentence) in [
        (
            "other",
            "4000",
            1,
            "etc/systemd/system/other.socket: other.socket uses the name other (static)\nhint: use another name or port ",
        ),
        (
            "greeter",
            "4444",
            1,
            "etc/systemd/system/other.socket:2: other.socket is configured to listen on 4444 (static)\nhint: use another name or port ",
        ),
        (
            "greeter",
            "79",
            1,
            "etc/xinetd.d/finger:4: the xinetd service finger uses the port 79\n\
             hint: to disable it there, set \"disable = yes\" in its block (",
        ),
        ("a+b", "4000", 1, "a+b is not a valid unit name"),
        (
            "taken",
            "4000",
            1,
            "the dynamic user would have the name of an existing user, _taken",
        ),
        ("a b", "4000", 2, "a service name begins with"),
        ("greeter", "0", 2, "a port is a number from 1 to 65535"),
    ] {
        let done = tree.run("add", &[name, port, "--", "/bin/sh"]);
        assert!(done.stderr.contains(sentence), "{}", done.stderr);
        assert_eq!(done.status, Some(status));
    }
    let done = tree.run(
        "add",
        &["--listen", "everywhere", "greeter", "4000", "--", "/bin/sh"],
    );
    assert!(
        done.stderr.contains("give an address of this host"),
        "{}",
        done.stderr
    );
    assert_eq!(done.status, Some(2));
    assert_eq!(tree.snapshot(), before);

    // A program is found in PATH.
    tree.add(&["greeter", "4000", "--", "sh"]);
    let unit = tree.read("etc/systemd/system/greeter@.service");
    assert!(unit.contains(" -- /bin/sh\n"), "{unit}");
}

#[test]
fn a_package_that_is_not_complete_has_to_be_installed() {
    let tree = Tree::new("incomplete");
    std::fs::remove_file(tree.0.join("usr/libexec/sockunit/serve")).unwrap();
    let done = tree.run("add", &["greeter", "4000", "--", "/bin/sh"]);
    assert_eq!(
        done.stderr,
        "sockunit: cannot attach greeter: the package sockunit is not installed completely: \
         /usr/libexec/sockunit/serve does not exist\nhint: install the package sockunit in that system\n"
    );
}

#[test]
fn rules_that_count_connections_need_one_process_for_all() {
    let tree = Tree::new("counts");
    for (options, option) in [
        (&["--rate", "25"][..], "--rate"),
        (&["--when-full", "refuse"], "--when-full"),
        (&["--rate-per-source", "5"], "--rate-per-source"),
        (&["--penalty", "5s"], "--penalty"),
        (&["--source-prefix", "24,64"], "--source-prefix"),
        (&["--message", "source=No"], "--message source=No"),
    ] {
        let words = ["greeter", "4000", "--", "/bin/sh"];
        let done = tree.run("add", &[options, &words].concat());
        assert_eq!(
            done.stderr,
            format!(
                "sockunit: cannot attach greeter: {option} works only with --shared: otherwise systemd starts a separate process for each connection\n\
                 hint: add --shared, which serves all connections from one process\n"
            )
        );
        assert_eq!(done.status, Some(1));
        tree.add(&[&["--shared"], options, &words].concat());
        tree.remove(&["greeter"]);
    }
    // systemd has the addresses of proxies alone.
    let proxied = ["--accept-proxy", "192.0.2.5", "--per-source", "5"];
    let words = ["greeter", "4000", "--", "/bin/sh"];
    let done = tree.run("add", &[&proxied[..], &words].concat());
    assert_eq!(
        done.stderr,
        "sockunit: cannot attach greeter: --per-source with --accept-proxy: systemd counts the connections of each proxy, \
         not of its clients\nhint: add --shared, which serves all connections from one process: it knows the clients\n"
    );
    tree.add(&[&["--shared"], &proxied[..], &words].concat());
    tree.remove(&["greeter"]);
}

#[test]
fn every_port_and_path_has_to_be_free() {
    let tree = Tree::new("places");
    tree.write(
        "etc/systemd/system/other.socket",
        0o644,
        "[Socket]\nListenStream=4444\nListenStream=/run/other.sock\n",
    );
    tree.write("run/file", 0o644, "");
    let before = tree.snapshot();
    for (address, status, sentence) in [
        (
            "127.0.0.2:4444",
            1,
            "etc/systemd/system/other.socket:2: other.socket is configured to listen on 4444 (static)\nhint: use another name or port ",
        ),
        (
            "/run/other.sock",
            1,
            "etc/systemd/system/other.socket:3: other.socket is configured to listen on /run/other.sock (static)\nhint: use another path\n",
        ),
        (
            "/run/file",
            1,
            "run/file: a file that is no socket, which systemd would delete\nhint: use another path\n",
        ),
        ("/run/../x", 2, "without . and .. and empty parts"),
        ("/run/x/", 2, "without . and .. and empty parts"),
        ("/run/a\nb", 2, "which systemd does not accept"),
        ("192.0.2.1:0", 2, "give an address of this host such as"),
        ("[::1]:x", 2, "give an address of this host such as"),
        ("host:80", 2, "give an address of this host such as"),
    ] {
        let listen = ["--listen", "127.0.0.1", "--listen", address];
        let done = tree.run(
            "add",
            &[&listen[..], &["greeter", "4000", "--", "/bin/sh"]].concat(),
        );
        assert!(done.stderr.contains(sentence), "{}", done.stderr);
        assert_eq!(done.status, Some(status));
    }
    let long = format!("/run/{}", "x".repeat(103));
    let done = tree.run(
        "add",
        &["--listen", &long, "greeter", "4000", "--", "/bin/sh"],
    );
    assert!(done.stderr.contains("at most 107 bytes"), "{}", done.stderr);
    assert_eq!(tree.snapshot(), before);
}

#[test]
fn a_socket_whose_directories_another_user_can_change_is_refused() {
    let tree = Tree::new("socket-path");
    for (directory, mode) in [
        ("run/own", 0o755),
        ("run/of-all", 0o777),
        ("run/of-all/own", 0o755),
        ("tmp", 0o1777),
        ("tmp/own", 0o755),
    ] {
        fs::create_dir_all(tree.0.join(directory)).unwrap();
        tree.mode(directory, mode);
    }
    tree.0.link("run/link", "of-all/own");
    let add = |path: &str, options: &[&str]| {
        let words = [
            "--listen",
            path,
            "--dry-run",
            "greeter",
            "4000",
            "--",
            "/bin/sh",
        ];
        tree.run("add", &[options, &words].concat())
    };
    for (path, directory) in [
        ("/run/of-all/x", "/run/of-all"),
        ("/run/of-all/own/x", "/run/of-all"),
        ("/run/of-all/missing/x", "/run/of-all"),
        ("/run/link/x", "/run/of-all"),
        ("/tmp/own/x", "/tmp"),
        ("/tmp/missing/x", "/tmp"),
    ] {
        let done = add(path, &[]);
        assert_eq!(
            done.stderr,
            format!(
                "sockunit: cannot attach greeter: --listen {path}: another user can change the directory {directory}\n\
                 hint: name a path that nobody else can change, such as /run/greeter.sock\n"
            )
        );
        assert_eq!(done.status, Some(1));
        assert_eq!(add(path, &["--user"]).status, Some(1));
    }
    // In a sticky directory, nobody else can replace the socket.
    for path in [
        "/run/greeter.sock",
        "/run/own/x",
        "/run/missing/x",
        "/tmp/x",
    ] {
        for options in [&[][..], &["--user-name", "ann"], &["--user"]] {
            let done = add(path, options);
            assert_eq!((done.status, done.stderr.as_str()), (Some(0), ""), "{path}");
        }
    }
}

#[test]
fn a_unit_of_another_is_not_replaced_when_the_kind_of_service_changes() {
    for (kinds, unit) in [
        ([&["--shared"][..], &[]], "greeter@.service"),
        ([&[], &["--shared"]], "greeter.service"),
    ] {
        for folder in ["etc/systemd/system", "usr/lib/systemd/system"] {
            let tree = Tree::new("other-kind");
            let path = format!("{folder}/{unit}");
            tree.write(&path, 0o644, "[Service]\nExecStart=/bin/sh\n");
            let words = ["greeter", "4000", "--", "/bin/sh"];
            tree.add(&[kinds[0], &words].concat());
            let before = tree.snapshot();
            let done = tree.run("add", &[&["--replace"], kinds[1], &words].concat());
            let taken = format!("{path}: {unit} uses the name greeter");
            assert!(done.stderr.contains(&taken), "{}", done.stderr);
            assert_eq!(done.status, Some(1));
            assert_eq!(tree.snapshot(), before);
            tree.add(&[&["--replace", "--env", "A=1"], kinds[0], &words].concat());
            tree.remove(&["greeter"]);
            assert!(tree.0.join(&path).exists());
        }
    }
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
