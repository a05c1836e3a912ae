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

/// An entry of the journal. Clients and programs choose its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The text.
    pub message: String,
    /// The priority, which its sender chose.
    pub priority: u8,
    /// Whether the service manager wrote it, as journald knows.
    pub of_manager: bool,
}

/// The priority of warnings. Smaller numbers are worse.
pub const WARNING: u8 = 4;

/// Entries of the journal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entries {
    /// The entries, oldest first.
    pub list: Vec<Entry>,
    /// The caller may not read all entries.
    pub unreadable: bool,
}

impl Entries {
    /// Parses the output of `journalctl --output=json`, in its order.
    pub(crate) fn parse(output: &[u8]) -> Entries {
        let text = String::from_utf8_lossy(output);
        Entries {
            list: text.lines().filter_map(parse).collect(),
            unreadable: false,
        }
    }

    /// The messages as evidence: quoted, escaped and cut, with a line about what could not be read.
    pub fn quoted(&self) -> Vec<String> {
        let messages = self.list.iter();
        let messages = messages.map(|entry| escape(entry.message.as_bytes()));
        let unreadable = self.unreadable.then(|| {
            "(the journal is not readable: run this as root, or join the group systemd-journal)"
                .to_string()
        });
        messages.chain(unreadable).collect()
    }

    /// The texts.
    pub fn messages(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.list.iter().map(|entry| entry.message.as_str())
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
    /// The same, but only warnings and what is worse.
    Warnings(&'a str),
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
    let mut arguments = vec!["--no-pager", "--boot", "--quiet", "--all", "--output=json"];
    // systemd 252 would print the first entries since a moment, not the last ones.
    arguments.push("--reverse");
    arguments.extend([
        "--output-fields=MESSAGE,PRIORITY,_PID,_SYSTEMD_USER_UNIT",
        "--lines",
        COUNT,
    ]);
    arguments.extend(since.iter().flat_map(|since| ["--since", since]));
    if let Filter::Warnings(_) = filter {
        arguments.push("--priority=warning");
    }
    match filter {
        Filter::Unit(unit) | Filter::Warnings(unit) if user => {
            arguments.extend(["--user-unit", unit])
        }
        Filter::Unit(unit) | Filter::Warnings(unit) => arguments.extend(["--unit", unit]),
        Filter::Identifier(name) => arguments.extend(["--identifier", name]),
        Filter::Fields(fields) => arguments.extend(fields),
    }
    let Ok(output) = journalctl(&arguments) else {
        return Entries {
            list: Vec::new(),
            unreadable: true,
        };
    };
    let mut entries = Entries::parse(&output.stdout);
    entries.list.reverse();
    entries.unreadable = !user && !is_readable();
    entries
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

/// An entry as journalctl prints it; `None` if it has no text.
fn parse(line: &str) -> Option<Entry> {
    let fields: Value = serde_json::from_str(line).ok()?;
    let field = |name: &str| text(&fields[name]);
    let message = field("MESSAGE").filter(|message| !message.is_empty())?;
    // Without a priority, journald has it as information.
    let priority = field("PRIORITY").and_then(|text| text.parse().ok());
    Some(Entry {
        message,
        priority: priority.unwrap_or(6),
        // A user's manager runs in a unit of its own.
        of_manager: field("_PID").as_deref() == Some("1")
            || field("_SYSTEMD_USER_UNIT").as_deref() == Some("init.scope"),
    })
}

/// The text of a field: a string, the bytes of what is not UTF-8, or an array of these for a field that an
/// entry has several times.
fn text(value: &Value) -> Option<String> {
    if let Some(text) = value.as_str() {
        return Some(text.to_string());
    }
    let items = value.as_array()?;
    if let Some(first @ (Value::String(_) | Value::Array(_))) = items.first() {
        return text(first);
    }
    let bytes = items.iter().map(|byte| byte.as_u64()?.try_into().ok());
    let bytes: Option<Vec<u8>> = bytes.collect();
    Some(String::from_utf8_lossy(&bytes?).into_owned())
}

/// Whether the caller may read the system's entries. journald gives the file to root and to a group.
pub(crate) fn is_readable() -> bool {
    ["/run/log/journal", "/var/log/journal"]
        .iter()
        .filter_map(|directory| Path::new(directory).read_dir().ok())
        .flat_map(|machines| machines.flatten())
        .any(|machine| std::fs::File::open(machine.path().join("system.journal")).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_read_whatever_its_bytes_are() {
        for (line, message, priority, of_manager) in [
            (
                r#"{"MESSAGE":"a\nb","PRIORITY":"3","_PID":"1"}"#,
                "a\nb",
                3,
                true,
            ),
            (
                r#"{"MESSAGE":[97,255],"PRIORITY":"x","_PID":"11"}"#,
                "a\u{fffd}",
                6,
                false,
            ),
            (
                r#"{"MESSAGE":["a","b"],"PRIORITY":["4","1"]}"#,
                "a",
                4,
                false,
            ),
            (r#"{"MESSAGE":[[98],[99]]}"#, "b", 6, false),
        ] {
            let message = message.to_string();
            let expected = Entry {
                message,
                priority,
                of_manager,
            };
            assert_eq!(parse(line), Some(expected), "{line}");
        }
        for line in [
            "",
            "x",
            "[]",
            "{}",
            r#"{"MESSAGE":null}"#,
            r#"{"MESSAGE":[97,256]}"#,
        ] {
            assert_eq!(parse(line), None, "{line}");
        }
    }
}
