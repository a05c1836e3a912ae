//! Marks of services, which last until the next boot.

use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::Error;
use super::store::own_directory;
use crate::root::open_directory;
use crate::services::ServiceName;
use crate::systemd::{self, Place, Scope};

/// A mark that a service can have: a file of its name in this directory of /run/sockunit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark(&'static str);

/// It gets no new connections from a load balancer.
pub(super) const DRAINING: Mark = Mark("draining");

/// `add` has begun to change it, and has neither finished nor undone that.
pub(super) const UNFINISHED: Mark = Mark("unfinished");

impl Mark {
    /// Sets or removes the mark. Returns whether this changed anything.
    ///
    /// # Errors
    ///
    /// The file cannot be made or removed, or root would do so below a directory of another user.
    pub(super) fn set(self, place: &Place, name: &ServiceName, set: bool) -> Result<bool, Error> {
        let path = self.directory(place);
        own_directory(place, &path)?;
        set_file(place, &path, &name.to_string(), set).map_err(|error| Error::Io(path, error))
    }

    /// Whether a service has the mark.
    pub(super) fn is_set(self, place: &Place, name: &ServiceName) -> bool {
        let mark = self.directory(place).join(name.to_string());
        place.path(mark).exists()
    }

    fn directory(self, place: &Place) -> PathBuf {
        let run = match place.scope {
            Scope::System => PathBuf::from("/run"),
            Scope::User => systemd::runtime(),
        };
        run.join("sockunit").join(self.0)
    }
}

fn set_file(place: &Place, path: &Path, name: &str, set: bool) -> io::Result<bool> {
    let directory = match open_directory(&place.root, path, set) {
        Err(error) if !set && error.kind() == io::ErrorKind::NotFound => return Ok(false),
        directory => directory?,
    };
    let changed = match set {
        true => {
            let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
            openat(&directory, name, flags, Mode::from_bits_truncate(0o644)).map(drop)
        }
        false => unlinkat(&directory, name, UnlinkatFlags::NoRemoveDir),
    };
    match changed {
        Ok(()) => Ok(true),
        Err(Errno::EEXIST) if set => Ok(false),
        Err(Errno::ENOENT) if !set => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}
