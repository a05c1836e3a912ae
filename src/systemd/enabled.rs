//! Whether a unit is started at boot, as far as its files say.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use super::catalogue::{Catalogue, list};
use super::{Place, ReadError, Unit};
use crate::root::resolve;

/// Whether a unit is started at boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enablement {
    /// An administrator, or the user, wants it.
    Enabled,
    /// It could be enabled and is not.
    Disabled,
    /// It has nothing to say on that: something else starts it, or nothing does.
    Static,
}

impl fmt::Display for Enablement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Enablement::Enabled => "enabled",
            Enablement::Disabled => "disabled",
            Enablement::Static => "static",
        })
    }
}

impl Unit {
    /// Whether the unit is started at boot: wanted by a link beside another unit, or known by the
    /// other name of its `Alias=`.
    ///
    /// # Errors
    ///
    /// A folder cannot be read.
    pub fn enablement(&self, place: &Place) -> Result<Enablement, ReadError> {
        let folders = place.folders();
        // What a package wants of its own is no choice of anybody's.
        let shipped = |folder: &PathBuf| folder.starts_with(place.path("/usr"));
        for folder in folders.iter().filter(|folder| !shipped(folder)) {
            for entry in list(place, folder)? {
                let bytes = entry.as_encoded_bytes();
                let wants = [&b".wants"[..], b".requires", b".upholds"];
                if wants.iter().any(|end| bytes.ends_with(end))
                    && is_link(place, &folder.join(&entry), &self.name)
                {
                    return Ok(Enablement::Enabled);
                }
            }
        }
        let catalogue = Catalogue::read(place)?;
        let aliases = self.values("Install", "Alias");
        let mut aliases = aliases
            .iter()
            .flat_map(|value| value.text.split_whitespace());
        if aliases.any(|alias| catalogue.is_alias(alias, &self.name)) {
            return Ok(Enablement::Enabled);
        }
        Ok(match self.section("Install").next() {
            Some(_) => Enablement::Disabled,
            None => Enablement::Static,
        })
    }
}

fn is_link(place: &Place, folder: &Path, name: &str) -> bool {
    let folder = resolve(&place.root, folder);
    let link = folder.and_then(|folder| fs::symlink_metadata(folder.join(name)));
    link.is_ok_and(|link| link.is_symlink())
}
