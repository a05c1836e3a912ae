//! Replaces /etc/services in one step.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat, renameat};
use nix::sys::stat::{FileStat, Mode, SFlag, fchmod, fstat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, unlinkat};

use super::{EntryConflict, Error, FILE, Outcome, Run};
use crate::root::{lock, open_directory, sync, temporary_name};

/// The name of the new file while it is written, beside the old one. It is always the same, so that the
/// next run removes what a killed run has left.
const NEW: &str = ".services.sockunit";
const OLD: &str = "services";

/// Replaces the text of the file below `root` by the result of `change`, and keeps owner and mode. If
/// `change` returns `None`, nothing is replaced.
pub fn replace(
    root: &Path,
    run: Run,
    change: impl FnOnce(&[u8]) -> Result<Option<Vec<u8>>, EntryConflict>,
) -> Result<Outcome, Error> {
    let path = root.join(FILE);
    let failed = |error| match error {
        // What open(2) with O_NOFOLLOW returns for a symbolic link; /etc itself may be one.
        Errno::ELOOP | Errno::ENOTDIR => Error::NotPlain(path.clone()),
        _ => Error::Io(path.clone(), error.into()),
    };
    let folder = path.parent().unwrap_or(root);
    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let folder = File::from(open(folder, flags, Mode::empty()).map_err(failed)?);
    let _lock = match run {
        Run::Real | Run::Trial => {
            Some(lock(root, "services").map_err(|error| match error.kind() {
                io::ErrorKind::WouldBlock => Error::Busy,
                _ => Error::Io(path.clone(), error),
            })?)
        }
        Run::Dry => None,
    };
    if run != Run::Dry {
        remove(&folder, NEW.as_ref()).map_err(|error| Error::Io(path.clone(), error))?;
    }
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let mut old = File::from(openat(&folder, OLD, flags, Mode::empty()).map_err(failed)?);
    let stat = fstat(old.as_fd()).map_err(failed)?;
    if SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT != SFlag::S_IFREG {
        return Err(Error::NotPlain(path));
    }
    let mut text = Vec::new();
    old.read_to_end(&mut text)
        .map_err(|error| Error::Io(path.clone(), error))?;
    let Some(text) = change(&text).map_err(|conflict| Error::Conflict(path.clone(), conflict))?
    else {
        return Ok(Outcome::Unchanged);
    };
    let names = (OsStr::new(NEW), OsStr::new(OLD));
    let done = match run {
        Run::Real => put(&folder, names, &stat, &text),
        Run::Trial => write(&folder, names.0, &stat, &text).and_then(|()| remove(&folder, names.0)),
        Run::Dry => Ok(()),
    };
    done.map_err(|error| {
        let _ = remove(&folder, names.0);
        Error::Io(path, error)
    })?;
    Ok(Outcome::Changed)
}

/// Writes the new file and renames it over the old one, whose owner and mode it gets.
fn put(
    folder: &File,
    (new_name, old_name): (&OsStr, &OsStr),
    old: &FileStat,
    text: &[u8],
) -> io::Result<()> {
    write(folder, new_name, old, text)?;
    renameat(folder, new_name, folder, old_name)?;
    sync(folder)
}

/// Writes the new file, with the owner and the mode of the old one.
fn write(folder: &File, new_name: &OsStr, old: &FileStat, text: &[u8]) -> io::Result<()> {
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
    let mut new = File::from(openat(
        folder,
        new_name,
        flags,
        Mode::S_IRUSR | Mode::S_IWUSR,
    )?);
    new.write_all(text)?;
    let (user, group) = (Uid::from_raw(old.st_uid), Gid::from_raw(old.st_gid));
    fchown(&new, Some(user), Some(group))?;
    // After the owner, because a change of owner clears bits of the mode.
    fchmod(&new, Mode::from_bits_truncate(old.st_mode))?;
    new.sync_all()
}

/// Replaces the regular file `path` below `root` by the result of `change`, in one step, and keeps owner and
/// mode. Returns whether it has changed: if `change` returns `None`, it has not.
///
/// # Errors
///
/// It is no regular file, or cannot be read or replaced.
pub(crate) fn replace_file(
    root: &Path,
    path: &Path,
    change: impl FnOnce(&[u8]) -> Option<Vec<u8>>,
) -> io::Result<bool> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Errno::EISDIR.into());
    };
    let folder = File::from(open_directory(root, folder, false)?);
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let mut old = File::from(openat(&folder, name, flags, Mode::empty())?);
    let stat = fstat(old.as_fd())?;
    if SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT != SFlag::S_IFREG {
        let kind = io::ErrorKind::InvalidInput;
        return Err(io::Error::new(kind, "not a regular file"));
    }
    let mut text = Vec::new();
    old.read_to_end(&mut text)?;
    let Some(text) = change(&text) else {
        return Ok(false);
    };
    let new = temporary_name(name);
    let names = (new.as_os_str(), name);
    remove(&folder, names.0)?;
    put(&folder, names, &stat, &text).inspect_err(|_| {
        let _ = remove(&folder, names.0);
    })?;
    Ok(true)
}

