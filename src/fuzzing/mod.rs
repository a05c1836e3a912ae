//! What the targets in fuzz/ run: each function takes any bytes, and panics if something does not hold.
//!
//! `cargo test` runs each function on the files of its corpus.

mod files;
mod import;
mod sessions;
mod system;
mod text;

pub use self::import::import;
pub use files::{inetd, programs, services, switch, unit_files, users, xinetd};
pub use sessions::{lines, names, proxy_headers, sessions};
pub use system::{kernel, systemd};
pub use text::{commands, options, words};

/// Takes any bytes, and panics if something does not hold.
pub type Target = fn(&[u8]);

/// The targets by name.
pub const TARGETS: [(&str, Target); 17] = [
    ("commands", commands),
    ("import", import),
    ("inetd", inetd),
    ("kernel", kernel),
    ("lines", lines),
    ("names", names),
    ("options", options),
    ("programs", programs),
    ("proxy_headers", proxy_headers),
    ("services", services),
    ("sessions", sessions),
    ("switch", switch),
    ("systemd", systemd),
    ("unit_files", unit_files),
    ("users", users),
    ("words", words),
    ("xinetd", xinetd),
];

/// Takes the first byte, a number that the fuzzer chooses; 0 if there is none.
fn byte(data: &mut &[u8]) -> u8 {
    let Some((first, rest)) = data.split_first() else {
        return 0;
    };
    *data = rest;
    *first
}

/// Checks that a terminal does not act on a text.
#[track_caller]
fn expect_printable(text: impl std::fmt::Display) {
    let text = text.to_string();
    assert!(!text.contains(crate::log::is_unprintable), "{text:?}");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::TARGETS;

    fn fuzz(path: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fuzz")
            .join(path)
    }

    /// The names of the files in a directory, without extensions.
    fn stems(directory: &str) -> BTreeSet<String> {
        let entries = fs::read_dir(fuzz(directory)).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths
            .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn each_target_has_a_program_and_a_corpus() {
        let names: BTreeSet<String> = TARGETS.iter().map(|(name, _)| name.to_string()).collect();
        assert_eq!(stems("fuzz_targets"), names);
        assert_eq!(stems("corpus"), names);
        let manifest = fs::read_to_string(fuzz("Cargo.toml")).unwrap();
        for name in names {
            let program = fs::read_to_string(fuzz(&format!("fuzz_targets/{name}.rs"))).unwrap();
            assert!(program.contains(&format!("sockunit::fuzzing::{name}(data)")));
            let bin = format!("name = \"{name}\"\npath = \"fuzz_targets/{name}.rs\"");
            assert!(manifest.contains(&bin), "{name}");
        }
    }

    #[test]
    fn each_target_holds_for_the_files_of_its_corpus() {
        for (name, target) in TARGETS {
            let files: Vec<_> = fs::read_dir(fuzz(&format!("corpus/{name}")))
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .collect();
            assert!(files.len() >= 5, "{name}: {}", files.len());
            for path in files {
                // Shown only if the target panics.
                println!("{}", path.display());
                target(&fs::read(path).unwrap());
            }
        }
    }
}
