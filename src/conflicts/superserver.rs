//! The services of xinetd and inetd in the files of a system.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::inetd;
use super::xinetd::{Block, Config, Item};
use super::{Finding, Location, Severity, UsedBy, Wanted, services};
use crate::root::{read, resolve};
use crate::systemd::Place;

/// Location xinetd begins to read, and where Debian's packages put their services.
const XINETD: &str = "/etc/xinetd.conf";
const XINETD_FOLDER: &str = "/etc/xinetd.d";

/// Location the kinds of inetd begin to read.
const INETD: &str = "/etc/inetd.conf";
const INETD_FOLDER: &str = "/etc/inetd.d";

/// Adds what xinetd and inetd have; `database` is the text of the services database, for the
/// ports of names.
pub(super) fn find(
    place: &Place,
    wanted: Wanted<'_>,
    database: &[u8],
    findings: &mut Vec<Finding>,
) {
    let mut files = Files {
        place,
        findings,
        seen: BTreeSet::new(),
        services: Vec::new(),
        defaults: Vec::new(),
    };
    files.xinetd(Path::new(XINETD));
    files.xinetd_folder(Path::new(XINETD_FOLDER));
    let enabled: Vec<_> = files
        .defaults
        .iter()
        .map(|block| block.values("enabled"))
        .collect();
    let disabled: Vec<_> = files
        .defaults
        .iter()
        .flat_map(|block| block.values("disabled"))
        .collect();
    let enabled: Option<Vec<&str>> = files
        .defaults
        .iter()
        .any(|block| block.attributes.iter().any(|a| a.key == "enabled"))
        .then(|| enabled.concat());
    let mut found = Vec::new();
    for (path, block) in &files.services {
        let id = block.id();
        let switched_off = block.is_disabled()
            || disabled.contains(&id)
            || enabled
                .as_ref()
                .is_some_and(|enabled| !enabled.contains(&id));
        let tcp = block.is_tcp();
        let port = match block.value("port") {
            Some(port) => port.parse().ok(),
            None => services::port(database, block.name.as_bytes(), protocol(tcp)),
        };
        let service = Service {
            program: "xinetd",
            shown: id.to_string(),
            names: vec![block.name.clone(), id.to_string()],
            port,
            disabled: switched_off,
            tcp,
            line: block.line_of("port"),
        };
        found.extend(service.finding(wanted, path));
    }
    let mut paths = vec![PathBuf::from(INETD)];
    paths.extend(files.names(Path::new(INETD_FOLDER), |_| true));
    for path in paths {
        let Some((path, bytes)) = files.read(&path) else {
            continue;
        };
        for entry in inetd::parse(&bytes) {
            let tcp = entry.is_tcp();
            let port = entry.name.parse().ok();
            let port =
                port.or_else(|| services::port(database, entry.name.as_bytes(), protocol(tcp)));
            let service = Service {
                program: "inetd",
                shown: entry.name.clone(),
                names: vec![entry.name],
                port,
                disabled: entry.disabled,
                tcp,
                line: entry.line,
            };
            found.extend(service.finding(wanted, &path));
        }
    }
    findings.extend(found);
}

fn protocol(tcp: bool) -> &'static [u8] {
    if tcp { b"tcp" } else { b"udp" }
}

/// What both kinds have in common.
struct Service {
    program: &'static str,
    shown: String,
    names: Vec<String>,
    port: Option<u16>,
    disabled: bool,
    tcp: bool,
    line: usize,
}

impl Service {
    fn finding(self, wanted: Wanted<'_>, path: &Path) -> Option<Finding> {
        let name = self
            .names
            .iter()
            .any(|name| name.as_bytes() == wanted.name.as_ref());
        let port = self.port == Some(wanted.port);
        // A UDP service does not mind what TCP does, and one that is switched off nothing.
        let taken = !self.disabled && self.tcp;
        (name || port).then(|| Finding {
            severity: if taken {
                Severity::Conflict
            } else {
                Severity::Note
            },
            claim: wanted.claim(name, port),
            place: Location::File(path.into(), Some(self.line)),
            used_by: UsedBy::Super {
                program: self.program,
                service: self.shown,
                disabled: self.disabled,
                tcp: self.tcp,
            },
        })
    }
}

/// The files of xinetd, each read once.
struct Files<'a> {
    place: &'a Place,
    findings: &'a mut Vec<Finding>,
    seen: BTreeSet<PathBuf>,
    services: Vec<(PathBuf, Block)>,
    defaults: Vec<Block>,
}

impl Files<'_> {
    fn xinetd(&mut self, path: &Path) {
        let Some((path, bytes)) = self.read(path) else {
            return;
        };
        for item in Config::parse(&bytes).items {
            match item {
                Item::Service(block) => self.services.push((path.clone(), block)),
                Item::Defaults(block) => self.defaults.push(block),
                Item::Include(file, _) => self.xinetd(Path::new(&file)),
                Item::IncludeDir(folder, _) => self.xinetd_folder(Path::new(&folder)),
            }
        }
    }

    fn xinetd_folder(&mut self, folder: &Path) {
        // What package managers and editors leave beside a file is none of its services.
        let counts = |name: &str| !name.contains('.') && !name.ends_with('~');
        for path in self.names(folder, counts) {
            self.xinetd(&path);
        }
    }

    /// The paths of the files in a folder, in the order of their names.
    fn names(&mut self, folder: &Path, counts: fn(&str) -> bool) -> Vec<PathBuf> {
        let entries = resolve(&self.place.root, &self.place.path(folder)).and_then(fs::read_dir);
        match entries {
            Ok(entries) => {
                let names = entries.filter_map(|entry| Some(entry.ok()?.file_name()));
                let names = names.filter(|name| counts(&name.to_string_lossy()));
                let mut paths: Vec<_> = names.map(|name| folder.join(name)).collect();
                paths.sort();
                paths
            }
            Err(error) => {
                let path = self.place.path(folder);
                self.findings
                    .extend(Finding::unread_if_there(&path, &error));
                Vec::new()
            }
        }
    }

    /// A file that was not read before, and its path from here.
    fn read(&mut self, path: &Path) -> Option<(PathBuf, Vec<u8>)> {
        let path = self.place.path(path);
        let real = resolve(&self.place.root, &path).ok();
        if real.as_ref().is_some_and(|real| real.is_dir()) {
            return None;
        }
        if !self.seen.insert(real.unwrap_or_else(|| path.clone())) {
            return None;
        }
        match read(&self.place.root, &path) {
            Ok(bytes) => Some((path, bytes)),
            Err(error) => {
                self.findings
                    .extend(Finding::unread_if_there(&path, &error));
                None
            }
        }
    }
}
