//! `sockunit list`.

use std::fs;
use std::path::Path;

use super::tree::Tree;

#[test]
fn list_shows_what_is_attached_and_the_services_of_the_package() {
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
    assert_eq!((done.status, done.stderr.as_str()), (Some(0), ""));
    assert_eq!(
        done.stdout,
        "\
NAME     KIND            SANDBOX  ENABLED   STATE  NOW
all      shared          off      disabled  -        -
    listens: 4001
    runs: /bin/sh
greeter  per-connection  strict   enabled   -        -
    listens: 127.0.0.1:4000 [::1]:4000
    runs: /home/you/hello.sh --loud
hello    per-connection  -        disabled  -        -
    listens: 127.0.0.1:3333 [::1]:3333
    runs: /usr/libexec/sockunit/hello
"
    );
    let done = tree.run("list", &["--json"]);
    assert!(
        done.stdout.contains(r#""connections":null"#),
        "{}",
        done.stdout
    );
    assert!(
        done.stdout
            .contains(r#""listen":["127.0.0.1:4000","[::1]:4000"]"#),
        "{}",
        done.stdout
    );
}

#[test]
fn list_shows_the_program_of_a_service_with_its_arguments() {
    let tree = Tree::new("listed");
    tree.add(&["greeter", "4000", "--", "/bin/sh", "x", "serve", "--", "y"]);
    let listed = tree.run("list", &[]).stdout;
    assert!(listed.contains("/bin/sh x serve -- y"), "{listed}");
}
