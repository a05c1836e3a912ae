//! `sockunit connect`: a client.

use std::ffi::OsString;
use std::io;
use std::time::Duration;

use clap::Args;

use crate::clock;
use crate::connect::{RelayOptions, Target, dial, relay};

#[derive(Debug, PartialEq, Eq, Args)]
#[command(override_usage = "sockunit connect [OPTIONS] [HOST] <NAME|PORT|PATH>")]
pub(super) struct Options {
    /// Service name, port, or path of an AF_UNIX socket; a host may stand before a name or a port
    /// [default: localhost]
    #[arg(value_name = "NAME|PORT|PATH", required = true, num_args = 1..=2)]
    to: Vec<String>,
    /// Exit when the server has sent a line that equals WORD
    #[arg(long, value_name = "WORD")]
    until: Option<String>,
    /// Send CR LF where a line of the input ends in LF alone
    #[arg(long)]
    crlf: bool,
    /// Wait at most this long for the connection, then fail
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = clock::duration)]
    timeout: Duration,
    /// Fail when no byte has moved in either direction for this long [default: no limit]
    #[arg(long, value_name = "DURATION", value_parser = clock::duration)]
    idle_timeout: Option<Duration>,
}

impl Options {
    /// The options of a command line that is only `connect [HOST] SERVICE`, without the program's
    /// name. `None` for any other command line.
    ///
    /// With clap a start of `sockunit connect` takes 7 % longer, which counts because many sessions
    /// are shorter than a start.
    pub(super) fn without_parser(mut arguments: impl Iterator<Item = OsString>) -> Option<Options> {
        if arguments.next()? != "connect" {
            return None;
        }
        let operand = |argument: OsString| {
            let operand = argument.into_string().ok();
            operand.filter(|operand| !operand.starts_with('-'))
        };
        let to: Vec<String> = arguments.map(operand).collect::<Option<_>>()?;
        matches!(to.len(), 1 | 2).then_some(Options {
            to,
            until: None,
            crlf: false,
            timeout: Duration::from_secs(30),
            idle_timeout: None,
        })
    }
}

pub(super) fn run(options: &Options) -> anyhow::Result<()> {
    let target = match options.to.as_slice() {
        [host, service] => Target::new(host, service),
        rest => Target::new("localhost", &rest.concat()),
    };
    let server =
        dial(&target, options.timeout).map_err(|error| super::with_hint(&error, error.hint()))?;
    let relay_options = RelayOptions {
        until: options.until.clone(),
        crlf: options.crlf,
        idle_timeout: options.idle_timeout,
    };
    relay(server, io::stdin(), io::stdout(), &relay_options)
        .map_err(|error| super::with_hint(&error, error.hint(&target)))
}
