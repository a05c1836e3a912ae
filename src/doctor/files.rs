//! The unit files: there, and without lines that systemd ignores.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::fix::{Way, shell};
use super::subject::Case;
use super::{Fault, Tell};
use crate::systemd::{Manager, Properties};
use crate::systemd::{Place, State, SyntaxProblemKind, Unit, UnitName};

/// Finds the units of a service on disk.
///
/// # Errors
///
/// The first that is missing, masked or unreadable.
pub fn open<'a>(place: &'a Place, name: &str, tell: &mut Tell<'_>) -> Result<Case<'a>, Fault> {
    let socket_name = format!("{name}.socket");
    if UnitName::parse(&socket_name).is_none() {
        return Err(Fault::new(
            format!("{name:?} is no name of a unit"),
            "a name has letters, digits and : - _ . @ only",
        ));
    }
    let socket = load(place, &socket_name)?;
    match socket.state {
        State::Found => {}
        State::Masked => return Err(masked(place, &socket)),
        State::Missing => return Err(no_socket(place, name, &socket)),
    }
    readable(&socket)?;
    tell.good(are(&socket));

    let accept = socket.flag("Socket", "Accept").unwrap_or(false);
    let manager = Manager::of(place);
    let service_name = wanted(&socket, &socket_name, accept);
    // Specifiers are known to the manager.
    let service_name = match (service_name.contains('%'), manager) {
        (true, Some(manager)) => triggered(manager, &socket_name).unwrap_or(service_name),
        _ => service_name,
    };
    let service = load(place, &service_name)?;
    match service.state {
        State::Found => {}
        State::Masked => return Err(masked(place, &service)),
        State::Missing => return Err(no_service(place, &socket, &service_name, accept)),
    }
    if accept {
        if let Some(explicit) = socket.value("Socket", "Service") {
            return Err(Fault::new(
                format!(
                    "{}:{}: Service= goes with Accept=no only, and systemd does not load a socket that has both",
                    explicit.path.display(),
                    explicit.line
                ),
                format!("take the line away, and call the template {service_name}"),
            ));
        }
    }
    readable(&service)?;
    let each = if accept {
        "each connection"
    } else {
        "all connections"
    };
    tell.good(format!("{}, for {each}", are(&service)));
    Ok(Case {
        place,
        manager,
        name: name.to_string(),
        socket,
        loaded: Properties::default(),
        accept,
        service,
        started: Properties::default(),
    })
}

/// The service that a socket starts.
fn wanted(socket: &Unit, socket_name: &str, accept: bool) -> String {
    let stem = socket.name.strip_suffix(".socket").unwrap_or(socket_name);
    if accept {
        return format!("{stem}@.service");
    }
    match socket.value("Socket", "Service") {
        Some(service) => service.text.to_string(),
        None => format!("{stem}.service"),
    }
}

/// What the manager says that a socket starts.
fn triggered(manager: Manager, socket: &str) -> Option<String> {
    let shown = manager.show(socket, &["Triggers"]).ok()?;
    let service = shown.get("Triggers").split_whitespace().next()?;
    Some(service.to_string())
}

fn load(place: &Place, name: &str) -> Result<Unit, Fault> {
    Unit::load(place, name).map_err(|error| {
        Fault::new(
            format!(
                "{name} could not be read: {}: {}",
                error.path.display(),
                error.error
            ),
            "run this as root, or make the file readable",
        )
    })
}

fn are(unit: &Unit) -> String {
    let path = unit.fragment().unwrap_or(Path::new("")).display();
    let drop_ins = match unit.sources.len().saturating_sub(1) {
        0 => String::new(),
        1 => " with 1 drop-in".to_string(),
        more => format!(" with {more} drop-ins"),
    };
    format!("{path}{drop_ins}")
}

fn masked(place: &Place, unit: &Unit) -> Fault {
    let path = unit.fragment().unwrap_or(Path::new(""));
    let way = Way {
        place,
        socket: &unit.name,
    };
    Fault::new(
        format!(
            "{} is masked by {}, so that systemd refuses to start it",
            unit.name,
            path.display()
        ),
        "take the mask away",
    )
    .command(match place.live() {
        true if path.starts_with("/run") => {
            way.systemctl(&format!("unmask --runtime {}", unit.name))
        }
        true => way.systemctl(&format!("unmask {}", unit.name)),
        false => format!("rm {}", shell(path)),
    })
}

