//! Finds the program that the user named.

use std::env;
use std::path::{Path, PathBuf};

use super::Error;
use crate::executable::PATH;
use crate::log::Plain;
use crate::root::trace;
use crate::systemd::Place;

/// The absolute path of a program: as given, relative to the working directory, or found in PATH. Below
/// another root directory, PATH is that of a service, and there is no working directory.
///
/// # Errors
///
/// PATH does not have the program, or the name is a whole command line in quotes.
pub(crate) fn absolute_path(place: &Place, program: &str) -> Result<String, Error> {
    let found = if program.starts_with('/') {
        Some(PathBuf::from(program))
    } else if program.contains('/') {
        let directory = env::current_dir().ok().filter(|_| place.live());
        directory.map(|directory| directory.join(program.trim_start_matches("./")))
    } else {
        directories(place)
            .iter()
            .map(|directory| directory.join(program))
            .find(|path| is_file(place, path))
    };
    if let Some(path) = &found {
        if !program.contains(' ') || is_file(place, path) {
            return Ok(path.display().to_string());
        }
    }
    if let Some((first, _)) = program.split_once(' ') {
        if absolute_path(place, first).is_ok_and(|path| is_file(place, Path::new(&path))) {
            return Err(Error::invalid(
                format!("there is no program \"{}\"", Plain(program)),
                "leave out the quotes: the program and its arguments are separate words",
            ));
        }
    }
    match found {
        Some(path) => Ok(path.display().to_string()),
        None if program.contains('/') => Err(Error::invalid(
            format!("{} is not an absolute path", Plain(program)),
            "with --root, give the absolute path inside that root directory",
        )),
        None => Err(Error::invalid(
            format!("{}: not found in PATH", Plain(program)),
            "check the spelling, or give its path",
        )),
    }
}

fn is_file(place: &Place, path: &Path) -> bool {
    trace(&place.root, path).is_ok_and(|traced| traced.status.is_file())
}

/// The directories of PATH.
fn directories(place: &Place) -> Vec<PathBuf> {
    let own = env::var_os("PATH").filter(|_| place.live());
    let own = own.iter().flat_map(env::split_paths);
    let absolute = own.filter(|directory| directory.is_absolute());
    absolute.chain(PATH.iter().map(PathBuf::from)).collect()
}
