//! Follows a path as the kernel would, below a root directory.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Component, Path, PathBuf};

/// More symbolic links than this are a loop, to the kernel too.
const MOST_LINKS: usize = 40;

/// The way to a file.
#[derive(Debug)]
pub struct Way {
    /// Each directory that is passed, in order, by its path below the root.
    pub folders: Vec<(PathBuf, Metadata)>,
    /// The path as it was given, and again after each symbolic link on the way.
    pub stations: Vec<PathBuf>,
    /// What it leads to.
    pub end: Metadata,
}

impl Way {
    /// Where the file really is, below the root.
    pub fn real(&self) -> &Path {
        self.stations
            .last()
            .map_or(Path::new("/"), PathBuf::as_path)
    }
}

/// Where a path does not lead on.
#[derive(Debug)]
pub struct Stop {
    /// The part of the path that cannot be followed.
    pub at: PathBuf,
    /// Why.
    pub why: io::Error,
    /// The directories passed before.
    pub folders: Vec<(PathBuf, Metadata)>,
}

/// Follows an absolute path below `root`; symbolic links lead nowhere else.
///
/// # Errors
///
/// Where it does not lead on.
pub fn walk(root: &Path, path: &Path) -> Result<Way, Stop> {
    let mut folders = Vec::new();
    let mut stations = vec![plain(path)];
    let mut rest: VecDeque<OsString> = names(path).collect();
    let mut at = PathBuf::from("/");
    let mut links = 0;
    loop {
        let here = below(root, &at);
        let stat = match fs::symlink_metadata(&here) {
            Ok(stat) => stat,
            Err(why) => return Err(Stop { at, why, folders }),
        };
        if stat.is_symlink() {
            links += 1;
            let target = match fs::read_link(&here) {
                Ok(target) if links <= MOST_LINKS => target,
                Ok(_) => {
                    let why = io::Error::from(nix::errno::Errno::ELOOP);
                    return Err(Stop { at, why, folders });
                }
                Err(why) => return Err(Stop { at, why, folders }),
            };
            at.pop();
            let mut next: VecDeque<OsString> = names(&target).collect();
            if target.is_absolute() {
                at = PathBuf::from("/");
            }
            next.append(&mut rest);
            rest = next;
            let mut station = at.clone();
            station.extend(&rest);
            stations.push(plain(&station));
            // Where the link was is a directory that has been passed already.
            step(&mut at, &mut rest);
            continue;
        }
        if rest.is_empty() {
            return Ok(Way {
                folders,
                stations,
                end: stat,
            });
        }
        if !stat.is_dir() {
            let why = io::Error::from(nix::errno::Errno::ENOTDIR);
            return Err(Stop { at, why, folders });
        }
        if !folders.iter().any(|(passed, _)| *passed == at) {
            folders.push((at.clone(), stat));
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

/// A path below the root, as this process reaches it.
pub fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

fn names(path: &Path) -> impl Iterator<Item = OsString> {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    })
}

/// The path without `..`, as text; good for a path whose directories are no links.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::from("/");
    let mut rest = names(path).collect();
    while !VecDeque::is_empty(&rest) {
        step(&mut plain, &mut rest);
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_stay_below_the_root_and_every_directory_is_told_once() {
        let root = std::env::temp_dir().join(format!("sockunit-{}-walk", std::process::id()));
        fs::create_dir_all(root.join("usr/bin")).unwrap();
        fs::create_dir_all(root.join("home/you")).unwrap();
        fs::write(root.join("usr/bin/sh"), "x").unwrap();
        symlink("usr/bin", root.join("bin")).unwrap();
        symlink("/bin/../bin/sh", root.join("home/you/shell")).unwrap();
        symlink("loop", root.join("loop")).unwrap();

        let way = walk(&root, Path::new("/home/you/shell")).unwrap();
        let folders: Vec<_> = way.folders.iter().map(|(path, _)| path.as_path()).collect();
        assert_eq!(
            folders,
            ["/", "/home", "/home/you", "/usr", "/usr/bin"].map(Path::new)
        );
        assert_eq!(way.real(), Path::new("/usr/bin/sh"));
        assert!(way.end.is_file());

        let stop = walk(&root, Path::new("/home/ann/shell")).unwrap_err();
        assert_eq!(stop.at, Path::new("/home/ann"));
        let stop = walk(&root, Path::new("/usr/bin/sh/x")).unwrap_err();
        assert_eq!(stop.why.kind(), io::ErrorKind::NotADirectory);
        let stop = walk(&root, Path::new("/loop")).unwrap_err();
        assert_eq!(
            stop.why.raw_os_error(),
            Some(nix::errno::Errno::ELOOP as i32)
        );
        fs::remove_dir_all(root).unwrap();
    }
}
