//! A unit: its unit file and its drop-ins, merged in systemd's order.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::catalogue::{if_exists, read_error};
use super::drop_ins::drop_ins;
use super::{Catalogue, Place, ReadError, SyntaxProblem, UnitFile};
use crate::root::read;

/// A unit as defined by its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unit {
    /// The requested name, or the name that it is an alias of.
    pub(crate) name: String,
    pub(crate) state: State,
    /// The files in the order in which systemd reads them: first the unit file, if there is one. A
    /// masked unit has only the file that masks it.
    pub(crate) sources: Vec<SourceFile>,
}

/// Whether a unit has a unit file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// It has one.
    Found,
    /// The file is empty or a link to /dev/null: systemd refuses to start the unit.
    Masked,
    /// It has none. It may have drop-ins.
    Missing,
}

/// A unit file or a drop-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SourceFile {
    pub(crate) path: PathBuf,
    pub(crate) file: UnitFile,
}

/// The value of a directive, and the place of its assignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Value<'a> {
    pub(crate) text: &'a str,
    pub(crate) path: &'a Path,
    /// The line number, from 1.
    pub(crate) line: usize,
}

/// A `ListenStream=`, `ListenDatagram=` or similar directive of a socket unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ListenDirective<'a> {
    pub(crate) key: &'a str,
    /// The address.
    pub(crate) value: Value<'a>,
}

impl ListenDirective<'_> {
    /// The port of a TCP or UDP address.
    pub(crate) fn port(&self) -> Option<u16> {
        let text = self.value.text;
        let ip = matches!(self.key, "ListenStream" | "ListenDatagram")
            && !text.starts_with(['/', '@'])
            && !text.starts_with("vsock");
        let port = text.rsplit_once(':').map_or(text, |(_, port)| port);
        // A scope may follow, as in [fe80::1]:4000%eth0.
        let port = port.split('%').next().unwrap_or(port);
        ip.then(|| port.parse().ok()).flatten()
    }

    pub(crate) fn is_stream(&self) -> bool {
        self.key == "ListenStream"
    }
}

impl Unit {
    /// Loads a unit by its name. To load several units, read a [`Catalogue`] once.
    ///
    /// # Errors
    ///
    /// See [`Catalogue::load`].
    pub(crate) fn load(place: &Place, name: &str) -> Result<Unit, ReadError> {
        Catalogue::read(place)?.load(name)
    }

    /// As [`Catalogue::names`].
    ///
    /// # Errors
    ///
    /// A directory cannot be read.
    pub(crate) fn names(place: &Place, kind: &str) -> Result<BTreeSet<String>, ReadError> {
        Ok(Catalogue::read(place)?.names(kind))
    }

    /// The unit file, which systemd calls the fragment; for a masked unit the file that masks it.
    pub(crate) fn fragment(&self) -> Option<&Path> {
        if self.state == State::Missing {
            return None;
        }
        self.sources.first().map(|source| source.path.as_path())
    }

    /// The values of a list directive such as `ExecStart=`. An empty assignment removes those before
    /// it.
    pub(crate) fn values<'a>(&'a self, section: &str, key: &str) -> Vec<Value<'a>> {
        let mut values = Vec::new();
        for (other, value) in self.section(section) {
            if other == key {
                assign(&mut values, value.text, value);
            }
        }
        values
    }

    /// The last value assigned to a directive; `None` if that is empty.
    pub(crate) fn value(&self, section: &str, key: &str) -> Option<Value<'_>> {
        self.values(section, key).pop()
    }

    /// The value of a boolean directive; `None` if it is not assigned or not a boolean.
    pub(crate) fn flag(&self, section: &str, key: &str) -> Option<bool> {
        // Like systemd's parse_boolean(), which ignores case.
        let text = self.value(section, key)?.text.to_ascii_lowercase();
        match text.as_str() {
            "1" | "yes" | "y" | "true" | "t" | "on" => Some(true),
            "0" | "no" | "n" | "false" | "f" | "off" => Some(false),
            _ => None,
        }
    }

    /// The `Listen*=` directives of a socket unit. An empty assignment of one of them removes all
    /// before it, of every kind.
    pub(crate) fn listen_directives(&self) -> Vec<ListenDirective<'_>> {
        let mut directives = Vec::new();
        for (key, value) in self.section("Socket") {
            if is_listen(key) {
                assign(&mut directives, value.text, ListenDirective { key, value });
            }
        }
        directives
    }

    /// The syntax problems of all files, each with the path of its file.
    pub(crate) fn syntax_problems(&self) -> impl Iterator<Item = (&Path, SyntaxProblem)> {
        self.sources.iter().flat_map(|source| {
            let problems = source.file.problems.iter();
            problems.map(|problem| (source.path.as_path(), *problem))
        })
    }

    /// All assignments in a section, in the order in which systemd reads them.
    pub(crate) fn section<'a>(
        &'a self,
        section: &str,
    ) -> impl Iterator<Item = (&'a str, Value<'a>)> {
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

impl Catalogue<'_> {
    /// Loads a unit by its name, which may be an alias, an instance or a template.
    ///
    /// # Errors
    ///
    /// A file or directory exists and cannot be read. A unit without a unit file is not an error: see
    /// [`Unit::state`].
    pub(crate) fn load(&self, name: &str) -> Result<Unit, ReadError> {
        let resolved = self.resolve(name);
        let mut names = BTreeSet::from([name.to_string()]);
        let mut name = name.to_string();
        let mut sources = Vec::new();
        let mut state = State::Missing;
        if let Some(resolved) = resolved {
            (name, names) = (resolved.name, resolved.names);
            let path = resolved.path;
            let bytes = read(&self.place.root, &path).map_err(read_error(&path))?;
            state = if bytes.is_empty() {
                State::Masked
            } else {
                State::Found
            };
            let file = UnitFile::parse(&bytes);
            sources.push(SourceFile { path, file });
        }
        if state != State::Masked {
            for path in drop_ins(self, &name, &names)? {
                let Some(bytes) = if_exists(read(&self.place.root, &path), &path)? else {
                    continue;
                };
                let file = UnitFile::parse(&bytes);
                sources.push(SourceFile { path, file });
            }
        }
        Ok(Unit {
            name,
            state,
            sources,
        })
    }
}

/// Appends a value to a list, or clears the list if the text is empty.
fn assign<T>(values: &mut Vec<T>, text: &str, value: T) {
    if text.is_empty() {
        values.clear();
    } else {
        values.push(value);
    }
}

fn is_listen(key: &str) -> bool {
    // Other keys begin with Listen too, such as ListenFileName.
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
