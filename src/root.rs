//! Files of a system below a root directory, where a symbolic link never leads out of it.
//!
//! The files may belong to a hostile user, who replaces them while they are read. A file is therefore
//! opened once, without blocking, and only if it is a regular one; how much is read is bounded; a
//! directory is opened before something in it is changed.

mod attributes;
mod file_status;
mod lock;
mod own_path;
mod replacement;
mod trace;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::stat::{Mode, SFlag, fstat, mkdirat};

pub(crate) use self::file_status::FileStatus;
pub(crate) use self::lock::{Lock, lock};
pub(crate) use self::own_path::{OwnPath, is_open_to_others, is_own, others_write};
pub(crate) use self::replacement::{Replaceable, put_in_one_step, remove_temporary, replace_file};
pub(crate) use self::trace::{Trace, TraceError, trace};

/// A symbolic link to this file masks a unit. A system that was never booted does not have the file.
const NULL: &str = "/dev/null";

/// The largest file that is read, in bytes.
const MAX_SIZE: u64 = 16 << 20;

/// A path of the system below `root` as a path for this process.
pub(crate) fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// The real path of `path`, which lies below `root`, with all links followed as [`trace`] does. The
/// result begins with `root`.
///
/// # Errors
///
/// See [`trace`].
pub(crate) fn resolve(root: &Path, path: &Path) -> io::Result<PathBuf> {
    match trace(root, &inside(root, path)) {
        Ok(traced) => Ok(below(root, traced.real())),
        Err(error) if error.last_path == Path::new(NULL) => Ok(below(root, Path::new(NULL))),
        Err(error) => Err(error.why),
    }
}

/// A path for this process as one of the system below `root`.
pub(crate) fn inside(root: &Path, path: &Path) -> PathBuf {
    Path::new("/").join(path.strip_prefix(root).unwrap_or(path))
}

/// The bytes of the regular file `path` below `root`. A link to /dev/null has none.
///
/// # Errors
///
/// The file is missing, cannot be opened, is not a regular file or has more than 16 MiB.
pub(crate) fn read(root: &Path, path: &Path) -> io::Result<Vec<u8>> {
    let file = match open_file(root, path) {
        Ok(file) => file,
        Err(error) => {
            let null = below(root, Path::new(NULL));
            return match resolve(root, path) {
                Ok(real) if real == null => Ok(Vec::new()),
                _ => Err(error),
            };
        }
    };
    read_all(&file)
}

/// The bytes of an open file.
fn read_all(file: &File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(MAX_SIZE + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > MAX_SIZE {
        true => Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "larger than 16 MiB",
        )),
        false => Ok(bytes),
    }
}

/// Opens the regular file `path` below `root` for reading.
///
/// # Errors
///
/// The file is missing, cannot be opened or is not a regular file.
pub(crate) fn open_file(root: &Path, path: &Path) -> io::Result<File> {
    // Opening a FIFO can block, and opening a device can set off something: look before.
    let found = find(root, path, OFlag::O_PATH)?;
    let kind = SFlag::from_bits_truncate(fstat(&found)?.st_mode) & SFlag::S_IFMT;
    match kind {
        SFlag::S_IFREG => File::open(format!("/proc/self/fd/{}", found.as_raw_fd())),
        SFlag::S_IFDIR => Err(Errno::EISDIR.into()),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a regular file",
        )),
    }
}

/// Opens a directory below `root`, and makes it and those above it if they are missing and `create`
/// says so. A file in it is then changed by its name alone.
///
/// # Errors
///
/// A part of the path is missing, is not a directory, or cannot be opened or made.
pub(crate) fn open_directory(root: &Path, path: &Path, create: bool) -> io::Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
    match find(root, path, flags) {
        Err(error) if create && error.kind() == io::ErrorKind::NotFound => {}
        found => return found,
    }
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Errno::ENOENT.into());
    };
    let parent = open_directory(root, parent, create)?;
    match mkdirat(&parent, name, Mode::from_bits_truncate(0o755)) {
        // A link that leads nowhere is not made whole.
        Ok(()) | Err(Errno::EEXIST) => find(root, path, flags),
        Err(error) => Err(error.into()),
    }
}

/// The root directory that [`hold`] opened, with its path.
static HELD: OnceLock<(PathBuf, OwnedFd)> = OnceLock::new();

/// Opens a root directory. It is then used whenever a file below this path is opened or changed, even if another user
/// puts another directory or a link in its place. Only the first call has this effect.
///
/// # Errors
///
/// The path does not lead to a directory.
pub(crate) fn hold(root: &Path) -> io::Result<()> {
    let directory = open_root(root)?;
    HELD.get_or_init(|| (root.to_owned(), directory));
    Ok(())
}

fn open_root(root: &Path) -> io::Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    Ok(open(root, flags, Mode::empty())?)
}

/// Opens what `path` leads to below `root`.
fn find(root: &Path, path: &Path, flags: OFlag) -> io::Result<OwnedFd> {
    let flags = flags | OFlag::O_CLOEXEC;
    if !has_openat2() {
        return find_by_steps(root, path, flags);
    }
    let how = OpenHow::new()
        .flags(flags)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    let path = inside(root, path);
    match HELD.get() {
        Some((held, directory)) if held == root => Ok(openat2(directory, &path, how)?),
        _ => Ok(openat2(open_root(root)?, &path, how)?),
    }
}

