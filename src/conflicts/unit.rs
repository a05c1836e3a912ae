//! Units that have the name or listen on the port, on disk or only loaded.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;

use super::{Claim, Finding, Location, Severity, UnitUse, UsedBy, Wanted};
use crate::systemd::{Manager, Properties};
use crate::systemd::{Place, ReadError, Scope, State, Unit};

/// What is asked of the service manager.
const PROPERTIES: [&str; 3] = ["Id", "ActiveState", "Listen"];

/// The socket units that are active, and their addresses.
#[derive(Debug, Default)]
pub struct Sockets(Vec<(String, Vec<String>)>);

impl Sockets {
    /// The unit that listens on an address.
    pub fn at(&self, address: SocketAddr) -> Option<String> {
        let address = address.to_string();
        let mut units = self.0.iter();
        let found = units.find(|(_, listens)| listens.contains(&address));
        found.map(|(unit, _)| unit.clone())
    }
}

pub fn find(place: &Place, wanted: Wanted<'_>, findings: &mut Vec<Finding>) -> Sockets {
    let mut sockets = Sockets::default();
    let mut scopes = vec![place.clone()];
    if place.scope == Scope::User {
        // The system's units do not mind a user's names, but there is one port for all.
        scopes.push(Place::new(&place.root, Scope::System));
    }
    for at in &scopes {
        let search = Search {
            place: at,
            wanted,
            names: if at.scope == place.scope {
                own_names(wanted)
            } else {
                Vec::new()
            },
        };
        search.run(&mut sockets, findings);
    }
    sockets
}

/// The units that a service of this name would have.
fn own_names(wanted: Wanted<'_>) -> Vec<String> {
    let name = wanted.name;
    vec![
        format!("{name}.socket"),
        format!("{name}@.service"),
        format!("{name}.service"),
    ]
}

struct Search<'a> {
    place: &'a Place,
    wanted: Wanted<'a>,
    names: Vec<String>,
}

