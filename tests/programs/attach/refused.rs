//! What `add` refuses, before anything is changed. For the program file, see program_file.rs.

use std::fs;

use super::tree::Tree;
use crate::tree::ACCESS_LIST;

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
            "run/file: a file that is not a socket, which systemd would delete\nhint: use another path\n",
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
        ("run/of-list", 0o755),
        ("run/of-all/own", 0o755),
        ("tmp", 0o1777),
        ("tmp/own", 0o755),
    ] {
        fs::create_dir_all(tree.0.join(directory)).unwrap();
        tree.mode(directory, mode);
    }
    tree.0.link("run/link", "of-all/own");
    tree.0.set_list("run/of-list", ACCESS_LIST, [7, 7, 5, 7, 5]);
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
        ("/run/of-list/x", "/run/of-list"),
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
