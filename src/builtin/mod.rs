//! builtin: echo, discard, chargen, daytime and time, which xinetd and inetd have built in. It serves one
//! connection, or answers the datagrams of a socket.

mod answer;
mod datagrams;
mod options;
mod protocol;
mod stream;

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::process::ExitCode;

use clap::Parser;

pub(crate) use options::Edition;
pub(crate) use protocol::{BuiltIn, daytime_length};

use self::options::Options;
use crate::connection::{Stdio, is_udp_socket};
use crate::log::{JournalProtocol, Log};
use crate::{server, startup};

/// The program as the package installs it.
pub(crate) const PROGRAM: &str = "/usr/libexec/sockunit/builtin";

/// Runs the program.
pub fn main() -> ExitCode {
    let protocol = JournalProtocol::Stream;
    match Options::try_parse() {
        Ok(options) => startup::run_logged("builtin", "builtin", protocol, |client, log| {
            serve(options, client, log).map(|()| ExitCode::SUCCESS)
        }),
        Err(error) => startup::usage_error("builtin", protocol, &error, None),
    }
}

/// The command line, for the manual page.
pub fn command() -> clap::Command {
    <Options as clap::CommandFactory>::command()
}

fn serve(options: Options, client: Option<BorrowedFd<'_>>, log: &mut Log) -> anyhow::Result<()> {
    if let Some(socket) = client.filter(is_udp_socket) {
        return datagrams::serve(socket, options, log);
    }
    Stdio::identify(client).map_err(server::Error::Stdio)?;
    let [input, output] = [io::stdin().as_fd(), io::stdout().as_fd()]
        .map(|stream| stream.try_clone_to_owned().map(File::from));
    stream::serve(options.built_in, options.edition, input?, output?)?;
    Ok(())
}
