//! Files that a service reads.

use std::path::Path;

use super::check::{Chain, Check, HOMES, TEMPORARY, failed, failed_with};
use super::run_as::Access;
use super::{NotExecutable, RunAs, Visibility};
use crate::hint::Hint;
use crate::root::trace;

/// Checks that a user can read a file of the system below `root`, and returns its length.
///
/// # Errors
///
/// The first problem.
pub(crate) fn check_readable(
    root: &Path,
    file: &Path,
    user: &RunAs,
    visible: Visibility,
) -> Result<u64, NotExecutable> {
    let check = Check {
        root,
        user,
        visible,
    };
    let shown = file.display();
    if !file.is_absolute() {
        return failed(
            format!("{shown}: not an absolute path"),
            "give the absolute path",
        );
    }
    let traced = trace(root, file).map_err(|error| check.stopped(file, error, Chain::default()))?;
    let in_any = |list: &[&str]| {
        let mut paths = traced.paths.iter();
        paths.any(|path| list.iter().any(|directory| path.starts_with(directory)))
    };
    if visible.homes_hidden && in_any(&HOMES) || visible.tmp_hidden && in_any(&TEMPORARY) {
        return failed(
            format!("{shown}: hidden from the service by its sandbox"),
            "copy the file to /etc",
        );
    }
    check.searchable(&traced.directories, |path| traced.own_directory(root, path))?;
    if !traced.status.is_file() {
        return failed(format!("{shown}: not a regular file"), "name a file");
    }
    if !check.may(Access::Read, traced.real(), &traced.status) {
        let hint = Hint::new("give that user read permission");
        return failed_with(
            format!("{shown}: cannot be read by {user}"),
            hint.command(check.chmod(&traced.status, "r", traced.own(root))),
        );
    }
    Ok(traced.status.len())
}
