//! Removing what `add` made, and nothing else.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::failure::{Failure, Left};
use super::mark::UNFINISHED;
use super::render::RECORD;
use super::signature::{Author, author, is_imported};
use super::status::status;
use super::stop::stop;
use super::store::{Store, read_unit};
use super::{Error, Kind};
use crate::interrupts::Interrupts;
use crate::root::read;
use crate::services::{self, Entry, Outcome, Run, ServiceName};
use crate::systemd::{Manager, Place, Scope, UnitFile, service_units};

/// What was removed, and what was kept.
#[derive(Debug, Default)]
pub(crate) struct Removed {
    /// The files that were removed.
    pub files: Vec<PathBuf>,
    /// The entry that was removed from /etc/services.
    pub line: Option<Entry>,
    /// Drop-in directories for these units, which others wrote.
    pub kept: Vec<PathBuf>,
    /// Temporary files of an interrupted `add` were removed.
    pub interrupted: bool,
}

/// Stops a service and removes what [`super::add`] wrote; with `force` also files that were changed
/// since. `stopping` is called before its open connections are ended, if there are any.
///
/// # Errors
///
/// See [`Error`]. If its files were changed or cannot be removed, or a signal comes before the service has stopped,
/// nothing is removed, and the service runs on. That there is no such service is no error.
pub(crate) fn remove(
    place: &Place,
    name: &ServiceName,
    force: bool,
    interrupts: &Interrupts,
    stopping: impl FnOnce(Stopping),
) -> Result<Removed, Failure> {
    let store = Store::open(place)?;
    let own = Own::find(place, name)?;
    if own.files.is_empty() {
        return Ok(Removed {
            interrupted: recover_temporary(&store, name)?,
            ..Removed::default()
        });
    }
    if !force {
        own.check_unchanged(place, name)?;
    }
    own.check_removal(place, &store, name)?;
    if let Some(manager) = Manager::of(place) {
        Stopping::of(place, &manager, name).map(stopping);
        let socket = format!("{name}.socket");
        let state = manager
            .show(&socket, &["ActiveState"])
            .map_err(Error::from)?;
        let stopped = stop(place, &manager, name, &own.names(), Some(interrupts))
            .and_then(|()| Ok(interrupts.none_has_come()?));
        if let Err(error) = stopped {
            let mut left = Vec::new();
            if state.get("ActiveState") == "active" {
                // It is not waited for: a service that stops ends its connections first.
                let started = manager.change("start", &socket, false);
                left.extend(started.err().map(|error| Left::Stopped(error.into())));
            }
            // The error says that it came.
            interrupts.take();
            return Err(Failure {
                error: Box::new(error),
                kept: "it stays attached",
                left,
            });
        }
    }
    Ok(own.take(place, &store, name)?)
}

/// Checks that [`undo`] could remove a service, and would remove nothing that was changed since it was written.
///
/// # Errors
///
/// See [`Error`].
pub(crate) fn check_removal(place: &Place, store: &Store, name: &ServiceName) -> Result<(), Error> {
    let own = Own::find(place, name)?;
    own.check_unchanged(place, name)?;
    own.check_removal(place, store, name)
}

/// Connections that end when their service is stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stopping {
    /// How many are open.
    pub connections: u64,
    /// How long systemd waits for them, as it prints it: `20s`. `None` if they end at once.
    pub timeout: Option<String>,
}

impl Stopping {
    /// `None` if there are none, or that is not known.
    fn of(place: &Place, manager: &Manager, name: &ServiceName) -> Option<Stopping> {
        let status = status(place, manager, &[name.to_string()]).ok()?.pop()?;
        let timeout = || {
            let unit = Kind::Shared.service(name);
            let shown = manager.show(&unit, &["TimeoutStopUSec"]).ok()?;
            Some(shown.get("TimeoutStopUSec").to_owned())
        };
        (status.now > 0).then(|| Stopping {
            connections: status.now,
            timeout: (status.kind == Kind::Shared).then(timeout).flatten(),
        })
    }
}

/// Removes what a killed `add` has left.
pub(super) fn recover(place: &Place, store: &Store, name: &ServiceName) -> Result<(), Error> {
    let own = Own::find(place, name)?;
    if !own.files.is_empty() && !store.exists(&format!("{name}.socket")) {
        // A killed `add` has changed nothing since it wrote a file.
        own.check_unchanged(place, name)?;
        dismantle(place, store, name)?;
    }
    recover_temporary(store, name).map(drop)
}

/// A service that `add` has attached.
#[derive(Debug)]
pub(crate) struct Attached {
    /// The names and texts of its unit files.
    pub files: Vec<(String, String)>,
    /// Those that were changed since `add` wrote them.
    pub changed: Vec<PathBuf>,
    /// The entry in /etc/services that `add` wrote with them.
    pub line: Option<Entry>,
}

impl Attached {
    /// The names of its unit files.
    pub(crate) fn names(&self) -> Vec<String> {
        self.files.iter().map(|(name, _)| name.clone()).collect()
    }
}

