//! Files that come and go in one step each, so that whoever is killed in between leaves nothing that
//! the next run does not take away.
//!
//! A file is written under a name of its own beside its place, and renamed. A folder that is missing
//! is made with its first file in it, and renamed as a whole; a hidden mark in it says that it goes
//! when nothing else is left in it.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::Error;
use crate::root;
use crate::systemd::{self, Place, Scope};

/// The mark in a folder that was made here.
const MARK: &str = ".made-by-sockunit";

/// What a file is to be.
#[derive(Debug, Clone, Copy)]
pub enum Content<'a> {
    /// A text.
    Text(&'a str),
    /// A symbolic link.
    Link(&'a Path),
}

/// The folder of units that belongs to the administrator or the user, locked.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    /// How far up a folder may be made or removed.
    root: PathBuf,
    _lock: Flock<File>,
}

impl Store {
    /// Locks the units of a place against other runs.
    ///
    /// # Errors
    ///
    /// Another run is at work, or there is no right to work here.
    pub fn open(place: &Place) -> Result<Store, Error> {
        let own = place.own_folder();
        let lock = lock(place)?;
        // Links in a tree lead nowhere else, also where the folder is still to be made.
        let folder = resolved(&place.root, &own).map_err(|error| Error::Io(own, error))?;
        Ok(Store {
            folder,
            root: place.root.clone(),
            _lock: lock,
        })
    }

    /// Where the units are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where a file is whose path is relative to the folder of units: links on the way lead nowhere out
    /// of the root.
    pub fn path(&self, path: &str) -> Result<PathBuf, Error> {
        let path = self.folder.join(path);
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return Ok(path);
        };
        match resolved(&self.root, folder) {
            Ok(folder) => Ok(folder.join(name)),
            Err(error) => Err(Error::Io(path, error)),
        }
    }

    /// Makes a file, in one step. `path` is relative to the folder of units.
    pub fn put(&self, path: &str, content: Content<'_>) -> Result<(), Error> {
        let path = self.path(path)?;
        self.make(&path, content)
            .map_err(|error| Error::Io(path, error))
    }

    fn make(&self, path: &Path, content: Content<'_>) -> io::Result<()> {
        let folder = path.parent().unwrap_or(&self.root);
        let Some(missing) = first_missing(folder) else {
            let new = beside(path);
            remove_file(&new)?;
            write(&new, content)?;
            fs::rename(&new, path)?;
            return sync(folder);
        };
        let new = beside(missing);
        remove_tree(&new)?;
        let within = |path: &Path| {
            let rest = path.strip_prefix(missing).unwrap_or(path);
            match rest.as_os_str().is_empty() {
                true => new.clone(),
                false => new.join(rest),
            }
        };
        let mut made: Vec<&Path> = folder
            .ancestors()
            .take_while(|ancestor| ancestor.starts_with(missing))
            .collect();
        made.reverse();
        for folder in &made {
            let folder = within(folder);
            fs::create_dir(&folder)?;
            fs::set_permissions(&folder, Permissions::from_mode(0o755))?;
            write(&folder.join(MARK), Content::Text(""))?;
        }
        write(&within(path), content)?;
        for folder in &made {
            sync(&within(folder))?;
        }
        fs::rename(&new, missing)?;
        sync(missing.parent().unwrap_or(&self.root))
    }

    /// Takes a file away; that it is gone already is no error.
    pub fn take(&self, path: &str) -> Result<bool, Error> {
        let path = self.path(path)?;
        let taken = remove_file(&path).and_then(|taken| {
            if taken {
                sync(path.parent().unwrap_or(&self.root))?;
            }
            Ok(taken)
        });
        taken.map_err(|error| Error::Io(path, error))
    }

    /// Takes away what a run that was killed has left of these files, and the folders of their own
    /// that are empty. Says whether there was anything.
    pub fn tidy(&self, paths: &[&str]) -> Result<bool, Error> {
        let mut any = false;
        for path in paths {
            let path = self.path(path)?;
            let new = beside(&path);
            any |= remove_file(&new).map_err(|error| Error::Io(new, error))?;
            for folder in path.ancestors().skip(1) {
                if folder == self.root || !folder.starts_with(&self.root) {
                    break;
                }
                any |= tidy_folder(folder).map_err(|error| Error::Io(folder.into(), error))?;
            }
        }
        Ok(any)
    }
}

/// A lock that a program attached here cannot hold: where anybody may open a file, anybody may lock
/// it.
fn lock(place: &Place) -> Result<Flock<File>, Error> {
    let path = match (place.live(), place.scope) {
        (false, _) => place.root.clone(),
        (true, Scope::System) => "/run/sockunit.lock".into(),
        (true, Scope::User) => systemd::runtime().join("sockunit.lock"),
    };
    let file = match place.live() {
        true => OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path),
        false => File::open(&path),
    };
    let file = file.map_err(|error| Error::Io(path.clone(), error))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| match errno {
        Errno::EWOULDBLOCK => Error::Busy(path),
        errno => Error::Io(path, errno.into()),
    })
}

/// The folder with the links on the way to it followed, as far as it exists.
fn resolved(root: &Path, folder: &Path) -> io::Result<PathBuf> {
    match first_missing(folder) {
        None => root::resolve(root, folder),
        Some(missing) => {
            let there = missing.parent().unwrap_or(root);
            let rest = folder.strip_prefix(there).unwrap_or(folder);
            Ok(root::resolve(root, there)?.join(rest))
        }
    }
}

/// The uppermost folder of a path that does not exist.
fn first_missing(folder: &Path) -> Option<&Path> {
    folder
        .ancestors()
        .take_while(|ancestor| fs::symlink_metadata(ancestor).is_err())
        .last()
}

/// The name under which something is made before it takes its place.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.sockunit"))
}

fn write(path: &Path, content: Content<'_>) -> io::Result<()> {
    match content {
        Content::Link(target) => symlink(target, path),
        Content::Text(text) => {
            let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
            file.write_all(text.as_bytes())?;
            // Whatever the umask is.
            file.set_permissions(Permissions::from_mode(0o644))?;
            file.sync_all()
        }
    }
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Removes a file, and says whether there was one.
fn remove_file(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Removes a folder that is being made or taken away, and says whether there was one.
fn remove_tree(path: &Path) -> io::Result<bool> {
    match fs::remove_dir_all(path) {
        Ok(()) => Ok(true),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Removes what is left of a folder that was being made, and the folder if it was made here and
/// nothing is left in it.
fn tidy_folder(folder: &Path) -> io::Result<bool> {
    let aside = beside(folder);
    let left = remove_tree(&aside)?;
    let names = match fs::read_dir(folder) {
        Ok(entries) => entries
            .map(|entry| Ok(entry?.file_name()))
            .collect::<io::Result<Vec<_>>>()?,
        Err(_) => return Ok(left),
    };
    if names != [MARK] {
        return Ok(left);
    }
    // Out of the way in one step; a mark that went before its folder would leave the folder for ever.
    fs::rename(folder, &aside)?;
    remove_tree(&aside)?;
    if let Some(parent) = folder.parent() {
        sync(parent)?;
    }
    Ok(true)
}
