//! The report as a whole.

use std::fs;
use std::path::Path;

use super::{printed_by, tree};
use crate::tree::Tree;

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
ok: standard input and output are the connection, standard error is the journal
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
