//! The service programs at the command line.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use crate::serving::{CELEBS, HELLO};

fn run(program: &str, args: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // After a usage error the program reads nothing.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn the_session_is_on_stdout_and_log_entries_are_plain_text_on_stderr() {
    let output = run(CELEBS, &[], b"linus\nquit\n");
    assert!(output.status.success());
    assert!(text(&output.stdout).ends_with(":quit, \n\nFinished\n"));
    let entries: Vec<_> = text(&output.stderr).lines().collect();
    assert_eq!(
        entries[0],
        r#"celebs: command line asked "linus", answered "torvalds""#
    );
    assert!(entries[1].starts_with("celebs: command line quit: 11 bytes received, "));
    assert_eq!(entries.len(), 2);
}

#[test]
fn hello_does_not_read_its_input() {
    let output = Command::new("sh")
        .args([
            "-c",
            &format!("printf 'one\\ntwo\\n' | {{ {HELLO}; cat; }}"),
        ])
        .output()
        .unwrap();
    let stdout = text(&output.stdout);
    assert!(
        stdout.starts_with("Hello World:") && stdout.ends_with("\none\ntwo\n"),
        "{stdout}"
    );
}

#[test]
fn help_and_version_are_printed() {
    for program in [HELLO, CELEBS] {
        let help = run(program, &["--help"], b"");
        assert!(help.status.success() && text(&help.stdout).contains("Usage: "));
        let version = run(program, &["--version"], b"");
        assert!(
            text(&version.stdout)
                .trim_end()
                .ends_with(env!("CARGO_PKG_VERSION"))
        );
    }
}

#[test]
fn a_usage_error_has_exit_status_2() {
    let output = run(CELEBS, &["--idle-timeout", "soon"], b"");
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(text(&output.stdout), "");
    let error = text(&output.stderr);
    assert!(
        error.contains("'soon' for '--idle-timeout <DURATION>': give a duration"),
        "{error}"
    );
    let output = run(HELLO, &["3333"], b"");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_full_disk_is_an_error_and_a_closed_pipe_is_a_normal_end() {
    let full = std::fs::File::options()
        .write(true)
        .open("/dev/full")
        .unwrap();
    for program in [HELLO, CELEBS] {
        let output = Command::new(program)
            .stdin(Stdio::null())
            .stdout(full.try_clone().unwrap())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        let error = text(&output.stderr);
        assert!(
            error.contains("cannot write to standard output: no space left"),
            "{error}"
        );
        let (reader, writer) = nix::unistd::pipe().unwrap();
        drop(reader);
        let output = Command::new(program)
            .stdin(Stdio::null())
            .stdout(writer)
            .output()
            .unwrap();
        assert!(output.status.success());
        assert!(text(&output.stderr).contains("client gone: "));
    }
}
