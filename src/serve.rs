//! serve: starts a program for each connection. `sockunit serve` is the command; units of `sockunit
//! add` run the same code as a program of its own, which is linked statically and starts faster.

use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser};

use crate::hint::Hint;
use crate::log::JournalProtocol;
use crate::server;
use crate::startup;
use crate::usage;

/// Start a program for each connection; units run this form of sockunit serve
#[derive(Debug, Parser)]
#[command(name = "serve", version, max_term_width = 80)]
struct Program {
    #[command(flatten)]
    options: Options,
}

/// The options of `sockunit serve`.
#[derive(Debug, Args)]
#[command(
    override_usage = "sockunit serve [OPTIONS] -- <PROGRAM> [ARG]...",
    // A process needs more memory than a session.
    mut_arg("max_connections", |limit| limit.default_value("256"))
)]
pub(crate) struct Options {
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

/// Runs the program.
pub fn main() -> ExitCode {
    match Program::try_parse() {
        Ok(program) => run(&program.options),
        Err(error) => {
            let arguments: Vec<_> = std::env::args_os().collect();
            let hint = usage::hint(&Program::command(), &arguments, &error);
            // Units start this program; the command would be that of the tool.
            let hint = hint.map(|hint| Hint::new(hint.text));
            usage_error(&error, hint.as_ref())
        }
    }
}

/// Reports a usage error of the program or the command.
pub(crate) fn usage_error(error: &clap::Error, hint: Option<&Hint>) -> ExitCode {
    startup::usage_error("sockunit", JournalProtocol::Native, error, hint)
}

/// Serves until there is nothing to serve any more.
pub(crate) fn run(options: &Options) -> ExitCode {
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
    startup::run_logged("sockunit", name.leak(), protocol, |client, log| {
        let code = server::serve_programs(&options.server, &options.programs, client, log)?;
        Ok(ExitCode::from(code))
    })
}
