//! Whether the socket listens, and why it does not.

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::path::Path;

use super::address::{self, Address};
use super::subject::Case;
use super::{Asked, Fault, Tell};
use crate::conflicts::{self, Finding, FindingKind, Location, Process};
use crate::systemd::journalctl::{self, Of};
use crate::systemd::{ListenDirective, State, Unit};

/// Checks that the socket is active and the kernel has its addresses. False where there is no
/// running socket to look at further.
///
/// # Errors
///
/// It is not, and this is why.
pub fn check(case: &Case<'_>, asked: Asked, tell: &mut Tell<'_>) -> Result<bool, Fault> {
    let unit = &case.socket.name;
    if case.manager.is_none() {
        if case.place.live() {
            return Err(no_manager(case));
        }
        tell.note("whether it listens is known in the running system only".into());
        return Ok(false);
    }
    let state = case.loaded.get("ActiveState");
    if asked == Asked::Among
        && state == "inactive"
        && case.loaded.get("UnitFileState") == "disabled"
    {
        tell.note(format!(
            "{unit} is not started, nor at boot ({})",
            case.systemctl(&format!("start {unit}"))
        ));
        return Ok(false);
    }
    if state != "active" {
        return Err(not_active(case, state));
    }
    let listening = found(case);
    let missing = case.loaded.all("Listen").iter().find_map(|listen| {
        let text = listen.strip_suffix(" (Stream)")?;
        let there = match Address::parse(text) {
            // systemd leaves such addresses out where the kernel has no IPv6.
            Address::Tcp(address) if address.is_ipv6() && !has_ipv6() => true,
            Address::Tcp(address) => listening.iter().any(|(other, _)| *other == address),
            Address::Unix(path) => address::is_there(&path),
            Address::Other(_) => true,
        };
        (!there).then_some(text)
    });
    if let Some(text) = missing {
        let fault = Fault::new(
            format!(
                "{unit} is to listen on {text}, and does not: it was started with other addresses"
            ),
            "start it anew",
        );
        return Err(fault.command(case.systemctl(&format!("restart {unit}"))));
    }
    let boot = match case.loaded.get("UnitFileState") {
        "disabled" => format!(
            "; not at boot ({})",
            case.systemctl(&format!("enable {unit}"))
        ),
        _ => String::new(),
    };
    tell.good(format!("{unit} listens{boot}"));
    Ok(true)
}

/// Nobody who would listen.
fn no_manager(case: &Case<'_>) -> Fault {
    let refused = "A client is told: Connection refused.";
    if case.of_system() {
        let what = format!(
            "systemd does not run here, so that nothing listens for {}",
            case.socket.name
        );
        return Fault::new(what, "boot this system with systemd").means(refused);
    }
    Fault::new(
        format!(
            "your own service manager does not run, so that nothing listens for {}",
            case.socket.name
        ),
        "it runs while you are logged in; this has it run always",
    )
    .means(refused)
    .command("loginctl enable-linger")
}

fn has_ipv6() -> bool {
    Path::new("/proc/net/if_inet6").exists()
}

/// The listening TCP sockets of the unit's ports, by address.
fn found(case: &Case<'_>) -> Vec<(SocketAddr, Finding)> {
    // Who has the name does not count here, and an instance's is none for the services database.
    let Ok(name) = case.name.parse().or_else(|_| "instance".parse()) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for port in case.ports().into_iter().filter_map(NonZeroU16::new) {
        for finding in conflicts::find(case.place, &name, port) {
            if let (Location::Address(address), FindingKind::Listener { .. }) =
                (&finding.location, &finding.kind)
            {
                found.push((*address, finding));
            }
        }
    }
    found
}

