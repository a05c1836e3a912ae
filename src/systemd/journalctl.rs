//! Reads the last entries of the journal, through journalctl.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::{Place, Scope};
use crate::log::escape;

/// How many entries are read.
const COUNT: &str = "5";

/// How many entries are read for the values of their fields.
const MANY: &str = "10000";

/// Entries of the journal. Clients and programs choose their text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entries {
    /// The messages, oldest first.
    pub messages: Vec<String>,
    /// The caller may not read all entries.
    pub unreadable: bool,
}

impl Entries {
    /// Parses the output of `journalctl --output=cat`.
    pub(crate) fn parse(output: &[u8]) -> Entries {
        let text = String::from_utf8_lossy(output);
        let messages = text.lines().filter(|line| !line.is_empty());
        Entries {
            messages: messages.map(str::to_string).collect(),
            unreadable: false,
        }
    }

    /// The messages as evidence: quoted, escaped and cut, with a line about what could not be read.
    pub fn quoted(&self) -> Vec<String> {
        let messages = self.messages.iter().map(|line| escape(line.as_bytes()));
        let unreadable = self.unreadable.then(|| {
            "(the journal is not readable: run this as root, or join the group systemd-journal)"
                .to_string()
        });
        messages.chain(unreadable).collect()
    }
}

/// The present as journalctl takes it: with microseconds, as entries have, so that earlier ones are
/// left out.
pub fn now() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.unwrap_or_default();
    format!("@{}.{:06}", now.as_secs(), now.subsec_micros())
}

/// Which entries are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter<'a> {
    /// Those of a unit, or of all units that match a pattern: its program's and systemd's about it.
    Unit(&'a str),
    /// Those with an identifier.
    Identifier(&'a str),
    /// Those with all of these fields, each as `FIELD=value`.
    Fields(&'a [&'a str]),
}

/// The last entries, of this boot or since a moment.
pub fn last(place: &Place, filter: Filter<'_>, since: Option<&str>) -> Entries {
    let user = place.scope == Scope::User;
    let journalctl = |arguments: &[&str]| {
        Command::new("journalctl")
            .args(user.then_some("--user"))
            .args(arguments)
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null())
            .output()
    };
    // So that the newest entries are there too. Only root may do this; for others it fails.
    let _ = journalctl(&["--sync"]);
    let mut arguments = vec!["--no-pager", "--boot", "--quiet", "--output=cat", "--lines"];
    arguments.push(COUNT);
    arguments.extend(since.iter().flat_map(|since| ["--since", since]));
    match filter {
        Filter::Unit(unit) if user => arguments.extend(["--user-unit", unit]),
        Filter::Unit(unit) => arguments.extend(["--unit", unit]),
        Filter::Identifier(name) => arguments.extend(["--identifier", name]),
        Filter::Fields(fields) => arguments.extend(fields),
    }
    let Ok(output) = journalctl(&arguments) else {
        return Entries {
            messages: Vec::new(),
            unreadable: true,
        };
    };
    Entries {
        unreadable: !user && !is_readable(),
        ..Entries::parse(&output.stdout)
    }
}

/// The last entries of this boot that have all of these fields, each as `FIELD=value`: the values of the
/// wanted fields, oldest first. `None` if the caller may not read all entries.
pub fn values(place: &Place, fields: &[&str], wanted: &[&str]) -> Option<Vec<Vec<String>>> {
    let user = place.scope == Scope::User;
    let output = Command::new("journalctl")
        .args(user.then_some("--user"))
        .args(["--no-pager", "--boot", "--quiet", "--output=json"])
        .args(["--lines", MANY])
        .args(fields)
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .output();
    let output = output.ok()?;
    (user || is_readable()).then(|| parse_values(&output.stdout, wanted))
}

/// Parses the output of `journalctl --output=json`. Entries without one of the wanted fields are left out.
pub(crate) fn parse_values(output: &[u8], wanted: &[&str]) -> Vec<Vec<String>> {
    let lines = output.split(|byte| *byte == b'\n');
    let entries = lines.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    entries
        .filter_map(|entry| {
            let values = wanted.iter().map(|field| entry.get(field)?.as_str());
            values.map(|value| value.map(str::to_owned)).collect()
        })
        .collect()
}

/// Whether the caller may read the system's entries. journald gives the file to root and to a group.
pub(crate) fn is_readable() -> bool {
    ["/run/log/journal", "/var/log/journal"]
        .iter()
        .filter_map(|directory| Path::new(directory).read_dir().ok())
        .flat_map(|machines| machines.flatten())
        .any(|machine| std::fs::File::open(machine.path().join("system.journal")).is_ok())
}