/// The service of this name, if `add` has attached one.
///
/// # Errors
///
/// A unit file cannot be read.
pub(super) fn attached(place: &Place, name: &ServiceName) -> Result<Option<Attached>, Error> {
    let own = Own::find(place, name)?;
    if own.files.is_empty() {
        return Ok(None);
    }
    let line = own.line();
    let changed = own.changed(&place.own_folder());
    let files = own.files.into_iter().map(|file| (file.name, file.text));
    Ok(Some(Attached {
        files: files.collect(),
        changed,
        line,
    }))
}

/// A unit file that `import` wrote.
#[derive(Debug)]
pub(crate) struct ImportedFile {
    /// Its text of now.
    pub text: String,
    /// It was edited since.
    pub is_edited: bool,
}

/// The unit file at a path, if `import` wrote it.
///
/// # Errors
///
/// It cannot be read.
pub(crate) fn imported(place: &Place, path: &Path) -> Result<Option<ImportedFile>, Error> {
    let bytes = match read(&place.root, path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::Io(path.into(), error)),
    };
    Ok(is_imported(&bytes).then(|| ImportedFile {
        is_edited: author(&bytes) == Author::Changed,
        text: String::from_utf8_lossy(&bytes).into_owned(),
    }))
}

/// Whether a unit of this name exists that `import` did not write.
pub(crate) fn has_foreign_unit(place: &Place, name: &str) -> bool {
    let files = service_units(name);
    place.unit_dirs().iter().any(|folder| {
        files.iter().any(|file| {
            let path = folder.join(file);
            match read(&place.root, &path) {
                Ok(bytes) => !is_imported(&bytes),
                Err(_) => fs::symlink_metadata(path).is_ok(),
            }
        })
    })
}

/// The link that starts a socket at boot, below the directory of units.
pub(crate) fn link(name: &str) -> String {
    format!("sockets.target.wants/{name}.socket")
}

/// A unit file that `add` wrote.
struct OwnFile {
    name: String,
    author: Author,
    text: String,
    content: UnitFile,
}

struct Own {
    files: Vec<OwnFile>,
}

impl Own {
    /// The unit files of this name that `add` wrote.
    fn find(place: &Place, name: &ServiceName) -> Result<Own, Error> {
        let folder = place.own_folder();
        let mut files = Vec::new();
        for name in service_units(name) {
            let Some(bytes) = read_unit(&place.root, &folder, &name)? else {
                continue;
            };
            let author = author(&bytes);
            if author != Author::Other {
                files.push(OwnFile {
                    name,
                    author,
                    content: UnitFile::parse(&bytes),
                    text: String::from_utf8_lossy(&bytes).into_owned(),
                });
            }
        }
        Ok(Own { files })
    }

    /// Those that were changed since.
    fn changed(&self, folder: &Path) -> Vec<PathBuf> {
        let changed = self.files.iter();
        let changed = changed.filter(|file| file.author == Author::Changed);
        changed.map(|file| folder.join(&file.name)).collect()
    }

    fn check_unchanged(&self, place: &Place, name: &ServiceName) -> Result<(), Error> {
        let changed = self.changed(&place.own_folder());
        match changed.is_empty() {
            true => Ok(()),
            false => Err(Error::changed(place, name, changed)),
        }
    }

    fn names(&self) -> Vec<String> {
        self.files.iter().map(|file| file.name.clone()).collect()
    }

    /// Removes the files, and the entry in /etc/services.
    fn take(self, place: &Place, store: &Store, name: &ServiceName) -> Result<Removed, Error> {
        let mut removed = Removed::default();
        let link = link(&name.to_string());
        if has_link(store, name) && store.take(&link)? {
            removed.files.push(store.folder().join(&link));
        }
        let mut line = self.line();
        for file in &self.files {
            // The entry goes before the file that records it.
            if !file.name.ends_with(".socket") {
                if let Some(entry) = &line {
                    // On a full file system it succeeds once the units are gone.
                    if let Ok(done) = remove_line(place, entry, Run::Real) {
                        removed.line = line.take().filter(|_| done);
                    }
                }
            }
            if store.take(&file.name)? {
                removed.files.push(store.folder().join(&file.name));
            }
        }
        // The units are removed all the same: half of them could not be removed later.
        let failed = line.and_then(|entry| match remove_line(place, &entry, Run::Real) {
            Ok(done) => {
                removed.line = done.then_some(entry);
                None
            }
            Err(error) => Some(error),
        });
        recover_temporary(store, name)?;
        removed.kept = drop_ins(store.folder(), name);
        if let Some(manager) = Manager::of(place) {
            // If this fails, it stays for nobody.
            let _ = UNFINISHED.set(place, name, false);
            manager.daemon_reload()?;
            forget(place, &manager, name, &self.names());
        }
        match failed {
            Some(error) => Err(error),
            None => Ok(removed),
        }
    }

