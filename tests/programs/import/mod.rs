//! `sockunit import` on trees of the tests' own.
//!
//! Each directory of tests/golden/import is a system with a few users and programs (see [`base`]) and its
//! own etc; a file `programs` has the paths of more programs, and a file `options` further arguments. The
//! trees `debian-…` have what packages of Debian 12 and 13 ship in xinetd.d or add to inetd.conf, and
//! `public…` what files in use often have. After an intended change, `SOCKUNIT_BLESS=1 cargo test golden`
//! writes the files expected.txt; read the difference.

mod apply;
mod output;
mod revert;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::tool;
use crate::tree::{Tree, assert_golden, golden_names};

const SERVICES: &str = "\
echo 7/tcp
echo 7/udp
telnet 23/tcp
tftp 69/udp
finger 79/tcp
http 80/tcp
";

/// Every path of a tree with its mode and its content.
type Snapshot = BTreeMap<PathBuf, (u32, Vec<u8>)>;

/// A system with what the golden files name.
fn base(name: &str) -> Tree {
    let tree = Tree::new(&format!("import-{name}"));
    tree.write("etc/services", SERVICES)
        .write(
            "etc/passwd",
            "root:x:0:0::/root:/bin/sh\nnobody:x:99:99::/:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n",
        )
        .write(
            "etc/group",
            "root:x:0:\nnogroup:x:99:\nann:x:1000:\nstaff:x:50:ann\n",
        )
        .write("etc/hosts", "127.0.0.1 localhost\n192.0.2.7 seven\n")
        .write("etc/rpc", "rstatd 100001 rstat rup\n");
    for program in ["bin/cat", "bin/sh", "usr/sbin/tcpd", "usr/sbin/xinetd"] {
        tree.write(program, "").set_mode(program, 0o755);
    }
    tree
}

/// What import prints for a tree, and its exit status.
fn imported(tree: &Tree, options: &[&str]) -> (String, Option<i32>) {
    let output = tool::on(tree.root(), &["import"], options);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let text = String::from_utf8(output.stdout).unwrap();
    let text = text.replace(&tree.root().display().to_string(), "");
    (text, output.status.code())
}

#[test]
fn golden_trees_become_these_units_and_reports() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/import");
    let names = golden_names(&golden);
    assert!(names.len() > 5, "{names:?}");
    for name in names {
        let folder = golden.join(&name);
        let tree = base(&name);
        tree.copy(&folder.join("etc"), "etc");
        let text = |file: &str| fs::read_to_string(folder.join(file)).unwrap_or_default();
        for program in text("programs").lines() {
            let program = program.trim_start_matches('/');
            tree.write(program, "").set_mode(program, 0o755);
        }
        let options = text("options");
        let options: Vec<&str> = options.split_whitespace().collect();
        let before = tree.snapshot();
        let (text, status) = imported(&tree, &options);
        assert_eq!(tree.snapshot(), before, "{name}");
        let text = format!("{text}exit status {}\n", status.unwrap());
        assert_golden(&folder.join("expected.txt"), &text);
    }
}

const GREETER: &str = "service greeter\n{\n\ttype = UNLISTED\n\tsocket_type = stream\n\tport = 4000\n\twait = no\n\
                       \tuser = nobody\n\tserver = /bin/cat\n}\n";

/// A tree with two services in files of their own, which xinetd reads, and one that it does not.
fn three(name: &str) -> Tree {
    let tree = base(name);
    tree.write(
        "etc/xinetd.conf",
        "defaults\n{\n\tinstances = 7\n}\nincludedir /etc/xinetd.d\n",
    )
    .write("etc/xinetd.d/one", GREETER.replace("greeter", "one"))
    .write(
        "etc/xinetd.d/two",
        GREETER.replace("greeter", "two").replace("4000", "4002"),
    )
    .write("srv/three", GREETER.replace("greeter", "three"));
    tree
}

fn units(text: &str) -> Vec<&str> {
    let lines = text.lines();
    lines
        .filter_map(|line| line.strip_prefix("==> ")?.strip_suffix(" <=="))
        .collect()
}

