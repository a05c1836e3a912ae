//! Following a path, with the directories and links that are passed.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::{fs, io};

use nix::errno::Errno;

use super::{FileStatus, below, is_open_to_others};

/// The kernel follows at most this many symbolic links.
const MAX_LINKS: usize = 40;

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
    pub(super) is_own: bool,
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
    pub(super) last_path: PathBuf,
    /// Only root and the caller can change what was passed before.
    pub(super) is_own: bool,
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
            is_own &= super::is_own(stat.uid());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root::resolve;
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
}
