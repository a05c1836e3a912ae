//! The names of the units.

use super::Host;
use crate::services::ServiceName;
use crate::superserver::inetd::{self, Families};
use crate::superserver::xinetd;

/// What a service's name is made of.
pub(super) struct Wanted {
    id: Vec<u8>,
    protocol: String,
    port: Option<u16>,
}

impl Wanted {
    pub(super) fn of_xinetd(service: &xinetd::Service) -> Wanted {
        let protocol = service.socket.protocol.as_ref();
        // The ids of built-in services in inetd.conf are for datagrams, also those for TCP.
        let id = match service.is_inetd_line {
            true => &service.name,
            false => &service.id,
        };
        Wanted {
            id: id.bytes.clone(),
            protocol: protocol.map_or("tcp".into(), |(name, _)| name.to_ascii_lowercase()),
            port: service.socket.port,
        }
    }

    pub(super) fn of_inetd(service: &inetd::Service) -> Wanted {
        let protocol = service.protocol.to_string();
        let is_v6 = service.families == Families::V6 && !protocol.contains('6');
        Wanted {
            id: service.name.bytes.clone(),
            protocol: protocol + if is_v6 { "6" } else { "" },
            port: service.port,
        }
    }
}

/// The name of each service. It is its id if that can be the name of units and no other service and no
/// unit of another origin has it; else the protocol or the port follows.
pub(super) fn assign(wanted: &[Wanted], host: &dyn Host) -> Vec<Option<ServiceName>> {
    let mut taken: Vec<String> = Vec::new();
    let mut names = Vec::new();
    for service in wanted {
        let id = plain(&service.id);
        let mut candidates = vec![id.clone(), format!("{id}-{}", service.protocol)];
        candidates.extend(service.port.map(|port| format!("{id}-{port}")));
        candidates.extend((2..=9).map(|number| format!("{id}-{}-{number}", service.protocol)));
        let free = |name: &&String| !taken.contains(*name) && !host.has_foreign_unit(name);
        let found = candidates.iter().find(free);
        let name = found.and_then(|name| name.parse::<ServiceName>().ok());
        taken.extend(name.iter().map(ToString::to_string));
        names.push(name);
    }
    names
}

/// The id with characters that a unit's name can have.
fn plain(id: &[u8]) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let text: String = String::from_utf8_lossy(id)
        .chars()
        .map(|c| if allowed(c) { c } else { '-' })
        .take(40)
        .collect();
    let text = text.trim_start_matches(['.', '_', '-']);
    match text.chars().any(|c| c.is_ascii_alphabetic()) {
        true => text.to_owned(),
        false => format!("port-{text}"),
    }
}
