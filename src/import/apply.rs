//! Installs the units of imported services, and takes over their ports.

use std::io;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use super::ports::Ports;
use super::{Conversion, Converted, SuperServer};
use crate::attach::{self, Content, Store, imported, socket_link};
use crate::root::replace_file;
use crate::superserver::switch::{self, Entry};
use crate::superserver::{INETD_UNITS, XINETD_UNIT, is_active};
use crate::systemd::{Manager, Place, SystemctlError};

/// How long xinetd or inetd may take to close a port.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(2);

/// What was done for a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Done {
    /// It was installed already.
    Unchanged,
    /// Its units were written. Its socket is not started.
    Written,
    /// Its socket listens, and is started at boot.
    Started,
}

/// Why a service was not installed; nothing of it is left.
#[derive(Debug)]
pub(crate) enum ApplyError {
    /// xinetd or inetd serve it, and it is not to be switched off there.
    Served(SuperServer),
    /// Unit files that were edited since they were written.
    Edited(Vec<PathBuf>),
    /// The units could not be written or removed.
    Units(attach::Error),
    /// The file of xinetd or inetd could not be changed.
    File(PathBuf, io::Error),
    /// systemctl failed.
    Systemctl(SystemctlError),
    /// Its port is still in use.
    PortInUse(u16),
}

impl std::fmt::Display for ApplyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ApplyError::Served(program) => write!(f, "{} serves it", program.name()),
            ApplyError::Edited(paths) => {
                let paths: Vec<String> = paths.iter().map(|p| p.display().to_string()).collect();
                write!(f, "edited since import wrote it: {}", paths.join(", "))
            }
            ApplyError::Units(error) => error.fmt(f),
            ApplyError::File(path, error) => write!(f, "{}: {error}", path.display()),
            ApplyError::Systemctl(error) => error.fmt(f),
            ApplyError::PortInUse(port) => write!(f, "the port {port} is still in use"),
        }
    }
}

impl ApplyError {
    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        match self {
            ApplyError::Served(_) => Some("--disable-old switches it off there in the same step"),
            ApplyError::Edited(_) => Some("remove it with sockunit remove --force first"),
            ApplyError::PortInUse(_) => Some(
                "ss -lnptu shows what uses it, such as a program with wait that runs; try again when it has exited. The old service is switched on again",
            ),
            ApplyError::File(_, error) if error.kind() == io::ErrorKind::PermissionDenied => {
                Some("run this as root")
            }
            _ => None,
        }
    }
}

impl From<attach::Error> for ApplyError {
    fn from(error: attach::Error) -> ApplyError {
        ApplyError::Units(error)
    }
}

impl From<SystemctlError> for ApplyError {
    fn from(error: SystemctlError) -> ApplyError {
        ApplyError::Systemctl(error)
    }
}

/// What was done for each service that has units.
pub(crate) type Applied<'c> = Vec<(&'c Conversion, Result<Done, ApplyError>)>;

/// Installs the services that have units, one after the other. With `disable_old`, each one that is
/// served by xinetd or inetd is switched off there in the same step; without, it is not installed.
///
/// # Errors
///
/// The units cannot be locked.
pub(crate) fn apply<'c>(
    place: &Place,
    converted: &'c Converted,
    disable_old: bool,
) -> Result<Applied<'c>, attach::Error> {
    let store = Store::open(place)?;
    let applier = Applier {
        place,
        store,
        manager: Manager::of(place),
        disable_old,
    };
    let mut applied: Applied<'c> = Vec::new();
    // From the end of each file, so that the numbers of the lines before stay right.
    for service in converted.services.iter().rev() {
        let done = match service.units.is_empty() {
            false => applier.service(service),
            true if disable_old && is_next(converted, service) => {
                match applier.replace(service, |bytes| {
                    switch::switched_off(bytes, &[service.entry])
                }) {
                    Ok(_) => continue,
                    Err(error) => Err(error),
                }
            }
            true => continue,
        };
        applied.push((service, done));
    }
    applied.reverse();
    Ok(applied)
}

/// Whether its program would serve the service as soon as one that gets units is switched off.
fn is_next(converted: &Converted, service: &Conversion) -> bool {
    let Some(port) = service.behind else {
        return false;
    };
    converted.services.iter().any(|other| {
        other.super_server == service.super_server
            && other.is_enabled()
            && Ports::of(&other.units).have(port)
    })
}

struct Applier<'a> {
    place: &'a Place,
    store: Store,
    manager: Option<Manager>,
    disable_old: bool,
}

