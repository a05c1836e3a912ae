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
