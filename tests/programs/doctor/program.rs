//! The program, and where its standard input goes.

use std::fs;

use super::{PROGRAM, SOCKET, TEMPLATE, printed_by, problem, replace, tree};
use crate::tree::Tree;

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
            "problem: /home/ann/tick is in a home directory, and home directories are hidden from tick@.service"
        ),
        "{printed}"
    );
    assert!(
        printed.contains("tick@.service:3: ProtectHome=yes"),
        "{printed}"
    );
    // Nothing can be bound below an inaccessible directory.
    assert!(
        printed.contains(" ProtectHome=tmpfs 'BindReadOnlyPaths="),
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