impl Applier<'_> {
    fn service(&self, service: &Conversion) -> Result<Done, ApplyError> {
        let enabled = service.is_enabled();
        let entry = service.entry;
        if enabled && !self.disable_old && !self.is_off(service, entry)? {
            return Err(ApplyError::Served(service.super_server));
        }
        let changed = self.write(service)?;
        if !enabled {
            if let (Some(manager), true) = (&self.manager, changed) {
                manager.daemon_reload()?;
            }
            return Ok(if changed {
                Done::Written
            } else {
                Done::Unchanged
            });
        }
        let mut before = None;
        let done = self.take_over(service, entry, changed, &mut before);
        if done.is_err() {
            // The first error is the one to report.
            if let (Ok(name), true) = (service.name.parse(), changed) {
                let _ = attach::dismantle(self.place, &self.store, &name);
            }
            if before.is_some() {
                let _ = self.replace(service, |_| before);
                let _ = reload_super_servers(self.manager.as_ref());
            }
        }
        done
    }

    /// Writes the units that differ, the service unit first. Returns whether there were any.
    fn write(&self, service: &Conversion) -> Result<bool, ApplyError> {
        let mut changed = false;
        let mut edited = Vec::new();
        let mut stale = Vec::new();
        for file in attach::unit_files(&service.name) {
            let path = self.store.folder().join(&file);
            let planned = service.units.iter().find(|unit| unit.name == file);
            let Some(state) = imported(self.place, &path)? else {
                changed |= planned.is_some();
                continue;
            };
            if planned.is_some_and(|unit| unit.text == state.text) {
                continue;
            }
            changed = true;
            match (state.is_edited, planned) {
                (true, _) => edited.push(path),
                (false, None) => stale.push(file),
                (false, Some(_)) => {}
            }
        }
        if !edited.is_empty() {
            return Err(ApplyError::Edited(edited));
        }
        if changed {
            for file in stale {
                self.store.take(&file)?;
            }
            for unit in &service.units {
                self.store.put(&unit.name, Content::Text(&unit.text))?;
            }
        }
        Ok(changed)
    }

    /// Switches the old service off and starts the socket. `before` gets the old text of the file that it
    /// changes.
    fn take_over(
        &self,
        service: &Conversion,
        entry: Entry,
        changed: bool,
        before: &mut Option<Vec<u8>>,
    ) -> Result<Done, ApplyError> {
        let link = socket_link(&service.name);
        let is_linked = self.store.exists(&link);
        if !is_linked {
            let target = PathBuf::from(format!("../{}.socket", service.name));
            self.store.put(&link, Content::Link(&target))?;
        }
        let socket = format!("{}.socket", service.name);
        if let (Some(manager), true) = (&self.manager, changed || !is_linked) {
            manager.daemon_reload()?;
        }
        let off = self.replace(service, |bytes| {
            let off = switch::switched_off(bytes, &[entry]);
            *before = off.as_ref().map(|_| bytes.to_vec());
            off
        })?;
        let Some(manager) = &self.manager else {
            return Ok(match changed || off || !is_linked {
                true => Done::Written,
                false => Done::Unchanged,
            });
        };
        let state = manager.show(&socket, &["ActiveState"])?;
        let is_active = state.get("ActiveState") == "active";
        if is_active && !changed && !off {
            return Ok(Done::Unchanged);
        }
        if is_active {
            manager.stop(&socket)?;
            let _ = manager.stop(&format!("{}.service", service.name));
        }
        if off {
            reload_super_servers(Some(manager))?;
        }
        let ports = Ports::of(&service.units);
        let deadline = Instant::now() + PATIENCE;
        while let Some(port) = ports.in_use() {
            if Instant::now() <= deadline {
                thread::sleep(PAUSE);
                continue;
            }
            // A program with wait keeps its socket until it exits, some for minutes or for ever. It goes on with
            // what it has received, and a new process gets the datagrams that arrive from now on.
            match ports.can_be_shared() {
                true => break,
                false => return Err(ApplyError::PortInUse(port)),
            }
        }
        manager.start(&socket)?;
        Ok(Done::Started)
    }

    /// Whether the service is switched off in its file.
    fn is_off(&self, service: &Conversion, entry: Entry) -> Result<bool, ApplyError> {
        let path = &service.position.file;
        let bytes = crate::root::read(&self.place.root, path)
            .map_err(|error| ApplyError::File(path.to_path_buf(), error))?;
        Ok(switch::switched_off(&bytes, &[entry]).is_none())
    }

    fn replace(
        &self,
        service: &Conversion,
        change: impl FnOnce(&[u8]) -> Option<Vec<u8>>,
    ) -> Result<bool, ApplyError> {
        let path = &service.position.file;
        let real = crate::root::resolve(&self.place.root, path);
        real.and_then(|real| replace_file(&self.place.root, &real, change))
            .map_err(|error| ApplyError::File(path.to_path_buf(), error))
    }
}

/// Has xinetd and inetd read their files again, as far as they run.
pub(super) fn reload_super_servers(manager: Option<&Manager>) -> Result<(), SystemctlError> {
    let Some(manager) = manager else {
        return Ok(());
    };
    let mut active = Vec::new();
    for unit in [XINETD_UNIT].into_iter().chain(INETD_UNITS) {
        if is_active(manager, unit)? {
            active.push(unit);
        }
    }
    // Nothing else comes after it, because clients are refused until the socket of systemd listens.
    for unit in active {
        manager.reload(unit)?;
    }
    Ok(())
}
