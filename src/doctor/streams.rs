//! Where the program's standard input, output and error go.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::command::root;
use super::subject::Case;
use super::{Fault, Tell};
use crate::systemd::command_lines;

/// So much of a program is searched for a sign that it knows listening sockets.
const SEARCHED: u64 = 16 << 20;

/// What a program has in it that takes descriptors from systemd.
const SIGNS: [&[u8]; 7] = [
    b"LISTEN_FDS",
    b"LISTEN_PID",
    b"listen_fds",
    b"listenfd",
    b"fromfd",
    b"fdopen",
    b"&3",
];

/// Checks that the connection is where the program looks for it, and that nothing but its answers
/// goes to the client.
///
/// # Errors
///
/// The first stream that goes somewhere else.
pub fn check(case: &Case<'_>, tell: &mut Tell<'_>) -> Result<(), Fault> {
    let unit = &case.service.name;
    let input = case.setting("StandardInput");
    let output = case.setting("StandardOutput");
    let error = case.setting("StandardError");
    let on_socket = input == "socket";
    if !case.accept {
        return listener(case, on_socket, tell);
    }
    if !on_socket {
        return match takes_descriptors(case) {
            Some(path) => {
                let shown = path.display();
                tell.note(format!("{unit} does not say StandardInput=socket; {shown} takes the connection as descriptor 3"));
                Ok(())
            }
            None => {
                let fault = Fault::new(
                    format!("{unit} does not say StandardInput=socket, so that its program reads /dev/null and writes to the journal"),
                    "hand it the connection",
                )
                .means("A client is connected, and hears nothing: the connection is closed when the program ends.");
                Err(case.by_drop_in(
                    fault,
                    unit,
                    "Service",
                    &["StandardInput=socket", "StandardError=journal"],
                ))
            }
        };
    }
    if !["socket", "inherit", ""].contains(&output.as_str()) {
        let fault = Fault::new(
            format!(
                "{unit} says StandardOutput={output}, so that the client never sees what its program answers"
            ),
            "have the answers go to the connection",
        );
        return Err(case.by_drop_in(fault, unit, "Service", &["StandardOutput=socket"]));
    }
    if ["socket", "inherit", ""].contains(&error.as_str()) {
        let fault = Fault::new(
            format!("{unit} does not say StandardError=journal, so that its program's messages go to the client"),
            "have them go to the journal",
        )
        .means("Where StandardInput=socket is set, everything else inherits the connection.");
        return Err(case.by_drop_in(fault, unit, "Service", &["StandardError=journal"]));
    }
    tell.good(format!(
        "standard input and output are the connection, and standard error is {error}"
    ));
    Ok(())
}

/// With one process for all, the program is handed the socket that listens.
fn listener(case: &Case<'_>, on_socket: bool, tell: &mut Tell<'_>) -> Result<(), Fault> {
    if on_socket {
        tell.note("standard input is the listening socket itself, which the program has to accept connections from".into());
        return Ok(());
    }
    let Some(program) = program(case) else {
        return Ok(());
    };
    if takes_descriptors(case).is_some() {
        tell.good(format!("{} takes the listening socket", program.display()));
        return Ok(());
    }
    let unit = &case.service.name;
    let shown = program.display();
    Err(Fault::new(
        format!("{unit} is handed the listening socket, and {shown} knows nothing of listening sockets (LISTEN_FDS)"),
        format!(
            "have {unit} start a process for each connection: ExecStart=/usr/bin/sockunit serve -- {shown}; or make \
             it a template with Accept=yes in {}",
            case.socket.name
        ),
    )
    .means("A client waits, or is cut off when the program ends: nobody accepts its connection."))
}

/// The program of the service, as it is written.
fn program(case: &Case<'_>) -> Option<PathBuf> {
    let line = case.service.value("Service", "ExecStart")?;
    let command = command_lines(line.text).ok()?.into_iter().next()?;
    Some(PathBuf::from(command.program))
}

/// The program, where it has a sign in it that it takes descriptors from systemd, or cannot be
/// searched for one.
fn takes_descriptors(case: &Case<'_>) -> Option<PathBuf> {
    let program = program(case)?;
    let root = root(case);
    let inside = program.strip_prefix("/").unwrap_or(&program);
    let path = crate::root::resolve(&root, &root.join(inside)).ok()?;
    let mut bytes = Vec::new();
    match File::open(path) {
        Ok(file) => drop(file.take(SEARCHED).read_to_end(&mut bytes)),
        Err(_) => return Some(program),
    }
    let links_systemd = bytes.windows(10).any(|window| window == b"libsystemd");
    let signed = SIGNS
        .iter()
        .any(|sign| bytes.windows(sign.len()).any(|window| window == *sign));
    (links_systemd || signed || is_tool(&program)).then_some(program)
}

fn is_tool(program: &Path) -> bool {
    program == Path::new("/usr/bin/sockunit")
}
