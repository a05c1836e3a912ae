//! Units that have the name or listen on the port, as unit files or loaded by systemd.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;

use super::{Claim, ConflictingUnit, Finding, FindingKind, Location, Query, Requested, Severity};
use crate::systemd::{
    Catalogue, Enablement, ListenDirective, Manager, Place, Properties, ReadError, Scope, State,
    SystemctlError, Unit, service_units,
};

/// The properties that the service manager is asked for.
const PROPERTIES: [&str; 3] = ["Id", "ActiveState", "Listen"];

/// The active socket units, with their addresses.
#[derive(Debug, Default)]
pub(super) struct ActiveSockets(Vec<(String, Vec<String>)>);

impl ActiveSockets {
    /// The unit that listens on an address.
    pub(super) fn at(&self, address: &str) -> Option<String> {
        let mut units = self.0.iter();
        let found = units.find(|(_, listens)| listens.iter().any(|listen| listen == address));
        found.map(|(unit, _)| unit.clone())
    }
}

/// Adds the units with the name or the port, and returns the active socket units.
pub(super) fn find(place: &Place, query: Query<'_>, findings: &mut Vec<Finding>) -> ActiveSockets {
    let mut sockets = ActiveSockets::default();
    let mut scopes = vec![place.clone()];
    if place.scope == Scope::User {
        // User units and system units may have the same names, but not the same ports.
        scopes.push(Place::new(&place.root, Scope::System));
    }
    for at in &scopes {
        let search = UnitSearch {
            place: at,
            query,
            names: if at.scope == place.scope {
                service_units(query.name).to_vec()
            } else {
                Vec::new()
            },
        };
        search.run(&mut sockets, findings);
    }
    sockets
}

/// A search for units of one service manager.
struct UnitSearch<'a> {
    place: &'a Place,
    query: Query<'a>,
    /// The units with the service name.
    names: Vec<String>,
}

