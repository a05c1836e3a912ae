//! What `sockunit import --apply` installs and disables, on trees.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};
use nix::unistd::Uid;

use super::{GREETER, base, imported, units};
use crate::tool::{self, SOCKUNIT};
use crate::tree::Tree;

/// A tree with services of both programs, two of them in one file, and one disabled.
pub(super) fn both(name: &str) -> Tree {
    let tree = base(name);
    let two = GREETER.replace("greeter", "two").replace("4000", "4002");
    let off = GREETER
        .replace("greeter", "off")
        .replace("{", "{\n\tdisable = yes");
    tree.write("etc/xinetd.conf", "includedir /etc/xinetd.d\n")
        .write("etc/xinetd.d/one", GREETER.replace("greeter", "one") + "# x\n\n" + &two)
        .write("etc/xinetd.d/off", off)
        .set_mode("etc/xinetd.d/one", 0o640)
        .write(
            "etc/inetd.conf",
            "# x\nhttp stream tcp nowait nobody /bin/cat cat\n\nfinger stream tcp nowait nobody /bin/cat cat\n",
        );
    fs::create_dir_all(tree.path("etc/systemd/system/sockets.target.wants")).unwrap();
    tree
}

#[test]
fn apply_installs_units_switches_the_old_services_off_and_revert_restores_the_tree() {
    let tree = both("both");
    let before = tree.snapshot();
    let (text, status) = imported(&tree, &["--apply", "--disable-old"]);
    assert_eq!(status, Some(0), "{text}");
    for line in [
        "written: one",
        "written: two",
        "written: off",
        "written: http",
        "written: finger",
        "to undo all of this: sockunit import --revert --root=",
    ] {
        assert!(text.contains(&format!("{line}\n")), "{line}: {text}");
    }
    let wants = "etc/systemd/system/sockets.target.wants";
    let mut linked: Vec<_> = fs::read_dir(tree.path(wants))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    linked.sort();
    assert_eq!(
        linked,
        ["finger.socket", "http.socket", "one.socket", "two.socket"]
    );
    // xinetd and inetd do not serve them any more, and check knows it.
    for (name, port) in [("a", "4000"), ("a", "4002"), ("a", "79"), ("a", "80")] {
        let output = tool::on(tree.root(), &["check"], &[name, port]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(!text.contains("inetd serves"), "{text}");
    }
    assert_eq!(tree.read("etc/xinetd.d/one").matches("= yes").count(), 2);
    // Again: nothing changes, and the report is the same.
    let applied = tree.snapshot();
    let (again, status) = imported(&tree, &["--apply", "--disable-old"]);
    assert_eq!((tree.snapshot(), status), (applied, Some(0)));
    assert_eq!(again.matches("unchanged: ").count(), 5, "{again}");
    let output = tool::on(tree.root(), &["list"], &[]);
    let list = String::from_utf8(output.stdout).unwrap();
    assert!(list.contains("one") && list.contains("finger"), "{list}");
    let (text, status) = imported(&tree, &["--revert"]);
    assert_eq!(status, Some(0), "{text}");
    assert_eq!(tree.snapshot(), before);
    let (text, _) = imported(&tree, &["--revert"]);
    assert_eq!(text, "unchanged: there is no imported service\n");
}

#[test]
fn a_service_that_waits_for_the_port_of_another_is_disabled_with_it() {
    let tree = both("next");
    let next = |name: &str, port: &str| GREETER.replace("greeter", name).replace("4000", port);
    tree.write(
        "etc/xinetd.d/three",
        next("three", "4000") + &next("four", "4003"),
    );
    let line = "79 stream tcp nowait nobody /bin/cat cat\n";
    tree.write("etc/inetd.conf", tree.read("etc/inetd.conf") + line);
    let before = tree.snapshot();
    let (text, status) = imported(&tree, &[]);
    assert_eq!(status, Some(1), "{text}");
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        text.contains("finger (/etc/inetd.conf:4) has the port 79 already"),
        "{text}"
    );
    assert!(
        text.contains("the service one has the port already"),
        "{text}"
    );
    let (text, _) = imported(&tree, &["--apply", "--disable-old"]);
    assert_eq!(text.matches("\nwritten: ").count(), 6, "{text}");
    let three = tree.read("etc/xinetd.d/three");
    assert_eq!(three.matches("= yes").count(), 2, "{three}");
    let inetd = tree.read("etc/inetd.conf");
    assert_eq!(inetd.matches("\n#<off># ").count(), 3, "{inetd}");
    imported(&tree, &["--revert"]);
    assert_eq!(tree.snapshot(), before);
}

