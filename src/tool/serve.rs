//! `sockunit serve`: a program for each connection.

use std::process::ExitCode;

use clap::Args;

use crate::server;
use crate::startup;

#[derive(Debug, Args)]
#[command(
    override_usage = "sockunit serve [OPTIONS] -- <PROGRAM> [ARG]...",
    // A process costs more than a conversation.
    mut_arg("max_connections", |limit| limit.default_value("256"))
)]
pub struct Options {
    /// The name under which records are logged, if not that of the program
    #[arg(long, value_name = "NAME", value_parser = identifier)]
    name: Option<String>,
    #[command(flatten)]
    programs: server::ProgramOptions,
    #[command(flatten)]
    serve: server::Options,
}

/// A name in the log.
fn identifier(text: &str) -> Result<String, &'static str> {
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err("a name has at least one character, and no control characters");
    }
    Ok(text.into())
}

pub fn run(options: &Options) -> ExitCode {
    let own = || server::file_name(&options.programs.command);
    let name = match identifier(&options.name.clone().unwrap_or_else(own)) {
        Ok(name) => name,
        Err(_) => "sockunit".into(),
    };
    // It is for as long as the process lives.
    startup::logged(name.leak(), |_, log| {
        server::start_programs(&options.serve, &options.programs, log)
    })
}
