//! The services database: whether the service's name leads to its port.

use super::subject::Case;
use super::{Fault, Tell};
use crate::root::read;
use crate::services;

/// Checks that the entry of the name, if there is one, has the socket's port.
///
/// # Errors
///
/// It has another.
pub fn check(case: &Case<'_>, tell: &mut Tell<'_>) -> Result<(), Fault> {
    let ports = case.ports();
    if ports.is_empty() {
        return Ok(());
    }
    let path = case.path("/etc/services");
    let Ok(text) = read(&case.place.root, &path) else {
        tell.note(format!(
            "{} could not be read; nothing but names for ports depends on it",
            path.display()
        ));
        return Ok(());
    };
    let name = &case.name;
    let entry = services::lines(&text).find(|line| line.is_named(name.as_bytes()) && line.is_tcp());
    let Some(entry) = entry else {
        tell.good(format!(
            "{} does not name {name}, so that clients give the port's number",
            path.display()
        ));
        return Ok(());
    };
    let Some(port) = entry.port else {
        return Ok(());
    };
    if ports.contains(&port) {
        tell.good(format!(
            "{}:{}: {name} is port {port}",
            path.display(),
            entry.number
        ));
        return Ok(());
    }
    if is_systems(&text, entry.number) {
        // Whoever wrote it meant something else by the name.
        tell.note(format!(
            "{}:{}: {name} is port {port}, so that clients have to give this service's port by its number, or it another name",
            path.display(),
            entry.number
        ));
        return Ok(());
    }
    let listens = case.socket.listen_directives();
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
    let right = ports[0];
    Err(Fault::new(
        format!(
            "{}:{}: says that {name} is port {port}, and {} listens on {right}",
            path.display(),
            entry.number,
            case.socket.name
        ),
        "make them agree; this changes the database",
    )
    .seen(written)
    .means(format!(
        "A client that connects to {name} by its name comes to port {port}."
    ))
    .command(format!(
        "sed -i '{}s,{port}/tcp,{right}/tcp,' {}",
        entry.number,
        path.display()
    )))
}

/// Whether a line is one that Debian's file brings, and not one for the services of this machine, which
/// come behind a heading of its own.
fn is_systems(text: &[u8], number: usize) -> bool {
    let mut lines = text.split(|byte| *byte == b'\n').zip(1..);
    let heading = lines.find(|(line, _)| line.starts_with(b"# Local services"));
    heading.is_some_and(|(_, heading)| number < heading)
}
