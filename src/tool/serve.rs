//! `sockunit serve`: starts a program for each connection.

use std::process::ExitCode;

use clap::Args;

use crate::log::JournalProtocol;
use crate::server;
use crate::startup;

#[derive(Debug, Args)]
#[command(
    override_usage = "sockunit serve [OPTIONS] -- <PROGRAM> [ARG]...",
    // A process needs more memory than a session.
    mut_arg("max_connections", |limit| limit.default_value("256"))
)]
pub struct Options {
    /// Write log entries with the identifier NAME (journalctl -t NAME) [default: the file name of the
    /// program]
    #[arg(long, value_name = "NAME", value_parser = identifier)]
    name: Option<String>,
    #[command(flatten)]
    programs: server::ProgramOptions,
    #[command(flatten)]
    server: server::Options,
}

/// Parses a name for the log.
fn identifier(text: &str) -> Result<String, &'static str> {
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err("give a name of at least one character, without control characters");
    }
    Ok(text.into())
}

pub fn run(options: &Options) -> ExitCode {
    let file_name = || server::file_name(&options.programs.command);
    let name = match identifier(&options.name.clone().unwrap_or_else(file_name)) {
        Ok(name) => name,
        Err(_) => "sockunit".into(),
    };
    // The name is used until the process exits.
    // A process for one connection may exit before journald has looked up its unit, which the
    // stream to the journal keeps.
    let one = options.server.listen.is_empty() && std::env::var_os("LISTEN_FDS").is_none();
    let protocol = match one {
        true => JournalProtocol::Stream,
        false => JournalProtocol::Native,
    };
    startup::run_logged(name.leak(), protocol, |client, log| {
        server::serve_programs(&options.server, &options.programs, client, log)?;
        Ok(())
    })
}
