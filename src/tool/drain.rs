//! `sockunit drain`, `resume` and `agent`: a service behind a load balancer.

use std::io::{self, IsTerminal};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;

use super::place::place;
use super::{say, unknown, with_hint};
use crate::attach::{self, Error};
use crate::clock::{self, duration_word};
use crate::hint::{Hint, ShellCommand};
use crate::log::Count;
use crate::services::ServiceName;
use crate::systemd::{Manager, Place};

/// How often the connections are counted.
const INTERVAL: Duration = Duration::from_millis(250);
/// How long there has to be no connection: longer than HAProxy's default time between two agent checks.
const QUIET: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
pub(super) struct NameOptions {
    /// Name of the service
    name: ServiceName,
    /// Ask the service manager of the calling user
    #[arg(long)]
    user: bool,
}

#[derive(Debug, Args)]
pub(super) struct DrainOptions {
    #[command(flatten)]
    service: NameOptions,
    /// Wait at most this long for connections to end [default: no limit]
    #[arg(long, value_name = "DURATION", value_parser = clock::duration)]
    timeout: Option<Duration>,
}

impl NameOptions {
    fn place(&self) -> Place {
        place("/", self.user)
    }

    fn manager(&self, place: &Place) -> Result<Manager, Error> {
        Manager::of(place).ok_or(Error::no_manager(place.scope))
    }

    fn mark(&self, place: &Place, draining: bool) -> anyhow::Result<bool> {
        let what = if draining { "drain" } else { "resume" };
        attach::set_draining(place, &self.name, draining).map_err(self.failed(what))
    }

    /// There is no such service.
    fn unknown(&self, what: &str, place: &Place) -> anyhow::Error {
        let name = self.name.to_string();
        unknown(&format!("cannot {what} {name}"), place, &name)
    }

    fn failed(&self, what: &str) -> impl Fn(Error) -> anyhow::Error {
        super::failed(format!("cannot {what} {}", self.name))
    }
}

/// Has the agent answer `drain`, and waits until no connection is left.
pub(super) fn drain(options: &DrainOptions) -> anyhow::Result<()> {
    let service = &options.service;
    let name = service.name.to_string();
    let place = service.place();
    let failed = service.failed("drain");
    let manager = service.manager(&place).map_err(&failed)?;
    let open = || -> anyhow::Result<u64> {
        let all = attach::status(&place, &manager, std::slice::from_ref(&name)).map_err(&failed)?;
        match all.first() {
            Some(status) => Ok(status.now),
            None => Err(service.unknown("drain", &place)),
        }
    };
    let mut left = open()?;
    service.mark(&place, true)?;
    say(&format!("{name}: draining: {}\n", open_now(left)))?;
    let begun = Instant::now();
    let mut quiet_since = begun;
    let progress = io::stdout().is_terminal();
    loop {
        let now = Instant::now();
        if left > 0 {
            quiet_since = now;
        }
        if now.saturating_duration_since(quiet_since) >= QUIET {
            return say(&format!("{name}: drained\n"));
        }
        if options
            .timeout
            .is_some_and(|timeout| now >= begun + timeout)
        {
            let user = place.scope.option();
            let status = ShellCommand::new(&["sockunit", "status"]).literals(user);
            let resume = ShellCommand::new(&["sockunit", "resume"]).literals(user);
            let hint = Hint::new("the service is still draining; these commands show its connections and end draining")
                .command(status.arg(&name))
                .command(resume.arg(&name));
            let message = format!("cannot drain {name}: timeout: {}", not_drained(left));
            return Err(with_hint(message, Some(hint)));
        }
        thread::sleep(INTERVAL);
        let before = left;
        left = open()?;
        if progress && left != before {
            say(&format!("{name}: {}\n", open_now(left)))?;
        }
    }
}

fn open_now(connections: u64) -> String {
    format!("{} left", Count(connections, "connection"))
}

/// Why a service is not drained yet.
fn not_drained(open: u64) -> String {
    match open {
        0 => format!(
            "no connection is open, but not for {} yet",
            duration_word(QUIET)
        ),
        1 => "1 connection is still open".into(),
        _ => format!("{open} connections are still open"),
    }
}

/// Has the agent answer `ready` again.
pub(super) fn resume(options: &NameOptions) -> anyhow::Result<()> {
    let (name, place) = (&options.name, options.place());
    // The mark of a service that was removed may still be there.
    if options.mark(&place, false)? {
        return say(&format!("{name}: ready\n"));
    }
    match attach::has_socket(&place, name).map_err(options.failed("resume"))? {
        true => say(&format!("unchanged: {name} was not draining\n")),
        false => Err(options.unknown("resume", &place)),
    }
}

/// Answers an agent check of HAProxy.
pub(super) fn agent(options: &NameOptions) -> anyhow::Result<()> {
    let place = options.place();
    let failed = options.failed("check");
    let manager = options.manager(&place).map_err(&failed)?;
    let health = attach::health(&place, &manager, &options.name).map_err(failed)?;
    say(&format!("{health}\n"))
}
