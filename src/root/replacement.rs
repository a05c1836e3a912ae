//! Replaces a file in one step.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::{FileStat, Mode, SFlag, fchmod, fstat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, unlinkat};

use super::attributes;
use super::{open_directory, read_all, sync, temporary_name};

/// Read, write and execute. A write to a file clears the other bits of its mode.
const PERMISSIONS: u32 = 0o777;

/// A regular file that may be replaced, opened once. The new file is written beside it, always under the same
/// name, so that the next run removes what a killed run has left.
pub(crate) struct Replaceable<'d> {
    directory: &'d File,
    name: OsString,
    file: File,
    stat: FileStat,
    /// Its text.
    pub text: Vec<u8>,
}

impl Replaceable<'_> {
    /// Opens and reads the file `name` in a directory. `None` if it is not a regular file.
    ///
    /// # Errors
    ///
    /// Those of open(2) without following a symbolic link, and of read(2), or it has more than 16 MiB.
    pub(crate) fn open<'d>(
        directory: &'d File,
        name: &OsStr,
    ) -> io::Result<Option<Replaceable<'d>>> {
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let file = File::from(openat(directory, name, flags, Mode::empty())?);
        let stat = fstat(file.as_fd())?;
        if SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT != SFlag::S_IFREG {
            return Ok(None);
        }
        let text = read_all(&file)?;
        Ok(Some(Replaceable {
            directory,
            name: name.into(),
            file,
            stat,
            text,
        }))
    }

    /// Writes a new file and renames it over the old one, whose owner, mode, access control list and
    /// other extended attributes it gets.
    ///
    /// # Errors
    ///
    /// It cannot be written or renamed; the old file is as it was.
    pub(crate) fn replace(&self, text: &[u8]) -> io::Result<()> {
        put_in_one_step(self.directory, &self.name, |temporary| {
            self.write(temporary, text)
        })?;
        sync(self.directory)
    }

    /// Writes a new file and removes it, to find out whether the old one could be replaced.
    ///
    /// # Errors
    ///
    /// Those of [`Replaceable::replace`].
    pub(crate) fn try_replace(&self, text: &[u8]) -> io::Result<()> {
        let written = self.write(&temporary_name(&self.name), text);
        let removed = remove_temporary(self.directory, &self.name);
        written.and(removed)
    }

    /// Writes the new file, with the owner, the mode and the extended attributes of the old one.
    fn write(&self, temporary: &OsStr, text: &[u8]) -> io::Result<()> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        let new = openat(self.directory, temporary, flags, mode)?;
        let mut new = File::from(new);
        new.write_all(text)?;
        let (user, group) = (
            Uid::from_raw(self.stat.st_uid),
            Gid::from_raw(self.stat.st_gid),
        );
        fchown(&new, Some(user), Some(group))?;
        // Before the mode: without the access control list, its group bits would be rights of the group.
        attributes::copy(&self.file, &new)?;
        let mode = Mode::from_bits_truncate(self.stat.st_mode & PERMISSIONS);
        fchmod(&new, mode)?;
        new.sync_all()
    }
}

/// Has `write` make a new file under the name that it receives, and renames it over the file `name`. What a killed run
/// has left is removed first. If it fails, nothing is left: a full file system has room for a name.
///
/// # Errors
///
/// Those of `write` and rename(2); the old file is as it was.
pub(crate) fn put_in_one_step(
    directory: impl AsFd,
    name: &OsStr,
    write: impl FnOnce(&OsStr) -> io::Result<()>,
) -> io::Result<()> {
    let temporary = temporary_name(name);
    remove_temporary(&directory, name)?;
    let written = write(&temporary).and_then(|()| {
        let renamed = renameat(&directory, temporary.as_os_str(), &directory, name);
        Ok(renamed?)
    });
    written.inspect_err(|_| {
        let _ = remove_temporary(&directory, name);
    })
}

/// Removes what a killed run has left of a new file in the place of the file `name`.
///
/// # Errors
///
/// Those of unlink(2), but that there is nothing.
pub(crate) fn remove_temporary(directory: impl AsFd, name: &OsStr) -> io::Result<()> {
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
/// It is not a regular file, or cannot be read or replaced.
pub(crate) fn replace_file(
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
    old.replace(&text)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use nix::unistd::mkfifo;
    use rustix::fs::getxattr;

    use super::*;
    use crate::tree::{ACCESS_LIST, DEFAULT_LIST, Tree};

    fn list_of(path: &Path) -> Option<Vec<u8>> {
        let mut list = vec![0; 100];
        let length = getxattr(path, ACCESS_LIST, &mut list[..]).ok()?;
        list.truncate(length);
        Some(list)
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    fn replaced(tree: &Tree) -> io::Result<bool> {
        let path = tree.path("etc/file");
        replace_file(tree.root(), &path, |_| Some(b"new".to_vec()))
    }

    #[test]
    fn a_replaced_file_keeps_its_access_control_list() {
        let tree = Tree::new("list-kept");
        let file = tree.write("etc/file", "old").path("etc/file");
        let list = tree.set_list("etc/file", ACCESS_LIST, [6, 6, 4, 6, 0]);
        assert_eq!(mode(&file), 0o660);
        assert!(replaced(&tree).unwrap());
        assert_eq!(
            (tree.read("etc/file").as_str(), mode(&file)),
            ("new", 0o660)
        );
        assert_eq!(list_of(&file), Some(list));
    }

    #[test]
    fn a_replaced_file_inherits_no_access_control_list() {
        let tree = Tree::new("list-inherited");
        let file = tree.write("etc/file", "old").path("etc/file");
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        tree.set_list("etc", DEFAULT_LIST, [7, 7, 7, 7, 7]);
        tree.write("etc/other", "");
        assert!(list_of(&tree.path("etc/other")).is_some());
        assert!(replaced(&tree).unwrap());
        assert_eq!((list_of(&file), mode(&file)), (None, 0o640));
    }

    #[test]
    fn a_replaced_file_gets_no_set_user_id_bit() {
        let tree = Tree::new("bits");
        tree.write("etc/file", "old").set_mode("etc/file", 0o7751);
        assert!(replaced(&tree).unwrap());
        assert_eq!(mode(&tree.path("etc/file")), 0o751);
    }

    #[test]
    fn a_file_of_more_than_16_mib_is_not_read_to_be_replaced() {
        let tree = Tree::new("large");
        let file = File::create(tree.path("etc/file")).unwrap();
        file.set_len(1 << 30).unwrap();
        let error = replaced(&tree).unwrap_err();
        assert_eq!(error.to_string(), "larger than 16 MiB");
        assert_eq!(file.metadata().unwrap().len(), 1 << 30);
        assert_eq!(fs::read_dir(tree.path("etc")).unwrap().count(), 1);
    }

    #[test]
    fn a_fifo_is_not_replaced_and_does_not_block() {
        let tree = Tree::new("fifo");
        mkfifo(&tree.path("etc/file"), Mode::S_IRWXU).unwrap();
        let error = replaced(&tree).unwrap_err();
        assert_eq!(error.to_string(), "not a regular file");
    }
}
