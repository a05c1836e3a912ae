//! Paths that only root and the caller can change.
//!
//! A command that is printed now is pasted later. If another user can replace a directory or a link on the
//! way to a file meanwhile, or chose where the links lead, root's command would change a file of their
//! choice. Commands therefore take no other paths than these.

use std::ffi::OsStr;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{self, Path, PathBuf};

use nix::unistd::{Gid, Uid};

use super::{FileStatus, Trace, TraceError, below, trace};

/// A path for this process whose every directory and whose file only root and the caller can change. It
/// contains no symbolic links, apart from its last part in [`OwnPath::entry`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OwnPath(PathBuf);

impl OwnPath {
    /// The real path of a file or directory of the system below `root`, which may be missing. `None` if
    /// others can change it, or it cannot be followed.
    pub(crate) fn real(root: &Path, path: &Path) -> Option<OwnPath> {
        match trace(root, path) {
            Ok(traced) => traced.own(root),
            Err(error) => error.own_missing(root),
        }
    }

    /// The path of a directory entry itself, whatever it is. It may be missing.
    pub(crate) fn entry(root: &Path, path: &Path) -> Option<OwnPath> {
        let (directory, name) = (path.parent()?, path.file_name()?);
        let traced = trace(root, directory).ok()?;
        let path = traced.real().join(name);
        let is_own = match FileStatus::of(&below(root, &path)) {
            Ok(_) if is_open_to_others(&traced.status) => false,
            // The mode of a link is that of no file.
            Ok(stat) if stat.is_symlink() => is_own(stat.uid()),
            Ok(stat) => is_own_file(&stat, &traced.status),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                !others_create_in(&traced.status)
            }
            Err(_) => false,
        };
        (traced.is_own && is_own).then(|| own(root, &path))?
    }

    /// As a word of a command.
    pub(crate) fn as_os_str(&self) -> &OsStr {
        self.0.as_os_str()
    }
}

impl Trace {
    /// The real path of the file, if only root and the caller can change what is on the way to it.
    pub(crate) fn own(&self, root: &Path) -> Option<OwnPath> {
        let parent = self.real().parent();
        let mut directories = self.directories.iter();
        let parent = directories.find(|(path, _)| Some(path.as_path()) == parent);
        let is_own = match parent {
            Some((_, parent)) => is_own_file(&self.status, parent),
            None => !is_open_to_others(&self.status),
        };
        (self.is_own && is_own).then(|| own(root, self.real()))?
    }

    /// The path of a directory that was passed, if only root and the caller can change the way to the file.
    pub(crate) fn own_directory(&self, root: &Path, directory: &Path) -> Option<OwnPath> {
        self.is_own.then(|| own(root, directory))?
    }
}

impl TraceError {
    /// The path of a directory that was passed, if only root and the caller can change the way.
    pub(crate) fn own_directory(&self, root: &Path, directory: &Path) -> Option<OwnPath> {
        self.is_own.then(|| own(root, directory))?
    }

    /// The path that is missing, with its links followed as far as they exist.
    fn own_missing(&self, root: &Path) -> Option<OwnPath> {
        let parent = self.at.parent()?;
        let mut directories = self.directories.iter();
        let (_, parent) = directories.find(|(path, _)| path == parent)?;
        let is_own =
            self.is_own && self.why.kind() == io::ErrorKind::NotFound && !others_create_in(parent);
        is_own.then(|| own(root, &self.last_path))?
    }
}

/// The path for this process of one below `root`, if only root and the caller can change `root` itself.
fn own(root: &Path, path: &Path) -> Option<OwnPath> {
    let live = Path::new("/");
    if root != live {
        let traced = trace(live, &path::absolute(root).ok()?).ok()?;
        if !traced.is_own || is_open_to_others(&traced.status) {
            return None;
        }
    }
    Some(OwnPath(match path == live {
        true => root.into(),
        false => below(root, path),
    }))
}

/// Whether another user can replace what is in a directory.
pub(crate) fn is_open_to_others(directory: &FileStatus) -> bool {
    // In a sticky directory, such as /tmp, each user can replace only what is theirs.
    !is_own(directory.uid()) || (others_write(directory) && directory.mode() & 0o1000 == 0)
}

/// Whether a user ID is root's or the caller's.
pub(crate) fn is_own(uid: u32) -> bool {
    [0, Uid::effective().as_raw()].contains(&uid)
}

/// Whether a user can write to a file who is neither its owner nor, by way of the group, root or the caller. Users that
/// an access control list names count as others.
pub(crate) fn others_write(file: &FileStatus) -> bool {
    file.mode() & 0o002 != 0 || file.group_writes([0, Gid::effective().as_raw()])
}

/// Whether another user can create what is missing in a directory.
fn others_create_in(directory: &FileStatus) -> bool {
    !is_own(directory.uid()) || others_write(directory)
}

