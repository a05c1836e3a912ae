//! The manual pages know every command and option of the programs.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::tool::SOCKUNIT;

/// A manual page, with its options as they are typed.
fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("packaging/man")
        .join(name);
    let source = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    source.replace("Fl Fl ", "--")
}

/// The long options that a program's help lists.
fn options(program: &str, command: &[&str]) -> Vec<String> {
    let output = Command::new(program)
        .args(command)
        .arg("--help")
        .output()
        .unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let words = help
        .lines()
        .map(str::trim_start)
        .filter(|line| line.starts_with('-'));
    words
        .flat_map(|line| line.split([' ', ',']))
        .filter(|word| word.starts_with("--"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_option_is_in_the_manual() {
    for (file, program, commands) in [
        (
            "sockunit-hello.8",
            env!("CARGO_BIN_EXE_hello"),
            &[&[][..]][..],
        ),
        ("sockunit-celebs.8", env!("CARGO_BIN_EXE_celebs"), &[&[]]),
        (
            "sockunit.1",
            SOCKUNIT,
            &[
                &[],
                &["add"],
                &["check"],
                &["connect"],
                &["doctor"],
                &["list"],
                &["remove"],
                &["serve"],
                &["services", "add"],
                &["services", "remove"],
            ],
        ),
    ] {
        let page = page(file);
        for command in commands {
            let options = options(program, command);
            assert!(options.contains(&"--help".into()), "{program} {command:?}");
            for word in options
                .iter()
                .map(String::as_str)
                .chain(command.iter().copied())
            {
                assert!(page.contains(word), "{file} does not know {word}");
            }
        }
    }
}
