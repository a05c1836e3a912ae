//! Reads the files of xinetd and inetd below a root directory.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::meant::{Reading, meant};
use super::reader::{Reader, dialect, reader};
use super::root::Root;
use super::xinetd::{self, Configuration, Item, Note, NoteKind};
use super::{Position, Word, inetd, switch};
use crate::root::{below, read, resolve};
use crate::systemd::Place;

/// The main file of xinetd.
const XINETD: &str = "/etc/xinetd.conf";

/// The main file of inetd, and the directory in which inetutils-inetd looks for more.
const INETD: &str = "/etc/inetd.conf";
const INETD_DIR: &str = "/etc/inetd.d";

/// The most files that are read. xinetd itself has no limit, and files can include each other.
const MAX_FILES: usize = 4096;

/// How deep files may include each other. xinetd has no limit but that of its open files.
const MAX_DEPTH: usize = 64;

/// The configuration of a system.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    pub(crate) xinetd: Configuration,
    pub(crate) inetd: Vec<inetd::File>,
    /// The files and directories that cannot be read, also those that do not exist.
    pub(crate) unread: Vec<(PathBuf, io::Error)>,
    /// The files by their real paths, as they are, if they were read as they were before `sockunit import`
    /// disabled services.
    pub(crate) texts: BTreeMap<PathBuf, Vec<u8>>,
}

impl Loaded {
    /// The positions of all services and notes.
    pub(crate) fn positions(&self) -> impl Iterator<Item = &Position> {
        let xinetd = self.xinetd.services.iter().map(|service| &service.position);
        let notes = self.xinetd.notes.iter().map(|note| &note.position);
        let inetd = self.inetd.iter().flat_map(|file| {
            let problems = file.problems.iter().map(|(position, _)| position);
            let services = file.services.iter().map(|service| &service.position);
            services.chain(problems)
        });
        xinetd.chain(notes).chain(inetd)
    }

    /// Adds what was read from other files.
    pub(crate) fn append(&mut self, mut other: Loaded) {
        self.xinetd.services.append(&mut other.xinetd.services);
        self.xinetd.notes.append(&mut other.xinetd.notes);
        self.inetd.append(&mut other.inetd);
        self.unread.append(&mut other.unread);
        for (path, text) in other.texts {
            self.texts.entry(path).or_insert(text);
        }
    }
}

/// Reads the configuration of a system as xinetd and inetd do.
pub(crate) fn load(place: &Place) -> Loaded {
    load_with(Files::new(&place.root), place, Reading::AsXinetd)
}

/// Reads a file or the files of a directory, whichever of the two programs it is for.
///
/// # Errors
///
/// The path that cannot be read, and why.
pub(crate) fn load_file(
    root: &Path,
    path: &Path,
    reading: Reading,
) -> Result<Loaded, (PathBuf, io::Error)> {
    let mut files = Files::before(root);
    let is_directory = resolve(root, path).is_ok_and(|real| real.is_dir());
    let paths = match is_directory {
        true => files.names(path, is_included),
        false => vec![path.to_owned()],
    };
    let system = Root::new(root);
    let mut inetd = Vec::new();
    for path in paths {
        match files.read(&path) {
            Some(bytes) if is_xinetd(&bytes) => files.xinetd(&path),
            Some(bytes) => inetd.push(inetd::parse(
                &Rc::from(path),
                &bytes,
                dialect(root),
                &system,
            )),
            None => {}
        }
    }
    if let (false, Some(unread)) = (is_directory, files.unread.pop()) {
        return Err(unread);
    }
    Ok(files.evaluate(reading, &system, inetd))
}

/// Whether a file is one of xinetd: its entries have braces on lines of their own.
fn is_xinetd(bytes: &[u8]) -> bool {
    let mut lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    lines.any(|line| line == b"{" || line.starts_with(b"include"))
}

/// Whether xinetd reads a file in a directory: package managers and editors leave files with other
/// names.
fn is_included(name: &[u8]) -> bool {
    !name.contains(&b'.') && !name.ends_with(b"~")
}

/// Reads the configuration of a system as it was before `sockunit import` disabled services.
pub(crate) fn load_as(place: &Place, reading: Reading) -> Loaded {
    load_with(Files::before(&place.root), place, reading)
}

fn load_with(mut files: Files<'_>, place: &Place, reading: Reading) -> Loaded {
    let root = files.root;
    files.xinetd(&below(root, Path::new(XINETD)));
    let system = Root::new(root);
    let mut inetd = Vec::new();
    let mut paths = vec![below(root, Path::new(INETD))];
    if paths[0].exists() && reader(place) == Reader::Xinetd {
        files.inetd_compat(&paths.remove(0));
    }
    paths.extend(files.names(&below(root, Path::new(INETD_DIR)), |_| true));
    for path in paths {
        let is_directory = resolve(root, &path).is_ok_and(|real| real.is_dir());
        if let (false, Some(bytes)) = (is_directory, files.read(&path)) {
            inetd.push(inetd::parse(
                &Rc::from(path),
                &bytes,
                dialect(root),
                &system,
            ));
        }
    }
    files.evaluate(reading, &system, inetd)
}

