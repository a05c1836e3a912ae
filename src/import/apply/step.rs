//! Services that are installed together.

use super::error::Failure;
use super::files::{Files, Old};
use super::{Conversion, Converted, Done};
use crate::import::ports::Ports;

/// Services that are installed together, or not.
pub(super) struct Step<'c> {
    pub(super) services: Vec<&'c Conversion>,
    pub(super) ports: Vec<Ports>,
    /// Their line or block, and those of services that its program would serve in their place.
    pub(super) old: Vec<Old>,
    /// Something may have been changed.
    pub(super) touched: bool,
    /// Unit files were written.
    pub(super) written: bool,
    pub(super) done: Option<Done>,
    pub(super) failure: Option<Failure>,
}

impl Step<'_> {
    pub(super) fn is_enabled(&self) -> bool {
        self.services.iter().any(|service| service.is_enabled())
    }

    /// A port that a socket has at one of the addresses.
    pub(super) fn port_in_use(&self) -> Option<u16> {
        self.ports.iter().find_map(Ports::in_use)
    }

    /// Whether systemd can listen beside the sockets that have the addresses.
    pub(super) fn can_share_ports(&self) -> bool {
        self.ports.iter().all(Ports::can_be_shared)
    }

    pub(super) fn sockets(&self) -> impl Iterator<Item = String> {
        let services = self.services.iter();
        services.map(|service| socket(service))
    }
}

/// The unit that listens for a service.
pub(super) fn socket(service: &Conversion) -> String {
    format!("{}.socket", service.name)
}

/// The services that have units. With `disable_old`, services that wait for a port of one are disabled with it.
pub(super) fn steps<'c>(
    converted: &'c Converted,
    files: &Files<'_>,
    disable_old: bool,
) -> Vec<Step<'c>> {
    let mut steps: Vec<Step<'c>> = Vec::new();
    let has_units = |service: &&Conversion| !service.units.is_empty();
    for service in converted.services.iter().filter(has_units) {
        let own = files.old(&service.position.file, service.entry);
        let ports = Ports::of(&service.units);
        match steps.last_mut() {
            Some(step) if step.old.first() == Some(&own) => {
                step.services.push(service);
                step.ports.push(ports);
            }
            _ => steps.push(Step {
                services: vec![service],
                ports: vec![ports],
                old: vec![own],
                touched: false,
                written: false,
                done: None,
                failure: None,
            }),
        }
    }
    for service in converted.services.iter().filter(|_| disable_old) {
        // Its program would serve it as soon as the one before it is disabled.
        let Some(port) = service.behind.filter(|_| service.units.is_empty()) else {
            continue;
        };
        let before = steps.iter_mut().find(|step| {
            step.services[0].super_server == service.super_server
                && step.is_enabled()
                && step.ports.iter().any(|ports| ports.have(port))
        });
        if let Some(step) = before {
            let old = files.old(&service.position.file, service.entry);
            if !step.old.contains(&old) {
                step.old.push(old);
            }
        }
    }
    steps
}