/// The same without openat2(2). Only the last part of the path is safe from a user who replaces it meanwhile.
fn find_by_steps(root: &Path, path: &Path, flags: OFlag) -> io::Result<OwnedFd> {
    let real = resolve(root, path)?;
    Ok(open(&real, flags | OFlag::O_NOFOLLOW, Mode::empty())?)
}

/// Whether openat2(2) works: Linux before 5.6 does not have it, and a system call filter may refuse it. The error for
/// another path than `/` could come from a file system, such as one that a hostile user has mounted with FUSE.
fn has_openat2() -> bool {
    static WORKS: OnceLock<bool> = OnceLock::new();
    *WORKS.get_or_init(|| {
        let how = OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC);
        let opened = openat2(AT_FDCWD, "/", how);
        !matches!(opened, Err(Errno::ENOSYS | Errno::EPERM))
    })
}

/// The name under which a file is written before it takes its place.
pub(crate) fn temporary_name(name: &OsStr) -> OsString {
    let mut temporary = OsString::from(".");
    temporary.push(name);
    temporary.push(".sockunit");
    temporary
}

/// Writes a directory's changes to disk.
///
/// # Errors
///
/// The file system reports one.
pub(crate) fn sync(directory: impl AsFd) -> io::Result<()> {
    Ok(nix::unistd::fsync(directory)?)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::tree::Tree;

    #[test]
    fn only_a_regular_file_of_bounded_size_is_read_and_nothing_blocks() {
        let tree = Tree::new("read");
        tree.write("etc/plain", "text")
            .link("etc/mask", "/dev/null")
            .link("etc/out", "../../../../../../etc/plain")
            .link("etc/loop", "loop");
        nix::unistd::mkfifo(&tree.path("etc/fifo"), Mode::S_IRWXU).unwrap();
        let large = File::create(tree.path("etc/large")).unwrap();
        large.set_len(1 << 30).unwrap();
        let read = |path| read(tree.root(), &tree.path(path));
        assert_eq!(read("etc/plain").unwrap(), b"text");
        assert_eq!(read("etc/mask").unwrap(), b"");
        assert_eq!(read("etc/out").unwrap(), b"text");
        for (path, why) in [
            ("etc/fifo", "not a regular file"),
            ("etc/large", "larger than 16 MiB"),
            ("etc", "Is a directory (os error 21)"),
            (
                "etc/loop",
                "Too many levels of symbolic links (os error 40)",
            ),
            ("etc/none", "No such file or directory (os error 2)"),
        ] {
            assert_eq!(read(path).unwrap_err().to_string(), why, "{path}");
        }
    }

    #[test]
    fn the_same_files_are_found_with_and_without_openat2() {
        let tree = Tree::new("find");
        tree.write("etc/plain", "text")
            .link("etc/out", "../../../../../../etc/plain")
            .link("etc/absolute", "/etc/plain")
            .link("etc/loop", "loop");
        assert!(has_openat2());
        let file = |found: io::Result<OwnedFd>| {
            let stat = fstat(found?)?;
            Ok::<_, io::Error>((stat.st_dev, stat.st_ino))
        };
        for path in ["etc/plain", "etc/out", "etc/absolute", "etc", "etc/loop"] {
            let path = tree.path(path);
            let flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
            let with = file(find(tree.root(), &path, flags));
            let without = file(find_by_steps(tree.root(), &path, flags));
            assert_eq!(with.ok(), without.ok(), "{}", path.display());
        }
    }

    #[test]
    fn a_root_directory_that_is_held_stays_the_same_when_another_takes_its_place() {
        let tree = Tree::new("hold");
        tree.write("root/etc/file", "held")
            .write("other/etc/file", "other");
        let root = tree.path("root");
        hold(&root).unwrap();
        fs::rename(&root, tree.path("moved")).unwrap();
        tree.link("root", "other");
        assert_eq!(read(&root, &root.join("etc/file")).unwrap(), b"held");
        open_directory(&root, &root.join("etc/new"), true).unwrap();
        assert!(tree.path("moved/etc/new").is_dir());
        assert_eq!(fs::read_dir(tree.path("other/etc")).unwrap().count(), 1);
    }

    #[test]
    fn a_directory_is_made_below_the_root_and_never_through_a_link_out_of_it() {
        let tree = Tree::new("directory");
        let outside = Tree::new("directory-outside");
        tree.link("etc/systemd", outside.root().to_str().unwrap());
        let wanted = tree.path("etc/systemd/system");
        assert!(open_directory(tree.root(), &wanted, true).is_err());
        assert_eq!(fs::read_dir(outside.root()).unwrap().count(), 1);
        let wanted = tree.path("a/b/c");
        assert!(open_directory(tree.root(), &wanted, false).is_err());
        open_directory(tree.root(), &wanted, true).unwrap();
        assert!(wanted.is_dir());
    }
}
