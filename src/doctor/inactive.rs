//! Why a socket is not active.

use super::address::{self, Address};
use super::attempt::must_accept;
use super::overlap::overlap;
use super::report::Impact;
use super::socket::listening;
use super::subject::Subject;
use super::{Problem, Report, verify};
use crate::conflicts::{FindingKind, Process, ProcessUnit};
use crate::connection::diag;
use crate::hint::ShellCommand;
use crate::log::escape;
use crate::systemd::journalctl::{self, Filter};
use crate::systemd::{ListenDirective, State, Unit};

/// Notes that the service listens itself, if it does.
///
/// # Errors
///
/// Nothing listens, and why not.
pub(super) fn explain(subject: &Subject<'_>, report: &mut Report<'_>) -> Result<(), Problem> {
    if let Some(service) = listens_itself(subject) {
        report.note(format!(
            "{service} listens itself, without {}: doctor checks no further",
            subject.socket.name
        ));
        return Ok(());
    }
    Err(not_active(subject))
}

fn not_active(subject: &Subject<'_>) -> Problem {
    let unit = &subject.socket.name;
    let fixer = subject.fixer();
    if let Some(problem) = in_use(subject) {
        return problem.impact(Impact::Refused);
    }
    let state = subject.loaded.get("ActiveState");
    let service = &subject.service.name;
    if !subject.accept && runs(subject) {
        let problem = Problem::new(
            format!(
                "{unit} is {state}, and {service} runs: systemd does not start a socket whose service runs"
            ),
            "stop the service, which the socket starts for the next connection",
        )
        .impact(Impact::Refused);
        // Nobody should paste a command that stops a service of the system.
        let own = subject.place.own_folder();
        return match subject.service.fragment() {
            Some(path) if path.starts_with(own) => problem
                .command(fixer.systemctl(&["stop"]).arg(service))
                .command(fixer.systemctl(&["start"]).arg(unit)),
            _ => problem,
        };
    }
    if state != "failed" {
        if let Some(problem) = condition(subject) {
            return problem
                .impact(Impact::Refused)
                .command(fixer.systemctl(&["start"]).arg(unit));
        }
        return Problem::new(
            format!("{unit} is {state}: it was not started, or was stopped"),
            "start it",
        )
        .impact(Impact::Refused)
        .command(fixer.systemctl(&["start"]).arg(unit));
    }
    failed_to_start(subject)
}

/// Why the socket has failed, by its Result.
fn failed_to_start(subject: &Subject<'_>) -> Problem {
    let unit = &subject.socket.name;
    let service = &subject.service.name;
    let fixer = subject.fixer();
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
            .explanation(
                "After 200 connections in 2 seconds, or 20 with Accept=no, or as TriggerLimitBurst= and \
                 TriggerLimitIntervalSec= say, systemd stops a socket until it is started again. A service with \
                 Accept=no that ends without accepting a connection has the same effect.",
            )
            .impact(Impact::Refused);
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
        .impact(Impact::Refused)
        .command(fixer.systemctl(&["restart"]).arg(unit))
}

/// Whether a shared service runs.
fn runs(subject: &Subject<'_>) -> bool {
    ["active", "activating", "reloading"].contains(&subject.started.get("ActiveState"))
}

/// The service that has the addresses of the socket open, having been started without it.
fn listens_itself(subject: &Subject<'_>) -> Option<String> {
    let socket = &subject.socket.name;
    let name = socket.strip_suffix(".socket").unwrap_or(socket);
    let shared = format!("{name}.service");
    let is_own = |unit: &ProcessUnit| {
        let own = [&shared, &subject.service.name].contains(&&unit.name);
        own && unit.of_user != subject.of_system()
    };
    for (_, finding) in listening(subject) {
        if let FindingKind::Listener { processes, .. } = finding.kind {
            let units = processes.into_iter().filter_map(|process| process.unit);
            if let Some(unit) = units.into_iter().find(is_own) {
                return Some(unit.name);
            }
        }
    }
    // The kernel does not say which process listens on a path.
    let listeners = diag::unix_listeners().unwrap_or_default();
    let listens = subject.socket.listen_directives();
    let listened = listens.iter().any(|listen| {
        let mut listeners = listeners.iter();
        listeners.any(|listener| listener.name == listen.value.text.as_bytes())
    });
    (listened && runs(subject)).then(|| subject.service.name.clone())
}

/// A condition of the unit that is not met.
fn condition(subject: &Subject<'_>) -> Option<Problem> {
    let unit = &subject.socket.name;
    let is_condition = |key: &str| key.starts_with("Condition") || key.starts_with("Assert");
    let mut conditions = subject.socket.section("Unit");
    conditions.find(|(key, value)| is_condition(key) && !value.text.is_empty())?;
    let output = verify::analyze(
        subject.place,
        "info",
        &["condition", &format!("--unit={unit}")],
    )?;
    if output.status.success() {
        return None;
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let evidence = text.lines().map(|line| escape(line.as_bytes()));
    let what = format!("{unit} is inactive: a condition in its [Unit] section is not met");
    let hint = "have the condition met, or remove it; then start the socket";
    Some(Problem::new(what, hint).evidence(evidence))
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
                && overlap(address.ip(), own.ip(), only_v6)
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
        let problem = Problem::new(
            format!(
                "port {} is in use: {unit} cannot listen on {}",
                own.port(),
                listen.value.text
            ),
            "stop the other service, or use another port",
        )
        .evidence([finding.message()])
        .evidence(
            socket
                .as_deref()
                .and_then(|socket| file(subject, socket, own.port())),
        );
        let Some(stop) = stop(subject, socket.as_deref(), processes) else {
            return Some(problem);
        };
        let restart = subject.fixer().systemctl(&["restart"]).arg(unit);
        return Some(problem.command(stop).command(restart));
    }
    None
}

/// The line that gives another socket unit a port.
fn file(subject: &Subject<'_>, socket: &str, port: u16) -> Option<String> {
    let unit = Unit::load(subject.place, socket).ok()?;
    let listens = unit.listen_directives();
    let listen = listens.iter().find(|listen| listen.port() == Some(port))?;
    let value = listen.value;
    Some(format!(
        "{}:{}: {}={}",
        value.path.display(),
        value.line,
        listen.key,
        value.text
    ))
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
