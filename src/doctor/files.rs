//! The unit files: present, and without lines that systemd ignores.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::fix::Fixer;
use super::report::Impact;
use super::subject::Subject;
use super::{Problem, Report, verify};
use crate::hint::ShellCommand;
use crate::log::reason;
use crate::root::{inside, trace};
use crate::systemd::{
    Manager, Place, Properties, State, SyntaxProblemKind, Unit, UnitName, other_service,
};

/// Finds the socket unit of a service on disk.
///
/// # Errors
///
/// It is missing, masked or unreadable.
pub(super) fn socket(place: &Place, name: &str, report: &mut Report<'_>) -> Result<Unit, Problem> {
    let socket_name = format!("{name}.socket");
    if UnitName::parse(&socket_name).is_none() {
        return Err(Problem::new(
            format!("{name:?} is not a valid unit name"),
            "a unit name has letters, digits and : - _ . @ only",
        ));
    }
    let socket = load(place, &socket_name)?;
    match socket.state {
        State::Found => {}
        State::Masked => return Err(masked(place, &socket)),
        State::Missing => return Err(no_socket(place, name, &socket)),
    }
    well_formed(&socket)?;
    report.ok(shown(&socket));
    verify::check(place, &socket, report);
    Ok(socket)
}

/// Finds the service that the socket starts.
///
/// # Errors
///
/// It is missing, masked or unreadable.
pub(super) fn open<'a>(
    place: &'a Place,
    name: &str,
    socket: Unit,
    report: &mut Report<'_>,
) -> Result<Subject<'a>, Problem> {
    let socket_name = format!("{name}.socket");
    let accept = socket.flag("Socket", "Accept").unwrap_or(false);
    let manager = Manager::of(place);
    let service_name = wanted(&socket, &socket_name, accept);
    // The service manager has expanded specifiers.
    let service_name = match (service_name.contains('%'), manager) {
        (true, Some(manager)) => triggered(manager, &socket_name).unwrap_or(service_name),
        _ => service_name,
    };
    let service = load(place, &service_name)?;
    match service.state {
        State::Found => {}
        State::Masked => return Err(masked(place, &service)),
        State::Missing => {
            let drop_ins = service.sources.iter();
            let drop_ins: Vec<String> = drop_ins
                .map(|drop_in| format!("{} is only a drop-in for it", drop_in.path.display()))
                .collect();
            return Err(no_service(place, &socket, &service_name, accept).evidence(drop_ins));
        }
    }
    if accept {
        if let Some(explicit) = socket.value("Socket", "Service") {
            return Err(Problem::new(
                format!(
                    "{}:{}: Service= needs Accept=no, and systemd does not load a socket with both",
                    explicit.path.display(),
                    explicit.line
                ),
                format!("remove the line, and name the template {service_name}"),
            ));
        }
    }
    well_formed(&service)?;
    let kind = if accept {
        "one instance per connection"
    } else {
        "one process for all connections"
    };
    report.ok(format!("{}, {kind}", shown(&service)));
    verify::check(place, &service, report);
    without_effect(place, &service, accept, report);
    Ok(Subject {
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

/// Notes drop-ins for a service that does not exist, because the other value of Accept= would start it.
fn without_effect(place: &Place, service: &Unit, accept: bool, report: &mut Report<'_>) {
    let Some(other) = other_service(&service.name, !accept) else {
        return;
    };
    let drop_ins = Unit::load(place, &other).ok();
    let drop_ins = drop_ins.filter(|unit| unit.state == State::Missing);
    // Those for all services apply to this one too.
    let has = |path: &Path| service.sources.iter().any(|source| source.path == path);
    for source in drop_ins.iter().flat_map(|unit| &unit.sources) {
        if !has(&source.path) {
            report.note(format!(
                "{} is a drop-in for {other}, and the socket starts {}: it has no effect",
                source.path.display(),
                service.name
            ));
        }
    }
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

/// The service that a socket starts, according to the service manager.
fn triggered(manager: Manager, socket: &str) -> Option<String> {
    let shown = manager.show(socket, &["Triggers"]).ok()?;
    let service = shown.get("Triggers").split_whitespace().next()?;
    Some(service.to_string())
}

fn load(place: &Place, name: &str) -> Result<Unit, Problem> {
    Unit::load(place, name).map_err(|error| {
        let what = format!(
            "{name} cannot be read: {}: {}",
            error.path.display(),
            reason(&error.error)
        );
        match error.error.kind() {
            ErrorKind::PermissionDenied => Problem::unchecked(what, "run this as root"),
            _ => Problem::new(what, "put a unit file there"),
        }
    })
}

fn shown(unit: &Unit) -> String {
    let path = unit.fragment().unwrap_or(Path::new("")).display();
    let drop_ins = match unit.sources.len().saturating_sub(1) {
        0 => String::new(),
        1 => " with 1 drop-in".to_string(),
        more => format!(" with {more} drop-ins"),
    };
    format!("{path}{drop_ins}")
}

fn masked(place: &Place, unit: &Unit) -> Problem {
    let path = unit.fragment().unwrap_or(Path::new(""));
    let fixer = Fixer {
        place,
        socket: &unit.name,
        shared: None,
    };
    let problem = Problem::new(
        format!(
            "{} is masked by {}: systemd does not start it",
            unit.name,
            path.display()
        ),
        "unmask it",
    );
    problem.command(match place.live() {
        true if path.starts_with("/run") => {
            fixer.systemctl(&["unmask", "--runtime"]).arg(&unit.name)
        }
        true => fixer.systemctl(&["unmask"]).arg(&unit.name),
        // The link, and not the file that it leads to.
        false => ShellCommand::new(&["rm"]).path(place.own_entry(path)),
    })
}

/// Checks that systemd reads the whole unit file; it does not load a unit of which it cannot.
fn well_formed(unit: &Unit) -> Result<(), Problem> {
    let mut problems = unit.syntax_problems();
    let found = problems
        .find(|(path, problem)| problem.kind.ends_reading() && Some(*path) == unit.fragment());
    let Some((path, problem)) = found else {
        return Ok(());
    };
    Err(Problem::new(
        format!("{}:{}: {}", path.display(), problem.line, problem.kind),
        match problem.kind {
            SyntaxProblemKind::Header => "write the ] at the end of that line",
            _ => "correct the line, or put a # before it",
        },
    ))
}

fn no_socket(place: &Place, name: &str, socket: &Unit) -> Problem {
    let own = place.own_folder();
    let what = match socket.sources.first() {
        Some(drop_in) => format!(
            "there is no {}, only a drop-in for it: {}",
            socket.name,
            drop_in.path.display()
        ),
        None => format!("there is no {} in any unit directory", socket.name),
    };
    let strays = [own.join(name), own.join(format!("{name}.socket.conf"))];
    let is_file = |path: &Path| {
        trace(&place.root, &inside(&place.root, path)).is_ok_and(|traced| traced.status.is_file())
    };
    let stray: Option<&PathBuf> = strays.iter().find(|path| is_file(path));
    if let Some(stray) = stray {
        let rename = ShellCommand::new(&["mv"])
            .path(place.own_entry(stray))
            .path(place.own_entry(&own.join(&socket.name)));
        return Problem::new(what, "rename the file, whose name has to end in its type")
            .evidence([stray.display().to_string()])
            .command(rename);
    }
    let xinetd = place.path(format!("/etc/xinetd.d/{name}"));
    if is_file(&xinetd) {
        let import = ShellCommand::new(&["sockunit", "import", "--apply", "--disable-old"]);
        return Problem::new(
            what,
            "if xinetd serves it, this has systemd serve it instead",
        )
        .evidence([format!("{} exists", xinetd.display())])
        .command(place.with_root(import).path(place.own_path(&xinetd)));
    }
    let services: BTreeSet<String> = Unit::names(place, "service").unwrap_or_default();
    let own = [format!("{name}.service"), format!("{name}@.service")];
    match own.iter().find(|own| services.contains(*own)) {
        Some(service) => Problem::new(
            what,
            "write one, with at least these lines: [Socket], ListenStream=127.0.0.1:PORT, Accept=yes",
        )
        .evidence([format!("{service} exists, and no socket starts it")])
        .impact(Impact::Refused),
        None => Problem::new(
            what,
            format!(
                "check the spelling (systemctl list-unit-files '*.socket'), or attach a program: \
                 sockunit add {name} PORT -- PROGRAM"
            ),
        ),
    }
}

/// The service that the socket starts is missing; often the one for the other value of Accept= exists.
fn no_service(place: &Place, socket: &Unit, wanted: &str, accept: bool) -> Problem {
    let setting = match socket.value("Socket", "Accept") {
        Some(value) => format!(
            "{}:{} sets Accept={}",
            value.path.display(),
            value.line,
            value.text
        ),
        None => format!("{} does not set Accept=yes", socket.name),
    };
    let what = format!("{setting}: systemd starts {wanted}, which does not exist");
    let other = other_service(wanted, !accept);
    let sibling = other
        .as_ref()
        .and_then(|other| Unit::load(place, other).ok());
    let sibling = sibling.as_ref().filter(|unit| unit.state == State::Found);
    let (Some(other), Some(file)) = (&other, sibling.and_then(Unit::fragment)) else {
        let hint = format!("write {wanted}, or attach the program with sockunit add");
        return Problem::new(what, hint);
    };
    let explanation = match accept {
        true => {
            "With Accept=yes, systemd passes each connection to an instance of a template unit. If the service is \
             not a template, it logs: Failed to set socket on service: Invalid argument."
        }
        false => {
            "With Accept=yes, systemd passes each connection to an instance of the template unit. Without it, one process \
             gets the listening socket."
        }
    };
    let problem = Problem::new(what, format!("have the socket start {other}, which exists"))
        .explanation(explanation);
    let fixer = Fixer {
        place,
        socket: &socket.name,
        shared: None,
    };
    match accept {
        // Only the name of the file is wrong.
        true => fixer.by_name(problem, file, wanted),
        false => fixer.by_drop_in(problem, &socket.name, "Socket", &["Accept=yes"]),
    }
}
