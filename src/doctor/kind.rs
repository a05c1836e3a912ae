//! Kinds of services that doctor does not know: it says so, and checks no further.

use super::Report;
use super::subject::Subject;
use crate::root::read;
use crate::systemd::Unit;

/// Where the programs of systemd are.
const OF_SYSTEMD: [&str; 2] = ["/usr/lib/systemd/", "/lib/systemd/"];

/// Strings found in programs and libraries that take sockets from systemd.
const LISTENS: [&[u8]; 2] = [b"LISTEN_FDS", b"sd_listen_fds"];

/// Whether the unit has stream sockets, or no address at all. Other sockets are named.
pub(super) fn has_streams(socket: &Unit, report: &mut Report<'_>) -> bool {
    let listens = socket.listen_directives();
    let mut others: Vec<&str> = listens
        .iter()
        .filter(|listen| !listen.is_stream())
        .map(|listen| listen.key)
        .collect();
    others.dedup();
    if others.is_empty() {
        return true;
    }
    let (unit, others) = (&socket.name, others.join("=, "));
    let streams = listens.iter().any(|listen| listen.is_stream());
    report.note(match streams {
        true => format!("{unit} also has {others}=: doctor checks stream sockets only"),
        false => {
            format!("{unit} has {others}=: doctor checks stream sockets only, and stops here")
        }
    });
    streams
}

/// Whether the service is a part of systemd that runs from early boot to shutdown.
pub(super) fn is_of_systemd(subject: &Subject<'_>, report: &mut Report<'_>) -> bool {
    let command = subject.command();
    let early = subject.socket.flag("Unit", "DefaultDependencies") == Some(false);
    let own = early && OF_SYSTEMD.iter().any(|path| command.starts_with(path));
    if own {
        let (socket, service) = (&subject.socket.name, &subject.service.name);
        report.note(format!(
            "{socket} and {service} are a part of systemd: doctor does not check them"
        ));
    }
    own
}

/// Whether systemd discards connections that the service leaves in the backlog, as it is meant.
pub(super) fn is_flushed(subject: &Subject<'_>, report: &mut Report<'_>) -> bool {
    let flushed = subject.socket.flag("Socket", "FlushPending") == Some(true);
    if flushed {
        report.note(format!(
            "{} sets FlushPending=yes: a connection only starts the service, and none is tried",
            subject.socket.name
        ));
    }
    flushed
}

/// Whether the service's program knows how to take a connection as file descriptor 3.
pub(super) fn takes_descriptors(subject: &Subject<'_>) -> bool {
    let command = subject.command();
    let program = command.split_whitespace().next().unwrap_or_default();
    let bytes = read(&subject.place.root, &subject.path(program)).unwrap_or_default();
    let has = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
    LISTENS.iter().any(|text| has(text))
}
