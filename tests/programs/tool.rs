//! Runs `sockunit`.

use std::path::Path;
use std::process::{Command, Output};

pub const SOCKUNIT: &str = env!("CARGO_BIN_EXE_sockunit");

/// Runs a subcommand with `--root`.
pub fn on(root: &Path, command: &[&str], args: &[&str]) -> Output {
    Command::new(SOCKUNIT)
        .args(command)
        .arg("--root")
        .arg(root)
        .args(args)
        .output()
        .unwrap()
}

#[test]
fn a_root_directory_that_does_not_exist_is_an_error() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    for (root, why) in [
        (Path::new("/nonexistent"), "no such file or directory"),
        (&file, "not a directory"),
    ] {
        for (command, args) in [
            (&["list"][..], &[][..]),
            (&["doctor"], &[]),
            (&["doctor", "hello"], &[]),
            (&["check", "greeter", "4000"], &[]),
            (&["add", "greeter", "4000"], &["--", "/bin/cat"]),
            (&["remove", "greeter"], &[]),
            (&["services", "add", "greeter", "4000"], &[]),
        ] {
            let output = on(root, command, args);
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert!(stderr.contains(why), "{command:?}: {stderr}");
            assert!(stderr.contains(root.to_str().unwrap()), "{stderr}");
            assert_eq!(output.status.code(), Some(2), "{command:?}");
            assert_eq!(String::from_utf8_lossy(&output.stdout), "");
        }
    }
}

#[test]
fn a_service_that_does_not_exist_cannot_be_resumed() {
    let output = Command::new(SOCKUNIT)
        .args(["resume", "no-such-service"])
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "sockunit: cannot resume no-such-service: there is no no-such-service.socket in any unit directory\n\
         hint: this shows the names\n    sockunit list\n"
    );
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_number_of_connections_is_at_least_1() {
    for option in ["--max-connections", "--per-source"] {
        for number in ["0", "-1", "4294967296", "many", ""] {
            for command in [&["add", "greeter", "4000"][..], &["serve"]] {
                let option = format!("{option}={number}");
                let output = Command::new(SOCKUNIT)
                    .args(command)
                    .args([&option, "--", "/bin/cat"])
                    .output()
                    .unwrap();
                let stderr = String::from_utf8(output.stderr).unwrap();
                let expected = "give a whole number of at least 1";
                assert!(stderr.contains(expected), "{option}: {stderr}");
                assert_eq!(output.status.code(), Some(2));
            }
        }
    }
}

#[test]
fn help_is_at_most_80_columns_wide_whatever_the_terminal_is() {
    for command in [
        "", "add", "check", "connect", "doctor", "list", "remove", "serve", "services", "status",
        "try",
    ] {
        for option in ["-h", "--help"] {
            let words = command.split_whitespace().chain([option]);
            let output = Command::new(SOCKUNIT)
                .args(words)
                .env("COLUMNS", "200")
                .output();
            let help = String::from_utf8(output.unwrap().stdout).unwrap();
            assert!(help.contains("Usage: "), "{help}");
            for line in help.lines() {
                assert!(line.chars().count() <= 80, "{command}: {line}");
            }
        }
    }
}

#[test]
fn status_without_systemd_is_an_error() {
    for user in [None, Some("--user")] {
        let output = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c"])
            .arg("mount -t tmpfs none /run && exec \"$@\"")
            .args(["sh", SOCKUNIT, "status"])
            .args(user)
            .env_remove("XDG_RUNTIME_DIR")
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        let why = match user {
            None => "systemd does not run here\n",
            Some(_) => "your user has no service manager here\nhint: log in as that user ",
        };
        let expected = format!("sockunit: cannot show the status: {why}");
        assert!(stderr.starts_with(&expected), "{stderr}");
        assert_eq!(output.status.code(), Some(1));
    }
}
