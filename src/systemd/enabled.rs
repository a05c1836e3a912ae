//! Whether a unit is enabled, by its files.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use super::catalogue::{Catalogue, list_dir};
use super::{Place, ReadError, Unit};
use crate::root::resolve;

/// Whether a unit is enabled. Its Display is systemd's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Enablement {
    /// The administrator or the user enabled it.
    Enabled,
    /// It has an [Install] section and is not enabled.
    Disabled,
    /// It has no [Install] section, so it cannot be enabled.
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
    /// Whether the unit is enabled: another unit has a link to it in its `.wants`, `.requires` or
    /// `.upholds` directory, or a name of its `Alias=` exists.
    ///
    /// # Errors
    ///
    /// A directory cannot be read.
    pub(crate) fn enablement(&self, place: &Place) -> Result<Enablement, ReadError> {
        let dirs = place.unit_dirs();
        // Links in /usr are part of a package, and enable nothing.
        let shipped = |dir: &PathBuf| dir.starts_with(place.path("/usr"));
        for dir in dirs.iter().filter(|dir| !shipped(dir)) {
            for entry in list_dir(place, dir)? {
                let bytes = entry.as_encoded_bytes();
                let suffixes = [&b".wants"[..], b".requires", b".upholds"];
                if suffixes.iter().any(|end| bytes.ends_with(end))
                    && is_link(place, &dir.join(&entry), &self.name)
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

fn is_link(place: &Place, dir: &Path, name: &str) -> bool {
    let dir = resolve(&place.root, dir);
    let link = dir.and_then(|dir| fs::symlink_metadata(dir.join(name)));
    link.is_ok_and(|link| link.is_symlink())
}