#[test]
fn rules_that_inetd_applies_are_not_left_out() {
    let tree = both("wrapped");
    let tcpd = "telnet stream tcp nowait root /usr/sbin/tcpd /bin/cat\n";
    tree.write("etc/inetd.conf", tree.read("etc/inetd.conf") + tcpd)
        .write("etc/hosts.deny", "ALL: ALL\n");
    for (options, expected) in [("", 6), ("-i", 6), ("-li", 2)] {
        let start = format!("[Service]\nExecStart=/usr/sbin/inetd {options}\n");
        tree.write("usr/lib/systemd/system/inetd.service", start);
        let (text, _) = imported(&tree, &["/etc/inetd.conf"]);
        assert_eq!(units(&text).len(), expected, "{options}: {text}");
    }
}

#[test]
fn a_service_that_xinetd_serves_is_installed_only_if_it_is_disabled_there() {
    let tree = both("served");
    let (text, status) = imported(&tree, &["--apply", "/etc/xinetd.d"]);
    assert_eq!(status, Some(1));
    assert!(
        text.contains("not installed: one: xinetd serves it\nhint: --disable-old"),
        "{text}"
    );
    assert!(text.contains("written: off\n"), "{text}");
    assert!(!tree.path("etc/systemd/system/one.socket").exists());
    assert!(!tree.path("etc/systemd/system/http.socket").exists());
}

#[test]
fn edited_units_are_not_replaced() {
    let tree = both("edited");
    let socket = "etc/systemd/system/one.socket";
    imported(&tree, &["--apply", "--disable-old", "/etc/xinetd.d/one"]);
    tree.write(socket, tree.read(socket) + "# mine\n");
    let (text, status) = imported(&tree, &["--apply", "--disable-old", "/etc/xinetd.d/one"]);
    assert_eq!(status, Some(1));
    assert!(
        text.contains("edited since import wrote it: /etc/systemd"),
        "{text}"
    );
    assert!(tree.read(socket).ends_with("# mine\n"));
}

/// inetd.conf with a line that becomes a service for IPv4 and one for IPv6.
fn two_of_a_line(name: &str) -> Tree {
    let tree = both(name);
    tree.write(
        "etc/inetd.conf",
        "7003 stream tcp wait nobody /bin/cat cat\n",
    );
    tree
}

#[test]
fn a_line_is_disabled_for_all_of_its_services_or_for_none() {
    let tree = two_of_a_line("one-line");
    let path = ["/etc/inetd.conf"];
    let apply = ["--apply", "--disable-old", path[0]];
    let service = "etc/systemd/system/port-7003.service";
    imported(&tree, &apply);
    let text = tree.read(service) + "# mine\n";
    imported(&tree, &["--revert"]);
    tree.write(service, text);
    let before = tree.snapshot();
    let (text, status) = imported(&tree, &apply);
    assert_eq!(status, Some(1));
    let why = "\nnot installed: port-7003, port-7003-tcp6: edited since import wrote it: /etc/systemd/system/port-7003.service\nhint: ";
    assert!(text.contains(why), "{text}");
    assert!(!text.contains("again"), "{text}");
    assert_eq!(tree.snapshot(), before);
    fs::remove_file(tree.path(service)).unwrap();
    let (text, status) = imported(&tree, &apply);
    assert_eq!(status, Some(0), "{text}");
    assert!(
        text.contains("\nwritten: port-7003\nwritten: port-7003-tcp6\n"),
        "{text}"
    );
    imported(&tree, &["--revert"]);
}

#[test]
fn without_units_for_one_service_of_a_line_the_others_have_none() {
    let tree = two_of_a_line("half-line");
    let line = "127.0.0.1,::1:7003 stream tcp4 wait nobody /bin/cat cat\n";
    tree.write("etc/inetd.conf", line);
    let (text, status) = imported(&tree, &["/etc/inetd.conf"]);
    assert_eq!((units(&text), status), (vec![], Some(1)), "{text}");
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        text.contains("which has the same line, has no units"),
        "{text}"
    );
}

/// A tree in which no socket can be started at boot.
fn without_links(tree: &Tree) {
    let wants = tree.path("etc/systemd/system/sockets.target.wants");
    fs::remove_dir_all(&wants).unwrap();
    symlink("nowhere", wants).unwrap();
}

#[test]
fn a_service_that_fails_leaves_nothing_and_says_nothing_of_what_it_did_not_do() {
    let tree = two_of_a_line("fails");
    without_links(&tree);
    let before = tree.snapshot();
    let (text, status) = imported(&tree, &["--apply", "--disable-old"]);
    assert_eq!(status, Some(1));
    assert_eq!(text.matches("\nnot installed: ").count(), 3, "{text}");
    assert!(!text.contains("again"), "{text}");
    // A service that is disabled is not to be started.
    assert!(text.contains("\nwritten: off\n"), "{text}");
    imported(&tree, &["--revert"]);
    assert_eq!(tree.snapshot(), before);
}