    /// Checks that all files can be removed, before the service is stopped.
    fn check_removal(&self, place: &Place, store: &Store, name: &ServiceName) -> Result<(), Error> {
        if has_link(store, name) {
            store.check_take(&link(&name.to_string()))?;
        }
        for file in &self.files {
            store.check_take(&file.name)?;
        }
        match self.line() {
            Some(entry) => remove_line(place, &entry, Run::Trial).map(drop),
            None => Ok(()),
        }
    }

    /// The entry in /etc/services that `add` wrote with them.
    fn line(&self) -> Option<Entry> {
        let mut assignments = self.files.iter().flat_map(|file| &file.content.assignments);
        let line = assignments.find(|a| a.section == RECORD && a.key == "Services")?;
        let (name, port) = line.value.split_once(' ')?;
        Some(Entry {
            name: name.parse().ok()?,
            port: port.strip_suffix("/tcp")?.parse().ok()?,
        })
    }
}

fn recover_temporary(store: &Store, name: &ServiceName) -> Result<bool, Error> {
    let [socket, shared, template] = service_units(name);
    let link = link(&name.to_string());
    store.recover(&[&link, &socket, &shared, &template])
}

/// Removes an entry of /etc/services. Returns whether there was one.
fn remove_line(place: &Place, entry: &Entry, run: Run) -> Result<bool, Error> {
    match services::remove(&place.root, entry, run) {
        Ok(done) => Ok(done == Outcome::Changed),
        // `add` has written no entry to such a file.
        Err(services::Error::NotPlain(_)) => Ok(false),
        Err(services::Error::Io(_, error)) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Whether the link that starts the socket at boot exists. `add` did not create one of this name to another
/// unit.
fn has_link(store: &Store, name: &ServiceName) -> bool {
    let target = store.link_target(&link(&name.to_string()));
    target.is_some_and(|target| {
        let unit = format!("{name}.socket");
        target.file_name().is_some_and(|target| *target == *unit)
    })
}

/// Stops the service and removes all that `add` made under this name.
fn dismantle(place: &Place, store: &Store, name: &ServiceName) -> Result<Removed, Error> {
    let own = Own::find(place, name)?;
    if let Some(manager) = Manager::of(place) {
        stop(place, &manager, name, &own.names(), None)?;
    }
    own.take(place, store, name)
}

/// Undoes what a failed `add` has done for a new service, or removes an imported one. Its files are removed even if
/// systemctl fails: another run would take them for those of an attached service, and the next boot would start it.
pub(crate) fn undo(place: &Place, store: &Store, name: &ServiceName) -> Vec<Left> {
    let own = match Own::find(place, name) {
        Ok(own) => own,
        Err(error) => return vec![Left::Files(error)],
    };
    let mut left = Vec::new();
    if let Some(manager) = Manager::of(place) {
        if let Err(error) = stop(place, &manager, name, &own.names(), None) {
            left.push(Left::Running(error, running(name, &own.names())));
        }
    }
    match own.take(place, store, name) {
        Ok(_) => {}
        // systemctl fails, which is said already, or keeps the names of units that do not run.
        Err(Error::Systemctl(_)) => {}
        Err(error) => {
            let is_gone = Own::find(place, name).is_ok_and(|own| own.files.is_empty());
            // On a read-only file system, removing what does not exist fails too.
            if !is_gone || has_link(store, name) || matches!(error, Error::Services(_)) {
                left.push(Left::Files(error));
            }
        }
    }
    left
}

/// The units of a service that may run, for systemctl. Once systemd has noticed that their files are gone, the service
/// does not stop with its socket.
fn running(name: &ServiceName, own: &[String]) -> Vec<String> {
    let [socket, shared, template] = service_units(name);
    let mut units = vec![socket];
    if own.contains(&shared) {
        units.push(shared);
    }
    if own.contains(&template) {
        units.push(format!("{name}@*.service"));
    }
    units
}

/// Removes what systemd keeps about units that no longer exist. `own` are the files that there were.
fn forget(place: &Place, manager: &Manager, name: &ServiceName, own: &[String]) {
    let [socket, shared, template] = service_units(name);
    for file in [&socket, &shared]
        .into_iter()
        .filter(|file| own.contains(file))
    {
        let _ = manager.reset_failed(file);
    }
    if !own.contains(&template) {
        return;
    }
    let _ = manager.reset_failed(&format!("{name}@*.service"));
    if place.scope == Scope::System {
        // sockunit-sweep does this only for templates that exist.
        let begin = format!("log-extra-fields:{name}@");
        let entries = fs::read_dir("/run/systemd/units").into_iter().flatten();
        for entry in entries.flatten() {
            if entry.file_name().to_string_lossy().starts_with(&begin) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

/// The drop-in directories for these units.
fn drop_ins(folder: &Path, name: &ServiceName) -> Vec<PathBuf> {
    service_units(name)
        .iter()
        .map(|name| folder.join(format!("{name}.d")))
        .filter(|folder| folder.is_dir())
        .collect()
}
