//! A real connection, and what comes of it.

use std::time::Duration;

use super::address::Address;
use super::case::Case;
use super::ended::denied;
use super::{Fault, Tell};
use crate::attach::{Then, receive};
use crate::connect::{Target, dial};
use crate::journal::{self, Of};
use crate::log::escape;

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
    let only_v6 = case
        .socket
        .value("Socket", "BindIPv6Only")
        .is_some_and(|value| value.text == "ipv6-only");
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
    let since = journal::now();
    let stream = dial(&target, TIMEOUT).map_err(|error| {
        Fault::new(
            error.to_string(),
            "see who filters connections on this machine: nft list ruleset",
        )
    })?;
    let (bytes, then) = receive(&stream);
    drop(stream);
    let words = journal::last(case.place, Of::Unit(&case.services()), Some(&since));
    if let Some(fault) = denied(case, &words.lines) {
        return Err(fault.seen(words.evidence()));
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

fn closed(case: &Case<'_>, target: &Target, words: &journal::Words) -> Fault {
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
