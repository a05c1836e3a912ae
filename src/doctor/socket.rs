//! Whether the socket listens.

use std::net::SocketAddr;
use std::path::Path;

use super::address::{self, Address};
use super::report::Impact;
use super::subject::Subject;
use super::{Problem, Report, Selection, inactive};
use crate::conflicts::{self, Finding, FindingKind, Location, Requested};
use crate::hint::ShellCommand;

/// Checks that the socket is active and that the kernel has its addresses. Returns whether the checks
/// of a running socket can follow.
///
/// # Errors
///
/// It does not listen, and why not.
pub(super) fn check(
    subject: &Subject<'_>,
    selection: Selection,
    report: &mut Report<'_>,
) -> Result<bool, Problem> {
    let unit = &subject.socket.name;
    if subject.manager.is_none() {
        if subject.place.live() {
            return Err(no_manager(subject));
        }
        report.note("only the running system shows whether it listens".into());
        return Ok(false);
    }
    let state = subject.loaded.get("ActiveState");
    let disabled = subject.loaded.get("UnitFileState") == "disabled";
    if selection == Selection::All && state == "inactive" && disabled {
        report.note(format!("{unit} is not started, and disabled"));
        return Ok(false);
    }
    if state != "active" {
        return inactive::explain(subject, report).map(|()| false);
    }
    let listening = listening(subject);
    let missing = subject.loaded.all("Listen").iter().find_map(|listen| {
        let text = listen.strip_suffix(" (Stream)")?;
        let exists = match Address::parse(text) {
            // Where the kernel has no IPv6, systemd leaves these addresses out.
            Address::Tcp(address) if address.is_ipv6() && !has_ipv6() => true,
            Address::Tcp(address) => listening.iter().any(|(other, _)| *other == address),
            Address::Unix(path) => address::is_there(&path),
            Address::Other(_) => true,
        };
        (!exists).then_some(text)
    });
    if let Some(text) = missing {
        // It may have stopped listening in the meantime.
        let manager = subject.manager;
        let shown = manager.and_then(|manager| manager.show(unit, &["ActiveState"]).ok());
        if shown.is_some_and(|shown| shown.get("ActiveState") != "active") {
            return inactive::explain(subject, report).map(|()| false);
        }
        let problem = Problem::new(
            format!("{unit} does not listen on {text}: it was started with other addresses"),
            "restart it",
        );
        return Err(problem.command(subject.fixer().systemctl(&["restart"]).arg(unit)));
    }
    let boot = if disabled {
        ", but is not enabled: it does not start at boot"
    } else {
        ""
    };
    report.ok(format!("{unit} listens{boot}"));
    Ok(true)
}

/// No service manager runs that could listen.
fn no_manager(subject: &Subject<'_>) -> Problem {
    let unit = &subject.socket.name;
    if subject.of_system() {
        return Problem::new(
            format!("systemd does not run here: nothing listens for {unit}"),
            "boot this system with systemd",
        )
        .impact(Impact::Refused);
    }
    Problem::new(
        format!("your service manager does not run: nothing listens for {unit}"),
        "it runs while you are logged in; lingering keeps it running",
    )
    .impact(Impact::Refused)
    .command(ShellCommand::new(&["loginctl", "enable-linger"]))
}

fn has_ipv6() -> bool {
    Path::new("/proc/net/if_inet6").exists()
}

/// The listening TCP sockets on the unit's ports, by address.
pub(super) fn listening(subject: &Subject<'_>) -> Vec<(SocketAddr, Finding)> {
    // Only the port matters here. An instance's name is not a service name.
    let Ok(name) = subject.name.parse().or_else(|_| "instance".parse()) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for port in subject.ports() {
        let port = Requested::Port(port);
        for finding in conflicts::find(subject.place, &name, port, &[]) {
            if let (Location::Address(address), FindingKind::Listener { .. }) =
                (&finding.location, &finding.kind)
            {
                found.push((*address, finding));
            }
        }
    }
    found
}
