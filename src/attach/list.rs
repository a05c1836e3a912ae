//! What is attached.

use std::path::Path;

use super::mark::{Maker, maker};
use super::render::{RECORD, TOOL};
use super::{Error, Kind};
use crate::services::Name;
use crate::systemd::Manager;
use crate::systemd::notify::ConnectionCounts;
use crate::systemd::{Enablement, Place, ReadError, State, Unit};

/// The services that the package brings.
const OWN: [&str; 2] = ["celebs", "hello"];

/// A service at a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// Where it listens, as its unit says.
    pub listen: Vec<String>,
    /// How connections are served.
    pub kind: Kind,
    /// The level of its sandbox, if `add` made it.
    pub sandbox: Option<String>,
    /// Whether it is started at boot.
    pub enablement: Enablement,
    /// What its socket is doing: `active`, `inactive`, `failed`; nothing where no manager can say.
    pub state: Option<String>,
    /// The connections that there are, where the manager says.
    pub connections: Option<u64>,
    /// The command that serves a connection, as its unit has it.
    pub program: String,
}

/// What `add` has attached, and the services of the package.
///
/// # Errors
///
/// A unit cannot be read, or the manager does not answer.
pub fn list(place: &Place) -> Result<Vec<Listed>, Error> {
    let manager = Manager::of(place);
    own(place)?
        .iter()
        .map(|(name, unit)| listed(place, manager.as_ref(), unit, name))
        .collect()
}

/// The services whose sockets `add` has made or the package brings, with those sockets.
///
/// # Errors
///
/// A unit cannot be read.
pub fn own(place: &Place) -> Result<Vec<(Name, Unit)>, ReadError> {
    let mut all = Vec::new();
    for socket in Unit::names(place, "socket")? {
        let Some(name) = socket.strip_suffix(".socket") else {
            continue;
        };
        let unit = Unit::load(place, &socket)?;
        let made = unit.fragment().is_some_and(was_made);
        if unit.state == State::Found && (made || OWN.contains(&name)) {
            all.extend(name.parse().ok().map(|name| (name, unit)));
        }
    }
    Ok(all)
}

fn was_made(fragment: &Path) -> bool {
    std::fs::read(fragment).is_ok_and(|bytes| maker(&bytes) != Maker::Other)
}

fn listed(
    place: &Place,
    manager: Option<&Manager>,
    socket: &Unit,
    name: &Name,
) -> Result<Listed, Error> {
    let kind = match socket.flag("Socket", "Accept") {
        Some(true) => Kind::Single,
        _ => Kind::Shared,
    };
    let service = Unit::load(place, &kind.service(name))?;
    let (mut state, mut connections) = (None, None);
    if let Some(manager) = manager {
        let told = manager.show(&socket.name, &["ActiveState", "NConnections"])?;
        state = Some(told.get("ActiveState").to_owned());
        connections = match kind {
            Kind::Single => told.get("NConnections").parse().ok(),
            Kind::Shared => {
                let told = manager.show(&service.name, &["ActiveState", "StatusText"])?;
                match told.get("ActiveState") {
                    "active" | "reloading" => {
                        let counts: Option<ConnectionCounts> = told.get("StatusText").parse().ok();
                        counts.map(|counts| counts.open)
                    }
                    _ => Some(0),
                }
            }
        };
    }
    let command = service.value("Service", "ExecStart");
    let command = command.map_or("", |command| command.text);
    // What serves many names the program behind its own options.
    let serves = command
        .split_once(" serve ")
        .filter(|(tool, _)| tool.trim_start_matches('-') == TOOL);
    let program = serves
        .and_then(|(_, rest)| rest.split_once(" -- "))
        .map_or(command, |(_, program)| program);
    Ok(Listed {
        name: name.to_string(),
        listen: socket
            .listens()
            .iter()
            .map(|listen| listen.value.text.to_owned())
            .collect(),
        kind,
        sandbox: service
            .value(RECORD, "Sandbox")
            .map(|level| level.text.to_owned()),
        enablement: socket.enablement(place)?,
        state,
        connections,
        program: program.trim_start_matches('-').to_owned(),
    })
}
