//! The package under test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::machine::{repository, stdout_of};

/// The package that SOCKUNIT_DEB names; without it, a package that is built now.
pub fn deb() -> &'static Path {
    static DEB: OnceLock<PathBuf> = OnceLock::new();
    DEB.get_or_init(|| match std::env::var_os("SOCKUNIT_DEB") {
        Some(path) => {
            fs::canonicalize(&path).unwrap_or_else(|e| panic!("SOCKUNIT_DEB={path:?}: {e}"))
        }
        None => {
            let output = stdout_of(&mut Command::new(repository().join("packaging/build-deb")));
            PathBuf::from(
                output
                    .lines()
                    .last()
                    .expect("build-deb prints the path of the .deb"),
            )
        }
    })
}

/// The same package with a higher version.
pub fn next_deb() -> &'static Path {
    static DEB: OnceLock<PathBuf> = OnceLock::new();
    DEB.get_or_init(|| {
        let tree =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("next-{}", std::process::id()));
        let next = tree.with_extension("deb");
        let _ = fs::remove_dir_all(&tree);
        stdout_of(
            Command::new("dpkg-deb")
                .arg("--raw-extract")
                .args([deb(), &tree]),
        );
        let control = tree.join("DEBIAN/control");
        let fields: String = fs::read_to_string(&control)
            .unwrap()
            .lines()
            .map(|line| {
                if line.starts_with("Version:") {
                    format!("{line}+next\n")
                } else {
                    format!("{line}\n")
                }
            })
            .collect();
        fs::write(&control, fields).unwrap();
        stdout_of(
            Command::new("dpkg-deb")
                .args(["--root-owner-group", "--build"])
                .args([&tree, &next]),
        );
        fs::remove_dir_all(&tree).unwrap();
        next
    })
}
