//! A unit: its fragment and its drop-ins, merged in systemd's order.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::name::Name;
use super::path::{read, resolve};
use super::{Error, Fault, File, Place};

/// More names than any unit passes on the way to its fragment.
const MOST_ALIASES: usize = 16;

/// A unit as its files define it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// Its own name: the one asked for, or what that is an alias of.
    pub name: String,
    /// Whether there is one.
    pub state: State,
    /// What defines it, in the order in which systemd reads it: the fragment first, where there
    /// is one. A masked unit has nothing but its mask.
    pub sources: Vec<Source>,
}

/// Whether there is a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It has a fragment.
    Found,
    /// Its file is empty or a link to /dev/null: systemd refuses to start it.
    Masked,
    /// No folder has its file. It may have drop-ins all the same.
    Missing,
}

/// A file that defines a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Where it lies.
    pub path: PathBuf,
    /// What it says.
    pub file: File,
}

/// An assigned value and where it is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value<'a> {
    /// What is behind the `=`.
    pub text: &'a str,
    /// The file.
    pub path: &'a Path,
    /// The line in it.
    pub line: usize,
}

/// An address on which a socket unit listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listen<'a> {
    /// The key: `ListenStream`, `ListenDatagram` and so on.
    pub key: &'a str,
    /// The address.
    pub value: Value<'a>,
}

impl Listen<'_> {
    /// The port, where it is one of TCP or UDP.
    pub fn port(&self) -> Option<u16> {
        let text = self.value.text;
        let ip = matches!(self.key, "ListenStream" | "ListenDatagram")
            && !text.starts_with(['/', '@'])
            && !text.starts_with("vsock");
        let port = text.rsplit_once(':').map_or(text, |(_, port)| port);
        ip.then(|| port.parse().ok()).flatten()
    }

    /// Whether it is TCP or another stream.
    pub fn is_stream(&self) -> bool {
        self.key == "ListenStream"
    }
}

impl Unit {
    /// Reads a unit, an alias, an instance or a template.
    ///
    /// # Errors
    ///
    /// A file or folder that is there cannot be read. That there is no unit of this name is no
    /// error: see [`Unit::state`].
    pub fn load(place: &Place, name: &str) -> Result<Unit, Error> {
        let folders = place.folders();
        let mut names = BTreeSet::from([name.to_string()]);
        let mut name = name.to_string();
        let mut found = None;
        for _ in 0..MOST_ALIASES {
            match find(place, &folders, &name)? {
                Some(Found::Alias(other)) => {
                    names.insert(other.clone());
                    name = other;
                }
                Some(Found::Fragment(path)) => {
                    found = Some(path);
                    break;
                }
                None => break,
            }
        }
        let mut sources = Vec::new();
        let mut state = State::Missing;
        if let Some(path) = found {
            let bytes = read(&place.root, &path).map_err(failed(&path))?;
            state = if bytes.is_empty() {
                State::Masked
            } else {
                State::Found
            };
            let file = File::parse(&bytes);
            sources.push(Source { path, file });
        }
        if state != State::Masked {
            aliases(place, &folders, &name, &mut names)?;
            for path in drop_ins(place, &folders, &name, &names)? {
                let bytes = read(&place.root, &path).map_err(failed(&path))?;
                let file = File::parse(&bytes);
                sources.push(Source { path, file });
            }
        }
        Ok(Unit {
            name,
            state,
            sources,
        })
    }

    /// The names of all unit files of a type (`socket`) on disk: templates and aliases too, and
    /// those that are masked.
    ///
    /// # Errors
    ///
    /// A folder cannot be read.
    pub fn names(place: &Place, kind: &str) -> Result<BTreeSet<String>, Error> {
        let mut names = BTreeSet::new();
        for folder in place.folders() {
            for name in list(place, &folder)? {
                match name.to_str().and_then(Name::parse) {
                    Some(parsed) if parsed.kind == kind => {
                        names.extend(name.to_str().map(str::to_string));
                    }
                    _ => {}
                }
            }
        }
        Ok(names)
    }

    /// The file that defines the unit, before all drop-ins; for a masked one its mask.
    pub fn fragment(&self) -> Option<&Path> {
        if self.state == State::Missing {
            return None;
        }
        self.sources.first().map(|source| source.path.as_path())
    }

