//! Replaces a file in one step.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::{FileStat, Mode, SFlag, fchmod, fstat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, unlinkat};

use super::{open_directory, sync, temporary_name};

/// A regular file that may be replaced, opened once. The new file is written beside it, always under the same
/// name, so that the next run removes what a killed run has left.
pub struct Replaceable<'d> {
    directory: &'d File,
    name: OsString,
    temporary: OsString,
    stat: FileStat,
    /// Its text.
    pub text: Vec<u8>,
}

impl Replaceable<'_> {
    /// Opens and reads the file `name` in a directory. `None` if it is no regular file.
    ///
    /// # Errors
    ///
    /// Those of open(2) without following a symbolic link, and of read(2).
    pub fn open<'d>(directory: &'d File, name: &OsStr) -> io::Result<Option<Replaceable<'d>>> {
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let mut file = File::from(openat(directory, name, flags, Mode::empty())?);
        let stat = fstat(file.as_fd())?;
        if SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT != SFlag::S_IFREG {
            return Ok(None);
        }
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        Ok(Some(Replaceable {
            directory,
            name: name.into(),
            temporary: temporary_name(name),
            stat,
            text,
        }))
    }

    /// Writes a new file and renames it over the old one, whose owner and mode it gets.
    ///
    /// # Errors
    ///
    /// It cannot be written or renamed; the old file is as it was.
    pub fn replace(&self, text: &[u8]) -> io::Result<()> {
        let done = self.write(text).and_then(|()| {
            renameat(
                self.directory,
                self.temporary.as_os_str(),
                self.directory,
                self.name.as_os_str(),
            )?;
            sync(self.directory)
        });
        done.inspect_err(|_| {
            let _ = remove_temporary(self.directory, &self.name);
        })
    }

    /// Writes a new file and removes it, to find out whether the old one could be replaced.
    ///
    /// # Errors
    ///
    /// Those of [`Replaceable::replace`].
    pub fn try_replace(&self, text: &[u8]) -> io::Result<()> {
        let written = self.write(text);
        let removed = remove_temporary(self.directory, &self.name);
        written.and(removed)
    }

    /// Writes the new file, with the owner and the mode of the old one.
    fn write(&self, text: &[u8]) -> io::Result<()> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        let new = openat(self.directory, self.temporary.as_os_str(), flags, mode)?;
        let mut new = File::from(new);
        new.write_all(text)?;
        let (user, group) = (
            Uid::from_raw(self.stat.st_uid),
            Gid::from_raw(self.stat.st_gid),
        );
        fchown(&new, Some(user), Some(group))?;
        // After the owner, because a change of owner clears bits of the mode.
        fchmod(&new, Mode::from_bits_truncate(self.stat.st_mode))?;
        new.sync_all()
    }
}

/// Removes what a killed run has left of a new file in the place of the file `name`.
///
/// # Errors
///
/// Those of unlink(2), but that there is nothing.
pub fn remove_temporary(directory: &File, name: &OsStr) -> io::Result<()> {
    let temporary = temporary_name(name);
    match unlinkat(directory, temporary.as_os_str(), UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Replaces the regular file `path` below `root` by the result of `change`. Returns whether it has changed: if
/// `change` returns `None`, it has not.
///
/// # Errors
///
/// It is no regular file, or cannot be read or replaced.
pub fn replace_file(
    root: &Path,
    path: &Path,
    change: impl FnOnce(&[u8]) -> Option<Vec<u8>>,
) -> io::Result<bool> {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Errno::EISDIR.into());
    };
    let directory = File::from(open_directory(root, directory, false)?);
    let Some(old) = Replaceable::open(&directory, name)? else {
        let kind = io::ErrorKind::InvalidInput;
        return Err(io::Error::new(kind, "not a regular file"));
    };
    let Some(text) = change(&old.text) else {
        return Ok(false);
    };
    remove_temporary(&directory, name)?;
    old.replace(&text)?;
    Ok(true)
}