impl UnitSearch<'_> {
    fn run(&self, sockets: &mut ActiveSockets, findings: &mut Vec<Finding>) {
        let mut names: BTreeSet<String> = self.names.iter().cloned().collect();
        let catalogue = Catalogue::read(self.place);
        match &catalogue {
            Ok(catalogue) => names.extend(catalogue.names("socket")),
            Err(error) => findings.push(unread(error)),
        }
        let loaded = match Manager::of(self.place).map(|manager| self.ask(&manager)) {
            Some(Ok(loaded)) => Some(loaded),
            Some(Err(error)) => {
                findings.push(Finding {
                    severity: Severity::Note,
                    claim: Claim::default(),
                    location: Location::Manager,
                    kind: FindingKind::Unread {
                        why: error.to_string(),
                    },
                });
                None
            }
            None => None,
        };
        for (name, properties) in loaded.iter().flatten() {
            if name.ends_with(".socket") {
                names.insert(name.clone());
                if properties.get("ActiveState") == "active" {
                    sockets
                        .0
                        .push((name.clone(), properties.stream_addresses()));
                }
            }
        }
        let Ok(catalogue) = catalogue else {
            return;
        };
        for name in names {
            let state = loaded
                .as_ref()
                .map(|loaded| match name.ends_with("@.service") {
                    true => self.running_instance(loaded),
                    false => loaded.get(&name),
                });
            match self.unit(&catalogue, &name, state) {
                Ok(finding) => findings.extend(finding),
                Err(error) => findings.push(unread(&error)),
            }
        }
        self.instances(&catalogue, loaded.as_ref(), findings);
    }

    /// Asks the service manager for all sockets, the units with the name, and instances.
    fn ask(&self, manager: &Manager) -> Result<BTreeMap<String, Properties>, SystemctlError> {
        let template = |name: &&String| name.contains('@');
        let mut asked: Vec<&str> = vec!["*.socket"];
        asked.extend(
            self.names
                .iter()
                .filter(|n| !template(n))
                .map(String::as_str),
        );
        let instances = format!("{}@*.service", self.query.name);
        if !self.names.is_empty() {
            asked.push(&instances);
        }
        let shown = manager.show_all(&asked, &PROPERTIES)?;
        Ok(shown
            .into_iter()
            .map(|shown| (shown.get("Id").to_string(), shown))
            .collect())
    }

    /// An instance of the template that runs: a template is not loaded itself.
    fn running_instance<'p>(
        &self,
        loaded: &'p BTreeMap<String, Properties>,
    ) -> Option<&'p Properties> {
        let prefix = format!("{}@", self.query.name);
        let mut instances = loaded
            .iter()
            .filter(|(name, _)| name.starts_with(&prefix) && name.ends_with(".service"));
        let runs = |shown: &Properties| shown.get("ActiveState") != "inactive";
        instances.find_map(|(_, shown)| runs(shown).then_some(shown))
    }

    /// The finding of one unit. `loaded` is `None` without a service manager, and `Some(None)` if the
    /// service manager does not know the unit.
    fn unit(
        &self,
        catalogue: &Catalogue<'_>,
        name: &str,
        loaded: Option<Option<&Properties>>,
    ) -> Result<Option<Finding>, ReadError> {
        let unit = catalogue.load(name)?;
        let named = self.names.iter().any(|own| own == name);
        if unit.name != name && !named {
            // It is an alias; the unit is checked by its own name.
            return Ok(None);
        }
        let written = self.lines(&unit);
        let mut listens: Vec<String> = written
            .iter()
            .map(|listen| listen.value.text.into())
            .collect();
        let active = loaded.map(|shown| shown.map_or("inactive", |shown| shown.get("ActiveState")));
        let runs = active.is_some_and(|active| active != "inactive");
        if runs && listens.is_empty() {
            // The file may have changed since systemd loaded it.
            listens = self.loaded_addresses(loaded.flatten());
        }
        let named = named && (unit.state != State::Missing || runs);
        let enablement = match unit.state {
            State::Found => Some(unit.enablement(catalogue)?),
            _ => None,
        };
        // A unit of the other kind of service is not overwritten, but a running one has clients.
        let name_in_use = named && (runs || self.query.units.iter().any(|own| own == name));
        // Without a service manager, a unit that cannot be enabled may be started by another one.
        let may_run = match enablement {
            Some(Enablement::Enabled) => true,
            Some(Enablement::Static) => loaded.is_none(),
            Some(Enablement::Disabled) | None => false,
        };
        let port_in_use = !listens.is_empty() && (runs || may_run);
        let (severity, claim) = match name_in_use || port_in_use {
            true => (
                Severity::Conflict,
                self.query.claim(name_in_use, port_in_use),
            ),
            false => (Severity::Note, self.query.claim(named, !listens.is_empty())),
        };
        let location = match (written.first(), unit.sources.first()) {
            (Some(listen), _) => Location::File(listen.value.path.into(), Some(listen.value.line)),
            (None, Some(source)) => Location::File(source.path.clone(), None),
            (None, None) => Location::Manager,
        };
        if claim == Claim::default() {
            let own = self.names.iter().any(|own| own == name);
            return Ok(self.drop_in(&unit, own));
        }
        Ok(Some(Finding {
            severity,
            claim,
            location,
            kind: FindingKind::Unit(ConflictingUnit {
                unit: name.to_string(),
                alias_of: (unit.name != name).then(|| unit.name.clone()),
                listens,
                masked: unit.state == State::Masked,
                enablement,
                active: active.filter(|_| !name.contains("@.")).map(str::to_string),
            }),
        }))
    }

    /// The lines of a unit's files that set the address.
    fn lines<'u>(&self, unit: &'u Unit) -> Vec<ListenDirective<'u>> {
        if unit.state == State::Missing {
            // Drop-ins without a unit file define no unit.
            return Vec::new();
        }
        let mut listens = unit.listen_directives();
        listens.retain(|listen| {
            let here = match self.query.address {
                Requested::Port(port) => listen.port() == Some(port),
                Requested::Path(path) => listen.value.text == path,
            };
            listen.is_stream() && here
        });
        listens
    }

    /// The address, if systemd has loaded it for a unit.
    fn loaded_addresses(&self, loaded: Option<&Properties>) -> Vec<String> {
        let mut addresses = loaded.map_or_else(Vec::new, Properties::stream_addresses);
        addresses.retain(|address| match self.query.address {
            Requested::Port(port) => has_port(address, port),
            Requested::Path(path) => address == path,
        });
        addresses
    }

    /// A drop-in for a unit that has the name and no unit file.
    fn drop_in(&self, unit: &Unit, named: bool) -> Option<Finding> {
        let dir = format!("{}.d", unit.name);
        let own = |path: &Path| path.parent().is_some_and(|parent| parent.ends_with(&dir));
        let source = unit.sources.iter().find(|source| own(&source.path))?;
        named.then(|| Finding {
            severity: Severity::Note,
            claim: self.query.claim(true, false),
            location: Location::File(source.path.clone(), None),
            kind: FindingKind::DropIn {
                unit: unit.name.clone(),
            },
        })
    }

    /// Running instances of a template unit that has no unit file any more.
    fn instances(
        &self,
        catalogue: &Catalogue<'_>,
        loaded: Option<&BTreeMap<String, Properties>>,
        findings: &mut Vec<Finding>,
    ) {
        let template = format!("{}@.service", self.query.name);
        if !self.names.contains(&template)
            || !matches!(catalogue.load(&template), Ok(unit) if unit.state == State::Missing)
        {
            return;
        }
        let prefix = format!("{}@", self.query.name);
        let names = loaded.iter().flat_map(|loaded| loaded.keys());
        let count = names.filter(|name| name.starts_with(&prefix)).count();
        if count > 0 {
            findings.push(Finding {
                severity: Severity::Note,
                claim: self.query.claim(true, false),
                location: Location::Manager,
                kind: FindingKind::Instances { count },
            });
        }
    }
}

fn has_port(address: &str, port: u16) -> bool {
    address
        .parse()
        .is_ok_and(|address: SocketAddr| address.port() == port)
}

fn unread(error: &ReadError) -> Finding {
    Finding::unread(&error.path, &error.error)
}
