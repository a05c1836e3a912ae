//! What is attached.

use super::render::RECORD;
use super::signature::{Author, author};
use super::status::{Status, status};
use super::{Error, Kind, served};
use crate::SHIPPED;
use crate::root::read;
use crate::services::ServiceName;
use crate::systemd::{
    Catalogue, Enablement, Listening, Manager, Place, ReadError, State, Unit, command_lines,
};

/// An attached service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    pub name: String,
    /// The addresses that it listens on, or those in its socket unit if it is not active.
    pub listen: Vec<Listening>,
    pub kind: Kind,
    /// The level of its sandbox, if `add` wrote the unit.
    pub sandbox: Option<String>,
    /// Whether the socket is started at boot.
    pub enablement: Enablement,
    /// The state of the socket: `active`, `inactive`, `failed`; `None` if no service manager runs.
    pub state: Option<String>,
    /// The number of connections, if the service manager knows it.
    pub connections: Option<u64>,
    /// The program and its arguments, or the command as written.
    pub program: String,
}

/// The services that `add` has attached, and those of the package.
///
/// # Errors
///
/// A unit cannot be read, or systemctl fails.
pub(crate) fn list(place: &Place) -> Result<Vec<Listed>, Error> {
    let catalogue = Catalogue::read(place)?;
    let own = own_in(&catalogue)?;
    let names: Vec<String> = own.iter().map(|(name, _)| name.to_string()).collect();
    let status = match Manager::of(place) {
        Some(manager) => status(place, &manager, &names)?,
        None => Vec::new(),
    };
    own.iter()
        .map(|(name, unit)| {
            let status = status.iter().find(|status| status.name == name.to_string());
            listed(&catalogue, unit, name, status)
        })
        .collect()
}

/// The services that `add` has attached and those of the package, with their sockets.
///
/// # Errors
///
/// A unit cannot be read.
pub(crate) fn own(place: &Place) -> Result<Vec<(ServiceName, Unit)>, ReadError> {
    own_in(&Catalogue::read(place)?)
}

fn own_in(catalogue: &Catalogue<'_>) -> Result<Vec<(ServiceName, Unit)>, ReadError> {
    let mut all = Vec::new();
    for socket in catalogue.names("socket") {
        let Some(name) = socket.strip_suffix(".socket") else {
            continue;
        };
        let unit = catalogue.load(&socket)?;
        let attached = unit.fragment().is_some_and(|path| {
            read(&catalogue.place.root, path).is_ok_and(|bytes| author(&bytes) != Author::Other)
        });
        if unit.state == State::Found && (attached || SHIPPED.contains(&name)) {
            all.extend(name.parse().ok().map(|name| (name, unit)));
        }
    }
    Ok(all)
}

fn listed(
    catalogue: &Catalogue<'_>,
    socket: &Unit,
    name: &ServiceName,
    status: Option<&Status>,
) -> Result<Listed, Error> {
    let kind = match socket.flag("Socket", "Accept") {
        Some(true) => Kind::PerConnection,
        _ => Kind::Shared,
    };
    let service = catalogue.load(&kind.service(name))?;
    let listens = socket.listen_directives();
    let in_unit = || {
        listens.iter().map(|listen| Listening {
            address: listen.value.text.to_owned(),
            is_stream: listen.is_stream(),
        })
    };
    // The file may have changed since the socket was opened.
    let live = status.filter(|status| status.state == "active");
    let command = service.value("Service", "ExecStart");
    let command = command.map_or("", |command| command.text);
    let program = command_lines(command)
        .ok()
        .and_then(|commands| served(commands.first()?))
        .map(|words| words.join(" "));
    Ok(Listed {
        name: name.to_string(),
        listen: live.map_or_else(|| in_unit().collect(), |status| status.listen.clone()),
        kind,
        sandbox: service
            .value(RECORD, "Sandbox")
            .map(|level| level.text.to_owned()),
        enablement: socket.enablement(catalogue)?,
        state: status.map(|status| status.state.clone()),
        connections: status.map(|status| status.now),
        program: program.unwrap_or_else(|| command.trim_start_matches('-').to_owned()),
    })
}
