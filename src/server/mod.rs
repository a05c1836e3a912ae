//! One process that serves many connections, from listening sockets that it was handed or opened:
//! by conversations in itself, or by a program for each.

mod accept;
mod admission;
mod dialogs;
mod event_loop;
mod farewell;
mod guests;
mod host;
mod listener;
mod options;
mod programs;
mod records;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};

pub use listener::Listener;
pub use options::Options;
pub use programs::{Options as ProgramOptions, file_name};

use self::admission::{Limits, Reason, Words};
use self::dialogs::Dialogs;
use self::programs::{Program, Programs, Times};
use crate::log::Log;
use crate::session::Service;

/// Holds the conversations of a service until told to stop (SIGTERM, SIGINT), or until nobody came
/// for `--exit-idle-time`. A client may take so long to read.
///
/// # Errors
///
/// What the loop itself needs cannot be had. Nothing that a client does is an error.
pub fn converse<S: Service>(
    service: S,
    listeners: Vec<Listener>,
    options: &Options,
    write_timeout: Duration,
    log: &mut Log,
) -> anyhow::Result<()> {
    let host = Dialogs::new(service, write_timeout);
    event_loop::run(|_| Ok(host), listeners, options, Limits::default(), log)
}

/// Starts a program for each connection, until the same. The listening sockets are those that
/// systemd handed over, unless `options` name others.
///
/// # Errors
///
/// The program cannot be started at all, there is nothing to listen on, or what the loop itself needs
/// cannot be had.
pub fn start_programs(
    options: &Options,
    of_programs: &ProgramOptions,
    log: &mut Log,
) -> anyhow::Result<()> {
    let listeners = match options.listen.as_slice() {
        [] => Listener::handed_over()?,
        addresses => Listener::open(addresses)?,
    };
    if listeners.is_empty() {
        bail!(
            "there is nothing to listen on: name an address with --listen, or have systemd hand \
             over a listening socket (Accept=no in the .socket unit)"
        );
    }
    let program = Program::find(&of_programs.command)?;
    log.serve_many();
    for listener in &listeners {
        listener.keep_alive();
    }
    let banner = |path: &Option<PathBuf>| path.as_deref().map_or(Ok(Vec::new()), banner);
    let limits = Limits {
        rate: of_programs.rate,
        rate_pause: of_programs.rate_pause.unwrap_or_default(),
        max_load: of_programs.max_load,
        access_times: of_programs.access_times.clone(),
        allow: of_programs.allow.clone(),
        deny: of_programs.deny.clone(),
        words: Words::new(
            of_programs.message.clone(),
            banner(&of_programs.refused_banner)?,
        ),
    };
    let times = Times {
        idle: of_programs.idle_timeout,
        limit: of_programs.time_limit,
        grace: of_programs.grace,
    };
    let first_words = banner(&of_programs.banner)?;
    let out_of_order = limits.words.tell(Reason::Failure);
    event_loop::run(
        |registry| Programs::new(program, times, first_words, out_of_order, registry),
        listeners,
        options,
        limits,
        log,
    )
}

/// What a file says that is sent to clients. It has to fit into the room that every new connection has.
fn banner(path: &Path) -> anyhow::Result<Vec<u8>> {
    const MOST: usize = 16 * 1024;
    let text =
        fs::read(path).with_context(|| format!("cannot read the banner {}", path.display()))?;
    if text.len() > MOST {
        bail!(
            "the banner {} is too long: it has {} bytes, and {MOST} is the limit",
            path.display(),
            text.len()
        );
    }
    Ok(text)
}
