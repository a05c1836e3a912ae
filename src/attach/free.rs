//! The check that nothing else uses the name, the ports and the paths of a service.

use std::fs;

use super::listen::endpoints;
use super::remove::Attached;
use super::{Attachment, Error};
use crate::conflicts::{self, Finding, FindingKind, Requested};
use crate::services::Entry;
use crate::systemd::{Place, Scope};

/// Checks that the name, the ports and the paths are free, but for the service itself. Returns the entry
/// for /etc/services, unless the name or the port has another one.
pub(super) fn check(
    place: &Place,
    attachment: &Attachment,
    attached: Option<&Attached>,
) -> Result<Option<Entry>, Error> {
    let entry = Entry {
        name: attachment.name.clone(),
        port: attachment.port,
    };
    let units = attachment.kind.units(&entry.name);
    let endpoints = endpoints(attachment);
    let mut findings: Vec<Finding> = Vec::new();
    let mut requested = Vec::new();
    let mut registered = None;
    for endpoint in &endpoints {
        let address = endpoint.address();
        if requested.contains(&address) {
            continue;
        }
        requested.push(address);
        let found = conflicts::find(place, &entry.name, address, &units);
        if address == Requested::Port(entry.port.get()) {
            registered = Some(is_registered(&found, &entry, attached));
        }
        let new = found
            .into_iter()
            .filter(|finding| !findings.contains(finding));
        findings.extend(new.collect::<Vec<_>>());
    }
    findings.retain(|finding| {
        let own = match &finding.kind {
            FindingKind::Unit(unit) => {
                // A unit of the other kind of service keeps no service from having the name that it has.
                let is_of_other_kind = finding.claim.port.is_none()
                    && finding.claim.path.is_none()
                    && !units.contains(&unit.unit);
                is_own(attached, &unit.unit) || attached.is_some() && is_of_other_kind
            }
            FindingKind::Listener {
                unit: Some(unit), ..
            } => is_own(attached, unit),
            _ => false,
        };
        finding.is_conflict() && !own
    });
    if !findings.is_empty() {
        return Err(Error::InUse(findings));
    }
    let file = place.path("/etc/services");
    // A link belongs to another tool.
    let plain = fs::symlink_metadata(file).is_ok_and(|file| file.is_file());
    // A service may listen on other ports, or on none.
    let add = place.scope == Scope::System && registered == Some(false) && plain;
    Ok(add.then_some(entry))
}

/// Whether /etc/services has an entry for the name or the port that the service did not add.
fn is_registered(findings: &[Finding], entry: &Entry, attached: Option<&Attached>) -> bool {
    let own_line = attached.and_then(|attached| attached.line.as_ref());
    findings.iter().any(|finding| {
        let named = finding.claim.name.is_some();
        match finding.kind {
            FindingKind::Entry { ours: true, .. } => own_line != Some(entry),
            FindingKind::Entry { tcp, .. } => (tcp || named) && own_line.is_none(),
            _ => false,
        }
    })
}

/// Whether a unit is one of the service's. A unit of the other kind of service can be another one's.
fn is_own(attached: Option<&Attached>, unit: &str) -> bool {
    attached.is_some_and(|attached| attached.files.iter().any(|(own, _)| own == unit))
}