/// Whether only root and the caller can change a file, and it is the one that they put there: in a directory
/// where others can create files, it can be a second name of any file.
fn is_own_file(file: &FileStatus, directory: &FileStatus) -> bool {
    if file.is_dir() {
        return !is_open_to_others(file);
    }
    let is_second_name = file.nlink() > 1 && others_create_in(directory);
    is_own(file.uid()) && !others_write(file) && !is_second_name
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::tree::{ACCESS_LIST, Tree};

    fn real(tree: &Tree, path: &str) -> Option<PathBuf> {
        OwnPath::real(tree.root(), Path::new(path)).map(|path| path.0)
    }

    fn entry(tree: &Tree, path: &str) -> Option<PathBuf> {
        OwnPath::entry(tree.root(), Path::new(path)).map(|path| path.0)
    }

    #[test]
    fn a_real_path_stays_below_its_root_and_may_be_missing() {
        let tree = Tree::new("own-path");
        tree.write("usr/bin/sh", "x")
            .link("bin", "/usr/bin")
            .link("etc/dangling", "/srv/none/file")
            .link("etc/mask", "/dev/null");
        assert_eq!(real(&tree, "/bin/sh"), Some(tree.path("usr/bin/sh")));
        assert_eq!(real(&tree, "/"), Some(tree.root().into()));
        let missing = [
            ("/bin/a/b", "usr/bin/a/b"),
            ("/etc/dangling", "srv/none/file"),
            ("/bin/../a", "usr/a"),
        ];
        for (path, there) in missing {
            assert_eq!(real(&tree, path), Some(tree.path(there)), "{path}");
        }
        assert_eq!(real(&tree, "/bin/sh/x"), None);
        assert_eq!(entry(&tree, "/etc/mask"), Some(tree.path("etc/mask")));
        assert_eq!(entry(&tree, "/bin/none"), Some(tree.path("usr/bin/none")));
    }

    #[test]
    fn a_path_that_others_can_change_is_not_named() {
        let tree = Tree::new("own-path-open");
        for path in [
            "open/sh",
            "open/in/sh",
            "sticky/sh",
            "sticky/in/sh",
            "closed/sh",
        ] {
            tree.write(path, "x");
        }
        tree.link("closed/link", "/open/to")
            .link("open/to", "/closed/sh")
            .set_mode("open", 0o777)
            .set_mode("sticky", 0o1777);
        for path in [
            "/open/sh",
            "/open/in/sh",
            "/open/none",
            "/closed/link",
            "/sticky/none",
        ] {
            assert_eq!(real(&tree, path), None, "{path}");
        }
        for path in ["/open/to", "/open/none", "/sticky/none"] {
            assert_eq!(entry(&tree, path), None, "{path}");
        }
        for path in ["/sticky/sh", "/sticky/in/sh", "/closed/sh", "/closed/none"] {
            assert!(real(&tree, path).is_some(), "{path}");
        }
        tree.set_mode("closed/sh", 0o666);
        assert_eq!(real(&tree, "/closed/sh"), None);
        fs::hard_link(tree.path("sticky/in/sh"), tree.path("sticky/second")).unwrap();
        assert_eq!(real(&tree, "/sticky/second"), None);
        // The root directory itself, and what is above it.
        tree.set_mode("", 0o777);
        assert_eq!(real(&tree, "/sticky/in/sh"), None);
        tree.set_mode("", 0o755);
        let inner = tree.path("open");
        assert_eq!(OwnPath::real(&inner, Path::new("/in")), None);
    }

    #[test]
    fn a_directory_that_an_access_control_list_opens_is_not_own() {
        let tree = Tree::new("own-path-list");
        tree.write("srv/app/sh", "x").write("srv/group/sh", "x");
        tree.set_mode("srv/group", 0o775);
        let paths = ["/srv/app", "/srv/app/sh", "/srv/app/none"];
        for path in ["/srv/group/sh"].iter().chain(&paths) {
            assert!(real(&tree, path).is_some(), "{path}");
        }
        // The user may read and search.
        tree.set_list("srv/app", ACCESS_LIST, [7, 5, 5, 5, 5]);
        for path in paths {
            assert!(real(&tree, path).is_some(), "{path}");
        }
        tree.set_list("srv/app", ACCESS_LIST, [7, 7, 5, 7, 5]);
        for path in paths {
            assert_eq!(real(&tree, path), None, "{path}");
            assert_eq!(entry(&tree, path), None, "{path}");
        }
        tree.set_list("srv/group/sh", ACCESS_LIST, [7, 7, 5, 7, 5]);
        assert_eq!(real(&tree, "/srv/group/sh"), None);
        assert!(real(&tree, "/srv/group/none").is_some());
    }

    #[test]
    #[ignore = "needs root, to give files to another user"]
    fn only_root_and_the_caller_own_such_a_path() {
        let tree = Tree::new("own-path-owner");
        tree.write("home/you/sh", "x")
            .write("home/you/x/sh", "x")
            .write("etc/secret", "x")
            .link("tmp/link", "/etc/secret")
            .set_mode("tmp", 0o1777);
        for path in ["/home/you/sh", "/tmp/link"] {
            assert!(real(&tree, path).is_some(), "{path}");
        }
        let give = |path: &str| {
            std::os::unix::fs::lchown(tree.path(path), Some(4711), Some(4711)).unwrap();
        };
        for path in ["home/you", "tmp/link"] {
            give(path);
        }
        for path in [
            "/home/you",
            "/home/you/sh",
            "/home/you/x/sh",
            "/home/you/x/none",
            "/tmp/link",
        ] {
            assert_eq!(real(&tree, path), None, "{path}");
        }
        assert_eq!(entry(&tree, "/tmp/link"), None);
        give("etc/secret");
        assert_eq!(real(&tree, "/etc/secret"), None);
    }
}
