//! Paths below a root directory, where a symbolic link never leads out of it.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;

/// What a link that masks a unit leads to. A system that was never booted has no such file.
const NOTHING: &str = "/dev/null";

/// As many links as the kernel follows.
const MOST_LINKS: usize = 40;

/// Where a path of the system below `root` is, all links followed, as a program in that system
/// would find it: an absolute link begins at `root` again and `..` ends there. What comes back
/// begins with `root`.
///
/// # Errors
///
/// What the path names is not there, cannot be reached, or is behind too many links.
pub fn resolve(root: &Path, path: &Path) -> io::Result<PathBuf> {
    let path = path.strip_prefix(root).unwrap_or(path);
    let mut ahead: Vec<OsString> = Vec::new();
    push(&mut ahead, path);
    let mut done = root.to_path_buf();
    let mut depth = 0;
    let mut links = 0;
    while let Some(part) = ahead.pop() {
        if part == ".." {
            if depth > 0 {
                done.pop();
                depth -= 1;
            }
            continue;
        }
        let here = done.join(&part);
        let is_link = fs::symlink_metadata(&here)?.file_type().is_symlink();
        if !is_link {
            done = here;
            depth += 1;
            continue;
        }
        links += 1;
        if links > MOST_LINKS {
            return Err(Errno::ELOOP.into());
        }
        let target = fs::read_link(&here)?;
        if target == Path::new(NOTHING) {
            return Ok(nothing(root));
        }
        if target.is_absolute() {
            done = root.to_path_buf();
            depth = 0;
        }
        push(&mut ahead, &target);
    }
    Ok(done)
}

/// The bytes of a file of the system below `root`, links followed as [`resolve`] does. Something
/// that is no plain file has none: /dev/null, but also a pipe that would never end.
///
/// # Errors
///
/// It is not there or cannot be read.
pub fn read(root: &Path, path: &Path) -> io::Result<Vec<u8>> {
    let path = resolve(root, path)?;
    if path == nothing(root) {
        return Ok(Vec::new());
    }
    let kind = fs::metadata(&path)?.file_type();
    if kind.is_file() {
        fs::read(path)
    } else if kind.is_dir() {
        Err(Errno::EISDIR.into())
    } else {
        Ok(Vec::new())
    }
}

fn nothing(root: &Path) -> PathBuf {
    root.join(NOTHING.trim_start_matches('/'))
}

/// Puts the components of a path on a stack, the first on top.
fn push(stack: &mut Vec<OsString>, path: &Path) {
    stack.extend(path.components().rev().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_os_string()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    }));
}
