//! A real connection to the service.

use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use nix::sys::socket::{SockaddrStorage, getsockname};

use super::address::Address;
use super::subject::Subject;
use super::{Problem, Report, access, ended, kind, symptom};
use crate::attach::{Then, receive};
use crate::connect::{Target, dial};
use crate::connection::table;
use crate::log::escape;
use crate::systemd::journalctl::{self, Entries, Filter};

/// How long connecting may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Connects as a client does, and receives what the service sends first.
///
/// # Errors
///
/// No connection; or it was refused, not accepted, or closed without a byte.
pub fn check(subject: &Subject<'_>, report: &mut Report<'_>) -> Result<(), Problem> {
    if subject.manager.is_none() {
        return Ok(());
    }
    let Some(target) = target(subject) else {
        report.note("none of the addresses can be tried from here".into());
        return Ok(());
    };
    let since = journalctl::now();
    let own = own_address(&target);
    let stream = match dial(&target, TIMEOUT) {
        Ok(stream) => stream,
        Err(error) => return Err(access::unreachable(subject, own, &error)),
    };
    access::without_effect(subject, own, report);
    let (bytes, then) = receive(&stream);
    if bytes.is_empty() && then == Then::Waits {
        accepted(subject)?;
    }
    access::refused(subject, own)?;
    refused(subject, &target, stream.as_fd().as_raw_fd(), &since)?;
    drop(stream);
    let entries = journalctl::last(
        subject.place,
        Filter::Unit(&subject.services()),
        Some(&since),
    );
    if bytes.is_empty() && then == Then::Closed && by_descriptor(subject, &target, report) {
        return Ok(());
    }
    if bytes.is_empty() && then == Then::Closed {
        return Err(closed(subject, &target, &entries));
    }
    let text = String::from_utf8_lossy(&bytes);
    report.ok(match text.lines().next() {
        Some(line) => format!("{target} answers {}", escape(line.as_bytes())),
        None => format!("{target} is connected, and waits for its client to speak first"),
    });
    if let Some(hint) = symptom::hint(subject, &entries.messages) {
        report.note(format!(
            "since then the journal has {}; if the program wrote that: {hint}",
            entries.quoted().join(", ")
        ));
    }
    Ok(())
}

/// An address of the socket that a client on this machine can connect to.
fn target(subject: &Subject<'_>) -> Option<Target> {
    let only_v6 = subject.only_v6();
    let listens = subject.socket.listen_directives();
    let mut streams = listens.iter().filter(|listen| listen.is_stream());
    streams.find_map(|listen| match Address::parse(listen.value.text) {
        Address::Unix(path) if path.starts_with('/') => Some(Target::Unix(path.into())),
        address => {
            let near = address.near(only_v6)?;
            let (ip, port) = (near.ip().to_string(), near.port().to_string());
            Some(Target::new(&ip, &port))
        }
    })
}

/// The address that a client on this machine has, which is that of the service.
fn own_address(target: &Target) -> Option<IpAddr> {
    match target {
        Target::Tcp { host, .. } => host.parse().ok(),
        Target::Unix(_) => None,
    }
}

/// Checks that a shared service has accepted the connection.
fn accepted(subject: &Subject<'_>) -> Result<(), Problem> {
    let Some(manager) = subject.manager.filter(|_| !subject.accept) else {
        return Ok(());
    };
    ended::restarted(subject, manager)?;
    let ports = subject.ports();
    let rows = table::read().unwrap_or_default();
    let waiting = rows
        .iter()
        .filter(|row| row.listens() && ports.contains(&row.local.port()))
        .map(|row| row.waiting)
        .max();
    let Some(waiting @ 1..) = waiting else {
        return Ok(());
    };
    let unit = &subject.service.name;
    let status = manager.show(unit, &["StatusText"]).unwrap_or_default();
    let status = match status.get("StatusText") {
        "" => None,
        text => Some(format!("status: {}", escape(text.as_bytes()))),
    };
    let entries = journalctl::last(subject.place, Filter::Unit(unit), None);
    Err(Problem::new(
        format!("{unit} does not accept connections: {waiting} in the listen backlog"),
        format!(
            "wait until other connections have ended, raise the limits in its command ({}), or restart it if it hangs{}",
            subject.command(),
            must_accept(subject)
        ),
    )
    .evidence(status.into_iter().chain(entries.quoted()))
    .impact("Clients are connected, and wait for an answer.")
    .command(subject.fixer().systemctl(&["restart"]).arg(unit)))
}

