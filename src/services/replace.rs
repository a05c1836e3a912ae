//! Replaces the file in one step.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag, open, openat, renameat};
use nix::sys::stat::{FileStat, Mode, SFlag, fchmod, fstat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, unlinkat};

use super::{Error, FILE, Outcome, Run, Taken};

/// The name under which the new file is written, beside the old one. It is always the same, so
/// that a run that was killed leaves nothing that the next one does not take away.
const NEW: &str = ".services.sockunit";
const OLD: &str = "services";

/// Replaces the text of the file below `root` by what `change` makes of it, keeping owner and
/// mode. `change` says `None` where nothing is to be done.
pub fn replace(
    root: &Path,
    run: Run,
    change: impl FnOnce(&[u8]) -> Result<Option<Vec<u8>>, Taken>,
) -> Result<Outcome, Error> {
    let path = root.join(FILE);
    let failed = |error| match error {
        // What opening a symbolic link with O_NOFOLLOW says; /etc itself may be one.
        Errno::ELOOP | Errno::ENOTDIR => Error::NotPlain(path.clone()),
        _ => Error::Io(path.clone(), error.into()),
    };
    let folder = path.parent().unwrap_or(root);
    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let folder = File::from(open(folder, flags, Mode::empty()).map_err(failed)?);
    let mut old = lock(&folder).map_err(failed)?;
    let stat = fstat(old.as_fd()).map_err(failed)?;
    if SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT != SFlag::S_IFREG {
        return Err(Error::NotPlain(path));
    }
    let mut text = Vec::new();
    old.read_to_end(&mut text)
        .map_err(|error| Error::Io(path.clone(), error))?;
    let Some(text) = change(&text).map_err(|taken| Error::Taken(path.clone(), taken))? else {
        if run == Run::Real {
            clear(&folder).map_err(failed)?;
        }
        return Ok(Outcome::Unchanged);
    };
    if run == Run::Real {
        put(&folder, &stat, &text).map_err(|error| Error::Io(path, error))?;
    }
    Ok(Outcome::Changed)
}

/// Opens the file and locks it against other runs of this program.
fn lock(folder: &File) -> nix::Result<Flock<File>> {
    loop {
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let file = File::from(openat(folder, OLD, flags, Mode::empty())?);
        let file = Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| errno)?;
        // Whoever held the lock has replaced the file meanwhile; then this is the old one.
        let now = File::from(openat(folder, OLD, flags, Mode::empty())?);
        let (ours, now) = (fstat(file.as_fd())?, fstat(now)?);
        if (ours.st_dev, ours.st_ino) == (now.st_dev, now.st_ino) {
            return Ok(file);
        }
    }
}

/// Takes away what a run that was killed has left.
fn clear(folder: &File) -> nix::Result<()> {
    match unlinkat(folder, NEW, UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(errno) => Err(errno),
    }
}

fn put(folder: &File, like: &FileStat, text: &[u8]) -> io::Result<()> {
    clear(folder)?;
    let written = write(folder, like, text).and_then(|()| Ok(renameat(folder, NEW, folder, OLD)?));
    if written.is_err() {
        let _ = unlinkat(folder, NEW, UnlinkatFlags::NoRemoveDir);
    }
    written.and_then(|()| folder.sync_all())
}

fn write(folder: &File, like: &FileStat, text: &[u8]) -> io::Result<()> {
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
    let mut new = File::from(openat(folder, NEW, flags, Mode::S_IRUSR | Mode::S_IWUSR)?);
    new.write_all(text)?;
    fchown(
        &new,
        Some(Uid::from_raw(like.st_uid)),
        Some(Gid::from_raw(like.st_gid)),
    )?;
    // After the owner, because a change of owner takes bits of the mode away.
    fchmod(&new, Mode::from_bits_truncate(like.st_mode))?;
    new.sync_all()
}

#[cfg(test)]
mod tests {
    use super::super::{Entry, add, remove};
    use super::*;
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
    fn a_dry_run_changes_nothing() {
        let tree = Tree::new("dry");
        tree.write(FILE, "ssh 22/tcp\n");
        assert_eq!(
            add(tree.root(), &hello(), Run::Dry).unwrap(),
            Outcome::Changed
        );
        assert_eq!(tree.read(FILE), "ssh 22/tcp\n");
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
    fn a_symbolic_link_is_left_alone() {
        let tree = Tree::new("link");
        tree.write("elsewhere", "").link(FILE, "../elsewhere");
        let error = add(tree.root(), &hello(), Run::Real).unwrap_err();
        assert!(matches!(error, Error::NotPlain(_)), "{error}");
        assert!(
            error
                .to_string()
                .contains("etc/services is not a plain file")
        );
    }

    #[test]
    fn a_missing_file_is_told_and_not_made() {
        let tree = Tree::new("missing");
        let error = add(tree.root(), &hello(), Run::Real)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("etc/services: No such file or directory"),
            "{error}"
        );
        assert!(
            error.ends_with("the package netbase brings the services database"),
            "{error}"
        );
        assert!(!tree.path(FILE).exists());
    }
}
