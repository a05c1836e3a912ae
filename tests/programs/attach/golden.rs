//! The units that `add` writes, whole: for each kind of service, sandbox level and service manager.
//!
//! A directive that is added, changed or dropped shows here without root. After an intended change,
//! `SOCKUNIT_BLESS=1 cargo test golden` writes the files in tests/golden/units; read the difference.

use std::path::Path;

use super::tree::Tree;
use crate::tree::{assert_golden, golden_names};

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

/// The rules that `sockunit serve` applies, for each kind of service.
const RULES: &[&str] = &[
    "--allow",
    "192.0.2.0/24",
    "--allow",
    "2001:db8::/32",
    "--deny",
    "192.0.2.9",
    "--access-times",
    "8:00-17:30",
    "--max-load",
    "4.5",
    "--message",
    "address=Members only, \"100%\"",
    "--banner",
    "/etc/services",
    "--refused-banner",
    "/etc/group",
    "--accept-proxy",
    "192.0.2.128/25",
    "--accept-proxy",
    "unix",
    "--proxy-timeout",
    "3s",
    "--idle-timeout",
    "300",
    "--time-limit",
    "48h",
];
/// Those that need one process for all connections.
const RULES_FOR_ALL: &[&str] = &[
    "--rate",
    "100/1min",
    "--rate-pause",
    "90s",
    "--rate-per-source",
    "20/1min",
    "--source-prefix",
    "24,48",
    "--penalty",
    "10s",
    "--when-full",
    "refuse",
    "--message",
    "full=",
];
const LISTEN: &[&str] = &[
    "--listen",
    "192.0.2.1",
    "--listen",
    "[2001:db8::1]:4001",
    "--listen",
    "*:4002",
    "--listen",
    "/run/greeter/100% socket",
    "--user-name",
    "ann",
    "--group",
    "ann",
];

#[test]
fn the_units_of_every_kind_sandbox_and_scope_are_the_golden_ones() {
    let tree = Tree::new("golden");
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/units");
    let mut names = Vec::new();
    for (kind, kind_options) in [("per-connection", &[][..]), ("shared", &["--shared"])] {
        let mut cases = Vec::new();
        for sandbox in ["strict", "standard", "off"] {
            cases.extend([
                (sandbox, "system", vec!["--user-name", "ann"]),
                (sandbox, "dynamic", vec![]),
                (sandbox, "options", OPTIONS.to_vec()),
                (sandbox, "user", vec!["--user"]),
            ]);
        }
        let rules = match kind {
            "shared" => [RULES, RULES_FOR_ALL].concat(),
            _ => RULES.to_vec(),
        };
        cases.extend([
            ("strict", "rules", rules),
            ("strict", "listen", LISTEN.to_vec()),
            ("privileged", "root", vec![]),
            (
                "privileged",
                "options",
                vec!["--state", "--idle-timeout", "1h"],
            ),
        ]);
        for (sandbox, scope, options) in cases {
            let name = format!("{kind}-{sandbox}-{scope}.txt");
            let options = [&["--dry-run", "--sandbox", sandbox], kind_options, &options].concat();
            // Only the strict sandbox hides homes, which makes a bind mount necessary.
            let program = match sandbox {
                "strict" => "/home/you/hello.sh",
                _ => "/bin/sh",
            };
            let words = ["greeter", "4000", "--", program, "a b", "100%", "$HOME"];
            let printed = tree.add(&[&options[..], &words].concat());
            let printed = printed.replace(&tree.0.display().to_string(), "");
            assert_golden(&golden.join(&name), &printed);
            names.push(name);
        }
    }
    // A file that no combination has would compare nothing.
    for name in golden_names(&golden) {
        assert!(names.contains(&name), "{name} is compared with nothing");
    }
}
