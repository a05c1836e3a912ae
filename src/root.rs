//! Files of a system below a root directory, where a symbolic link never leads out of it.
//!
//! The files may belong to a hostile user, who replaces them while they are read. A file is therefore
//! opened once, without blocking, and only if it is a regular one; how much is read is bounded; a
//! directory is opened before something in it is changed.

mod attributes;
mod file_status;
mod own_path;
mod replacement;

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, Flock, FlockArg, OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::stat::{Mode, SFlag, fstat, mkdirat};
use nix::unistd::Uid;

pub(crate) use self::file_status::FileStatus;
pub(crate) use self::own_path::{OwnPath, is_open_to_others, is_own, others_write};
pub(crate) use self::replacement::{Replaceable, remove_temporary, replace_file};

use crate::systemd;

/// A symbolic link to this file masks a unit. A system that was never booted does not have the file.
const NULL: &str = "/dev/null";

/// The kernel follows at most this many symbolic links.
const MAX_LINKS: usize = 40;

/// The largest file that is read, in bytes.
const MAX_SIZE: u64 = 16 << 20;

/// How long another run of this program is waited for.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);
const LOCK_RETRY: Duration = Duration::from_millis(20);

/// What a path leads to, and what is passed before.
#[derive(Debug)]
pub(crate) struct Trace {
    /// Each directory that is passed, in order, by its path below the root.
    pub directories: Vec<(PathBuf, FileStatus)>,
    /// The path as it was given, and again after each symbolic link.
    pub paths: Vec<PathBuf>,
    /// The metadata of the file.
    pub status: FileStatus,
    /// Only root and the caller can change the directories and links that are passed.
    is_own: bool,
}

impl Trace {
    /// The file's path below the root, without symbolic links.
    pub(crate) fn real(&self) -> &Path {
        self.paths.last().map_or(Path::new("/"), PathBuf::as_path)
    }
}

/// Where a path cannot be followed.
#[derive(Debug)]
pub(crate) struct TraceError {
    /// The part of the path that cannot be followed.
    pub at: PathBuf,
    /// Why not.
    pub why: io::Error,
    /// The directories passed before.
    pub directories: Vec<(PathBuf, FileStatus)>,
    /// The path after the last symbolic link.
    last_path: PathBuf,
    /// Only root and the caller can change what was passed before.
    is_own: bool,
}

/// Follows an absolute path of the system below `root`, as a program in that system would: an absolute
/// link begins at `root`, and `..` ends there.
///
/// # Errors
///
/// A part of the path is missing, is not a directory, cannot be read, or there are too many links.
pub(crate) fn trace(root: &Path, path: &Path) -> Result<Trace, TraceError> {
    let mut directories = Vec::new();
    let mut paths = vec![normal(path)];
    let mut rest: VecDeque<OsString> = names(path).collect();
    let mut at = PathBuf::from("/");
    let mut links = 0;
    let mut is_own = true;
    let failed = |why, at, directories, paths: Vec<PathBuf>, is_own| TraceError {
        at,
        why,
        directories,
        last_path: paths.last().cloned().unwrap_or_default(),
        is_own,
    };
    loop {
        let here = below(root, &at);
        let stat = match FileStatus::of(&here) {
            Ok(stat) => stat,
            Err(why) => return Err(failed(why, at, directories, paths, is_own)),
        };
        if stat.is_symlink() {
            is_own &= self::is_own(stat.uid());
            links += 1;
            let target = match fs::read_link(&here) {
                Ok(target) if links <= MAX_LINKS => target,
                Ok(_) => {
                    return Err(failed(Errno::ELOOP.into(), at, directories, paths, is_own));
                }
                Err(why) => return Err(failed(why, at, directories, paths, is_own)),
            };
            at.pop();
            let mut next: VecDeque<OsString> = names(&target).collect();
            if target.is_absolute() {
                at = PathBuf::from("/");
            }
            next.append(&mut rest);
            rest = next;
            let mut linked = at.clone();
            linked.extend(&rest);
            paths.push(normal(&linked));
            // The directory of the link was passed already.
            step(&mut at, &mut rest);
            continue;
        }
        if rest.is_empty() {
            return Ok(Trace {
                directories,
                paths,
                status: stat,
                is_own,
            });
        }
        if !stat.is_dir() {
            return Err(failed(
                Errno::ENOTDIR.into(),
                at,
                directories,
                paths,
                is_own,
            ));
        }
        is_own &= !is_open_to_others(&stat);
        if !directories.iter().any(|(passed, _)| *passed == at) {
            directories.push((at.clone(), stat));
        }
        step(&mut at, &mut rest);
    }
}

