//! A unit: its fragment and its drop-ins, merged in systemd's order.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::catalogue::{Catalogue, failed, list, there};
use super::name::Name;
use super::path::{read, resolve};
use super::{Error, Fault, File, Place};

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
            let file = File::parse(&bytes);
            sources.push(Source { path, file });
        }
        if state != State::Masked {
            for path in drop_ins(place, &name, &names)? {
                let Some(bytes) = there(read(&place.root, &path), &path)? else {
                    continue;
                };
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

/// The unit's drop-ins in the order of their file names. Of files of one name the first counts:
/// that of the unit before that of its template, those before the ones for all units of its type,
/// and in each of these the folder with the higher rank.
fn drop_ins(place: &Place, unit: &str, names: &BTreeSet<String>) -> Result<Vec<PathBuf>, Error> {
    let folders = place.folders();
    let mut stems: Vec<Vec<String>> = Vec::new();
    let others = names.iter().filter(|name| *name != unit);
    for name in std::iter::once(unit).chain(others.map(String::as_str)) {
        stems.push(variants(name));
    }
    stems.extend(Name::parse(unit).map(|name| vec![name.kind.to_string()]));
    let mut files: BTreeMap<OsString, PathBuf> = BTreeMap::new();
    for stems in stems {
        for folder in &folders {
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
        let shorter = parsed.shortened(&parsed.prefix[..=dash]);
        variants.extend(self::variants(&shorter));
    }
    variants
}

#[cfg(test)]
mod tests {
    use super::super::{Enablement, Scope};
    use super::*;
    use crate::tree::Tree;

    const ETC: &str = "etc/systemd/system";
    const LIB: &str = "usr/lib/systemd/system";

    fn place(tree: &Tree) -> Place {
        Place::new(tree.root(), Scope::System)
    }

    fn load(tree: &Tree, name: &str) -> Unit {
        Unit::load(&place(tree), name).unwrap()
    }

    /// The paths that define a unit, without the root.
    fn sources<'a>(tree: &Tree, unit: &'a Unit) -> Vec<&'a str> {
        let paths = unit.sources.iter().map(|source| &source.path);
        paths
            .map(|path| path.strip_prefix(tree.root()).unwrap().to_str().unwrap())
            .collect()
    }

    #[test]
    fn the_first_folder_with_the_file_wins_and_drop_ins_follow_by_name() {
        let tree = Tree::new("unit-order");
        tree.write(
            &format!("{LIB}/a.socket"),
            "[Socket]\nListenStream=1\nAccept=yes\n",
        )
        .write(
            &format!("{LIB}/a.socket.d/20.conf"),
            "[Socket]\nListenStream=2\n",
        )
        .write(
            &format!("{LIB}/a.socket.d/30.conf"),
            "[Socket]\nListenStream=3\n",
        )
        .write(
            &format!("{ETC}/a.socket.d/20.conf"),
            "[Socket]\nListenStream=\nListenStream=4\n",
        )
        .write(
            &format!("{ETC}/a.socket.d/10.conf"),
            "[Socket]\nAccept=no\n",
        )
        .write(
            &format!("{ETC}/a.socket.d/40.txt"),
            "[Socket]\nListenStream=9\n",
        );
        let unit = load(&tree, "a.socket");
        assert_eq!(
            sources(&tree, &unit),
            [
                format!("{LIB}/a.socket"),
                format!("{ETC}/a.socket.d/10.conf"),
                format!("{ETC}/a.socket.d/20.conf"),
                format!("{LIB}/a.socket.d/30.conf"),
            ]
        );
        let ports: Vec<_> = unit.listens().iter().filter_map(Listen::port).collect();
        assert_eq!(ports, [4, 3]);
        assert_eq!(unit.listens()[0].value.line, 3);
        assert_eq!(unit.flag("Socket", "Accept"), Some(false));

        tree.write(&format!("{ETC}/a.socket"), "[Socket]\nListenStream=5\n");
        let unit = load(&tree, "a.socket");
        assert_eq!(
            unit.fragment().unwrap(),
            tree.path(&format!("{ETC}/a.socket"))
        );
    }

    #[test]
    fn an_instance_has_its_templates_files_and_its_own_and_those_of_shorter_names_and_its_type() {
        let tree = Tree::new("unit-instance");
        for folder in [
            "a-b@x.service.d",
            "a-b@.service.d",
            "a-@.service.d",
            "service.d",
        ] {
            let name = folder.split('.').next().unwrap().replace('@', "-at-");
            tree.write(&format!("{LIB}/{folder}/{name}.conf"), "[Service]\n")
                .write(&format!("{LIB}/{folder}/all.conf"), "[Service]\n");
        }
        tree.write(
            &format!("{LIB}/a-b@.service"),
            "[Service]\nExecStart=/bin/true\n",
        );
        let unit = load(&tree, "a-b@x.service");
        assert_eq!(
            (unit.name.as_str(), unit.state),
            ("a-b@x.service", State::Found)
        );
        assert_eq!(
            sources(&tree, &unit),
            [
                format!("{LIB}/a-b@.service"),
                format!("{LIB}/a-@.service.d/a--at-.conf"),
                format!("{LIB}/a-b@.service.d/a-b-at-.conf"),
                format!("{LIB}/a-b@x.service.d/a-b-at-x.conf"),
                format!("{LIB}/a-b@x.service.d/all.conf"),
                format!("{LIB}/service.d/service.conf"),
            ]
        );
    }

    #[test]
    fn a_link_to_nothing_and_an_empty_file_mask() {
        let tree = Tree::new("unit-mask");
        tree.write(&format!("{LIB}/a.socket"), "[Socket]\nListenStream=1\n")
            .write(&format!("{LIB}/b.socket"), "[Socket]\nListenStream=1\n")
            .write(
                &format!("{LIB}/a.socket.d/x.conf"),
                "[Socket]\nListenStream=1\n",
            )
            .write("dev/null", "")
            .link(&format!("{ETC}/a.socket"), "/dev/null")
            .write(&format!("{ETC}/b.socket"), "");
        for name in ["a.socket", "b.socket"] {
            let unit = load(&tree, name);
            assert_eq!(unit.state, State::Masked);
            assert!(unit.listens().is_empty());
            assert_eq!(
                unit.fragment().unwrap(),
                tree.path(&format!("{ETC}/{name}"))
            );
        }
        // In a system that was never booted there is no /dev/null.
        std::fs::remove_file(tree.path("dev/null")).unwrap();
        assert_eq!(load(&tree, "a.socket").state, State::Masked);
    }

    #[test]
    fn an_alias_is_the_unit_it_stands_for_and_brings_its_own_drop_ins() {
        let tree = Tree::new("unit-alias");
        tree.write(&format!("{LIB}/a@.service"), "[Service]\nUser=a\n")
            .link(
                &format!("{ETC}/b@.service"),
                "/usr/lib/systemd/system/a@.service",
            )
            .write(&format!("{ETC}/b@.service.d/b.conf"), "[Service]\nUser=b\n")
            .write("opt/c.service", "[Service]\nUser=c\n")
            .link(&format!("{ETC}/c.service"), "/opt/c.service");
        for name in ["b@1.service", "a@1.service"] {
            let unit = load(&tree, name);
            assert_eq!(unit.name, "a@1.service");
            assert_eq!(unit.value("Service", "User").unwrap().text, "b");
        }
        // Elsewhere, and yet under its own name.
        let unit = load(&tree, "c.service");
        assert_eq!(
            (unit.name.as_str(), unit.state),
            ("c.service", State::Found)
        );
        assert_eq!(unit.value("Service", "User").unwrap().text, "c");
    }

    #[test]
    fn links_end_in_the_tree_whatever_they_say() {
        let tree = Tree::new("unit-links");
        tree.link("etc/systemd", "/../../../conf")
            .write("conf/system/a.service", "[Service]\nUser=inside\n")
            .link(
                "conf/system/b.service",
                "../../../../../../../../../outside/b.service",
            )
            .write("outside/b.service", "[Service]\nUser=too\n")
            .link("conf/system/round.service", "round.service");
        assert_eq!(
            load(&tree, "a.service")
                .value("Service", "User")
                .unwrap()
                .text,
            "inside"
        );
        assert_eq!(
            load(&tree, "b.service")
                .value("Service", "User")
                .unwrap()
                .text,
            "too"
        );
        for name in ["round.service", "none.service"] {
            assert_eq!(load(&tree, name).state, State::Missing, "{name}");
        }
    }

    #[test]
    fn names_are_those_of_all_folders_and_of_one_type() {
        let tree = Tree::new("unit-names");
        for file in [
            "a.socket",
            "a.service",
            "b@.socket",
            "not a name.socket",
            "a.socket.d/x",
        ] {
            tree.write(&format!("{LIB}/{file}"), "");
        }
        tree.link(&format!("{ETC}/c.socket"), "/dev/null");
        let names = Unit::names(&place(&tree), "socket").unwrap();
        assert_eq!(Vec::from_iter(names), ["a.socket", "b@.socket", "c.socket"]);
    }

    #[test]
    fn enabled_is_what_somebody_wants_and_static_what_nobody_can() {
        let tree = Tree::new("unit-enabled");
        let install = "[Socket]\nListenStream=1\n[Install]\nWantedBy=sockets.target\n";
        tree.write(&format!("{LIB}/on.socket"), install)
            .write(&format!("{LIB}/off.socket"), install)
            .write(&format!("{LIB}/none.socket"), "[Socket]\nListenStream=1\n")
            .write(
                &format!("{LIB}/other.service"),
                "[Service]\n[Install]\nAlias=one.service\n",
            )
            .link(
                &format!("{ETC}/one.service"),
                "/usr/lib/systemd/system/other.service",
            )
            .link(
                &format!("{ETC}/sockets.target.wants/on.socket"),
                "/usr/lib/systemd/system/on.socket",
            )
            .link(
                &format!("{LIB}/sockets.target.wants/none.socket"),
                "../none.socket",
            );
        for (name, is) in [
            ("on.socket", Enablement::Enabled),
            ("off.socket", Enablement::Disabled),
            ("none.socket", Enablement::Static),
            ("one.service", Enablement::Enabled),
        ] {
            assert_eq!(
                load(&tree, name).enablement(&place(&tree)).unwrap(),
                is,
                "{name}"
            );
        }
    }

    #[test]
    fn a_port_is_told_from_the_other_addresses() {
        let tree = Tree::new("unit-ports");
        let listens = "ListenStream=3333\nListenStream=0.0.0.0:3334\nListenStream=[fe80::1%eth0]:3335\n\
             ListenDatagram=3336\nListenStream=/run/3337\nListenStream=@x:3338\n\
             ListenStream=vsock:2:3339\nListenFIFO=3340\nListenNetlink=audit 1\n";
        tree.write(&format!("{ETC}/a.socket"), format!("[Socket]\n{listens}"));
        let unit = load(&tree, "a.socket");
        let listens = unit.listens();
        assert_eq!(listens.len(), 9);
        let ports: Vec<_> = listens.iter().filter_map(Listen::port).collect();
        assert_eq!(ports, [3333, 3334, 3335, 3336]);
        assert!(!listens[3].is_stream());
    }
}
