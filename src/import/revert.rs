//! Takes back what was installed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::apply::{ApplyError, Left, service_name};
use super::source;
use super::super_servers::SuperServers;
use crate::attach::{self, RECORD, Store, imported};
use crate::hint::{Hint, ShellCommand};
use crate::interrupts::Interrupts;
use crate::root::{read, replace_file, resolve};
use crate::services::ServiceName;
use crate::superserver::switch;
use crate::systemd::{Manager, Place, UnitFile, service_units};

/// What was undone.
#[derive(Debug, Default)]
pub(crate) struct Reverted {
    /// The services whose units were removed.
    pub(crate) removed: Vec<String>,
    /// The files in which services were enabled again.
    pub(crate) files: Vec<PathBuf>,
    /// What is in the way. If `removed` and `files` are empty, nothing was changed.
    pub(crate) problems: Vec<Problem>,
}

/// Why something was not taken back.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) text: String,
    pub(crate) hint: Option<Hint>,
}

impl Problem {
    fn of(place: &Place, what: &str, error: &ApplyError) -> Problem {
        Problem {
            text: format!("{what}: {error}"),
            hint: error.hint(place),
        }
    }

    fn left(place: &Place, left: &Left) -> Problem {
        Problem {
            text: left.to_string(),
            hint: Some(left.hint(place)),
        }
    }
}

/// Services by the file in which they are enabled again; `None` if they have none.
type ByFile = BTreeMap<Option<PathBuf>, Vec<ServiceName>>;

/// Removes the units of imported services, and switches them on again in the files of xinetd and inetd. If one of them
/// cannot be taken back, nothing is changed. An error that comes later does not keep the others back.
///
/// `texts` are the files that xinetd and inetd read. `store` was locked before these were read.
///
/// # Errors
///
/// Nothing was changed: the units cannot be listed, or systemctl does not answer.
pub(crate) fn revert(
    place: &Place,
    store: &Store,
    texts: &BTreeMap<PathBuf, Vec<u8>>,
    interrupts: &Interrupts,
) -> Result<Reverted, ApplyError> {
    let mut reverted = Reverted::default();
    let mut by_file = ByFile::new();
    for name in names(place)? {
        match checked(place, store, &name) {
            Ok(mut sources) => {
                let home = sources.pop();
                by_file.entry(home).or_default().push(name);
                for source in sources {
                    by_file.entry(Some(source)).or_default();
                }
            }
            Err(problem) => reverted.problems.push(problem),
        }
    }
    let marked = texts.iter();
    let marked = marked.filter(|(_, text)| switch::all_enabled(text).is_some());
    for (path, _) in marked {
        by_file.entry(Some(path.clone())).or_default();
    }
    let super_servers = SuperServers::find(Manager::of(place))?;
    if !reverted.problems.is_empty() {
        return Ok(reverted);
    }
    for (file, services) in by_file {
        if interrupts.has_come() {
            let problem = Problem::of(place, "the rest", &ApplyError::Interrupted);
            reverted.problems.push(problem);
            break;
        }
        reverted.take_back(place, store, &super_servers, file, &services);
    }
    Ok(reverted)
}

impl Reverted {
    /// Takes the services of a file back.
    fn take_back(
        &mut self,
        place: &Place,
        store: &Store,
        super_servers: &SuperServers,
        file: Option<PathBuf>,
        services: &[ServiceName],
    ) {
        let has_file = file.is_some();
        if let Some(path) = file {
            // First, because nobody would serve the services if it failed after the units are removed.
            match replace_file(&place.root, &path, switch::all_enabled) {
                Ok(true) => self.files.push(path),
                Ok(false) => {}
                Err(error) => {
                    let names: Vec<String> = services.iter().map(ToString::to_string).collect();
                    let error = ApplyError::File(path, error);
                    self.problems
                        .push(Problem::of(place, &names.join(", "), &error));
                    return;
                }
            }
        }
        for name in services {
            let left = super_servers.remove(place, store, name);
            if left.is_empty() {
                self.removed.push(name.to_string());
            }
            let problems = left.iter().map(|left| Problem::left(place, left));
            self.problems.extend(problems);
        }
        // Also if the file was as it has to be: an earlier run may have ended before this.
        if has_file {
            for (unit, error) in super_servers.reload() {
                self.problems
                    .push(Problem::left(place, &Left::Unread(unit, error)));
            }
        }
    }
}

/// The names of the services of which import has written a unit file, also if the others are missing.
fn names(place: &Place) -> Result<Vec<ServiceName>, ApplyError> {
    let folder = place.own_folder();
    let failed = |error| ApplyError::File(folder.clone(), error);
    let entries = match resolve(&place.root, &folder).and_then(fs::read_dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut names = BTreeSet::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let file = entry.file_name();
        let Some(file) = file.to_str() else {
            continue;
        };
        let is_unit = file.ends_with(".socket") || file.ends_with(".service");
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        if is_unit && is_file && imported(place, &folder.join(file))?.is_some() {
            names.insert(service_name(file).to_owned());
        }
    }
    Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
}

/// A service of this name that `--disable-old` disabled, in a file that the units of this name were imported from.
pub(crate) fn disabled(place: &Place, name: &ServiceName) -> Option<(PathBuf, switch::Entry)> {
    let name = name.to_string();
    service_units(&name).iter().find_map(|file| {
        let unit = imported(place, &place.own_folder().join(file)).ok()??;
        let lines = UnitFile::parse(unit.text.as_bytes()).assignments;
        let line = lines
            .into_iter()
            .find(|line| line.section == RECORD && line.key == "Source")?;
        let path = place.path(source::decoded(&line.value));
        let text = read(&place.root, &path).ok()?;
        switch::disabled_by_name(&text, &name).map(|entry| (path, entry))
    })
}

/// The real paths of the files that a service was imported from, if it can be taken back.
fn checked(place: &Place, store: &Store, name: &ServiceName) -> Result<Vec<PathBuf>, Problem> {
    let failed = |error: attach::Error| Problem::of(place, &name.to_string(), &error.into());
    attach::check_removal(place, store, name).map_err(failed)?;
    let mut sources = Vec::new();
    for file in service_units(name) {
        let found = imported(place, &store.folder().join(file)).map_err(failed)?;
        let Some(found) = found else {
            continue;
        };
        for line in UnitFile::parse(found.text.as_bytes()).assignments {
            if line.section == RECORD && line.key == "Source" {
                sources.push(real(place, name, &source::decoded(&line.value))?);
            }
        }
    }
    Ok(sources)
}

fn real(place: &Place, name: &ServiceName, source: &Path) -> Result<PathBuf, Problem> {
    let path = place.path(source);
    resolve(&place.root, &path).map_err(|error| {
        let remove = place.with_root(ShellCommand::new(&["sockunit", "remove"]));
        let mut problem = Problem::of(place, &name.to_string(), &ApplyError::File(path, error));
        problem.text += ", and import has disabled it there";
        problem.hint = Some(
            Hint::new(
                "put the file back; if the service is no longer wanted, this removes its units",
            )
            .command(remove.arg(name.to_string())),
        );
        problem
    })
}
