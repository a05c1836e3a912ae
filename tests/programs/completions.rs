//! The shell completions in packaging/completions are those of the program as it is.
//!
//! After a change of the command line, `SOCKUNIT_WRITE=1 cargo test completions` writes them anew.

use std::fs;
use std::path::Path;

use clap_complete::Shell;

#[test]
fn completions_are_those_of_the_program() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/completions");
    for (shell, file) in [
        (Shell::Bash, "sockunit.bash"),
        (Shell::Zsh, "_sockunit"),
        (Shell::Fish, "sockunit.fish"),
    ] {
        let mut script = Vec::new();
        clap_complete::generate(
            shell,
            &mut sockunit::tool::command(),
            "sockunit",
            &mut script,
        );
        let script = String::from_utf8(script).unwrap();
        let path = folder.join(file);
        if std::env::var_os("SOCKUNIT_WRITE").is_some() {
            fs::write(&path, &script).unwrap();
        }
        let there = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            there == script,
            "packaging/completions/{file} is out of date; SOCKUNIT_WRITE=1 cargo test completions \
             writes it anew"
        );
    }
}
