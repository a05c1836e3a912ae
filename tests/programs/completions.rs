//! The shell completions, as bash runs them.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

#[path = "../../packaging/docs.d/completions.rs"]
#[allow(dead_code)]
mod script;

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// What bash offers for the last of these words.
fn offered(folder: &Path, words: &[&str]) -> Vec<String> {
    let script = folder.join("sockunit.bash");
    let [(_, text), ..] = script::completions();
    fs::write(&script, text).unwrap();
    // Outside of a completion there is no compopt.
    let run = r#"
        compopt() { :; }
        . "$1"
        shift
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        _sockunit_complete sockunit "${!#}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let output = Command::new("bash")
        .args(["-c", run, "bash"])
        .arg(&script)
        .arg("sockunit")
        .args(words)
        .current_dir(folder)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{words:?}");
    let offered = String::from_utf8(output.stdout).unwrap();
    offered.lines().map(Into::into).collect()
}

#[test]
fn remove_and_doctor_are_offered_the_attached_services() {
    let folder = folder("completions-services");
    let units = folder.join("etc/systemd/system");
    fs::create_dir_all(&units).unwrap();
    let made = "# Made by sockunit add; to take it away: sockunit remove NAME\n[Socket]\n";
    fs::write(units.join("greeter.socket"), made).unwrap();
    fs::write(units.join("$(id).socket"), made).unwrap();
    fs::write(units.join("gpg.socket"), "[Socket]\n").unwrap();
    let root = folder.to_str().unwrap();
    assert_eq!(
        offered(&folder, &["remove", "--root", root, "g"]),
        ["greeter"]
    );
    assert_eq!(
        offered(&folder, &["doctor", "--root", root, "g"]),
        ["greeter"]
    );
    assert_eq!(
        offered(&folder, &["doctor", "--root", root, "h"]),
        ["hello"]
    );
    assert_eq!(offered(&folder, &["try", "h"]), ["hello"]);
    assert_eq!(
        offered(&folder, &["status", "--user", "--root", root, ""]),
        ["hello", "celebs"]
    );
    assert_eq!(
        offered(&folder, &["remove", "--root", root, ""]),
        ["greeter"]
    );
}

/// The words that a command gets when this is typed into bash, tabs included.
fn typed(folder: &Path, line: &str) -> Vec<String> {
    let script = folder.join("sockunit.bash");
    let [(_, text), ..] = script::completions();
    fs::write(&script, text).unwrap();
    let words = folder.join("words");
    let _ = fs::remove_file(&words);
    let input = format!(
        ". {}\nsockunit() {{ printf '%s\\n' \"$@\" >{}; }}\n{line}\nexit\n",
        script.display(),
        words.display()
    );
    let mut bash = Command::new("script")
        .args(["-qec", "bash --norc --noprofile -i", "/dev/null"])
        .env("TERM", "dumb")
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    bash.stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    bash.wait().unwrap();
    let words = fs::read_to_string(words).unwrap();
    words.lines().map(Into::into).collect()
}

#[test]
fn a_tab_inserts_neither_a_dash_nor_a_blank_after_a_directory() {
    let folder = folder("completions-typed");
    fs::create_dir_all(folder.join("tree/etc")).unwrap();
    // No service is attached in this system.
    assert_eq!(
        typed(&folder, "sockunit remove --root tree \tx"),
        ["remove", "--root", "tree", "x"]
    );
    assert_eq!(
        typed(&folder, "sockunit list --root tr\te\t--json"),
        ["list", "--root", "tree/etc/--json"]
    );
    assert_eq!(
        typed(&folder, "sockunit remove --fo\tx"),
        ["remove", "--force", "x"]
    );
}

#[test]
fn the_service_manager_of_the_user_has_services_of_its_own() {
    let folder = folder("completions-user");
    let units = folder.join("etc/systemd/user");
    fs::create_dir_all(&units).unwrap();
    fs::write(units.join("mine.socket"), "# Made by sockunit add\n").unwrap();
    let root = format!("--root={}", folder.display());
    assert_eq!(
        offered(&folder, &["remove", "--user", &root, "m"]),
        ["mine"]
    );
}

#[test]
fn a_number_is_offered_nothing_and_a_path_is_offered_files() {
    let folder = folder("completions-paths");
    fs::write(folder.join("4000"), "").unwrap();
    for option in ["--max-connections", "--idle-timeout", "--listen", "--rate"] {
        assert_eq!(offered(&folder, &["serve", option, "4"]), ["4"], "{option}");
    }
    assert_eq!(offered(&folder, &["serve", "--banner", "4"]), ["4000"]);
    assert_eq!(offered(&folder, &["serve", "--when-full", "w"]), ["wait"]);
}

#[test]
fn every_shell_has_a_script_without_placeholders() {
    for (file, text) in script::completions() {
        assert!(text.contains("# Made by sockunit "), "{file}");
        for placeholder in ["@SERVICES@", "@LIST@"] {
            assert!(!text.contains(placeholder), "{file}: {placeholder}");
        }
    }
}