    /// The values of a list such as `ExecStart=`, those that an empty assignment takes away left
    /// out.
    pub fn values<'a>(&'a self, section: &str, key: &str) -> Vec<Value<'a>> {
        let mut values = Vec::new();
        for (other, value) in self.section(section) {
            if other == key {
                keep(&mut values, value.text, value);
            }
        }
        values
    }

    /// The value of what has only one: the last that was assigned.
    pub fn value(&self, section: &str, key: &str) -> Option<Value<'_>> {
        self.values(section, key).pop()
    }

    /// A yes or no; `None` where nothing is assigned, or nothing that systemd takes for either.
    pub fn flag(&self, section: &str, key: &str) -> Option<bool> {
        // As parse_boolean() of systemd reads it, in any case.
        let text = self.value(section, key)?.text.to_ascii_lowercase();
        match text.as_str() {
            "1" | "yes" | "y" | "true" | "t" | "on" => Some(true),
            "0" | "no" | "n" | "false" | "f" | "off" => Some(false),
            _ => None,
        }
    }

    /// Where a socket unit listens. An empty assignment of one kind takes those of all kinds away.
    pub fn listens(&self) -> Vec<Listen<'_>> {
        let mut listens = Vec::new();
        for (key, value) in self.section("Socket") {
            if is_listen(key) {
                keep(&mut listens, value.text, Listen { key, value });
            }
        }
        listens
    }

    /// The lines that systemd ignores, with their files.
    pub fn faults(&self) -> impl Iterator<Item = (&Path, Fault)> {
        self.sources.iter().flat_map(|source| {
            let faults = source.file.faults.iter();
            faults.map(|fault| (source.path.as_path(), *fault))
        })
    }

    /// All assignments in a section, in systemd's order.
    pub fn section<'a>(&'a self, section: &str) -> impl Iterator<Item = (&'a str, Value<'a>)> {
        self.sources.iter().flat_map(move |source| {
            let assignments = source.file.assignments.iter();
            assignments.filter(move |a| a.section == section).map(|a| {
                let value = Value {
                    text: &a.value,
                    path: &source.path,
                    line: a.line,
                };
                (a.key.as_str(), value)
            })
        })
    }
}

/// Adds a value to a list, or empties the list where the text is empty.
fn keep<T>(values: &mut Vec<T>, text: &str, value: T) {
    if text.is_empty() {
        values.clear();
    } else {
        values.push(value);
    }
}

fn is_listen(key: &str) -> bool {
    // Of the keys that begin so, these are the addresses.
    matches!(
        key,
        "ListenStream"
            | "ListenDatagram"
            | "ListenSequentialPacket"
            | "ListenFIFO"
            | "ListenSpecial"
            | "ListenNetlink"
            | "ListenMessageQueue"
            | "ListenUSBFunction"
    )
}

/// What a folder has under a unit's name.
enum Found {
    Fragment(PathBuf),
    Alias(String),
}

/// What the first folder that knows the name, or the template of it, has.
fn find(place: &Place, folders: &[PathBuf], name: &str) -> Result<Option<Found>, Error> {
    let template = Name::parse(name).and_then(|name| name.template());
    for wanted in [Some(name.to_string()), template].into_iter().flatten() {
        for folder in folders {
            let path = folder.join(&wanted);
            // The folder itself may be a link within the system.
            let Some(real) = there(resolve_parent(place, &path), &path)? else {
                continue;
            };
            let Some(kind) = there(fs::symlink_metadata(&real), &path)? else {
                continue;
            };
            if kind.is_symlink() {
                match alias(place, folders, &real, name) {
                    Some(other) if other == name => continue,
                    Some(other) => return Ok(Some(Found::Alias(other))),
                    None => {}
                }
            }
            if !kind.is_dir() {
                return Ok(Some(Found::Fragment(path)));
            }
        }
    }
    Ok(None)
}

/// The unit that `name` is another name of where its link says so: one to another unit in any of
/// the folders. A link to somewhere else is a unit of its own that lies elsewhere.
pub(super) fn alias(place: &Place, folders: &[PathBuf], link: &Path, name: &str) -> Option<String> {
    let target = fs::read_link(link).ok()?;
    let target = if target.is_absolute() {
        place.path(target)
    } else {
        link.parent()?.join(target)
    };
    let folder = resolve(&place.root, target.parent()?).ok()?;
    let known = |other: &PathBuf| resolve(&place.root, other).is_ok_and(|other| other == folder);
    if !folders.iter().any(known) {
        return None;
    }
    let other = target.file_name()?.to_str()?;
    let (from, to) = (Name::parse(name)?, Name::parse(other)?);
    let instance = from.instance.filter(|_| to.is_template());
    (from.kind == to.kind).then(|| match instance {
        Some(instance) => format!("{}@{instance}.{}", to.prefix, to.kind),
        None => other.to_string(),
    })
}