impl Search<'_> {
    fn run(&self, sockets: &mut Sockets, findings: &mut Vec<Finding>) {
        let mut names: BTreeSet<String> = self.names.iter().cloned().collect();
        match Unit::names(self.place, "socket") {
            Ok(on_disk) => names.extend(on_disk),
            Err(error) => findings.push(unread(&error)),
        }
        let loaded = match Manager::of(self.place).map(|manager| self.ask(&manager)) {
            Some(Ok(loaded)) => Some(loaded),
            Some(Err(error)) => {
                findings.push(Finding {
                    severity: Severity::Note,
                    claim: Claim::default(),
                    place: Location::Manager,
                    used_by: UsedBy::Unread {
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
                    sockets.0.push((name.clone(), addresses(properties)));
                }
            }
        }
        for name in names {
            let state = loaded.as_ref().map(|loaded| loaded.get(&name));
            match self.unit(&name, state) {
                Ok(finding) => findings.extend(finding),
                Err(error) => findings.push(unread(&error)),
            }
        }
        self.instances(loaded.as_ref(), findings);
    }

    /// What the service manager knows of all sockets, of the units by the names, and of instances.
    fn ask(
        &self,
        manager: &Manager,
    ) -> Result<BTreeMap<String, Properties>, crate::systemd::SystemctlError> {
        let template = |name: &&String| name.contains('@');
        let mut asked: Vec<&str> = vec!["*.socket"];
        asked.extend(
            self.names
                .iter()
                .filter(|n| !template(n))
                .map(String::as_str),
        );
        let instances = format!("{}@*.service", self.wanted.name);
        if !self.names.is_empty() {
            asked.push(&instances);
        }
        let shown = manager.show_all(&asked, &PROPERTIES)?;
        Ok(shown
            .into_iter()
            .map(|shown| (shown.get("Id").to_string(), shown))
            .collect())
    }

    /// What there is to say of one unit. `loaded` is `None` where nobody was asked, and has
    /// nothing in it where the service manager does not know the unit.
    fn unit(
        &self,
        name: &str,
        loaded: Option<Option<&Properties>>,
    ) -> Result<Option<Finding>, ReadError> {
        let unit = Unit::load(self.place, name)?;
        let named = self.names.iter().any(|own| own == name);
        if unit.name != name && !named {
            // It comes by its own name as well.
            return Ok(None);
        }
        let port = self.wanted.port;
        let on_port = |listen: &crate::systemd::ListenDirective<'_>| {
            listen.is_stream() && listen.port() == Some(port)
        };
        let mut written: Vec<_> = unit
            .listen_directives()
            .into_iter()
            .filter(on_port)
            .collect();
        if unit.state == State::Missing {
            // Drop-ins alone are no unit.
            written.clear();
        }
        let mut listens: Vec<String> = written
            .iter()
            .map(|listen| listen.value.text.into())
            .collect();
        let active = loaded.map(|shown| shown.map_or("inactive", |shown| shown.get("ActiveState")));
        let runs = active.is_some_and(|active| active != "inactive");
        if runs && listens.is_empty() {
            // The file may have changed since it was loaded.
            let shown = loaded.flatten().map(addresses).unwrap_or_default();
            listens = shown
                .into_iter()
                .filter(|address| has_port(address, port))
                .collect();
        }
        let there = unit.state != State::Missing || runs;
        let claim = self.wanted.claim(named && there, !listens.is_empty());
        let place = match (written.first(), unit.sources.first()) {
            (Some(listen), _) => Location::File(listen.value.path.into(), Some(listen.value.line)),
            (None, Some(source)) => Location::File(source.path.clone(), None),
            (None, None) => Location::Manager,
        };
        if claim == Claim::default() {
            return Ok(self.left_over(&unit, named));
        }
        Ok(Some(Finding {
            severity: Severity::Conflict,
            claim,
            place,
            used_by: UsedBy::Unit(UnitUse {
                unit: name.to_string(),
                alias_of: (unit.name != name).then(|| unit.name.clone()),
                listens,
                masked: unit.state == State::Masked,
                enablement: match unit.state {
                    State::Found => Some(unit.enablement(self.place)?),
                    _ => None,
                },
                active: active.filter(|_| !name.contains("@.")).map(str::to_string),
            }),
        }))
    }

    /// Drop-ins that wait for a unit of the name.
    fn left_over(&self, unit: &Unit, named: bool) -> Option<Finding> {
        let folder = format!("{}.d", unit.name);
        let own = |path: &Path| {
            path.parent()
                .is_some_and(|parent| parent.ends_with(&folder))
        };
        let source = unit.sources.iter().find(|source| own(&source.path))?;
        named.then(|| Finding {
            severity: Severity::Note,
            claim: self.wanted.claim(true, false),
            place: Location::File(source.path.clone(), None),
            used_by: UsedBy::DropIns {
                unit: unit.name.clone(),
            },
        })
    }

    /// Instances that outlived their template.
    fn instances(
        &self,
        loaded: Option<&BTreeMap<String, Properties>>,
        findings: &mut Vec<Finding>,
    ) {
        let template = format!("{}@.service", self.wanted.name);
        if !self.names.contains(&template)
            || !matches!(Unit::load(self.place, &template), Ok(unit) if unit.state == State::Missing)
        {
            return;
        }
        let begins = format!("{}@", self.wanted.name);
        let names = loaded.iter().flat_map(|loaded| loaded.keys());
        let count = names.filter(|name| name.starts_with(&begins)).count();
        if count > 0 {
            findings.push(Finding {
                severity: Severity::Note,
                claim: self.wanted.claim(true, false),
                place: Location::Manager,
                used_by: UsedBy::Instances { count },
            });
        }
    }
}

/// The addresses of streams that a socket unit is loaded with.
fn addresses(shown: &Properties) -> Vec<String> {
    let listens = shown.all("Listen").iter();
    listens
        .filter_map(|listen| listen.strip_suffix(" (Stream)"))
        .map(str::to_string)
        .collect()
}

fn has_port(address: &str, port: u16) -> bool {
    address
        .parse()
        .is_ok_and(|address: SocketAddr| address.port() == port)
}

fn unread(error: &ReadError) -> Finding {
    Finding::unread(&error.path, &error.error)
}
