//! sockunit: the tool.

mod connect;
mod services;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::program::{self, FAILED};

/// Looks after services that systemd starts when a client connects.
#[derive(Debug, Parser)]
#[command(name = "sockunit", version, arg_required_else_help = true)]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Talk to a service, and end when it does
    Connect(connect::Options),
    /// Add or remove the line of a service in /etc/services
    #[command(subcommand)]
    Services(services::Command),
}

/// The command line, for what describes it: completions, and the tests of the manual.
pub fn command() -> clap::Command {
    Options::command()
}

/// The program.
pub fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(error) => return program::explain(&error),
    };
    let done = match options.command {
        Command::Connect(options) => connect::run(&options),
        Command::Services(command) => services::run(command),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sockunit: {error:#}");
            ExitCode::from(FAILED)
        }
    }
}
