//! Finds conflicts of service names, ports and paths of AF_UNIX sockets: other uses in the services
//! database, by listening sockets, by units, and in the configuration of xinetd and inetd.

mod finding;
mod json;
pub(crate) mod listening;
mod superserver;
mod unit;

use std::num::NonZeroU16;
use std::path::Path;

pub(crate) use finding::{Claim, Finding, FindingKind, Location, Process, ProcessUnit};
pub(crate) use json::json;
pub(crate) use listening::SocketOwners;

use finding::{ConflictingUnit, Severity};

use crate::log::escape;
use crate::root::read;
use crate::services::{self, Entry, ServiceName};
use crate::systemd::Place;

/// Only root may listen on ports below this one (net.ipv4.ip_unprivileged_port_start).
const FIRST_UNPRIVILEGED_PORT: u16 = 1024;

/// The requested port or path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Requested<'a> {
    /// A TCP port.
    Port(u16),
    /// The path of an AF_UNIX socket.
    Path(&'a str),
}

/// The requested name and address.
#[derive(Debug, Clone, Copy)]
struct Query<'a> {
    name: &'a ServiceName,
    address: Requested<'a>,
    /// The units that `sockunit add` would write.
    units: &'a [String],
}

impl Query<'_> {
    /// The name, the port or path, or both.
    fn claim(&self, name: bool, address: bool) -> Claim {
        let mut claim = Claim {
            name: name.then(|| self.name.to_string()),
            ..Claim::default()
        };
        match self.address {
            _ if !address => {}
            Requested::Port(port) => claim.port = Some(port),
            Requested::Path(path) => claim.path = Some(path.into()),
        }
        claim
    }

    /// The requested port; `None` if a path is requested.
    fn port(&self) -> Option<u16> {
        match self.address {
            Requested::Port(port) => Some(port),
            Requested::Path(_) => None,
        }
    }

    /// Whether it is the requested port.
    fn is_port(&self, port: Option<u16>) -> bool {
        port.is_some() && port == self.port()
    }
}

/// Finds all uses of the name and the port or path. Both are free if no finding is a
/// [conflict](Finding::is_conflict). Files that cannot be read are findings too.
///
/// A name is in use if one of `units`, which `sockunit add` would write, exists. A port is in use if a
/// socket listens on it, an enabled or active socket unit has it, or xinetd or inetd serve it; a path also
/// if another file is there. Everything else is a note: an entry of the services database, for example.
pub(crate) fn find(
    place: &Place,
    name: &ServiceName,
    address: Requested<'_>,
    units: &[String],
) -> Vec<Finding> {
    let query = Query {
        name,
        address,
        units,
    };
    let mut findings = Vec::new();
    database(place, query, &mut findings);
    let active = unit::find(place, query, &mut findings);
    listening::find(place, query, &active, &mut findings);
    superserver::find(place, query, &mut findings);
    if query
        .port()
        .is_some_and(|port| port < FIRST_UNPRIVILEGED_PORT)
    {
        findings.push(Finding {
            severity: Severity::Note,
            claim: query.claim(false, true),
            location: Location::Nowhere,
            kind: FindingKind::PrivilegedPort,
        });
    }
    findings
}

/// Adds the entries of the services database.
fn database(place: &Place, query: Query<'_>, findings: &mut Vec<Finding>) {
    let path = place.path(Path::new("/").join(services::FILE));
    let text = match read(&place.root, &path) {
        Ok(text) => text,
        Err(error) => {
            findings.extend(Finding::unread_if_exists(&path, &error));
            return;
        }
    };
    let own = query.port().and_then(NonZeroU16::new).map(|port| {
        let name = query.name.clone();
        Entry { name, port }.to_string()
    });
    for line in services::lines(&text) {
        let name = line.is_named(query.name.as_ref());
        let port = query.is_port(line.port);
        if !name && !port {
            continue;
        }
        let ours = own.as_ref().is_some_and(|own| own.as_bytes() == line.text);
        findings.push(Finding {
            severity: Severity::Note,
            claim: query.claim(name, port),
            location: Location::File(path.clone(), Some(line.number)),
            kind: FindingKind::Entry {
                text: shown(line.text),
                tcp: line.is_tcp(),
                ours,
            },
        });
    }
}

/// A line with each run of blanks replaced by one, quoted and escaped.
fn shown(line: &[u8]) -> String {
    let words = line.split(u8::is_ascii_whitespace);
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    escape(&words.join(&b' '))
}
