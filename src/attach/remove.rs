//! Taking away what `add` made, and nothing else.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::mark::{Maker, maker};
use super::render::RECORD;
use super::store::Store;
use super::{Error, Kind};
use crate::services::{self, Entry, Outcome, Run, ServiceName};
use crate::systemd::Manager;
use crate::systemd::{Place, Scope, UnitFile};

/// What was taken away, and what was not.
#[derive(Debug, Default)]
pub struct Removed {
    /// The files that were removed.
    pub files: Vec<PathBuf>,
    /// The line that was taken out of /etc/services.
    pub line: Option<Entry>,
    /// What others have written for these units, and keep.
    pub kept: Vec<PathBuf>,
}

/// Takes an attachment away: stops it, removes what [`super::add`] wrote. With `force` also files that
/// somebody has changed since.
///
/// # Errors
///
/// See [`Error`]. Nothing is changed where there is no such attachment, or it was changed.
pub fn remove(place: &Place, name: &ServiceName, force: bool) -> Result<Removed, Error> {
    let store = Store::open(place)?;
    let own = Own::find(store.folder(), name)?;
    if own.files.is_empty() {
        return match tidy(&store, name)? {
            true => Ok(Removed::default()),
            false => Err(Error::Unknown(name.to_string())),
        };
    }
    let changed = own.changed(&store);
    if !changed.is_empty() && !force {
        return Err(Error::Changed(changed));
    }
    dismantle(place, &store, name)
}

/// Takes away what an `add` that was killed has left.
pub fn recover(place: &Place, store: &Store, name: &ServiceName) -> Result<(), Error> {
    let own = Own::find(store.folder(), name)?;
    let socket = store.folder().join(format!("{name}.socket"));
    if !own.files.is_empty() && fs::symlink_metadata(socket).is_err() {
        // One that was killed has left what it wrote. What is otherwise is somebody's work.
        let changed = own.changed(store);
        if !changed.is_empty() {
            return Err(Error::Changed(changed));
        }
        dismantle(place, store, name)?;
    }
    tidy(store, name).map(drop)
}

/// Whether the name is free of units that `add` made.
///
/// # Errors
///
/// It has some.
pub fn unattached(place: &Place, name: &ServiceName) -> Result<(), Error> {
    let own = Own::find(&place.own_folder(), name)?;
    if own.files.is_empty() {
        return Ok(());
    }
    let user = match place.scope {
        Scope::System => "",
        Scope::User => " --user",
    };
    Err(Error::Refused(format!(
        "{name} is attached already; sockunit remove{user} {name} takes it away"
    )))
}

/// The name of the link that starts a socket at boot, below the folder of units.
pub fn link(name: &str) -> String {
    format!("sockets.target.wants/{name}.socket")
}

/// A unit file that `add` made.
struct OwnFile {
    name: String,
    maker: Maker,
    content: UnitFile,
}

struct Own {
    files: Vec<OwnFile>,
}

impl Own {
    /// The unit files of this name that were made by `add`.
    fn find(folder: &Path, name: &ServiceName) -> Result<Own, Error> {
        let mut files = Vec::new();
        for name in names(name) {
            let path = folder.join(&name);
            let bytes = match fs::read(&path) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(Error::Io(path, error)),
            };
            let maker = maker(&bytes);
            if maker != Maker::Other {
                files.push(OwnFile {
                    name,
                    maker,
                    content: UnitFile::parse(&bytes),
                });
            }
        }
        Ok(Own { files })
    }

    /// Those that somebody has changed since.
    fn changed(&self, store: &Store) -> Vec<PathBuf> {
        let changed = self
            .files
            .iter()
            .filter(|file| file.maker == Maker::Changed);
        changed
            .map(|file| store.folder().join(&file.name))
            .collect()
    }

    /// The line in /etc/services that came with them.
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

