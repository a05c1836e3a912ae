//! Commands that `add` prints: they change the file that was checked, and no other.

use std::os::unix::fs::symlink;

use super::tree::Tree;

const WITHHELD: &str = "    (no command is printed: others can change the path)\n";

/// What `add` says about a program. Homes are not hidden from the service.
fn refused(tree: &Tree, program: &str) -> String {
    let words = ["--sandbox", "standard", "greeter", "4000", "--", program];
    let done = tree.run("add", &words);
    assert_eq!(done.status, Some(1));
    let root = tree.0.root().display().to_string();
    done.stderr.replace(&root, "ROOT")
}

#[test]
fn no_command_names_a_path_that_others_can_change() {
    let tree = Tree::new("pasted-open");
    tree.write("etc/secret", 0o600, "#!/bin/sh\n");
    tree.write("etc/private/secret", 0o755, "#!/bin/sh\n");
    tree.mode("etc/private", 0o700);
    tree.write("home/open/no-x", 0o644, "#!/bin/sh\n");
    tree.write("home/open/no-r", 0o711, "#!/bin/sh\n");
    tree.write("home/open/dos", 0o755, "#!/bin/sh\r\n");
    tree.write("home/open/plain", 0o755, "echo\n");
    tree.write("home/open/bom", 0o755, "\u{feff}#!/bin/sh\n");
    tree.write("home/open/by-secret", 0o755, "#!/etc/secret\n");
    tree.write("home/open/by-env", 0o755, "#!/usr/bin/env /etc/secret\n");
    for (link, target) in [("link", "/etc/secret"), ("in", "/etc/private/secret")] {
        symlink(target, tree.0.path("home/open").join(link)).unwrap();
    }
    symlink("/home/open/link", tree.0.path("usr/bin/link")).unwrap();
    tree.mode("home/open", 0o777);
    for program in [
        "home/open/no-x",
        "home/open/no-r",
        "home/open/dos",
        "home/open/plain",
        "home/open/bom",
        // Others choose which file the command would change.
        "home/open/link",
        "home/open/in",
        "home/open/by-secret",
        "home/open/by-env",
        "usr/bin/link",
    ] {
        let said = refused(&tree, &format!("/{program}"));
        assert!(said.ends_with(WITHHELD), "{program}: {said}");
        assert!(said.contains("\nhint: "), "{program}: {said}");
    }
    // The same files, where only the caller can change them.
    tree.mode("home/open", 0o755);
    for (program, command) in [
        ("home/open/no-x", "chmod o+rx ROOT/home/open/no-x"),
        ("home/open/link", "chmod o+rx ROOT/etc/secret"),
        ("home/open/in", "chmod o+x ROOT/etc/private"),
        ("home/open/by-secret", "chmod o+rx ROOT/etc/secret"),
        ("usr/bin/link", "chmod o+rx ROOT/etc/secret"),
    ] {
        let said = refused(&tree, &format!("/{program}"));
        assert!(said.ends_with(&format!("\n    {command}\n")), "{said}");
    }
    // So it is for the whole tree.
    tree.mode("", 0o777);
    let said = refused(&tree, "/home/open/no-x");
    assert!(said.ends_with(WITHHELD), "{said}");
}

#[test]
fn a_command_does_not_leave_the_root_directory_through_an_absolute_link() {
    let tree = Tree::new("pasted-link");
    tree.write("opt/real/no-x", 0o644, "#!/bin/sh\n");
    tree.write("opt/real/plain", 0o755, "echo\n");
    symlink("/opt/real", tree.0.path("opt/mine")).unwrap();
    for (program, command) in [
        ("no-x", "chmod o+rx ROOT/opt/real/no-x"),
        ("plain", "sed -i '1i #!/bin/sh' ROOT/opt/real/plain"),
    ] {
        let said = refused(&tree, &format!("/opt/mine/{program}"));
        assert!(said.ends_with(&format!("\n    {command}\n")), "{said}");
    }
}
