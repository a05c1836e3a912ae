//! Services in the configuration files of xinetd and inetd.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::inetd;
use super::xinetd::{Block, Config, Item};
use super::{Finding, FindingKind, Location, Query, Severity};
use crate::root::{read, resolve};
use crate::services;
use crate::systemd::Place;

/// The main file of xinetd, and the directory for the services of Debian packages.
const XINETD: &str = "/etc/xinetd.conf";
const XINETD_DIR: &str = "/etc/xinetd.d";

/// The main file of inetd, and the directory for more services.
const INETD: &str = "/etc/inetd.conf";
const INETD_DIR: &str = "/etc/inetd.d";

/// Adds the services of xinetd and inetd with the name or the port. `database` is the text of the
/// services database, which has the ports of service names.
pub(super) fn find(place: &Place, query: Query<'_>, database: &[u8], findings: &mut Vec<Finding>) {
    let mut files = ConfigFiles {
        place,
        findings,
        seen: BTreeSet::new(),
        services: Vec::new(),
        defaults: Vec::new(),
    };
    files.xinetd(Path::new(XINETD));
    files.xinetd_dir(Path::new(XINETD_DIR));
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
        let service = ConfiguredService {
            program: "xinetd",
            shown: id.to_string(),
            names: vec![block.name.clone(), id.to_string()],
            port,
            disabled: switched_off,
            tcp,
            line: block.line_of("port"),
        };
        found.extend(service.finding(query, path));
    }
    let mut paths = vec![PathBuf::from(INETD)];
    paths.extend(files.names(Path::new(INETD_DIR), |_| true));
    for path in paths {
        let Some((path, bytes)) = files.read(&path) else {
            continue;
        };
        for entry in inetd::parse(&bytes) {
            let tcp = entry.is_tcp();
            let port = entry.name.parse().ok();
            let port =
                port.or_else(|| services::port(database, entry.name.as_bytes(), protocol(tcp)));
            let service = ConfiguredService {
                program: "inetd",
                shown: entry.name.clone(),
                names: vec![entry.name],
                port,
                disabled: entry.disabled,
                tcp,
                line: entry.line,
            };
            found.extend(service.finding(query, &path));
        }
    }
    findings.extend(found);
}

fn protocol(tcp: bool) -> &'static [u8] {
    if tcp { b"tcp" } else { b"udp" }
}

/// A service of xinetd or inetd.
struct ConfiguredService {
    program: &'static str,
    shown: String,
    names: Vec<String>,
    port: Option<u16>,
    disabled: bool,
    tcp: bool,
    line: usize,
}

impl ConfiguredService {
    fn finding(self, query: Query<'_>, path: &Path) -> Option<Finding> {
        let name = self
            .names
            .iter()
            .any(|name| name.as_bytes() == query.name.as_ref());
        let port = self.port == Some(query.port);
        // A service for UDP and a disabled service do not use the TCP port.
        let in_use = port && !self.disabled && self.tcp;
        (name || port).then(|| Finding {
            severity: if in_use {
                Severity::Conflict
            } else {
                Severity::Note
            },
            // The name of a service there does not matter to systemd.
            claim: query.claim(name && !in_use, port),
            location: Location::File(path.into(), Some(self.line)),
            kind: FindingKind::SuperServer {
                program: self.program,
                service: self.shown,
                disabled: self.disabled,
                tcp: self.tcp,
            },
        })
    }
}

/// Reads configuration files, each of them once.
struct ConfigFiles<'a> {
    place: &'a Place,
    findings: &'a mut Vec<Finding>,
    seen: BTreeSet<PathBuf>,
    services: Vec<(PathBuf, Block)>,
    defaults: Vec<Block>,
}

impl ConfigFiles<'_> {
    fn xinetd(&mut self, path: &Path) {
        let Some((path, bytes)) = self.read(path) else {
            return;
        };
        for item in Config::parse(&bytes).items {
            match item {
                Item::Service(block) => self.services.push((path.clone(), block)),
                Item::Defaults(block) => self.defaults.push(block),
                Item::Include(file, _) => self.xinetd(Path::new(&file)),
                Item::IncludeDir(dir, _) => self.xinetd_dir(Path::new(&dir)),
            }
        }
    }

    fn xinetd_dir(&mut self, dir: &Path) {
        // xinetd ignores the backup files of package managers and editors.
        let counts = |name: &str| !name.contains('.') && !name.ends_with('~');
        for path in self.names(dir, counts) {
            self.xinetd(&path);
        }
    }

    /// The paths of the files in a directory, sorted by name.
    fn names(&mut self, dir: &Path, counts: fn(&str) -> bool) -> Vec<PathBuf> {
        let entries = resolve(&self.place.root, &self.place.path(dir)).and_then(fs::read_dir);
        match entries {
            Ok(entries) => {
                let names = entries.filter_map(|entry| Some(entry.ok()?.file_name()));
                let names = names.filter(|name| counts(&name.to_string_lossy()));
                let mut paths: Vec<_> = names.map(|name| dir.join(name)).collect();
                paths.sort();
                paths
            }
            Err(error) => {
                let path = self.place.path(dir);
                self.findings
                    .extend(Finding::unread_if_exists(&path, &error));
                Vec::new()
            }
        }
    }

    /// The path and the content of a file; `None` if it was read before.
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
                    .extend(Finding::unread_if_exists(&path, &error));
                None
            }
        }
    }
}
