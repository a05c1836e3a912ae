//! debian/copyright lists every crate that is linked into the programs.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

fn first_word(line: &str) -> Option<String> {
    line.split_whitespace().next().map(str::to_owned)
}

#[test]
fn debian_copyright_lists_exactly_the_linked_crates() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(env!("CARGO"))
        .current_dir(folder)
        .args(["tree", "--locked", "--offline", "--prefix=none"])
        .args(["--edges=normal,no-proc-macro", "--format={p}"])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let tree = String::from_utf8(output.stdout).unwrap();
    let mut linked: BTreeSet<_> = tree.lines().filter_map(first_word).collect();
    assert!(linked.remove("sockunit"), "{tree}");

    let copyright = fs::read_to_string(folder.join("debian/copyright")).unwrap();
    let lines = copyright.lines().filter_map(|line| line.strip_prefix("  "));
    let named: BTreeSet<_> = lines.filter_map(first_word).collect();
    assert_eq!(
        linked, named,
        "debian/copyright does not list the linked crates"
    );
}
