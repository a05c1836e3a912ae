//! Installs the units of imported services, and takes over their ports.
//!
//! The services of one line of inetd.conf belong together: all of them are installed and the line is disabled, or
//! neither. All units are written first and systemd is reloaded once; a service whose socket has no link to start it
//! at boot does nothing yet. The ports are then taken over line by line.

mod error;
mod files;
mod step;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

pub(super) use self::error::service_name;
pub(crate) use self::error::{ApplyError, Failure, Left, revert_command, shown};
use self::files::Files;
use self::step::{Step, socket, steps};
use super::super_servers::SuperServers;
use super::{Conversion, Converted, SuperServer};
use crate::attach::{self, Content, Store, imported, socket_link};
use crate::interrupts::Interrupts;
use crate::systemd::{Manager, Place, service_units};

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

/// What was done for the services of one line or block.
#[derive(Debug)]
pub(crate) struct Applied<'c> {
    pub(crate) services: Vec<&'c Conversion>,
    pub(crate) result: Result<Done, Failure>,
}

/// Installs the services that have units. With `disable_old`, each one that is served by xinetd or inetd is
/// disabled there in the same step; without, it is not installed. A service that fails is as it was before it was imported.
///
/// `texts` are the files that the services were read from. `store` was locked before these were read.
///
/// # Errors
///
/// Nothing was changed: systemctl does not answer.
pub(crate) fn apply<'c>(
    place: &Place,
    store: &Store,
    converted: &'c Converted,
    texts: BTreeMap<PathBuf, Vec<u8>>,
    disable_old: bool,
    interrupts: &Interrupts,
) -> Result<Vec<Applied<'c>>, ApplyError> {
    let manager = Manager::of(place);
    let files = Files::new(&place.root, texts);
    let mut steps = steps(converted, &files, disable_old);
    let mut applier = Applier {
        place,
        store,
        active: active(manager.as_ref(), converted)?,
        super_servers: SuperServers::find(manager)?,
        manager,
        files,
        interrupts,
        needs_reload: false,
    };
    for step in &mut steps {
        let written = applier.prepare(step, disable_old);
        applier.unless_it_fails(step, written);
    }
    for step in steps.iter_mut().filter(|step| step.failure.is_none()) {
        let done = applier.install(step);
        step.done = applier.unless_it_fails(step, done);
    }
    let applied = steps.into_iter().map(|step| Applied {
        services: step.services,
        result: match (step.failure, step.done) {
            (Some(failure), _) => Err(failure),
            (None, done) => Ok(done.unwrap_or(Done::Unchanged)),
        },
    });
    Ok(applied.collect())
}

/// The sockets that listen.
fn active(
    manager: Option<&Manager>,
    converted: &Converted,
) -> Result<HashMap<String, bool>, ApplyError> {
    let enabled = converted.services.iter().filter(|one| one.is_enabled());
    let sockets: Vec<String> = enabled.map(socket).collect();
    let (Some(manager), false) = (manager, sockets.is_empty()) else {
        return Ok(HashMap::new());
    };
    let sockets: Vec<&str> = sockets.iter().map(String::as_str).collect();
    let shown = manager.show_all(&sockets, &["Id", "ActiveState"])?;
    let shown = shown.into_iter().map(|unit| {
        let is_active = unit.get("ActiveState") == "active";
        (unit.get("Id").to_owned(), is_active)
    });
    Ok(shown.collect())
}

struct Applier<'a> {
    place: &'a Place,
    store: &'a Store,
    manager: Option<Manager>,
    /// The sockets that were known before the first change, and whether they listened.
    active: HashMap<String, bool>,
    super_servers: SuperServers,
    files: Files<'a>,
    interrupts: &'a Interrupts,
    needs_reload: bool,
}

