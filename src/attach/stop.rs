//! Stopping the units of a service, and those of nobody else.
//!
//! Units of others can have the name too: the template of another kind of service, or an instance that has a file of
//! its own.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Error, Kind};
use crate::interrupts::Interrupts;
use crate::services::ServiceName;
use crate::systemd::{Manager, Place, Properties, Scope, SystemctlError};

/// Stops the units of a service, the socket first, so that no connection is accepted in between. `own` are the files
/// that sockunit wrote.
///
/// # Errors
///
/// systemctl fails, or a signal comes before the units have stopped ([`Error::Interrupted`]); they are stopped
/// all the same then.
pub(super) fn stop(
    place: &Place,
    manager: &Manager,
    name: &ServiceName,
    own: &[String],
    interrupts: Option<&Interrupts>,
) -> Result<(), Error> {
    let service = Service {
        folder: place.own_folder(),
        manager: *manager,
        own,
        interrupts,
    };
    let socket = format!("{name}.socket");
    // systemctl cannot stop a unit that is not loaded.
    let shown = manager.show(&socket, &["ActiveState", "FragmentPath"])?;
    let runs = !matches!(shown.get("ActiveState"), "inactive" | "");
    if runs && service.has(&socket, &shown) {
        service.stop(&socket)??;
    }
    service.stop_shared(name)?;
    service.stop_instances(place, name)
}

/// Stops the process that serves all connections, if it is the service's.
///
/// # Errors
///
/// systemctl fails.
pub(crate) fn stop_shared(
    place: &Place,
    manager: &Manager,
    name: &ServiceName,
    own: &[String],
) -> Result<(), Error> {
    let service = Service {
        folder: place.own_folder(),
        manager: *manager,
        own,
        interrupts: None,
    };
    service.stop_shared(name)
}

struct Service<'a> {
    folder: PathBuf,
    manager: Manager,
    own: &'a [String],
    interrupts: Option<&'a Interrupts>,
}

impl Service<'_> {
    /// Whether systemd has loaded a unit from a file of this name that sockunit wrote. It may be gone.
    fn has(&self, file: &str, shown: &Properties) -> bool {
        let path = self.folder.join(file);
        let is_gone =
            || path == Path::new(shown.get("FragmentPath")) && fs::symlink_metadata(&path).is_err();
        self.own.iter().any(|own| own == file) || is_gone()
    }

    fn stop_shared(&self, name: &ServiceName) -> Result<(), Error> {
        let unit = Kind::Shared.service(name);
        if self.has(&unit, &self.manager.show(&unit, &["FragmentPath"])?) {
            // A unit that is not loaded is not running.
            let _ = self.stop(&unit)?;
        }
        Ok(())
    }

    fn stop_instances(&self, place: &Place, name: &ServiceName) -> Result<(), Error> {
        let template = Kind::PerConnection.service(name);
        let all = format!("{name}@*.service");
        let instances = self.manager.show_all(&[&all], &["Id", "FragmentPath"])?;
        let (own, others): (Vec<_>, Vec<_>) = instances.iter().partition(|instance| {
            let path = Path::new(instance.get("FragmentPath"));
            path.file_name().is_some_and(|file| *file == *template) && self.has(&template, instance)
        });
        if !others.is_empty() {
            for instance in own {
                let _ = self.stop(instance.get("Id"))?;
            }
            return Ok(());
        }
        if !self.has(&template, &Properties::default()) && own.is_empty() {
            return Ok(());
        }
        let _ = self.stop(&all)?;
        let slice = match place.scope {
            Scope::System => "system",
            Scope::User => "app",
        };
        let escaped = name.to_string().replace('-', "\\x2d");
        let _ = self.stop(&format!("{slice}-{escaped}.slice"))?;
        Ok(())
    }

    /// Stops a unit, or all that match a pattern. The error outside is [`Error::Interrupted`].
    fn stop(&self, unit: &str) -> Result<Result<(), SystemctlError>, Error> {
        let (manager, unit) = (self.manager, unit.to_owned());
        match self.interrupts {
            Some(interrupts) => unless_interrupted(interrupts, move || manager.stop(&unit)),
            None => Ok(manager.stop(&unit)),
        }
    }
}

/// Does what may take long.
///
/// # Errors
///
/// [`Error::Interrupted`] if a signal comes before it is done.
pub(super) fn unless_interrupted<T: Send + 'static>(
    interrupts: &Interrupts,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    let done = interrupts.unless_one_comes(work);
    Ok(done.map_err(SystemctlError::NoSystemctl)??)
}
