//! Who has a service's name or its port: the services database, listening sockets, units, xinetd
//! and inetd.

mod finding;
pub mod inetd;
mod json;
mod listening;
mod superserver;
mod unit;
pub mod xinetd;

use std::num::NonZeroU16;
use std::path::Path;

pub use finding::{Claim, Finding, Location, Process, Severity, UnitUse, UsedBy};
pub use json::json;

use crate::log::escape;
use crate::root::read;
use crate::services::{self, Entry, ServiceName};
use crate::systemd::Place;

/// Ports below this one are for services of note, and for root.
const FIRST_FREE_PORT: u16 = 1024;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
struct Wanted<'a> {
    name: &'a ServiceName,
    port: u16,
}

impl Wanted<'_> {
    fn claim(&self, name: bool, port: bool) -> Claim {
        Claim {
            name: name.then(|| self.name.to_string()),
            port: port.then_some(self.port),
        }
    }
}

/// Looks at everything that may have the name or the port, and says what has. Nothing that is
/// found is an error, and neither is what may not be read: that is a finding too. The name and
/// the port are free where no finding is [`Severity::Conflict`].
pub fn find(place: &Place, name: &ServiceName, port: NonZeroU16) -> Vec<Finding> {
    let port = port.get();
    let wanted = Wanted { name, port };
    let mut findings = Vec::new();
    let database = database(place, wanted, &mut findings);
    let sockets = unit::find(place, wanted, &mut findings);
    listening::find(place, wanted, &sockets, &mut findings);
    superserver::find(place, wanted, &database, &mut findings);
    if port < FIRST_FREE_PORT {
        findings.push(Finding {
            severity: Severity::Note,
            claim: wanted.claim(false, true),
            place: Location::Nowhere,
            used_by: UsedBy::LowPort,
        });
    }
    findings
}

/// What the services database says; its text is returned for the names in it.
fn database(place: &Place, wanted: Wanted<'_>, findings: &mut Vec<Finding>) -> Vec<u8> {
    let path = place.path(Path::new("/").join(services::FILE));
    let text = match read(&place.root, &path) {
        Ok(text) => text,
        Err(error) => {
            findings.extend(Finding::unread_if_there(&path, &error));
            return Vec::new();
        }
    };
    let own = NonZeroU16::new(wanted.port).map(|port| {
        let name = wanted.name.clone();
        Entry { name, port }.to_string()
    });
    for line in services::lines(&text) {
        let name = line.is_named(wanted.name.as_ref());
        let port = line.port == Some(wanted.port);
        if !name && !port {
            continue;
        }
        // A port is TCP's or UDP's, and a name is everyone's; our own line is where it belongs.
        let ours = own.as_ref().is_some_and(|own| own.as_bytes() == line.text);
        let taken = !ours && (name || line.is_tcp());
        findings.push(Finding {
            severity: if taken {
                Severity::Conflict
            } else {
                Severity::Note
            },
            claim: wanted.claim(name, port),
            place: Location::File(path.clone(), Some(line.number)),
            used_by: UsedBy::Entry {
                text: shown(line.text),
                tcp: line.is_tcp(),
                ours,
            },
        });
    }
    text
}

/// A line of somebody else's file, its blanks made one each.
fn shown(line: &[u8]) -> String {
    let words = line.split(u8::is_ascii_whitespace);
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    escape(&words.join(&b' '))
}