impl Applier<'_> {
    /// The value; on an error, undoes the step.
    fn unless_it_fails<T>(
        &mut self,
        step: &mut Step<'_>,
        result: Result<T, ApplyError>,
    ) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                step.failure = Some(self.undone(step, error));
                None
            }
        }
    }

    /// Checks a step, and writes its units that differ.
    fn prepare(&mut self, step: &mut Step<'_>, disable_old: bool) -> Result<(), ApplyError> {
        let super_server = step.services[0].super_server;
        if step.is_enabled() && !disable_old && !self.files.is_disabled(&step.old[0]) {
            return Err(ApplyError::Served(super_server));
        }
        let mut differ = Vec::new();
        for service in &step.services {
            if self.differs(service)? {
                differ.push(*service);
            }
        }
        if differ.is_empty() {
            return Ok(());
        }
        self.interrupts.none_has_come()?;
        step.touched = true;
        step.written = true;
        self.needs_reload = true;
        for service in differ {
            self.write(service)?;
        }
        Ok(())
    }

    /// Whether the unit files are not as planned.
    fn differs(&self, service: &Conversion) -> Result<bool, ApplyError> {
        let mut differs = false;
        let mut edited = Vec::new();
        for file in service_units(&service.name) {
            let path = self.store.folder().join(&file);
            let planned = service.units.iter().find(|unit| unit.name == file);
            match (imported(self.place, &path)?, planned) {
                (None, planned) => differs |= planned.is_some(),
                (Some(now), Some(planned)) if now.text == planned.text => {}
                (Some(now), _) => {
                    differs = true;
                    edited.extend(now.is_edited.then_some(path));
                }
            }
        }
        match edited.is_empty() {
            true => Ok(differs),
            false => Err(ApplyError::Edited(edited)),
        }
    }

    /// Writes the units, the service unit first.
    fn write(&self, service: &Conversion) -> Result<(), ApplyError> {
        for file in service_units(&service.name) {
            let is_planned = service.units.iter().any(|unit| unit.name == file);
            if !is_planned && imported(self.place, &self.store.folder().join(&file))?.is_some() {
                self.store.take(&file)?;
            }
        }
        for unit in &service.units {
            self.store.put(&unit.name, Content::Text(&unit.text))?;
        }
        Ok(())
    }

    /// Has systemd read the units, and starts the sockets of services that are not disabled.
    fn install(&mut self, step: &mut Step<'_>) -> Result<Done, ApplyError> {
        if step.is_enabled() {
            return self.take_over(step);
        }
        self.reload()?;
        Ok(match step.written {
            true => Done::Written,
            false => Done::Unchanged,
        })
    }

    fn reload(&mut self) -> Result<(), ApplyError> {
        if let (Some(manager), true) = (&self.manager, self.needs_reload) {
            manager.daemon_reload()?;
        }
        self.needs_reload = false;
        Ok(())
    }

    /// Disables the old service and starts the sockets.
    fn take_over(&mut self, step: &mut Step<'_>) -> Result<Done, ApplyError> {
        let names = step.services.iter().map(|service| &service.name);
        let mut links = names
            .map(|name| (name, socket_link(name)))
            .collect::<Vec<_>>();
        links.retain(|(_, link)| !self.store.exists(link));
        let active = step
            .sockets()
            .filter(|socket| self.active.get(socket) == Some(&true));
        let active: Vec<String> = active.collect();
        let is_disabled = step.old.iter().all(|old| self.files.is_disabled(old));
        let is_active = active.len() == step.services.len();
        let listens = is_active && !step.written && is_disabled;
        let is_same = (listens || self.manager.is_none()) && !step.written && is_disabled;
        if is_same && links.is_empty() {
            return Ok(Done::Unchanged);
        }
        self.interrupts.none_has_come()?;
        step.touched = true;
        for (name, link) in links {
            let target = PathBuf::from(format!("../{name}.socket"));
            self.store.put(&link, Content::Link(&target))?;
        }
        self.reload()?;
        let (changed, result) = self.files.switch(&step.old, true);
        result?;
        let Some(manager) = self.manager else {
            return Ok(Done::Written);
        };
        if listens {
            return Ok(Done::Started);
        }
        for socket in &active {
            manager.stop(socket)?;
            if let Ok(name) = service_name(socket).parse() {
                let units = step.services.iter().flat_map(|service| &service.units);
                let own: Vec<String> = units.map(|unit| unit.name.clone()).collect();
                let _ = attach::stop_shared(self.place, &manager, &name, &own);
            }
        }
        if !changed.is_empty() {
            // Nothing else comes after it, because clients are refused until the socket of systemd listens.
            let mut failed = self.super_servers.reload();
            if let Some((_, error)) = failed.pop() {
                return Err(error.into());
            }
        }
        self.wait_for_ports(step)?;
        for socket in step.sockets() {
            manager.start(&socket)?;
        }
        Ok(Done::Started)
    }

    fn wait_for_ports(&self, step: &Step<'_>) -> Result<(), ApplyError> {
        let deadline = Instant::now() + PATIENCE;
        while let Some(port) = step.port_in_use() {
            self.interrupts.none_has_come()?;
            if Instant::now() <= deadline {
                thread::sleep(PAUSE);
                continue;
            }
            // A program with wait keeps its socket until it exits, some for minutes or for ever. It goes on with
            // what it has received, and a new process gets the datagrams that arrive from now on.
            match step.can_share_ports() {
                true => break,
                false => return Err(ApplyError::PortInUse(port)),
            }
        }
        Ok(())
    }

    /// Brings the services of a step back to what they were before they were imported: without units, and enabled
    /// in their file, even if an earlier run disabled them there.
    fn undone(&mut self, step: &Step<'_>, error: ApplyError) -> Failure {
        let mut failure = Failure::before(error);
        if !step.touched {
            return failure;
        }
        // First, because it can free the space that the file needs.
        for service in &step.services {
            let Ok(name) = service.name.parse() else {
                continue;
            };
            let left = self.super_servers.remove(self.place, self.store, &name);
            failure.left.extend(left);
        }
        if !step.is_enabled() {
            return failure;
        }
        let (changed, result) = self.files.switch(&step.old, false);
        if let Err(error) = result {
            failure.left.push(Left::Line(error));
        }
        if !changed.is_empty() {
            let failed = self.super_servers.reload().into_iter();
            let failed = failed.map(|(unit, error)| Left::Unread(unit, error));
            failure.left.extend(failed);
        }
        failure.enabled_again = changed;
        failure
    }
}