#[test]
fn a_service_that_an_earlier_run_has_disabled_is_enabled_again_when_it_fails() {
    let tree = both("second");
    let files = ["etc/xinetd.d/one", "etc/inetd.conf"];
    let before = files.map(|file| tree.read(file));
    imported(&tree, &["--apply", "--disable-old"]);
    without_links(&tree);
    let (text, status) = imported(&tree, &["--apply", "--disable-old"]);
    assert_eq!(status, Some(1));
    assert_eq!(
        text.matches("\nthe old service is enabled again: /etc/")
            .count(),
        4,
        "{text}"
    );
    assert_eq!(files.map(|file| tree.read(file)), before);
    for name in ["one", "two", "http", "finger"] {
        for unit in ["socket", "service"] {
            let path = format!("etc/systemd/system/{name}.{unit}");
            assert!(!tree.path(&path).exists(), "{path}");
        }
    }
}

#[test]
fn what_could_not_be_undone_is_said_with_the_command_that_does_it() {
    let tree = both("left");
    imported(&tree, &["--apply", "--disable-old"]);
    without_links(&tree);
    // No new file can take the place of this one.
    fs::create_dir(tree.path("etc/xinetd.d/.one.sockunit")).unwrap();
    let off = tree.read("etc/xinetd.d/one");
    let (text, _) = imported(&tree, &["--apply", "--disable-old", "/etc/xinetd.d/one"]);
    assert_eq!(tree.read("etc/xinetd.d/one"), off);
    assert!(!text.contains("the old service is enabled again"), "{text}");
    let left = "\nnot undone: it is still disabled: /etc/xinetd.d/one: ";
    assert_eq!(text.matches(left).count(), 2, "{text}");
    assert!(
        text.contains("\n    sockunit import --revert --root=\n"),
        "{text}"
    );
    fs::remove_dir(tree.path("etc/xinetd.d/.one.sockunit")).unwrap();
    let (text, status) = imported(&tree, &["--revert"]);
    assert_eq!(status, Some(0), "{text}");
    assert!(!tree.read("etc/xinetd.d/one").contains("= yes"));
}

#[test]
fn a_unit_that_cannot_be_written_leaves_none_of_its_service() {
    let tree = both("half");
    fs::create_dir_all(tree.path("etc/systemd/system/.one.socket.sockunit")).unwrap();
    let files = tree.read("etc/xinetd.d/one");
    let (text, status) = imported(&tree, &["--apply", "--disable-old", "/etc/xinetd.d"]);
    assert_eq!(status, Some(1));
    assert!(
        text.contains("\nnot installed: one: /etc/systemd/system/one.socket: "),
        "{text}"
    );
    assert!(!tree.path("etc/systemd/system/one.service").exists());
    // The other one in the file is installed all the same.
    assert!(text.contains("\nwritten: two\n"), "{text}");
    let switched = tree.read("etc/xinetd.d/one");
    assert_eq!(switched.matches("= yes").count(), 1, "{switched}");
    fs::remove_dir(tree.path("etc/systemd/system/.one.socket.sockunit")).unwrap();
    imported(&tree, &["--revert"]);
    assert_eq!(tree.read("etc/xinetd.d/one"), files);
}

#[test]
fn files_are_read_once_no_other_run_can_change_them() {
    let tree = base("locked");
    let line = |port| format!("{port} stream tcp nowait nobody /bin/cat cat\n");
    let lines = line(7001) + &line(7002);
    tree.write("etc/inetd.conf", &lines);
    let lock = match Uid::effective().is_root() {
        true => "/run/sockunit-units.lock".into(),
        false => tree.path("sockunit-units.lock"),
    };
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&lock)
        .unwrap();
    let locked = Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| error);
    let locked = locked.unwrap();
    let import = Command::new(SOCKUNIT)
        .args(["import", "--apply", "--disable-old", "--root"])
        .arg(tree.root())
        .env("XDG_RUNTIME_DIR", tree.root())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let descriptors = format!("/proc/{}/fd", import.id());
    let waits = || {
        let mut open = fs::read_dir(&descriptors).unwrap().flatten();
        open.any(|file| fs::read_link(file.path()).is_ok_and(|path| path == lock))
    };
    let deadline = Instant::now() + Duration::from_secs(30);
    while !waits() {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(5));
    }
    let added = line(7000) + &lines;
    tree.write("etc/inetd.conf", &added);
    drop(locked);
    let output = import.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for port in [7000, 7001, 7002] {
        assert!(
            text.contains(&format!("\nwritten: port-{port}\n")),
            "{text}"
        );
        let off = format!("\n#<off># {port} ");
        assert!(tree.read("etc/inetd.conf").contains(&off), "{port}");
    }
    imported(&tree, &["--revert"]);
    assert_eq!(tree.read("etc/inetd.conf"), added);
}