/// The units that there may be, in the order in which they are removed: the one that says what there
/// is goes last.
fn names(name: &ServiceName) -> [String; 3] {
    [
        format!("{name}.socket"),
        Kind::Shared.service(name),
        Kind::Single.service(name),
    ]
}

fn tidy(store: &Store, name: &ServiceName) -> Result<bool, Error> {
    let [socket, shared, single] = names(name);
    let link = link(&name.to_string());
    store.tidy(&[&link, &socket, &shared, &single])
}

/// Stops and removes all that `add` made under this name.
pub fn dismantle(place: &Place, store: &Store, name: &ServiceName) -> Result<Removed, Error> {
    let own = Own::find(store.folder(), name)?;
    let manager = Manager::of(place);
    if let Some(manager) = &manager {
        stop(place, manager, name)?;
    }
    let mut removed = Removed::default();
    let link = link(&name.to_string());
    // A link of the same name to something else is not ours.
    let leads = fs::read_link(store.path(&link)?);
    let ours = leads.is_ok_and(|to| {
        to.file_name()
            .is_some_and(|to| *to == *format!("{name}.socket"))
    });
    if ours && store.take(&link)? {
        removed.files.push(store.folder().join(&link));
    }
    let mut line = own.line();
    let mut left = None;
    for file in &own.files {
        // The line is taken out before the file goes that tells of it.
        if !file.name.ends_with(".socket") {
            if let Some(entry) = line.take() {
                match services::remove(&place.root, &entry, Run::Real) {
                    Ok(done) => removed.line = (done == Outcome::Changed).then_some(entry),
                    // A file that add would not have written to has no line of its.
                    Err(services::Error::NotPlain(_)) => {}
                    Err(services::Error::Io(_, error)) if error.kind() == ErrorKind::NotFound => {}
                    // The rest goes all the same: one that is half there cannot be asked to go again.
                    Err(error) => left = Some(error),
                }
            }
        }
        if store.take(&file.name)? {
            removed.files.push(store.folder().join(&file.name));
        }
    }
    tidy(store, name)?;
    removed.kept = drop_ins(store.folder(), name);
    if let Some(manager) = &manager {
        manager.daemon_reload()?;
        forget(place, manager, name);
    }
    match left {
        Some(error) => Err(error.into()),
        None => Ok(removed),
    }
}

/// The listener first, so that no conversation begins in between.
fn stop(place: &Place, manager: &Manager, name: &ServiceName) -> Result<(), Error> {
    let socket = format!("{name}.socket");
    // A unit that was never loaded cannot be stopped, and need not be.
    let state = manager.show(&socket, &["ActiveState"])?;
    if !matches!(state.get("ActiveState"), "inactive" | "") {
        manager.stop(&socket)?;
    }
    let _ = manager.stop(&Kind::Shared.service(name));
    let _ = manager.stop(&format!("{name}@*.service"));
    let slice = match place.scope {
        Scope::System => "system",
        Scope::User => "app",
    };
    let escaped = name.to_string().replace('-', "\\x2d");
    let _ = manager.stop(&format!("{slice}-{escaped}.slice"));
    Ok(())
}

/// What systemd remembers of units that are gone.
fn forget(place: &Place, manager: &Manager, name: &ServiceName) {
    for unit in [
        format!("{name}.socket"),
        Kind::Shared.service(name),
        format!("{name}@*.service"),
    ] {
        let _ = manager.reset_failed(&unit);
    }
    if place.scope == Scope::System {
        // Nobody sweeps for a template that is gone.
        let begin = format!("log-extra-fields:{name}@");
        for entry in fs::read_dir("/run/systemd/units")
            .into_iter()
            .flatten()
            .flatten()
        {
            if entry.file_name().to_string_lossy().starts_with(&begin) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

/// The drop-ins that somebody wrote for these units.
fn drop_ins(folder: &Path, name: &ServiceName) -> Vec<PathBuf> {
    names(name)
        .iter()
        .map(|name| folder.join(format!("{name}.d")))
        .filter(|folder| folder.is_dir())
        .collect()
}