fn not_active(case: &Case<'_>, state: &str) -> Fault {
    let unit = &case.socket.name;
    let refused = "A client is told: Connection refused.";
    if let Some(fault) = taken(case) {
        return fault.means(refused);
    }
    let restart = case.systemctl(&format!("restart {unit}"));
    let service = &case.service.name;
    let runs = ["active", "activating", "reloading"].contains(&case.started.get("ActiveState"));
    if !case.accept && runs {
        return Fault::new(
            format!("{unit} is {state}, and {service} runs without it: systemd does not start a socket then"),
            "stop the service, which the socket starts when somebody comes",
        )
        .means(refused)
        .command(case.systemctl(&format!("stop {service}")))
        .command(case.systemctl(&format!("start {unit}")));
    }
    if state != "failed" {
        return Fault::new(
            format!("{unit} is {state}: it was not started, or was stopped"),
            "start it",
        )
        .means(refused)
        .command(case.systemctl(&format!("start {unit}")));
    }
    let words = journalctl::last(case.place, Of::Unit(unit), None);
    let result = case.loaded.get("Result");
    let fault = match result {
        "trigger-limit-hit" => {
            let fault = Fault::new(
                format!("{unit} was taken down by its trigger limit: too many connections came in too short a time"),
                "lift the limit, which MaxConnections= makes needless",
            )
            .seen(words.evidence())
            .means(format!(
                "systemd closes a socket for good that is triggered 200 times in 2 seconds, or as TriggerLimitBurst= \
                 and TriggerLimitIntervalSec= say; a service for all connections that ends without accepting one does \
                 that as well. {refused}"
            ));
            return case.by_drop_in(fault, unit, "Socket", &["TriggerLimitIntervalSec=0"]);
        }
        "service-start-limit-hit" => {
            let service = &case.service.name;
            let words = journalctl::last(case.place, Of::Unit(&case.services()), None);
            Fault::new(
                format!(
                    "{unit} was given up, because {service} ended too often in too short a time"
                ),
                "mend what its program says above, then start both anew",
            )
            .seen(words.evidence())
            .means(refused)
            .command(case.systemctl(&format!("reset-failed {} {unit}", case.services())))
        }
        "start-limit-hit" => Fault::new(
            format!("{unit} was started too often in too short a time"),
            "forget that, and start it",
        )
        .seen(words.evidence())
        .means(refused)
        .command(case.systemctl(&format!("reset-failed {unit}"))),
        _ => Fault::new(
            format!("{unit} failed to start: {result}"),
            "mend what systemd says above, then start it",
        )
        .seen(words.evidence())
        .means(refused),
    };
    fault.command(restart)
}

/// Somebody else who has one of the ports.
fn taken(case: &Case<'_>) -> Option<Fault> {
    let unit = &case.socket.name;
    let found = found(case);
    let listens = case.socket.listen_directives();
    let wanted = |listen: &&ListenDirective<'_>| listen.is_stream();
    let only_v6 = case.only_v6();
    for listen in listens.iter().filter(wanted) {
        let Address::Tcp(own) = Address::parse(listen.value.text) else {
            continue;
        };
        let used_by = found.iter().find(|(address, _)| {
            address.port() == own.port()
                && address::overlap(address.ip(), own.ip(), only_v6)
                && !address::is_free(own, only_v6)
        });
        let Some((_, finding)) = used_by else {
            continue;
        };
        let FindingKind::Listener {
            processes,
            unit: by,
            ..
        } = &finding.kind
        else {
            continue;
        };
        let what = format!(
            "port {} is taken, so that {unit} cannot listen on {}",
            own.port(),
            listen.value.text
        );
        let fault =
            Fault::new(what, "end who has it, or choose another port").seen([finding.message()]);
        let fault = match end(case, by.as_deref(), processes) {
            Some(command) => fault.command(command),
            None => return Some(fault),
        };
        return Some(fault.command(case.systemctl(&format!("restart {unit}"))));
    }
    None
}

/// The command that ends who listens.
fn end(case: &Case<'_>, unit: Option<&str>, processes: &[Process]) -> Option<String> {
    if let Some(unit) = unit {
        let own = Unit::load(case.place, unit).is_ok_and(|unit| unit.state == State::Found);
        return Some(match own {
            true => case.systemctl(&format!("stop {unit}")),
            false => format!("systemctl stop {unit}"),
        });
    }
    let process = processes.first()?;
    Some(
        match process
            .unit
            .as_deref()
            .filter(|unit| unit.ends_with(".service"))
        {
            Some(service) => format!("systemctl stop {service}"),
            None => format!("kill {}", process.pid),
        },
    )
}
