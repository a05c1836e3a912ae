//! Takes back what was installed.

use std::io;
use std::path::PathBuf;

use super::apply::{ApplyError, reload_super_servers};
use crate::attach::{self, Kind, RECORD, imported};
use crate::root::replace_file;
use crate::superserver::switch;
use crate::systemd::{Manager, Place, Unit};

/// What was undone.
#[derive(Debug, Default)]
pub(crate) struct Reverted {
    /// The services whose units were removed.
    pub(crate) removed: Vec<String>,
    /// The files in which services were switched on again.
    pub(crate) files: Vec<PathBuf>,
}

/// Removes the units of imported services, and switches them on again in the files of xinetd and inetd.
///
/// # Errors
///
/// The first one. What was undone before it stays so.
pub(crate) fn revert(place: &Place, files: &[PathBuf]) -> Result<Reverted, ApplyError> {
    let mut reverted = Reverted::default();
    let mut files = files.to_vec();
    for (name, _) in attach::own(place).map_err(attach::Error::from)? {
        let path = place.own_folder().join(format!("{name}.socket"));
        if imported(place, &path)?.is_none() {
            continue;
        }
        for kind in [Kind::Shared, Kind::PerConnection] {
            let unit = Unit::load(place, &kind.service(&name)).map_err(attach::Error::from)?;
            let source = unit.value(RECORD, "Source");
            files.extend(source.map(|source| place.path(source.text)));
        }
        attach::remove(place, &name, false, drop)?;
        reverted.removed.push(name.to_string());
    }
    files.sort();
    files.dedup();
    for path in &files {
        let real = crate::root::resolve(&place.root, path);
        let changed = real.and_then(|real| replace_file(&place.root, &real, switch::switched_on));
        match changed {
            Ok(true) => reverted.files.push(path.clone()),
            Ok(false) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(ApplyError::File(path.clone(), error)),
        }
    }
    if !reverted.files.is_empty() {
        reload_super_servers(Manager::of(place).as_ref())?;
    }
    Ok(reverted)
}
