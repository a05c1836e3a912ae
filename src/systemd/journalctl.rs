//! The last words of units and programs in the journal, asked through journalctl.

use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use super::{Place, Scope};
use crate::log::escape;

/// As many lines are shown.
const SHOWN: &str = "5";

/// What the journal has of some units.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words {
    /// The last lines, as they were written.
    pub lines: Vec<String>,
    /// Whether there may be more than the caller may read.
    pub hidden: bool,
}

impl Words {
    /// The lines as evidence, with a word on what could not be read.
    pub fn evidence(&self) -> Vec<String> {
        let lines = self.lines.iter().map(|line| escape(line.as_bytes()));
        let hidden = self.hidden.then(|| {
            "(the journal could not be read: run this as root, or join the group systemd-journal)".to_string()
        });
        lines.chain(hidden).collect()
    }
}

/// The present, as journalctl takes it: to the microsecond, as records are, so that what was written
/// a moment before is left out.
pub fn now() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.unwrap_or_default();
    format!("@{}.{:06}", now.as_secs(), now.subsec_micros())
}

/// Whose records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of<'a> {
    /// A unit's, or those of all that match a pattern: the program's own, and what the service
    /// manager says of it.
    Unit(&'a str),
    /// Those under a name.
    Name(&'a str),
    /// Those with a field, as `FIELD=value`.
    Field(&'a str),
}

/// The last lines, of this boot or since a moment.
pub fn last(place: &Place, of: Of<'_>, since: Option<&str>) -> Words {
    let user = place.scope == Scope::User;
    let journalctl = |arguments: &[&str]| {
        Command::new("journalctl")
            .args(user.then_some("--user"))
            .args(arguments)
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null())
            .output()
    };
    // What was written just now is read as well. Only root may ask for this.
    let _ = journalctl(&["--sync"]);
    let mut arguments = vec!["--no-pager", "--boot", "--output=cat", "--lines", SHOWN];
    arguments.extend(since.iter().flat_map(|since| ["--since", since]));
    arguments.extend(match of {
        Of::Unit(unit) if user => vec!["--user-unit", unit],
        Of::Unit(unit) => vec!["--unit", unit],
        Of::Name(name) => vec!["--identifier", name],
        Of::Field(field) => vec![field],
    });
    let Ok(output) = journalctl(&arguments) else {
        return Words {
            lines: Vec::new(),
            hidden: true,
        };
    };
    let hint = String::from_utf8_lossy(&output.stderr);
    let text = String::from_utf8_lossy(&output.stdout);
    let lines = text
        .lines()
        .filter(|line| !line.is_empty() && *line != "-- No entries --");
    Words {
        lines: lines.map(str::to_string).collect(),
        hidden: !user
            && (hint.contains("not seeing messages") || hint.contains("insufficient permissions")),
    }
}
