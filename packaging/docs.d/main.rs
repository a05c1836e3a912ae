//! Writes the manual pages and the shell completions: `cargo run --example docs DIRECTORY`.
//!
//! NAME, SYNOPSIS and OPTIONS of the pages and the completions come from the command lines as clap
//! knows them. The other sections of a page are written by hand in packaging/man.
#![forbid(unsafe_code)]

mod completions;
mod pages;

use std::fs;
use std::io::{Error, Result};
use std::path::PathBuf;

fn main() -> Result<()> {
    let directory = std::env::args_os().nth(1).map(PathBuf::from);
    let directory = directory.ok_or_else(|| Error::other("usage: docs DIRECTORY"))?;
    fs::create_dir_all(&directory)?;
    for (file, text) in pages::pages().into_iter().chain(completions::completions()) {
        fs::write(directory.join(file), text)?;
    }
    Ok(())
}
