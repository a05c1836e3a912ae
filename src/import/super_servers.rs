//! The programs whose services are imported, as units.

use super::apply::Left;
use crate::attach::{self, Store};
use crate::services::ServiceName;
use crate::superserver::{INETD_UNITS, XINETD_UNIT, is_active};
use crate::systemd::{Manager, Place, SystemctlError};

/// Units of xinetd and inetd that run.
#[derive(Debug)]
pub(super) struct SuperServers {
    manager: Option<Manager>,
    active: Vec<&'static str>,
}

impl SuperServers {
    /// # Errors
    ///
    /// systemctl failed.
    pub(super) fn find(manager: Option<Manager>) -> Result<SuperServers, SystemctlError> {
        let mut active = Vec::new();
        if let Some(manager) = &manager {
            for unit in [XINETD_UNIT].into_iter().chain(INETD_UNITS) {
                if is_active(manager, unit)? {
                    active.push(unit);
                }
            }
        }
        Ok(SuperServers { manager, active })
    }

    /// Stops a service that has taken a port of theirs, and removes its units. Returns what is left of it.
    pub(super) fn remove(&self, place: &Place, store: &Store, name: &ServiceName) -> Vec<Left> {
        let left = attach::undo(place, store, name).into_iter();
        left.map(|left| Left::Units(name.clone(), left, self.active.clone()))
            .collect()
    }

    /// Has them read their files again. Returns those that do not.
    pub(super) fn reload(&self) -> Vec<(&'static str, SystemctlError)> {
        let Some(manager) = self.manager else {
            return Vec::new();
        };
        let active = self.active.iter();
        let failed = active.filter_map(|unit| Some((*unit, manager.reload(unit).err()?)));
        failed.collect()
    }
}
