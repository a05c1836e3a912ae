//! Replaces /etc/services in one step.

use std::fs::File;
use std::io;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;

use super::{EntryConflict, Error, FILE, Outcome, Run};
use crate::root::{Replaceable, lock, remove_temporary};

const OLD: &str = "services";

/// Replaces the text of the file below `root` by the result of `change`, and keeps owner and mode. If
/// `change` returns `None`, nothing is replaced.
pub(super) fn replace(
    root: &Path,
    run: Run,
    change: impl FnOnce(&[u8]) -> Result<Option<Vec<u8>>, EntryConflict>,
) -> Result<Outcome, Error> {
    let path = root.join(FILE);
    let failed = |error: io::Error| Error::Io(path.clone(), error);
    let not_opened = |error: io::Error| match error.raw_os_error().map(Errno::from_raw) {
        // What open(2) with O_NOFOLLOW returns for a symbolic link; /etc itself may be one.
        Some(Errno::ELOOP | Errno::ENOTDIR) => Error::NotPlain(path.clone()),
        _ => failed(error),
    };
    let folder = path.parent().unwrap_or(root);
    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let folder = open(folder, flags, Mode::empty()).map_err(|errno| not_opened(errno.into()))?;
    let folder = File::from(folder);
    let _lock = match run {
        Run::Real | Run::Trial => {
            Some(lock(root, "services").map_err(|error| match error.kind() {
                io::ErrorKind::WouldBlock => Error::Busy,
                _ => failed(error),
            })?)
        }
        Run::Dry => None,
    };
    if run != Run::Dry {
        remove_temporary(&folder, OLD.as_ref()).map_err(failed)?;
    }
    let Some(old) = Replaceable::open(&folder, OLD.as_ref()).map_err(not_opened)? else {
        return Err(Error::NotPlain(path));
    };
    let text = change(&old.text).map_err(|conflict| Error::Conflict(root.into(), conflict))?;
    let Some(text) = text else {
        return Ok(Outcome::Unchanged);
    };
    match run {
        Run::Real => old.replace(&text),
        Run::Trial => old.try_replace(&text),
        Run::Dry => Ok(()),
    }
    .map_err(failed)?;
    Ok(Outcome::Changed)
}

#[cfg(test)]
mod tests {
    use super::super::{Entry, add, remove};
    use super::*;
    use nix::fcntl::{Flock, FlockArg};
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use crate::tree::Tree;

    /// What a run that was killed leaves.
    const NEW: &str = ".services.sockunit";

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
                .contains("etc/services: no such file or directory"),
            "{error}"
        );
        assert_eq!(
            error.hint().unwrap().text,
            "install the package netbase, which has the services database"
        );
        assert!(!tree.path(FILE).exists());
    }
}
