//! The unit files of the administrator or the user: each is written or removed in one step.
//!
//! A file is written under a temporary name in its directory, and renamed. If the process is killed
//! in between, the next run removes the temporary file. Directories are opened once, below the root
//! directory, and files in them are named relative to them: no link, and no swap of one, leads out.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, readlinkat};
use nix::sys::stat::{Mode, fchmod, fstatat};
use nix::unistd::{AccessFlags, Uid, UnlinkatFlags, faccessat, symlinkat, unlinkat};

use super::Error;
use crate::root::{Lock, lock, open_directory, put_in_one_step, read, sync, temporary_name};
use crate::systemd::{Place, Scope};

/// The content of a new file.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Content<'a> {
    /// Text.
    Text(&'a str),
    /// A symbolic link's target.
    Link(&'a Path),
}

/// The directory of units that belongs to the administrator or the user, locked against other runs.
///
/// Paths are relative to it, and have at most one directory: `NAME.socket`,
/// `sockets.target.wants/NAME.socket`.
#[derive(Debug)]
pub(crate) struct Store {
    folder: PathBuf,
    root: PathBuf,
    _lock: Lock,
}

impl Store {
    /// Locks the units of a place.
    ///
    /// # Errors
    ///
    /// Another run has the lock, the caller has no permission, or root would write below a directory
    /// of another user.
    pub(crate) fn open(place: &Place) -> Result<Store, Error> {
        let folder = place.own_folder();
        if place.live() && place.scope == Scope::System && !Uid::effective().is_root() {
            return Err(Error::Io(folder, io::ErrorKind::PermissionDenied.into()));
        }
        own_directory(place, &folder)?;
        let lock = lock(&place.root, "units").map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => Error::Busy,
            io::ErrorKind::NotFound if place.scope == Scope::User => Error::NoUserManager,
            _ => Error::Io(folder.clone(), error),
        })?;
        Ok(Store {
            folder,
            root: place.root.clone(),
            _lock: lock,
        })
    }

    /// Where the units are.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether a file or link exists, wherever it leads.
    pub(crate) fn exists(&self, path: &str) -> bool {
        let found = self.directory_of(path, false);
        found.is_ok_and(|(directory, name)| {
            fstatat(directory, name, AtFlags::AT_SYMLINK_NOFOLLOW).is_ok()
        })
    }

    /// The target of a link; `None` if there is no such link.
    pub(crate) fn link_target(&self, path: &str) -> Option<PathBuf> {
        let (directory, name) = self.directory_of(path, false).ok()?;
        readlinkat(directory, name).ok().map(PathBuf::from)
    }

    /// Writes a file in one step.
    pub(crate) fn put(&self, path: &str, content: Content<'_>) -> Result<(), Error> {
        let written = self.directory_of(path, true).and_then(|(directory, name)| {
            put_in_one_step(&directory, name.as_ref(), |temporary| {
                write(&directory, temporary, content)
            })?;
            sync(&directory)
        });
        written.map_err(|error| self.failed(path, error))
    }

    /// Checks that [`Store::take`] could remove a file: the file system is writable, and neither the file
    /// nor its directory is immutable.
    pub(crate) fn check_take(&self, path: &str) -> Result<(), Error> {
        let checked = match self.directory_of(path, false) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok((directory, name)) => {
                let writable = |name: &str| {
                    let flags = AtFlags::AT_EACCESS | AtFlags::AT_SYMLINK_NOFOLLOW;
                    faccessat(&directory, name, AccessFlags::W_OK, flags)
                };
                match writable(".").and_then(|()| writable(name)) {
                    Err(Errno::ENOENT) => Ok(()),
                    checked => checked.map_err(io::Error::from),
                }
            }
        };
        checked.map_err(|error| self.failed(path, error))
    }

    /// Removes a file. Returns whether it existed.
    pub(crate) fn take(&self, path: &str) -> Result<bool, Error> {
        let taken = match self.directory_of(path, false) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => Err(error),
            Ok((directory, name)) => remove(&directory, name.as_ref()).and_then(|taken| {
                if taken {
                    sync(&directory)?;
                }
                Ok(taken)
            }),
        };
        taken.map_err(|error| self.failed(path, error))
    }

    /// Removes the temporary files that a killed run has left. Returns whether there were any.
    pub(crate) fn recover(&self, paths: &[&str]) -> Result<bool, Error> {
        let mut any = false;
        for path in paths {
            let removed = match self.directory_of(path, false) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
                Err(error) => Err(error),
                Ok((directory, name)) => remove(&directory, temporary_name(name.as_ref()).as_ref()),
            };
            any |= removed.map_err(|error| self.failed(path, error))?;
        }
        Ok(any)
    }

    fn failed(&self, path: &str, error: io::Error) -> Error {
        Error::Io(self.folder.join(path), error)
    }

    /// The directory of a file, opened, and the file's name in it.
    fn directory_of<'p>(&self, path: &'p str, create: bool) -> io::Result<(OwnedFd, &'p str)> {
        let (directory, name) = match path.rsplit_once('/') {
            Some((directory, name)) => (self.folder.join(directory), name),
            None => (self.folder.clone(), path),
        };
        Ok((open_directory(&self.root, &directory, create)?, name))
    }
}

/// The bytes of a unit file; `None` if it does not exist.
pub(super) fn read_unit(root: &Path, folder: &Path, name: &str) -> Result<Option<Vec<u8>>, Error> {
    let path = folder.join(name);
    match read(root, &path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::Io(path, error)),
    }
}

/// Checks that root changes no file below a directory of another user.
pub(super) fn own_directory(place: &Place, folder: &Path) -> Result<(), Error> {
    match place.foreign_directory(folder) {
        Some(path) => Err(Error::HomeOfAnother(path)),
        None => Ok(()),
    }
}

fn write(directory: impl AsFd, name: &OsStr, content: Content<'_>) -> io::Result<()> {
    let text = match content {
        Content::Link(target) => return Ok(symlinkat(target, directory, name)?),
        Content::Text(text) => text,
    };
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
    let mode = Mode::from_bits_truncate(0o644);
    let mut file = File::from(openat(directory, name, flags, mode)?);
    file.write_all(text.as_bytes())?;
    // Whatever the umask is.
    fchmod(&file, mode)?;
    file.sync_all()
}

/// Removes a file. Returns whether it existed.
fn remove(directory: impl AsFd, name: &Path) -> io::Result<bool> {
    match unlinkat(directory, name, UnlinkatFlags::NoRemoveDir) {
        Ok(()) => Ok(true),
        Err(Errno::ENOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