#[test]
fn rules_of_hosts_deny_that_cannot_be_read_keep_services_from_being_converted() {
    let tree = three("rules");
    assert_eq!(imported(&tree, &[]).1, Some(0));
    std::os::unix::fs::symlink("hosts.deny", tree.path("etc/hosts.deny")).unwrap();
    let (text, status) = imported(&tree, &[]);
    assert_eq!((units(&text), status), (vec![], Some(1)), "{text}");
    let why = "xinetd applies the rules of";
    assert_eq!(text.matches(why).count(), 2, "{text}");
}

#[test]
fn files_and_directories_select_services_with_the_defaults_that_apply_to_them() {
    let tree = three("selected");
    let both = ["one.service", "one.socket", "two.service", "two.socket"];
    for (paths, expected) in [
        (&[][..], &both[..]),
        (&["/etc/xinetd.d"], &both),
        (&["/etc/xinetd.d/two"], &both[2..]),
    ] {
        let (text, status) = imported(&tree, paths);
        assert_eq!((units(&text), status), (expected.to_vec(), Some(0)));
        assert!(text.contains(" --max-connections 7 "), "{text}");
    }
    // xinetd does not read this one, and so not with the defaults.
    let (text, _) = imported(&tree, &["/srv/three"]);
    assert_eq!(units(&text), ["three.service", "three.socket"]);
    assert!(text.contains(" --max-connections 10000 "), "{text}");
    let output = tool::on(tree.root(), &["import"], &["/srv/four"]);
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("/srv/four: no such file"), "{stderr}");
}

#[test]
fn json_has_the_units_and_what_becomes_of_each_attribute() {
    let tree = three("json");
    let output = tool::on(tree.root(), &["import"], &["--json", "/etc/xinetd.d/one"]);
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let service = &value["services"][0];
    assert_eq!(service["name"], "one");
    assert_eq!(service["enabled"], true);
    assert_eq!(service["units"][1]["name"], "one.socket");
    let attributes = service["attributes"].as_array().unwrap();
    let user = attributes
        .iter()
        .find(|one| one["attribute"] == "user = nobody");
    let user = user.unwrap();
    assert_eq!(
        (&user["kept"], &user["position"]["line"]),
        (&"yes".into(), &7.into())
    );
    let cps = attributes
        .iter()
        .find(|one| one["attribute"] == "cps = 50 10");
    assert_eq!(cps.unwrap()["kept"], "otherwise");
}

#[test]
fn no_word_of_a_file_becomes_more_than_a_value() {
    let tree = base("hostile");
    let lines = "umask = 022\r\n\tserver_args = %h ${X} \\ ; \u{7f} \r\n\tenv = A=\x1b[2J\r";
    tree.write("etc/xinetd.conf", "includedir /etc/d\n").write(
        "etc/d/a\n[Service]\nUser=root\\",
        GREETER
            .replace("greeter", "gre\x1beter")
            .replace("user = nobody", &format!("user = nobody\n\t{lines}")),
    );
    let (text, _) = imported(&tree, &[]);
    assert!(!text.contains(['\x1b', '\u{7f}', '\r']), "{text:?}");
    assert!(!text.contains("\nUser=root"), "{text}");
    for line in ["UMask=0022", "Environment=\"A=\\x1b[2J\\x0d\"", "User=99"] {
        assert!(text.contains(&format!("\n{line}\n")), "{line}: {text}");
    }
    let words = " -- /bin/cat %%h \"$${X}\" \"\\\\\" \";\" \"\\x7f\" \"\\x0d\"\n";
    assert!(text.contains(words), "{words}: {text}");
}

