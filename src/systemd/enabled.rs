//! Whether a unit is enabled, by its files.

use std::fmt;

use super::{Catalogue, ReadError, Unit};

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
    pub(crate) fn enablement(&self, catalogue: &Catalogue<'_>) -> Result<Enablement, ReadError> {
        if catalogue.has_link(&self.name)? {
            return Ok(Enablement::Enabled);
        }
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