/// Goes on by one name.
fn step(at: &mut PathBuf, rest: &mut VecDeque<OsString>) {
    match rest.pop_front() {
        Some(name) if name == ".." => {
            at.pop();
        }
        Some(name) => at.push(name),
        None => {}
    }
}

/// A path of the system below `root` as a path for this process.
pub(crate) fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

fn names(path: &Path) -> impl Iterator<Item = OsString> {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    })
}

/// The path without `..`; right only if none of its directories is a link.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::from("/");
    let mut rest = names(path).collect();
    while !VecDeque::is_empty(&rest) {
        step(&mut normal, &mut rest);
    }
    normal
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

/// A lock against other runs of this program.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: Flock<File>,
}

/// Locks what `name` stands for against other runs of this program by the same user, and waits up to
/// 10 seconds for them.
///
/// Only this user can open the locked file: a process that can open a file can also lock it.
///
/// # Errors
///
/// The lock cannot be made, or another run has it for longer ([`io::ErrorKind::WouldBlock`]).
pub(crate) fn lock(root: &Path, name: &str) -> io::Result<Lock> {
    let directory = match Uid::effective().is_root() {
        true => PathBuf::from("/run"),
        false => systemd::runtime(),
    };
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits())
        .open(directory.join(format!("sockunit-{name}.lock")));
    // Without a directory for such files, as in a build, the tree itself has to do.
    let mut file = match (file, root == Path::new("/")) {
        (Ok(file), _) => file,
        (Err(error), true) => return Err(error),
        (Err(_), false) => File::open(root)?,
    };
    let deadline = Instant::now() + LOCK_TIMEOUT;
    loop {
        file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(file) => return Ok(Lock { _file: file }),
            // flock(2) has no time limit of its own.
            Err((file, Errno::EWOULDBLOCK)) if Instant::now() < deadline => {
                thread::sleep(LOCK_RETRY);
                file
            }
            Err((_, error)) => return Err(error.into()),
        }
    }
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
    use super::*;
    use crate::tree::Tree;

    #[test]
    fn links_stay_below_the_root_and_every_directory_is_listed_once() {
        let tree = Tree::new("trace");
        tree.write("usr/bin/sh", "x")
            .link("bin", "usr/bin")
            .link("home/you/shell", "/bin/../bin/sh")
            .link("loop", "loop");
        let root = tree.root();

        let traced = trace(root, Path::new("/home/you/shell")).unwrap();
        let directories = traced.directories.iter().map(|(path, _)| path.as_path());
        assert_eq!(
            directories.collect::<Vec<_>>(),
            ["/", "/home", "/home/you", "/usr", "/usr/bin"].map(Path::new)
        );
        assert_eq!(traced.real(), Path::new("/usr/bin/sh"));
        assert!(traced.status.is_file());
        assert_eq!(
            resolve(root, &tree.path("home/you/shell")).unwrap(),
            tree.path("usr/bin/sh")
        );

        let error = trace(root, Path::new("/home/ann/shell")).unwrap_err();
        assert_eq!(error.at, Path::new("/home/ann"));
        let error = trace(root, Path::new("/usr/bin/sh/x")).unwrap_err();
        assert_eq!(error.why.kind(), io::ErrorKind::NotADirectory);
        let error = trace(root, Path::new("/loop")).unwrap_err();
        assert_eq!(error.why.raw_os_error(), Some(Errno::ELOOP as i32));
    }

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
