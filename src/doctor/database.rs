//! The services database: whether the service name has the service's port.

use std::path::Path;

use super::report::Impact;
use super::subject::Subject;
use super::{Problem, Report};
use crate::hint::ShellCommand;
use crate::root::read;
use crate::services;

/// Checks that the entry of the service name, if there is one, has the socket's port.
///
/// # Errors
///
/// It has another port.
pub(super) fn check(subject: &Subject<'_>, report: &mut Report<'_>) -> Result<(), Problem> {
    let ports = subject.ports();
    if ports.is_empty() {
        return Ok(());
    }
    let path = subject.path("/etc/services");
    let Ok(text) = read(&subject.place.root, &path) else {
        report.note(format!(
            "{} cannot be read; only clients that use service names need it",
            path.display()
        ));
        return Ok(());
    };
    let name = &subject.name;
    let entry = services::lines(&text).find(|line| line.is_named(name.as_bytes()) && line.is_tcp());
    let Some(entry) = entry else {
        report.ok(format!(
            "{} has no line for {name}: clients use the port number",
            path.display()
        ));
        return Ok(());
    };
    let Some(port) = entry.port else {
        return Ok(());
    };
    if ports.contains(&port) {
        report.ok(format!(
            "{}:{}: {name} is port {port}",
            path.display(),
            entry.number
        ));
        return Ok(());
    }
    if is_systems(&text, entry.number) {
        // Debian's entry means another service.
        report.note(format!(
            "{}:{}: {name} is port {port}: clients have to use the port number of this service",
            path.display(),
            entry.number
        ));
        return Ok(());
    }
    Err(other_port(subject, &path, entry.number, port, ports[0]))
}

/// The entry in line `number` has `port`, and the socket has the port `right`.
fn other_port(subject: &Subject<'_>, path: &Path, number: usize, port: u16, right: u16) -> Problem {
    let name = &subject.name;
    let listens = subject.socket.listen_directives();
    let other = listens.iter().find(|listen| listen.port().is_some());
    let written = other.map(|listen| {
        format!(
            "{}:{}: {}={}",
            listen.value.path.display(),
            listen.value.line,
            listen.key,
            listen.value.text
        )
    });
    let is_moved = other.is_some_and(|listen| Some(listen.value.path) != subject.socket.fragment());
    let hint = match is_moved {
        true => "correct the line, or remove the drop-in that sets this port",
        false => "correct the line",
    };
    Problem::new(
        format!(
            "{}:{}: {name} is port {port}, and {} listens on {right}",
            path.display(),
            number,
            subject.socket.name
        ),
        hint,
    )
    .evidence(written)
    .impact(Impact::OtherPort)
    .command(
        ShellCommand::new(&["sed", "-i"])
            .arg(format!("{}s,{port}/tcp,{right}/tcp,", number))
            .path(subject.place.own_path(path)),
    )
}

/// Whether a line is one of Debian's. Those of this machine follow the heading "Local services".
fn is_systems(text: &[u8], number: usize) -> bool {
    let mut lines = text.split(|byte| *byte == b'\n').zip(1..);
    let heading = lines.find(|(line, _)| line.starts_with(b"# Local services"));
    heading.is_some_and(|(_, heading)| number < heading)
}