/// Adds all names under which links on disk know the unit.
fn aliases(
    place: &Place,
    folders: &[PathBuf],
    unit: &str,
    names: &mut BTreeSet<String>,
) -> Result<(), Error> {
    let instance = Name::parse(unit).and_then(|name| name.instance);
    for folder in folders {
        for entry in list(place, folder)? {
            let Some(parsed) = entry.to_str().and_then(Name::parse) else {
                continue;
            };
            let name = match instance {
                Some(instance) if parsed.is_template() => {
                    format!("{}@{instance}.{}", parsed.prefix, parsed.kind)
                }
                _ => entry.to_string_lossy().into_owned(),
            };
            if name == unit || names.contains(&name) {
                continue;
            }
            let Ok(link) = resolve_parent(place, &folder.join(&entry)) else {
                continue;
            };
            if alias(place, folders, &link, &name).as_deref() == Some(unit) {
                names.insert(name);
            }
        }
    }
    Ok(())
}

/// The unit's drop-ins in the order of their file names. Of files of one name the first counts:
/// that of the unit before that of its template, those before the ones for all units of its type,
/// and in each of these the folder with the higher rank.
fn drop_ins(
    place: &Place,
    folders: &[PathBuf],
    unit: &str,
    names: &BTreeSet<String>,
) -> Result<Vec<PathBuf>, Error> {
    let mut stems: Vec<Vec<String>> = Vec::new();
    let others = names.iter().filter(|name| *name != unit);
    for name in std::iter::once(unit).chain(others.map(String::as_str)) {
        stems.push(variants(name));
    }
    stems.extend(Name::parse(unit).map(|name| vec![name.kind.to_string()]));
    let mut files: BTreeMap<OsString, PathBuf> = BTreeMap::new();
    for stems in stems {
        for folder in folders {
            for stem in &stems {
                let folder = folder.join(format!("{stem}.d"));
                for file in list(place, &folder)? {
                    if file.as_encoded_bytes().ends_with(b".conf") {
                        let path = folder.join(&file);
                        files.entry(file).or_insert(path);
                    }
                }
            }
        }
    }
    let is_folder = |path: &PathBuf| resolve(&place.root, path).is_ok_and(|path| path.is_dir());
    let mut paths: Vec<_> = files.into_values().collect();
    paths.retain(|path| !is_folder(path));
    Ok(paths)
}

/// The names whose drop-ins are for a unit, the nearest first: its own, its template's, and those
/// cut at each dash, `a-.service` for `a-b.service`.
fn variants(name: &str) -> Vec<String> {
    let mut variants = vec![name.to_string()];
    let Some(parsed) = Name::parse(name) else {
        return variants;
    };
    if let Some(template) = parsed.template() {
        variants.extend(self::variants(&template));
    }
    let cut = parsed.prefix.trim_end_matches('-').rfind('-');
    if let Some(dash) = cut {
        let shorter = parsed.with_prefix(&parsed.prefix[..=dash]);
        variants.extend(self::variants(&shorter));
    }
    variants
}

/// The names in a folder; none where there is no folder.
pub(super) fn list(place: &Place, folder: &Path) -> Result<Vec<OsString>, Error> {
    let entries = resolve(&place.root, folder).and_then(fs::read_dir);
    let Some(entries) = there(entries, folder)? else {
        return Ok(Vec::new());
    };
    entries
        .map(|entry| Ok(entry?.file_name()))
        .collect::<io::Result<_>>()
        .map_err(failed(folder))
}

/// A path with the links of its folder followed, and not its own.
pub(super) fn resolve_parent(place: &Place, path: &Path) -> io::Result<PathBuf> {
    let parent = resolve(&place.root, path.parent().unwrap_or(path))?;
    Ok(parent.join(path.file_name().unwrap_or_default()))
}

/// What is not there is `None` rather than an error.
fn there<T>(result: io::Result<T>, path: &Path) -> Result<Option<T>, Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(failed(path)(error)),
    }
}

fn failed(path: &Path) -> impl Fn(io::Error) -> Error + use<> {
    let path = path.to_path_buf();
    move |error| Error {
        path: path.clone(),
        error,
    }
}
