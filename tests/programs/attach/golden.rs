//! The units that `add` writes, whole: for each kind of service, sandbox level and service manager.
//!
//! A directive that is added, changed or dropped shows here without root. After an intended change,
//! `SOCKUNIT_BLESS=1 cargo test golden` writes the files in tests/golden/units; read the difference.

use std::fs;
use std::path::Path;

use super::tree::Tree;

/// The options that add lines to the service unit.
const OPTIONS: &[&str] = &[
    "--group",
    "ann",
    "--directory",
    "/usr",
    "--state",
    "--env",
    "WORDS=two words",
    "--env",
    "LITERAL=100% of $HOME",
    "--no-services",
];

#[test]
fn the_units_of_every_kind_sandbox_and_scope_are_the_golden_ones() {
    let tree = Tree::new("golden");
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/units");
    let bless = std::env::var_os("SOCKUNIT_BLESS").is_some();
    let mut names = Vec::new();
    for (kind, kind_options) in [("per-connection", &[][..]), ("shared", &["--shared"])] {
        for sandbox in ["strict", "standard", "off"] {
            for (scope, scope_options) in [
                ("system", &["--user-name", "ann"][..]),
                ("dynamic", &[]),
                ("options", OPTIONS),
                ("user", &["--user"]),
            ] {
                let name = format!("{kind}-{sandbox}-{scope}.txt");
                let options = [
                    &["--dry-run", "--sandbox", sandbox],
                    kind_options,
                    scope_options,
                ]
                .concat();
                // Only the strict sandbox hides homes, which makes a bind mount necessary.
                let program = match sandbox {
                    "strict" => "/home/you/hello.sh",
                    _ => "/bin/sh",
                };
                let words = ["greeter", "4000", "--", program, "a b", "100%", "$HOME"];
                let printed = tree.add(&[&options[..], &words].concat());
                let printed = printed.replace(&tree.0.display().to_string(), "");
                let path = golden.join(&name);
                if bless {
                    fs::write(&path, &printed).unwrap();
                }
                let expected = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{name}: {e}"));
                for (line, expected) in printed.lines().zip(expected.lines()) {
                    assert_eq!(line, expected, "{name}");
                }
                assert_eq!(printed, expected, "{name}");
                names.push(name);
            }
        }
    }
    // A file that no combination has would compare nothing.
    for entry in fs::read_dir(&golden).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(names.contains(&name), "{name} is compared with nothing");
    }
}