/// Removes what a killed run has left.
fn remove(folder: &File, name: &OsStr) -> io::Result<()> {
    match unlinkat(folder, name, UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Entry, add, remove};
    use super::*;
    use nix::fcntl::{Flock, FlockArg};
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use crate::tree::Tree;

    fn hello() -> Entry {
        Entry {
            name: "hello".parse().unwrap(),
            port: 3333.try_into().unwrap(),
        }
    }

    #[test]
    fn a_change_keeps_the_mode_and_leaves_nothing_beside_the_file() {
        let tree = Tree::new("mode");
        tree.write(FILE, "ssh 22/tcp\n");
        fs::set_permissions(tree.path(FILE), fs::Permissions::from_mode(0o640)).unwrap();
        tree.write(&format!("etc/{NEW}"), "left by a run that was killed");
        assert_eq!(
            add(tree.root(), &hello(), Run::Real).unwrap(),
            Outcome::Changed
        );
        assert_eq!(
            add(tree.root(), &hello(), Run::Real).unwrap(),
            Outcome::Unchanged
        );
        assert!(tree.read(FILE).contains("\nhello "));
        assert_eq!(
            fs::metadata(tree.path(FILE)).unwrap().permissions().mode() & 0o7777,
            0o640
        );
        assert_eq!(fs::read_dir(tree.path("etc")).unwrap().count(), 1);
        assert_eq!(
            remove(tree.root(), &hello(), Run::Real).unwrap(),
            Outcome::Changed
        );
        assert_eq!(tree.read(FILE), "ssh 22/tcp\n");
    }

    #[test]
    fn a_dry_run_and_a_trial_change_nothing() {
        let tree = Tree::new("dry");
        tree.write(FILE, "ssh 22/tcp\n");
        for run in [Run::Dry, Run::Trial] {
            assert_eq!(add(tree.root(), &hello(), run).unwrap(), Outcome::Changed);
            assert_eq!(tree.read(FILE), "ssh 22/tcp\n");
            assert_eq!(fs::read_dir(tree.path("etc")).unwrap().count(), 1);
        }
    }

    #[test]
    fn runs_at_the_same_time_lose_no_line() {
        let tree = Tree::new("race");
        tree.write(FILE, "ssh 22/tcp\n");
        std::thread::scope(|scope| {
            for n in 1..=8u16 {
                let root = tree.root();
                scope.spawn(move || {
                    let entry = Entry {
                        name: format!("service{n}").parse().unwrap(),
                        port: (4000 + n).try_into().unwrap(),
                    };
                    add(root, &entry, Run::Real).unwrap();
                });
            }
        });
        assert_eq!(tree.read(FILE).lines().count(), 9);
    }

    #[test]
    fn a_lock_of_another_process_on_the_file_delays_nothing() {
        let tree = Tree::new("locked");
        tree.write(FILE, "ssh 22/tcp\n");
        let others = File::open(tree.path(FILE)).unwrap();
        let _held = Flock::lock(others, FlockArg::LockExclusive).unwrap();
        assert_eq!(
            add(tree.root(), &hello(), Run::Real).unwrap(),
            Outcome::Changed
        );
    }

    #[test]
    fn a_symbolic_link_is_left_alone() {
        let tree = Tree::new("link");
        tree.write("elsewhere", "").link(FILE, "../elsewhere");
        let error = add(tree.root(), &hello(), Run::Real).unwrap_err();
        assert!(matches!(error, Error::NotPlain(_)), "{error}");
        assert!(
            error
                .to_string()
                .contains("etc/services: not a regular file")
        );
    }

    #[test]
    fn a_missing_file_is_an_error_and_is_not_created() {
        let tree = Tree::new("missing");
        let error = add(tree.root(), &hello(), Run::Real).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("etc/services: No such file or directory"),
            "{error}"
        );
        assert_eq!(
            error.hint(),
            Some("install the package netbase, which has the services database")
        );
        assert!(!tree.path(FILE).exists());
    }
}