/// Lines that systemd ignores are never what somebody meant.
fn readable(unit: &Unit) -> Result<(), Fault> {
    if let Some((path, fault)) = unit.syntax_problems().next() {
        let place = format!("{}:{}", path.display(), fault.line);
        return Err(Fault::new(
            format!("{place}: {}", fault.kind),
            match fault.kind {
                SyntaxProblemKind::Header => "write the ] at the end of that line",
                SyntaxProblemKind::NoSection => {
                    "put a section such as [Socket] or [Service] above it"
                }
                _ => "mend that line, or put a # before it",
            },
        ));
    }
    Ok(())
}

fn no_socket(place: &Place, name: &str, socket: &Unit) -> Fault {
    let folders = place.own_folder();
    let what = match socket.sources.first() {
        Some(drop_in) => format!(
            "there is no {}, only a drop-in for it: {}",
            socket.name,
            drop_in.path.display()
        ),
        None => format!("there is no {} in any folder of units", socket.name),
    };
    let strays: Vec<PathBuf> = [
        folders.join(name),
        folders.join(format!("{name}.socket.conf")),
    ]
    .into_iter()
    .filter(|path| path.is_file())
    .collect();
    if let Some(stray) = strays.first() {
        return Fault::new(what, "a unit's file ends in its type; rename this one")
            .seen([stray.display().to_string()])
            .command(format!(
                "mv {} {}",
                shell(stray),
                shell(folders.join(&socket.name))
            ));
    }
    let xinetd = place.path(format!("/etc/xinetd.d/{name}"));
    if xinetd.is_file() {
        return Fault::new(
            what,
            "ask xinetd about it, or attach the program anew: sockunit add",
        )
        .seen([format!(
            "{} says that xinetd serves {name}",
            xinetd.display()
        )]);
    }
    let services: BTreeSet<String> = Unit::names(place, "service").unwrap_or_default();
    let own = [format!("{name}.service"), format!("{name}@.service")];
    match own.iter().find(|own| services.contains(*own)) {
        Some(service) => Fault::new(
            what,
            "write one; these lines are the least it has to say: [Socket], ListenStream=127.0.0.1:PORT, Accept=yes",
        )
        .seen([format!("{service} is there, and nothing listens for it")])
        .means("A client is told: Connection refused."),
        None => Fault::new(
            what,
            "check the spelling (systemctl list-unit-files '*.socket'), or attach a program: sockunit add NAME PORT -- PROGRAM",
        ),
    }
}

/// The service that the socket would start is not there; often its sibling is.
fn no_service(place: &Place, socket: &Unit, wanted: &str, accept: bool) -> Fault {
    let (says, other_says) = match socket.value("Socket", "Accept") {
        Some(value) => (
            format!(
                "{}:{} says Accept={}",
                value.path.display(),
                value.line,
                value.text
            ),
            String::new(),
        ),
        None => (
            format!("{} does not say Accept=yes", socket.name),
            " (without it, one process is handed the listening socket)".to_string(),
        ),
    };
    let what = format!("{says}{other_says}, so that systemd starts {wanted}, and there is none");
    let other = match accept {
        true => wanted.replace("@.", "."),
        false => wanted.replace(".service", "@.service"),
    };
    let sibling = Unit::load(place, &other).ok();
    let file = sibling.as_ref().filter(|unit| unit.state == State::Found);
    let Some(file) = file.and_then(Unit::fragment) else {
        let advice = format!("write {wanted}, or attach the program anew: sockunit add");
        return Fault::new(what, advice);
    };
    let explained = match accept {
        true => {
            "systemd can hand a single connection to an instance of a template only; to a plain service it \
                 says: Failed to set socket on service: Invalid argument."
        }
        false => "A template is for single connections, which systemd hands over with Accept=yes.",
    };
    let fault =
        Fault::new(what, format!("there is {other}: have the socket start it")).means(explained);
    let way = Way {
        place,
        socket: &socket.name,
    };
    match accept {
        // The file is right but for its name.
        true => way.by_name(fault, file, wanted),
        false => way.by_drop_in(fault, &socket.name, "Socket", &["Accept=yes"]),
    }
}
