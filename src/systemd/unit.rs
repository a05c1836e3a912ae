//! A unit: its fragment and its drop-ins, merged in systemd's order.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::catalogue::{Catalogue, failed, there};
use super::drop_ins::drop_ins;
use super::{Place, ReadError, SyntaxProblem, UnitFile};
use crate::root::read;

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
    pub file: UnitFile,
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
        // The name of a device may follow.
        let port = port.split('%').next().unwrap_or(port);
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
    pub fn load(place: &Place, name: &str) -> Result<Unit, ReadError> {
        let found = Catalogue::read(place)?.find(name);
        let mut names = BTreeSet::from([name.to_string()]);
        let mut name = name.to_string();
        let mut sources = Vec::new();
        let mut state = State::Missing;
        if let Some(found) = found {
            (name, names) = (found.name, found.names);
            let path = found.path;
            let bytes = read(&place.root, &path).map_err(failed(&path))?;
            state = if bytes.is_empty() {
                State::Masked
            } else {
                State::Found
            };
            let file = UnitFile::parse(&bytes);
            sources.push(Source { path, file });
        }
        if state != State::Masked {
            for path in drop_ins(place, &name, &names)? {
                let Some(bytes) = there(read(&place.root, &path), &path)? else {
                    continue;
                };
                let file = UnitFile::parse(&bytes);
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
    pub fn names(place: &Place, kind: &str) -> Result<BTreeSet<String>, ReadError> {
        Ok(Catalogue::read(place)?.names(kind))
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

    /// The lines that systemd ignores, or at which it ends, with their files.
    pub fn faults(&self) -> impl Iterator<Item = (&Path, SyntaxProblem)> {
        self.sources.iter().flat_map(|source| {
            let faults = source.file.faults.iter();
            faults.map(|fault| (source.path.as_path(), *fault))
        })
    }

    /// Why systemd does not load the unit, although it has a file: a line of its fragment that
    /// ends the reading.
    pub fn broken(&self) -> Option<SyntaxProblem> {
        let fragment = self
            .sources
            .first()
            .filter(|_| self.state == State::Found)?;
        let mut faults = fragment.file.faults.iter();
        faults.find(|fault| fault.flaw.ends_reading()).copied()
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
