//! A real connection to the service.

use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use nix::sys::socket::{SockaddrStorage, getsockname};

use super::address::Address;
use super::report::Impact;
use super::subject::Subject;
use super::{Problem, Report, access, ended, kind, symptom};
use crate::attach::{BUFFERED, NO_CLIENT, UNBUFFER};
use crate::clock::duration_word;
use crate::connect::{Conversation, First, Target, Then, dial};
use crate::connection::{Peer, send_now, table};
use crate::log::escape;
use crate::systemd::journalctl::{self, Entries, Filter};

/// How long connecting may take.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long everything may take, the connecting included.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);
/// After this long without a byte, the client closes its sending half.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
/// What comes later than this is called late.
const LATE: Duration = Duration::from_secs(1);

/// Connects as a client does, sends a line if there is one, and receives what the service sends first.
///
/// # Errors
///
/// No connection; or it was refused, not accepted, or closed without a byte.
pub(super) fn check(
    subject: &Subject<'_>,
    line: Option<&str>,
    report: &mut Report<'_>,
) -> Result<(), Problem> {
    if subject.manager.is_none() {
        return Ok(());
    }
    let Some(target) = target(subject) else {
        report.note("none of the addresses can be tried from here".into());
        return Ok(());
    };
    let since = journalctl::now();
    let own = own_address(&target);
    let deadline = Instant::now() + TIMEOUT;
    let stream = match dial(&target, CONNECT_TIMEOUT) {
        Ok(stream) => stream,
        Err(error) => return Err(access::unreachable(subject, own, &error)),
    };
    access::without_effect(subject, own, report);
    if let Some(demand) = access::proxy_header(subject, Peer::of(stream.as_fd()))? {
        report.note(demand);
        // If this fails, so does receiving.
        let _ = send_now(&stream, NO_CLIENT);
    }
    let mut conversation = Conversation::begin(stream, line, deadline);
    conversation.listen(PATIENCE);
    if conversation.is_silent() {
        accepted(subject)?;
        conversation.half_close();
    }
    let age = conversation.age();
    access::refused(subject, own)?;
    refused(subject, &target, conversation.stream().as_raw_fd(), &since)?;
    let entries = journalctl::last(
        subject.place,
        Filter::Unit(&subject.services()),
        Some(&since),
    );
    if conversation.closed_without_answer() {
        if by_descriptor(subject, &target, report) {
            return Ok(());
        }
        ended::failing(subject)?;
        // Servers that wait for their clients do not wait for ever.
        if age >= LATE {
            report.note(format!(
                "{target} closes the connection without a byte after {:.1} s; it may be waiting for its client to \
                 speak first (--send TEXT sends a line)",
                age.as_secs_f32()
            ));
            return Ok(());
        }
        return Err(closed(subject, &target, &entries));
    }
    answered(&target, &conversation, line.is_some(), report);
    complained(subject, entries, &since, report);
    Ok(())
}

/// Notes what the program has complained about since the connection began.
fn complained(subject: &Subject<'_>, entries: Entries, since: &str, report: &mut Report<'_>) {
    let advice = symptom::advice(subject, &entries);
    // Clients can have many other entries logged.
    let services = subject.services();
    let warnings = journalctl::last(subject.place, Filter::Warnings(&services), Some(since));
    let mut complaints = symptom::complaints(subject, warnings);
    let others = symptom::complaints(subject, entries).list;
    for entry in others {
        if !complaints.list.contains(&entry) {
            complaints.list.push(entry);
        }
    }
    if complaints.list.is_empty() {
        return;
    }
    complaints.unread = None;
    let quoted = complaints.quoted().join(", ");
    report.note(match advice {
        None => format!("since then the journal has errors or warnings of the program: {quoted}"),
        Some(advice) => format!(
            "since then the journal has errors or warnings of the program: {quoted}; if the program wrote that: {advice}"
        ),
    });
}

/// Reports what the service has sent, and when.
fn answered(target: &Target, conversation: &Conversation, asked: bool, report: &mut Report<'_>) {
    let text = String::from_utf8_lossy(&conversation.bytes);
    let first = escape(text.lines().next().unwrap_or_default().as_bytes());
    match (conversation.first, conversation.then) {
        (First::After(after), _) if after >= LATE => report.ok(format!(
            "{target} answers after {:.1} s: {first}",
            after.as_secs_f32()
        )),
        (First::After(_), _) => report.ok(format!("{target} answers {first}")),
        (First::AtHalfClose, _) => {
            report.ok(format!("{target} answers {first}"));
            report.note(format!("it {BUFFERED}; {UNBUFFER}"));
        }
        (First::Never, Then::Closed | Then::ClosedAtHalfClose) if asked => report.note(format!(
            "{target} receives the line, and closes the connection without an answer once its client has closed its sending half"
        )),
        (First::Never, Then::Closed | Then::ClosedAtHalfClose) => report.ok(format!(
            "{target} is connected, and waits for its client to speak first"
        )),
        (First::Never, _) => report.note(format!(
            "{target} is connected, and has sent nothing within {}, though its client has closed its sending half",
            duration_word(TIMEOUT)
        )),
    }
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
    .impact(Impact::NoAnswer)
    .command(subject.fixer().systemctl(&["restart"]).arg(unit)))
}

/// What a shared service has to do, if nothing shows that it does.
pub(super) fn must_accept(subject: &Subject<'_>) -> &'static str {
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
    if entries.list.is_empty() {
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
        .explanation("The program reads /dev/null and writes to the journal.")
        .impact(Impact::Silence);
        let lines = ["StandardInput=socket", "StandardError=journal"];
        let fixer = subject.fixer();
        return fixer.by_drop_in(problem, unit, "Service", &lines);
    }
    let command = subject.command();
    let advice = symptom::advice(subject, entries);
    let hint = match &advice {
        Some(advice) => format!("if the program wrote the entries above: {advice}"),
        None => format!(
            "see what the program writes, and how it ends, in the sandbox of {unit}, which runs: {command}"
        ),
    };
    let problem = Problem::new(
        format!("{target} accepts the connection and closes it without a byte"),
        format!("{hint}{}", must_accept(subject)),
    )
    .evidence(entries.quoted())
    .explanation(
        "systemd has started the program, or tried to, and the program ended without an answer.",
    );
    match advice {
        // The program chooses what it writes, and with it the advice.
        Some(_) => problem,
        None => problem.command(subject.fixer().try_out(&subject.name)),
    }
}
