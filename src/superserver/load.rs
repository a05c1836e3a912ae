//! Reads the files of xinetd and inetd below a root directory.

use std::cell::OnceCell;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use nix::unistd::Group;

use super::meant::{Reading, meant};
use super::reader::{Reader, dialect, reader};
use super::xinetd::{self, Configuration, Item, Note, NoteKind};
use super::{Position, System, Word, inetd, switch};
use crate::executable::user_exists;
use crate::root::{below, read, resolve, walk};
use crate::services;
use crate::systemd::Place;

/// The main file of xinetd.
const XINETD: &str = "/etc/xinetd.conf";

/// The main file of inetd, and the directory in which inetutils-inetd looks for more.
const INETD: &str = "/etc/inetd.conf";
const INETD_DIR: &str = "/etc/inetd.d";

/// The most files that are read. xinetd itself has no limit, and files can include each other.
const MAX_FILES: usize = 4096;

/// The configuration of a system.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    pub(crate) xinetd: Configuration,
    pub(crate) inetd: Vec<inetd::File>,
    /// The files and directories that cannot be read, also those that do not exist.
    pub(crate) unread: Vec<(PathBuf, io::Error)>,
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

/// Reads the configuration of a system as it was before `sockunit import` switched services off.
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
    /// Read the files as they were before `sockunit import` switched services off.
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
            Ok(bytes) if self.before => Some(switch::as_before(&bytes)),
            Ok(bytes) => Some(bytes),
            Err(error) => {
                self.unread.push((path.into(), error));
                None
            }
        }
    }
}

/// A system below a root directory, which answers from its files.
struct Root<'a> {
    root: &'a Path,
    services: OnceCell<Vec<u8>>,
    protocols: OnceCell<Vec<u8>>,
    hosts: OnceCell<Vec<u8>>,
}

impl Root<'_> {
    fn new(root: &Path) -> Root<'_> {
        Root {
            root,
            services: OnceCell::new(),
            protocols: OnceCell::new(),
            hosts: OnceCell::new(),
        }
    }

    fn text(&self, file: &str) -> Vec<u8> {
        read(self.root, &self.root.join(file)).unwrap_or_default()
    }
}

impl System for Root<'_> {
    fn has_user(&self, name: &[u8]) -> bool {
        std::str::from_utf8(name).is_ok_and(|name| user_exists(self.root, name))
    }

    fn has_group(&self, name: &[u8]) -> bool {
        let is_in_file = || {
            let text = self.text("etc/group");
            let mut lines = text.split(|byte| *byte == b'\n');
            lines.any(|line| line.split(|byte| *byte == b':').next() == Some(name))
        };
        // On the running system, a directory service may have it.
        let name = std::str::from_utf8(name);
        let is_known = |name| matches!(Group::from_name(name), Ok(Some(_)));
        is_in_file() || (self.root == Path::new("/") && name.is_ok_and(is_known))
    }

    fn is_executable(&self, path: &[u8]) -> bool {
        match walk(self.root, Path::new(OsStr::from_bytes(path))) {
            Ok(way) => way.end.is_dir() || way.end.mode() & 0o111 != 0,
            // xinetd runs as root, and may go where the caller may not.
            Err(stop) => stop.why.kind() == io::ErrorKind::PermissionDenied,
        }
    }

    fn protocol(&self, name: &[u8]) -> Option<u8> {
        let protocols = self.protocols.get_or_init(|| self.text("etc/protocols"));
        let found = entries(protocols).find(|(names, _)| names.contains(&name));
        match found {
            Some((_, number)) => std::str::from_utf8(number).ok()?.parse().ok(),
            // Every system knows these; the file may be missing in a tree that is no whole system.
            None => match name {
                b"tcp" | b"TCP" => Some(6),
                b"udp" | b"UDP" => Some(17),
                _ => None,
            },
        }
    }

    fn port(&self, name: &[u8], protocol: &[u8]) -> Option<u16> {
        let services = self.services.get_or_init(|| self.text(services::FILE));
        services::port(services, name, protocol)
    }

    fn has_rpc_program(&self, name: &[u8]) -> bool {
        let text = self.text("etc/rpc");
        entries(&text).any(|(names, _)| names.contains(&name))
    }

    fn network(&self, name: &[u8]) -> Option<u32> {
        let text = self.text("etc/networks");
        let (_, address) = entries(&text).find(|(names, _)| names.contains(&name))?;
        let text = std::str::from_utf8(address).ok()?;
        let mut bytes = [0; 4];
        for (byte, part) in bytes.iter_mut().zip(text.split('.')) {
            *byte = part.parse().ok()?;
        }
        Some(u32::from_be_bytes(bytes)).filter(|address| *address != 0)
    }

    fn addresses(&self, host: &[u8]) -> Option<Vec<IpAddr>> {
        let text = std::str::from_utf8(host).ok()?;
        if let Some(address) = xinetd::numeric_address(text) {
            return Some(vec![address]);
        }
        let is_number = host
            .iter()
            .all(|byte| byte.is_ascii_digit() || *byte == b'.');
        if is_number || host.contains(&b':') {
            return Some(Vec::new());
        }
        let hosts = self.hosts.get_or_init(|| self.text("etc/hosts"));
        let found = fields(hosts).filter_map(|fields| {
            let (address, names) = fields.split_first()?;
            let is_name = names.iter().any(|name| name.eq_ignore_ascii_case(host));
            let address = std::str::from_utf8(address).ok()?.parse().ok()?;
            is_name.then_some(address)
        });
        // The name server is not asked: it may know a name that the file does not have.
        Some(found.collect::<Vec<_>>()).filter(|found| !found.is_empty())
    }
}

/// The fields of the lines of a database in /etc, without comments.
pub(crate) fn fields(text: &[u8]) -> impl Iterator<Item = Vec<&[u8]>> {
    text.split(|byte| *byte == b'\n').map(|line| {
        let line = line.split(|byte| *byte == b'#').next().unwrap_or_default();
        let fields = line.split(u8::is_ascii_whitespace);
        fields.filter(|field| !field.is_empty()).collect()
    })
}

/// The entries of a database whose lines are `NAME VALUE ALIAS…`: the names and the value.
fn entries(text: &[u8]) -> impl Iterator<Item = (Vec<&[u8]>, &[u8])> {
    fields(text)
        .filter_map(|mut fields| (fields.len() >= 2).then(|| (fields.remove(0), fields)))
        .map(|(name, mut fields)| {
            let value = fields.remove(0);
            fields.insert(0, name);
            (fields, value)
        })
}
