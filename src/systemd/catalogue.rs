//! Unit files and aliases by name, from all unit directories.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Place, ReadError, UnitName};
use crate::root::resolve;

/// What the unit directories of a place have: each is listed once, however many units are loaded.
///
/// If several directories have a name, the first one counts.
pub(crate) struct Catalogue<'a> {
    pub(crate) place: &'a Place,
    /// What each name stands for.
    definitions: BTreeMap<String, Definition>,
    /// The names that stand for the same unit, by its name.
    same: BTreeMap<String, Vec<String>>,
    /// The unit directories, with the directories for drop-ins and links in each.
    folders: Vec<(PathBuf, BTreeSet<OsString>)>,
    /// The names of the links that enable a unit, once they were asked for.
    links: OnceCell<BTreeSet<OsString>>,
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

impl Catalogue<'_> {
    /// Lists the unit directories.
    ///
    /// # Errors
    ///
    /// A directory exists and cannot be read.
    pub(crate) fn read(place: &Place) -> Result<Catalogue<'_>, ReadError> {
        let dirs = place.unit_dirs();
        let real = |dir: &PathBuf| resolve(&place.root, dir).ok();
        let unit_dirs: Vec<PathBuf> = dirs.iter().filter_map(real).collect();
        let mut definitions = BTreeMap::new();
        let mut folders = Vec::new();
        for dir in dirs {
            let Some(real) = if_exists(resolve(&place.root, &dir), &dir)? else {
                continue;
            };
            let mut own = BTreeSet::new();
            for name in list_dir(place, &dir)? {
                let known = name.to_str().filter(|name| UnitName::parse(name).is_some());
                let Some(known) = known else {
                    own.insert(name);
                    continue;
                };
                if definitions.contains_key(known) {
                    continue;
                }
                if let Some(definition) = define(place, &unit_dirs, known, &dir, &real)? {
                    definitions.insert(known.to_string(), definition);
                }
            }
            folders.push((dir, own));
        }
        let mut catalogue = Catalogue {
            place,
            definitions,
            same: BTreeMap::new(),
            folders,
            links: OnceCell::new(),
        };
        let mut same: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for name in catalogue.definitions.keys() {
            if let Some((end, _)) = catalogue.follow(name) {
                same.entry(end.into()).or_default().push(name.clone());
            }
        }
        catalogue.same = same;
        Ok(catalogue)
    }

    /// The directories with these names, those in the first unit directory first.
    pub(super) fn folders(&self, names: &[String]) -> Vec<PathBuf> {
        let in_dir = |(dir, own): &(PathBuf, BTreeSet<OsString>)| {
            let found = names.iter().filter(|name| own.contains(OsStr::new(name)));
            found.map(|name| dir.join(name)).collect::<Vec<_>>()
        };
        self.folders.iter().flat_map(in_dir).collect()
    }

    /// Whether the administrator or the user has a link to a unit in a `.wants`, `.requires` or
    /// `.upholds` directory. Links in /usr are part of a package, and enable nothing.
    pub(super) fn has_link(&self, unit: &str) -> Result<bool, ReadError> {
        if let Some(links) = self.links.get() {
            return Ok(links.contains(OsStr::new(unit)));
        }
        let shipped = self.place.path("/usr");
        let mut links = BTreeSet::new();
        for (dir, own) in self
            .folders
            .iter()
            .filter(|(dir, _)| !dir.starts_with(&shipped))
        {
            for folder in own {
                let bytes = folder.as_encoded_bytes();
                let suffixes = [&b".wants"[..], b".requires", b".upholds"];
                if suffixes.iter().any(|end| bytes.ends_with(end)) {
                    let folder = dir.join(folder);
                    let is_link = |name: &OsString| is_link(self.place, &folder, name);
                    links.extend(list_dir(self.place, &folder)?.into_iter().filter(is_link));
                }
            }
        }
        Ok(self.links.get_or_init(|| links).contains(OsStr::new(unit)))
    }

    /// The names of all unit files of a type such as `socket`, including templates, aliases and
    /// masked units.
    pub(crate) fn names(&self, kind: &str) -> BTreeSet<String> {
        let names = self.definitions.keys();
        names
            .filter(|name| UnitName::parse(name).is_some_and(|name| name.kind == kind))
            .cloned()
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
        let as_instance = |other: &str| {
            let other_unit = UnitName::parse(other);
            let instance = other_unit.and_then(|other| other.with_instance(parsed.instance?));
            instance.unwrap_or_else(|| other.to_string())
        };
        let same = self.same.get(last).into_iter().flatten();
        let others = same.filter(|other| {
            UnitName::parse(other)
                .is_some_and(|other| other.is_template() || other.instance == parsed.instance)
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

/// Whether an entry of a directory is a symbolic link.
fn is_link(place: &Place, dir: &Path, name: &OsStr) -> bool {
    let dir = resolve(&place.root, dir);
    let link = dir.and_then(|dir| fs::symlink_metadata(dir.join(name)));
    link.is_ok_and(|link| link.is_symlink())
}

/// What `name` stands for, by the file or link in a unit directory, whose real path is `real`; `None`
/// if systemd ignores it.
fn define(
    place: &Place,
    unit_dirs: &[PathBuf],
    name: &str,
    dir: &Path,
    real: &Path,
) -> Result<Option<Definition>, ReadError> {
    let path = dir.join(name);
    let dir = real;
    let real = real.join(name);
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
