//! Writes units to a directory.

use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{Mode, fstatat};

use super::Converted;
use crate::attach::RenderedUnit;
use crate::hint::Hint;
use crate::log::{Plain, reason};
use crate::root::{is_open_to_others, is_own, open_directory, put_in_one_step, trace};

/// Why units were not written.
#[derive(Debug)]
pub(crate) enum OutputError {
    /// Another user can change a directory on the way to the units, or has a file of their name.
    OfAnother(PathBuf),
    Io(PathBuf, io::Error),
}

impl fmt::Display for OutputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OutputError::OfAnother(path) => {
                let path = path.display().to_string();
                write!(f, "{}: another user can change it", Plain(&path))
            }
            OutputError::Io(path, error) => {
                let path = path.display().to_string();
                write!(f, "{}: {}", Plain(&path), reason(error))
            }
        }
    }
}

impl OutputError {
    /// How to go on.
    pub(crate) fn hint(&self) -> Option<Hint> {
        matches!(self, OutputError::OfAnother(_))
            .then(|| Hint::new("name a directory that only you can write to, such as units"))
    }
}

/// Writes the units to a directory, and makes it if it is missing. A unit replaces an older file of its name.
///
/// # Errors
///
/// See [`OutputError`].
pub(crate) fn output(directory: &Path, converted: &Converted) -> Result<(), OutputError> {
    let root = Path::new("/");
    let failed = |error| OutputError::Io(directory.into(), error);
    let absolute = std::path::absolute(directory).map_err(failed)?;
    let (passed, end) = match trace(root, &absolute) {
        Ok(traced) => (traced.directories, Some(traced.status)),
        Err(error) => (error.directories, None),
    };
    if let Some((path, _)) = passed.iter().find(|(_, stat)| is_open_to_others(stat)) {
        return Err(OutputError::OfAnother(path.clone()));
    }
    if end.is_some_and(|stat| stat.is_dir() && is_open_to_others(&stat)) {
        return Err(OutputError::OfAnother(directory.into()));
    }
    let opened = open_directory(root, &absolute, true).map_err(failed)?;
    let opened = File::from(opened);
    let units = converted.services.iter().flat_map(|service| &service.units);
    for unit in units {
        put(&opened, unit).map_err(|error| match error {
            Some(error) => OutputError::Io(directory.join(&unit.name), error),
            None => OutputError::OfAnother(directory.join(&unit.name)),
        })?;
    }
    Ok(())
}

/// Writes a file in one step. The error is `None` if another user has a file of its name.
fn put(directory: &File, unit: &RenderedUnit) -> Result<(), Option<io::Error>> {
    let name = unit.name.as_str();
    match fstatat(directory, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Ok(stat) if !is_own(stat.st_uid) => return Err(None),
        Ok(_) | Err(Errno::ENOENT) => {}
        Err(error) => return Err(Some(error.into())),
    }
    let write = |temporary: &OsStr| {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
        let mode = Mode::from_bits_truncate(0o644);
        let mut file = File::from(openat(directory, temporary, flags, mode)?);
        file.write_all(unit.text.as_bytes())
    };
    put_in_one_step(directory, name.as_ref(), write).map_err(Some)
}