/// What a shared service has to do, if nothing shows that it does.
pub fn must_accept(subject: &Subject<'_>) -> &'static str {
    match subject.serves_by_tool() || subject.accept {
        true => "",
        false => {
            "; a program with Accept=no must accept the connections itself, from file descriptor 3; one that serves a \
             single connection on standard input runs under ExecStart=/usr/bin/sockunit serve -- PROGRAM"
        }
    }
}

/// Checks that `sockunit serve` has not refused the client whose socket this is. Its entries are known by
/// fields that the program it starts cannot set: journald adds the sender's process ID.
fn refused(
    subject: &Subject<'_>,
    target: &Target,
    client: std::os::fd::RawFd,
    since: &str,
) -> Result<(), Problem> {
    let Some(manager) = subject.manager.filter(|_| !subject.accept) else {
        return Ok(());
    };
    let shown = manager.show(&subject.service.name, &["MainPID"]);
    let shown = shown.unwrap_or_default();
    let Ok(address) = getsockname::<SockaddrStorage>(client) else {
        return Ok(());
    };
    let port = match (address.as_sockaddr_in(), address.as_sockaddr_in6()) {
        (Some(address), _) => address.port(),
        (_, Some(address)) => address.port(),
        _ => return Ok(()),
    };
    let fields = [
        format!("_PID={}", shown.get("MainPID")),
        "SOCKUNIT_EVENT=refused".to_string(),
        format!("REMOTE_PORT={port}"),
    ];
    let fields = fields.each_ref().map(String::as_str);
    let entries = journalctl::last(subject.place, Filter::Fields(&fields), Some(since));
    if entries.messages.is_empty() {
        return Ok(());
    }
    Err(Problem::new(
        format!("{target} refuses this client"),
        format!(
            "see the limits in the command of {}: {}",
            subject.service.name,
            subject.command()
        ),
    )
    .evidence(entries.quoted()))
}

/// Whether the program takes the connection as file descriptor 3. What it does with it is its own affair.
fn by_descriptor(subject: &Subject<'_>, target: &Target, report: &mut Report<'_>) -> bool {
    let own = subject.accept
        && subject.setting("StandardInput") != "socket"
        && kind::takes_descriptors(subject);
    if own {
        report.note(format!(
            "{target} accepts the connection and closes it without a byte; the program takes it as file descriptor 3, and \
             may wait for clients of another kind"
        ));
    }
    own
}

fn closed(subject: &Subject<'_>, target: &Target, entries: &Entries) -> Problem {
    let unit = &subject.service.name;
    if subject.accept && subject.setting("StandardInput") != "socket" {
        let problem = Problem::new(
            format!(
                "{unit} does not set StandardInput=socket, and the program does not answer on file descriptor 3"
            ),
            "pass the connection as standard input",
        )
        .evidence(entries.quoted())
        .impact(
            "Clients are connected and receive nothing: the program reads /dev/null and writes to the journal.",
        );
        let lines = ["StandardInput=socket", "StandardError=journal"];
        let fixer = subject.fixer();
        return fixer.by_drop_in(problem, unit, "Service", &lines);
    }
    let command = subject.command();
    let hint = match symptom::hint(subject, &entries.messages) {
        Some(hint) => format!("if the program wrote the entries above: {hint}"),
        None if entries.messages.is_empty() => {
            format!("run the program by hand and see what it writes: {command}")
        }
        None => format!("see the entries above; {unit} runs: {command}"),
    };
    Problem::new(
        format!("{target} accepts the connection and closes it without a byte"),
        format!("{hint}{}", must_accept(subject)),
    )
    .evidence(entries.quoted())
    .impact(
        "systemd has started the program, or tried to, and the program ended without an answer.",
    )
}
