//! The unit files of all folders by their names, and the names that are aliases.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::name::UnitName;
use super::{Place, ReadError};
use crate::root::resolve;

/// What the folders have, the first that has a name winning.
pub(super) struct Catalogue {
    entries: BTreeMap<String, Entry>,
}

/// What a name stands for.
enum Entry {
    /// A file with this path, or a link to one outside of all folders.
    UnitFile(PathBuf),
    /// Another name.
    Alias(String),
}

/// A unit that was found.
pub(super) struct Found {
    /// Its own name.
    pub name: String,
    /// Its file.
    pub path: PathBuf,
    /// All its names.
    pub names: BTreeSet<String>,
}

impl Catalogue {
    pub fn read(place: &Place) -> Result<Catalogue, ReadError> {
        let folders = place.folders();
        let real = |folder: &PathBuf| resolve(&place.root, folder).ok();
        let known: Vec<PathBuf> = folders.iter().filter_map(real).collect();
        let mut entries = BTreeMap::new();
        for folder in &folders {
            for name in list(place, folder)? {
                let Some(name) = name.to_str().filter(|name| UnitName::parse(name).is_some())
                else {
                    continue;
                };
                if entries.contains_key(name) {
                    continue;
                }
                let path = folder.join(name);
                if let Some(entry) = entry(place, &known, name, path)? {
                    entries.insert(name.to_string(), entry);
                }
            }
        }
        Ok(Catalogue { entries })
    }

    /// All names of a type, aliases too.
    pub fn names(self, kind: &str) -> BTreeSet<String> {
        let names = self.entries.into_keys();
        names
            .filter(|name| UnitName::parse(name).is_some_and(|name| name.kind == kind))
            .collect()
    }

    /// Whether the files make one name another name of a unit.
    pub fn is_alias(&self, name: &str, unit: &str) -> bool {
        name != unit && self.find(name).is_some_and(|found| found.name == unit)
    }

    /// The unit of a name. An instance whose own name leads to no file is of its template.
    pub fn find(&self, name: &str) -> Option<Found> {
        let parsed = UnitName::parse(name)?;
        let template = parsed.template();
        let (last, path) = self
            .follow(name)
            .or_else(|| self.follow(template.as_deref()?))?;
        let as_instance = |other: &str| match (UnitName::parse(other), parsed.instance) {
            (Some(other), Some(instance)) if other.is_template() => {
                format!("{}@{instance}.{}", other.prefix, other.kind)
            }
            _ => other.to_string(),
        };
        let others = self.entries.keys().filter(|other| {
            let same = UnitName::parse(other)
                .is_some_and(|other| other.is_template() || other.instance == parsed.instance);
            same && self.follow(other).is_some_and(|(end, _)| end == last)
        });
        let mut names: BTreeSet<String> = others.map(|other| as_instance(other)).collect();
        names.insert(name.to_string());
        Some(Found {
            name: as_instance(last),
            path: path.to_path_buf(),
            names,
        })
    }

    /// The last of the names that a name leads to, and its file. An alias may name an instance that
    /// has no file of its own.
    fn follow<'a>(&'a self, name: &str) -> Option<(&'a str, &'a Path)> {
        let (mut name, mut entry) = self.entries.get_key_value(name)?;
        // No more steps than there are names, lest it go round.
        for _ in 0..=self.entries.len() {
            match entry {
                Entry::UnitFile(path) => return Some((name, path)),
                Entry::Alias(other) => {
                    let template = || UnitName::parse(other)?.template();
                    let known = self.entries.get_key_value(other);
                    (name, entry) = known.or_else(|| self.entries.get_key_value(&template()?))?;
                }
            }
        }
        None
    }
}

/// What a path in a folder of units is, under its name there; `None` where systemd passes it by.
fn entry(
    place: &Place,
    known: &[PathBuf],
    name: &str,
    path: PathBuf,
) -> Result<Option<Entry>, ReadError> {
    let folder = path.parent().unwrap_or(&place.root);
    let Some(folder) = there(resolve(&place.root, folder), &path)? else {
        return Ok(None);
    };
    let real = folder.join(name);
    let Some(kind) = there(fs::symlink_metadata(&real), &path)? else {
        return Ok(None);
    };
    if kind.is_dir() {
        return Ok(None);
    }
    if !kind.is_symlink() {
        return Ok(Some(Entry::UnitFile(path)));
    }
    let target = fs::read_link(&real).map_err(failed(&path))?;
    let target = if target.is_absolute() {
        place.path(target)
    } else {
        folder.join(target)
    };
    let folder = target.parent().map(|folder| resolve(&place.root, folder));
    let inside = folder.is_some_and(|folder| folder.is_ok_and(|folder| known.contains(&folder)));
    if !inside {
        return Ok(Some(Entry::UnitFile(path)));
    }
    let target = target.file_name().and_then(|target| target.to_str());
    let target = target.filter(|target| go_together(name, target));
    Ok(target.map(|target| Entry::Alias(target.to_string())))
}

/// Whether one name may be an alias of another: of the same type and kind, except that an
/// instance may be of another template. A link to its own name is passed by too.
fn go_together(alias: &str, unit: &str) -> bool {
    let (Some(from), Some(to)) = (UnitName::parse(alias), UnitName::parse(unit)) else {
        return false;
    };
    let instance = from.instance == to.instance || from.instance.is_some() && to.is_template();
    alias != unit && from.kind == to.kind && instance
}

/// The names in a folder; none where there is no folder.
pub(super) fn list(place: &Place, folder: &Path) -> Result<Vec<OsString>, ReadError> {
    let entries = resolve(&place.root, folder).and_then(fs::read_dir);
    let Some(entries) = there(entries, folder)? else {
        return Ok(Vec::new());
    };
    entries
        .map(|entry| Ok(entry?.file_name()))
        .collect::<io::Result<_>>()
        .map_err(failed(folder))
}

/// What is not there is `None` rather than an error.
pub(super) fn there<T>(result: io::Result<T>, path: &Path) -> Result<Option<T>, ReadError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if is_absence(&error) => Ok(None),
        Err(error) => Err(failed(path)(error)),
    }
}

fn is_absence(error: &io::Error) -> bool {
    let absent = [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory];
    absent.contains(&error.kind())
}

pub(super) fn failed(path: &Path) -> impl Fn(io::Error) -> ReadError + use<> {
    let path = path.to_path_buf();
    move |error| ReadError {
        path: path.clone(),
        error,
    }
}
