//! A real connection, and what comes of it.

use std::os::fd::AsRawFd;
use std::time::Duration;

use nix::sys::socket::{SockaddrStorage, getsockname};

use super::address::Address;
use super::denied::denied;
use super::subject::Case;
use super::{Fault, Tell, ended};
use crate::attach::{Then, receive};
use crate::connect::{Target, dial};
use crate::connection::table;
use crate::log::escape;
use crate::systemd::journalctl::{self, Of};

/// How long it may take to be connected.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Connects as a client does, and hears what the service says first.
///
/// # Errors
///
/// No connection, one that was closed without a byte, or one whose program complained.
pub fn check(case: &Case<'_>, tell: &mut Tell<'_>) -> Result<(), Fault> {
    if case.manager.is_none() {
        return Ok(());
    }
    let only_v6 = case.only_v6();
    let targets = case
        .socket
        .listens()
        .iter()
        .filter(|listen| listen.is_stream())
        .find_map(|listen| match Address::parse(listen.value.text) {
            Address::Unix(path) if path.starts_with('/') => Some(Target::Unix(path.into())),
            address => {
                let near = address.near(only_v6)?;
                Some(Target::new(
                    &near.ip().to_string(),
                    &near.port().to_string(),
                ))
            }
        });
    let Some(target) = targets else {
        tell.note("it has no address that could be tried from here".into());
        return Ok(());
    };
    let since = journalctl::now();
    let stream = dial(&target, TIMEOUT).map_err(|error| {
        Fault::new(
            error.to_string(),
            "see who filters connections on this machine: nft list ruleset",
        )
    })?;
    let (bytes, then) = receive(&stream);
    if bytes.is_empty() && then == Then::Waits {
        taken_in(case)?;
    }
    let own = getsockname::<SockaddrStorage>(stream.as_raw_fd());
    drop(stream);
    let words = journalctl::last(case.place, Of::Unit(&case.services()), Some(&since));
    if let Some(fault) = denied(case, &words.lines) {
        return Err(fault.seen(words.evidence()));
    }
    if let Some(line) = own
        .ok()
        .and_then(|own| refused(&own.to_string(), &words.lines))
    {
        return Err(Fault::new(
            format!("{target} refuses clients such as this one"),
            format!(
                "see the limits in the command of {}: {}",
                case.service.name,
                command(case)
            ),
        )
        .seen([escape(line.as_bytes())]));
    }
    if bytes.is_empty() && then == Then::Closed {
        return Err(closed(case, &target, &words));
    }
    let text = String::from_utf8_lossy(&bytes);
    tell.good(match text.lines().next() {
        Some(line) => format!("{target} answers {}", escape(line.as_bytes())),
        None => format!("{target} is connected, and waits for its client to speak first"),
    });
    Ok(())
}

/// Checks that a process for all connections has accepted the one that is being tried.
fn taken_in(case: &Case<'_>) -> Result<(), Fault> {
    let Some(manager) = case.manager.filter(|_| !case.accept) else {
        return Ok(());
    };
    ended::restarted(case, manager)?;
    let ports = case.ports();
    let rows = table::read().unwrap_or_default();
    let waiting = rows
        .iter()
        .filter(|row| row.listens() && ports.contains(&row.local.port()))
        .map(|row| row.waiting)
        .max();
    let Some(waiting @ 1..) = waiting else {
        return Ok(());
    };
    let unit = &case.service.name;
    let status = manager.show(unit, &["StatusText"]).unwrap_or_default();
    let status = match status.get("StatusText") {
        "" => None,
        text => Some(format!("its status: {}", escape(text.as_bytes()))),
    };
    let words = journalctl::last(case.place, Of::Unit(unit), None);
    Err(Fault::new(
        format!("{unit} accepts nobody: connections wait for it, {waiting} by now"),
        format!(
            "wait until others have left, raise its limits ({}), or have it start anew if it hangs",
            command(case)
        ),
    )
    .seen(status.into_iter().chain(words.evidence()))
    .means("A client is connected, and waits for an answer.")
    .command(case.systemctl(&format!("restart {unit}"))))
}

/// The record in which `sockunit serve` tells that it refused the client at this address.
fn refused<'l>(client: &str, lines: &'l [String]) -> Option<&'l String> {
    lines.iter().find(|line| {
        let rest = line.strip_prefix(client);
        rest.is_some_and(|rest| rest.starts_with(" refused: "))
    })
}

fn closed(case: &Case<'_>, target: &Target, words: &journalctl::Words) -> Fault {
    let unit = &case.service.name;
    let what = format!("{target} was connected, and closed without a byte");
    let silent = words.lines.is_empty();
    let advice = match silent {
        true => format!(
            "run the program by hand and see what it writes: {}",
            command(case)
        ),
        false => format!(
            "mend what it says above; the program runs as {unit} says: {}",
            command(case)
        ),
    };
    Fault::new(what, advice).seen(words.evidence()).means(
        "The port is open and systemd has started the program, or tried to; the program ended without an answer.",
    )
}

fn command(case: &Case<'_>) -> String {
    let line = case
        .service
        .value("Service", "ExecStart")
        .map_or("", |value| value.text);
    line.trim_start_matches(['-', '@', ':', '+', '!'])
        .to_string()
}