/// The files that have been read.
struct Files<'a> {
    root: &'a Path,
    /// The real paths of the files that include the file that is read, and its own.
    open: Vec<PathBuf>,
    count: usize,
    /// The entries in the order in which xinetd reads them.
    items: Vec<Item>,
    notes: Vec<Note>,
    unread: Vec<(PathBuf, io::Error)>,
    texts: BTreeMap<PathBuf, Vec<u8>>,
    /// Read the files as they were before `sockunit import` disabled services.
    before: bool,
}

impl<'a> Files<'a> {
    fn new(root: &'a Path) -> Files<'a> {
        Files {
            root,
            open: Vec::new(),
            count: 0,
            items: Vec::new(),
            notes: Vec::new(),
            unread: Vec::new(),
            texts: BTreeMap::new(),
            before: false,
        }
    }

    fn before(root: &'a Path) -> Files<'a> {
        Files {
            before: true,
            ..Files::new(root)
        }
    }

    fn evaluate(self, reading: Reading, system: &Root<'_>, inetd: Vec<inetd::File>) -> Loaded {
        let items = self.items.into_iter();
        let items: Vec<Item> = match reading {
            Reading::AsXinetd => items.collect(),
            Reading::AsMeant => items.map(meant).collect(),
        };
        let mut xinetd = xinetd::evaluate(&items, system);
        xinetd.notes.extend(self.notes);
        Loaded {
            xinetd,
            inetd,
            unread: self.unread,
            texts: self.texts,
        }
    }

    /// Reads a file of xinetd and those that it includes.
    fn xinetd(&mut self, path: &Path) {
        let Some(bytes) = self.read(path) else {
            return;
        };
        let file = xinetd::parse(&Rc::from(path), &bytes);
        self.notes.extend(file.notes);
        self.open.extend(resolve(self.root, path));
        for item in file.items {
            match item {
                Item::Include(position, name) => {
                    let path = self.included(&position, &name);
                    self.include(&path, &position);
                }
                Item::IncludeDir(position, name) => {
                    let directory = self.included(&position, &name);
                    for path in self.names(&directory, is_included) {
                        self.include(&path, &position);
                    }
                }
                item => self.items.push(item),
            }
        }
        self.open.pop();
    }

    /// Reads inetd.conf as xinetd does.
    fn inetd_compat(&mut self, path: &Path) {
        if let Some(bytes) = self.read(path) {
            let file = xinetd::parse_inetd_conf(&Rc::from(path), &bytes);
            self.notes.extend(file.notes);
            self.items.extend(file.items);
        }
    }

    fn include(&mut self, path: &Path, position: &Position) {
        let real = resolve(self.root, path);
        let is_open = real.as_ref().is_ok_and(|real| self.open.contains(real));
        let kind = match is_open {
            true => NoteKind::Recursion,
            false if self.count >= MAX_FILES => NoteKind::TooManyFiles,
            false if self.open.len() >= MAX_DEPTH => NoteKind::TooDeep(MAX_DEPTH),
            // xinetd skips directories in a directory.
            false if real.is_ok_and(|real| real.is_dir()) => return,
            false => return self.xinetd(path),
        };
        let position = position.clone();
        self.notes.push(Note { position, kind });
    }

    /// The path of an included name.
    fn included(&mut self, position: &Position, name: &Word) -> PathBuf {
        let path = Path::new(OsStr::from_bytes(&name.bytes));
        if path.is_relative() {
            let position = position.clone();
            let kind = NoteKind::Relative(name.clone());
            self.notes.push(Note { position, kind });
        }
        below(self.root, path)
    }

    /// The paths of the files in a directory whose names count, in the order of the bytes.
    fn names(&mut self, directory: &Path, counts: fn(&[u8]) -> bool) -> Vec<PathBuf> {
        match resolve(self.root, directory).and_then(fs::read_dir) {
            Ok(entries) => {
                let names = entries.filter_map(|entry| Some(entry.ok()?.file_name()));
                let mut names: Vec<_> = names.filter(|name| counts(name.as_bytes())).collect();
                names.sort();
                names.iter().map(|name| directory.join(name)).collect()
            }
            Err(error) => {
                self.unread.push((directory.into(), error));
                Vec::new()
            }
        }
    }

    fn read(&mut self, path: &Path) -> Option<Vec<u8>> {
        self.count += 1;
        match read(self.root, path) {
            Ok(bytes) if self.before => {
                let before = switch::as_before(&bytes);
                if let Ok(real) = resolve(self.root, path) {
                    self.texts.entry(real).or_insert(bytes);
                }
                Some(before)
            }
            Ok(bytes) => Some(bytes),
            Err(error) => {
                self.unread.push((path.into(), error));
                None
            }
        }
    }
}