#[test]
fn files_that_include_each_other_too_deep_are_noted_with_their_line() {
    let tree = base("deep");
    tree.write(
        "etc/xinetd.conf",
        "includedir /etc/xinetd.d\ninclude /etc/deep/1\n",
    );
    tree.write("etc/xinetd.d/one", GREETER);
    for number in 1..=300 {
        let next = format!("# x\ninclude /etc/deep/{}\n", number + 1);
        tree.write(&format!("etc/deep/{number}"), next);
    }
    tree.write("etc/deep/301", GREETER.replace("greeter", "deep"));
    let (text, status) = imported(&tree, &[]);
    assert_eq!((units(&text).len(), status), (2, Some(0)), "{text}");
    let note = "\nnote: /etc/deep/63:2:1: not read: files include each other more than 64 deep\n";
    assert!(text.contains(note), "{text}");
    let output = tool::on(tree.root(), &["check"], &["new", "5000"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn a_line_of_inetd_has_a_socket_for_each_family_if_the_system_has_ipv6() {
    let tree = base("families");
    let lines = "finger stream tcp nowait nobody /bin/cat cat\nhttp stream tcp46 nowait nobody /bin/cat cat\n";
    tree.write("etc/inetd.conf", lines);
    let each = "\nListenStream=0.0.0.0:79\nListenStream=[::]:79\nBindIPv6Only=ipv6-only\n";
    let (text, _) = imported(&tree, &[]);
    assert!(text.contains(each), "{text}");
    // The kernel has no IPv6: systemd listens on all addresses that there are.
    tree.write("proc/net/tcp", "");
    let (text, _) = imported(&tree, &[]);
    assert!(text.contains("\nListenStream=79\n"), "{text}");
    tree.write("proc/net/if_inet6", "");
    let (text, _) = imported(&tree, &[]);
    assert!(text.contains(each), "{text}");
}

#[test]
fn the_environment_of_a_file_that_not_everybody_can_read_does_not_become_part_of_a_unit() {
    let service = |more: &str| GREETER.replace("}\n", &format!("{more}\n}}\n"));
    let files = [
        (
            "etc/xinetd.d/secret",
            service("\tenv = TOKEN=s3cret"),
            0o600,
        ),
        (
            "etc/xinetd.d/argument",
            service("\tserver_args = -k s3cret"),
            0o640,
        ),
        (
            "etc/xinetd.d/open",
            service("\tenv = A=b\n\tserver_args = c"),
            0o644,
        ),
        ("etc/xinetd.d/plain", GREETER.to_owned(), 0o600),
    ];
    let tree = base("secret");
    tree.write("etc/xinetd.conf", "includedir /etc/xinetd.d\n");
    for (port, (path, text, mode)) in (4000..).zip(&files) {
        let name = path.rsplit('/').next().unwrap();
        let text = text.replace("greeter", name);
        tree.write(path, text.replace("4000", &port.to_string()))
            .set_mode(path, *mode);
    }
    let said = |text: &str| {
        let words: Vec<&str> = text.split_whitespace().collect();
        let words = words.join(" ");
        words
            .matches("which everybody can read; move secrets")
            .count()
    };
    let (text, status) = imported(&tree, &[]);
    assert_eq!(status, Some(1));
    assert!(!text.contains("Environment=TOKEN"), "{text}");
    assert!(
        text.contains("env: not everybody can read its file"),
        "{text}"
    );
    assert!(text.contains("Environment=A=b"), "{text}");
    assert_eq!(said(&text), 1, "{text}");
    assert_eq!(
        units(&text),
        [
            "argument.service",
            "argument.socket",
            "open.service",
            "open.socket",
            "plain.service",
            "plain.socket"
        ]
    );

    // A directory closes a file too, but not that of the whole system, which may be a copy.
    tree.set_mode("etc/xinetd.d/secret", 0o644);
    tree.set_mode("", 0o700);
    assert_eq!(units(&imported(&tree, &[]).0).len(), 8);
    tree.set_mode("etc/xinetd.d", 0o750);
    let (text, _) = imported(&tree, &[]);
    assert_eq!(units(&text).len(), 4);
    assert_eq!(said(&text), 1, "{text}");

    let line = "4005 stream tcp nowait nobody /bin/cat cat -k s3cret\n";
    tree.write("etc/inetd.conf", line);
    for (mode, expected) in [(0o644, 0), (0o600, 1)] {
        tree.set_mode("etc/inetd.conf", mode);
        let (text, _) = imported(&tree, &["/etc/inetd.conf"]);
        assert_eq!(said(&text), expected, "{text}");
        assert_eq!(units(&text).len(), 2, "{text}");
    }
}
