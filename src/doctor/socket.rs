//! Whether the socket listens, and why not.

use std::net::SocketAddr;
use std::path::Path;

use super::address::{self, Address};
use super::attempt::must_accept;
use super::files::REFUSED;
use super::subject::Subject;
use super::{Problem, Report, Selection};
use crate::conflicts::{self, Finding, FindingKind, Location, Process, ProcessUnit, Requested};
use crate::hint::ShellCommand;
use crate::systemd::journalctl::{self, Filter};
use crate::systemd::{ListenDirective, State, Unit};

/// Checks that the socket is active and that the kernel has its addresses. Returns whether the checks
/// of a running socket can follow.
///
/// # Errors
///
/// It does not listen, and why not.
pub fn check(
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
        return Err(not_active(subject));
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
        .impact(REFUSED);
    }
    Problem::new(
        format!("your service manager does not run: nothing listens for {unit}"),
        "it runs while you are logged in; lingering keeps it running",
    )
    .impact(REFUSED)
    .command(ShellCommand::new(&["loginctl", "enable-linger"]))
}

fn has_ipv6() -> bool {
    Path::new("/proc/net/if_inet6").exists()
}

/// The listening TCP sockets on the unit's ports, by address.
fn listening(subject: &Subject<'_>) -> Vec<(SocketAddr, Finding)> {
    // Only the port matters here. An instance's name is no service name.
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

fn not_active(subject: &Subject<'_>) -> Problem {
    let unit = &subject.socket.name;
    let fixer = subject.fixer();
    if let Some(problem) = in_use(subject) {
        return problem.impact(REFUSED);
    }
    let state = subject.loaded.get("ActiveState");
    let service = &subject.service.name;
    let runs = ["active", "activating", "reloading"].contains(&subject.started.get("ActiveState"));
    if !subject.accept && runs {
        return Problem::new(
            format!(
                "{unit} is {state}, and {service} runs: systemd does not start a socket whose service runs"
            ),
            "stop the service, which the socket starts for the next connection",
        )
        .impact(REFUSED)
        .command(fixer.systemctl(&["stop"]).arg(service))
        .command(fixer.systemctl(&["start"]).arg(unit));
    }
    if state != "failed" {
        return Problem::new(
            format!("{unit} is {state}: it was not started, or was stopped"),
            "start it",
        )
        .impact(REFUSED)
        .command(fixer.systemctl(&["start"]).arg(unit));
    }
    let journal = |unit| journalctl::last(subject.place, Filter::Unit(unit), None).quoted();
    let problem = match subject.loaded.get("Result") {
        "trigger-limit-hit" => {
            let problem = Problem::new(
                format!("{unit} has reached its trigger limit, and systemd has stopped it"),
                format!(
                    "remove the limit; MaxConnections= bounds the connections{}",
                    must_accept(subject)
                ),
            )
            .evidence(journal(unit))
            .impact(format!(
                "systemd stops a socket for good after 200 connections in 2 seconds, or as TriggerLimitBurst= and \
                 TriggerLimitIntervalSec= say. A service with Accept=no that ends without accepting a connection has \
                 the same effect. {REFUSED}"
            ));
            return fixer.by_drop_in(problem, unit, "Socket", &["TriggerLimitIntervalSec=0"]);
        }
        "service-start-limit-hit" => Problem::new(
            format!("{unit} has failed, because {service} ended too often in a short time"),
            format!(
                "fix the program, then reset the failure and start the socket{}",
                must_accept(subject)
            ),
        )
        .evidence(journal(&subject.services()))
        .command(
            fixer
                .systemctl(&["reset-failed"])
                .arg(subject.services())
                .arg(unit),
        ),
        "start-limit-hit" => Problem::new(
            format!("{unit} was started too often in a short time"),
            "reset the failure, and start it",
        )
        .evidence(journal(unit))
        .command(fixer.systemctl(&["reset-failed"]).arg(unit)),
        result => Problem::new(
            format!("{unit} failed to start: {result}"),
            "fix what systemd reports in the entries above, then start it",
        )
        .evidence(journal(unit)),
    };
    problem
        .impact(REFUSED)
        .command(fixer.systemctl(&["restart"]).arg(unit))
}

/// Another socket that has one of the addresses.
fn in_use(subject: &Subject<'_>) -> Option<Problem> {
    let unit = &subject.socket.name;
    let found = listening(subject);
    let listens = subject.socket.listen_directives();
    let only_v6 = subject.only_v6();
    let streams = listens
        .iter()
        .filter(|listen: &&ListenDirective<'_>| listen.is_stream());
    for listen in streams {
        let Address::Tcp(own) = Address::parse(listen.value.text) else {
            continue;
        };
        let other = found.iter().find(|(address, _)| {
            address.port() == own.port()
                && address::overlap(address.ip(), own.ip(), only_v6)
                && !address::is_free(own, only_v6)
        });
        let Some((_, finding)) = other else {
            continue;
        };
        let FindingKind::Listener {
            processes,
            unit: socket,
            ..
        } = &finding.kind
        else {
            continue;
        };
        let shown = finding.to_string();
        let shown = shown.strip_prefix("taken: ").unwrap_or(&shown).to_string();
        let problem = Problem::new(
            format!(
                "port {} is in use: {unit} cannot listen on {}",
                own.port(),
                listen.value.text
            ),
            "stop the other service, or use another port",
        )
        .evidence([shown]);
        let Some(stop) = stop(subject, socket.as_deref(), processes) else {
            return Some(problem);
        };
        let restart = subject.fixer().systemctl(&["restart"]).arg(unit);
        return Some(problem.command(stop).command(restart));
    }
    None
}

/// The command that stops the other service.
fn stop(
    subject: &Subject<'_>,
    socket: Option<&str>,
    processes: &[Process],
) -> Option<ShellCommand> {
    let of_system = ShellCommand::new(&["systemctl", "stop"]);
    if let Some(socket) = socket {
        let own = Unit::load(subject.place, socket).is_ok_and(|unit| unit.state == State::Found);
        return Some(match own {
            true => subject.fixer().systemctl(&["stop"]).arg(socket),
            false => of_system.arg(socket),
        });
    }
    let process = processes.first()?;
    // The system's manager may have a unit with the name of a user's, and must not stop that.
    let unit = process.unit.as_ref();
    let is_service = |unit: &&ProcessUnit| !unit.of_user && unit.name.ends_with(".service");
    Some(match unit.filter(is_service) {
        Some(service) => of_system.arg(&service.name),
        None => ShellCommand::new(&["kill"]).arg(process.pid.to_string()),
    })
}
