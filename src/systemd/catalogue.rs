//! Unit files and aliases by name, from all unit directories.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Place, ReadError, UnitName};
use crate::root::resolve;

/// What each name stands for. If several directories have a name, the first one counts.
pub(super) struct Catalogue {
    definitions: BTreeMap<String, Definition>,
}

/// What a name stands for.
enum Definition {
    /// This unit file, or a symbolic link to a file outside of the unit directories.
    UnitFile(PathBuf),
    /// The unit of this name.
    Alias(String),
}

/// The unit that a name stands for.
pub(super) struct ResolvedUnit {
    /// The name of the unit, after all aliases.
    pub(super) name: String,
    pub(super) path: PathBuf,
    /// The name and all aliases.
    pub(super) names: BTreeSet<String>,
}

impl Catalogue {
    pub(super) fn read(place: &Place) -> Result<Catalogue, ReadError> {
        let dirs = place.unit_dirs();
        let real = |dir: &PathBuf| resolve(&place.root, dir).ok();
        let unit_dirs: Vec<PathBuf> = dirs.iter().filter_map(real).collect();
        let mut definitions = BTreeMap::new();
        for dir in &dirs {
            for name in list_dir(place, dir)? {
                let Some(name) = name.to_str().filter(|name| UnitName::parse(name).is_some())
                else {
                    continue;
                };
                if definitions.contains_key(name) {
                    continue;
                }
                let path = dir.join(name);
                if let Some(definition) = define(place, &unit_dirs, name, path)? {
                    definitions.insert(name.to_string(), definition);
                }
            }
        }
        Ok(Catalogue { definitions })
    }

    /// All names and aliases of units of a type.
    pub(super) fn names(self, kind: &str) -> BTreeSet<String> {
        let names = self.definitions.into_keys();
        names
            .filter(|name| UnitName::parse(name).is_some_and(|name| name.kind == kind))
            .collect()
    }

    /// Whether `name` is an alias of `unit`.
    pub(super) fn is_alias(&self, name: &str, unit: &str) -> bool {
        name != unit
            && self
                .resolve(name)
                .is_some_and(|resolved| resolved.name == unit)
    }

    /// The unit that a name stands for. An instance without a file of its own uses its template's.
    pub(super) fn resolve(&self, name: &str) -> Option<ResolvedUnit> {
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
        let others = self.definitions.keys().filter(|other| {
            let same = UnitName::parse(other)
                .is_some_and(|other| other.is_template() || other.instance == parsed.instance);
            same && self.follow(other).is_some_and(|(end, _)| end == last)
        });
        let mut names: BTreeSet<String> = others.map(|other| as_instance(other)).collect();
        names.insert(name.to_string());
        Some(ResolvedUnit {
            name: as_instance(last),
            path: path.to_path_buf(),
            names,
        })
    }

    /// Follows aliases to the last name, and returns it with its file. An alias may stand for an
    /// instance that has no file of its own.
    fn follow<'a>(&'a self, name: &str) -> Option<(&'a str, &'a Path)> {
        let (mut name, mut definition) = self.definitions.get_key_value(name)?;
        // Aliases may form a circle, so there are no more steps than names.
        for _ in 0..=self.definitions.len() {
            match definition {
                Definition::UnitFile(path) => return Some((name, path)),
                Definition::Alias(other) => {
                    let template = || UnitName::parse(other)?.template();
                    let own = self.definitions.get_key_value(other);
                    (name, definition) =
                        own.or_else(|| self.definitions.get_key_value(&template()?))?;
                }
            }
        }
        None
    }
}

/// What `name` stands for, by the file or link at `path` in a unit directory; `None` if systemd
/// ignores it.
fn define(
    place: &Place,
    unit_dirs: &[PathBuf],
    name: &str,
    path: PathBuf,
) -> Result<Option<Definition>, ReadError> {
    let dir = path.parent().unwrap_or(&place.root);
    let Some(dir) = if_exists(resolve(&place.root, dir), &path)? else {
        return Ok(None);
    };
    let real = dir.join(name);
    let Some(kind) = if_exists(fs::symlink_metadata(&real), &path)? else {
        return Ok(None);
    };
    if kind.is_dir() {
        return Ok(None);
    }
    if !kind.is_symlink() {
        return Ok(Some(Definition::UnitFile(path)));
    }
    let target = fs::read_link(&real).map_err(read_error(&path))?;
    let target = if target.is_absolute() {
        place.path(target)
    } else {
        dir.join(target)
    };
    let dir = target.parent().map(|dir| resolve(&place.root, dir));
    let inside = dir.is_some_and(|dir| dir.is_ok_and(|dir| unit_dirs.contains(&dir)));
    if !inside {
        return Ok(Some(Definition::UnitFile(path)));
    }
    let target = target.file_name().and_then(|target| target.to_str());
    let target = target.filter(|target| can_alias(name, target));
    Ok(target.map(|target| Definition::Alias(target.to_string())))
}

/// Whether systemd accepts `alias` as an alias of `unit`: both are of one type, and both are plain
/// units, both templates, or both the same instance; an instance may also be an alias of a template.
/// A link to its own name is ignored.
fn can_alias(alias: &str, unit: &str) -> bool {
    let (Some(from), Some(to)) = (UnitName::parse(alias), UnitName::parse(unit)) else {
        return false;
    };
    let instance = from.instance == to.instance || from.instance.is_some() && to.is_template();
    alias != unit && from.kind == to.kind && instance
}

/// The names in a directory; none if the directory does not exist.
pub(super) fn list_dir(place: &Place, dir: &Path) -> Result<Vec<OsString>, ReadError> {
    let entries = resolve(&place.root, dir).and_then(fs::read_dir);
    let Some(entries) = if_exists(entries, dir)? else {
        return Ok(Vec::new());
    };
    entries
        .map(|entry| Ok(entry?.file_name()))
        .collect::<io::Result<_>>()
        .map_err(read_error(dir))
}

/// `None` if the error says that the file does not exist.
pub(super) fn if_exists<T>(result: io::Result<T>, path: &Path) -> Result<Option<T>, ReadError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if is_absence(&error) => Ok(None),
        Err(error) => Err(read_error(path)(error)),
    }
}

fn is_absence(error: &io::Error) -> bool {
    let absent = [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory];
    absent.contains(&error.kind())
}

pub(super) fn read_error(path: &Path) -> impl Fn(io::Error) -> ReadError + use<> {
    let path = path.to_path_buf();
    move |error| ReadError {
        path: path.clone(),
        error,
    }
}
