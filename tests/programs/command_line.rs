//! The programs as a user tries them out.

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
    // A program that refuses its arguments reads nothing.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn the_dialog_is_on_stdout_and_the_records_are_plain_on_stderr() {
    let output = run(CELEBS, &[], b"linus\nquit\n");
    assert!(output.status.success());
    assert!(text(&output.stdout).ends_with(":quit, \n\nFinished\n"));
    let records: Vec<_> = text(&output.stderr).lines().collect();
    assert_eq!(
        records[0],
        r#"celebs: command line asked "linus", answered "torvalds""#
    );
    assert!(records[1].starts_with("celebs: command line quit: 11 bytes received, "));
    assert_eq!(records.len(), 2);
}

#[test]
fn hello_takes_nothing_of_its_input() {
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
fn a_mistake_is_told_with_exit_status_2() {
    let output = run(CELEBS, &["--idle-timeout", "soon"], b"");
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(text(&output.stdout), "");
    let told = text(&output.stderr);
    assert!(
        told.contains("'soon' for '--idle-timeout <DURATION>': give a duration"),
        "{told}"
    );
    let output = run(HELLO, &["3333"], b"");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_full_disk_is_an_error_and_a_closed_pipe_is_not() {
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
        let told = text(&output.stderr);
        assert!(
            told.contains("cannot write to standard output: No space left"),
            "{told}"
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
