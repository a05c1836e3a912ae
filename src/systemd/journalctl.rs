//! Reads the last entries of the journal, through journalctl.

use std::fmt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::{Answer, Limits, PATIENCE, Place, RunError, Scope, run};
use crate::log::escape;

/// How many entries are read.
const COUNT: &str = "5";

/// How many entries are read for the values of their fields.
const MANY: &str = "10000";

/// The most bytes that are read of [`COUNT`] entries. What is longer has been written to be in the way.
const MAX_ENTRIES: usize = 1 << 20;

/// The most bytes that are read of [`MANY`] entries.
const MAX_VALUES: usize = 16 << 20;

/// How long journald may take to write what it has received.
const SYNC_TIME: Duration = Duration::from_secs(10);

/// An entry of the journal. Clients and programs choose its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The text; `None` for more than 4096 bytes, which journalctl leaves out.
    pub message: Option<String>,
    /// The priority, which its sender chose.
    pub priority: u8,
    /// Whether the service manager wrote it, as journald knows.
    pub of_manager: bool,
}

/// The priority of warnings. Smaller numbers are worse.
pub(crate) const WARNING: u8 = 4;

/// Why entries are missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unread {
    /// The caller may not read all entries.
    Denied,
    /// journalctl has no answer, and why not.
    NoAnswer(String),
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unread::Denied => {
                f.write_str("not readable: run this as root, or join the group systemd-journal")
            }
            Unread::NoAnswer(why) => write!(f, "not readable: journalctl {why}"),
        }
    }
}

/// Entries of the journal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Entries {
    /// The entries, oldest first.
    pub list: Vec<Entry>,
    /// Why some are missing.
    pub unread: Option<Unread>,
}

impl Entries {
    /// Parses the output of `journalctl --output=json`, in its order. An entry that is cut is left out.
    pub(crate) fn parse(output: &[u8], scope: Scope) -> Entries {
        let lines = output.split(|byte| *byte == b'\n');
        Entries {
            list: lines.filter_map(|line| parse(line, scope)).collect(),
            unread: None,
        }
    }

    /// The messages as evidence: quoted, escaped and cut, with a line about what could not be read.
    pub(crate) fn quoted(&self) -> Vec<String> {
        let messages = self.list.iter();
        let messages = messages.map(|entry| match &entry.message {
            Some(message) => escape(message.as_bytes()),
            None => "(an entry of more than 4096 bytes)".to_string(),
        });
        let unread = self
            .unread
            .iter()
            .map(|why| format!("(the journal is {why})"));
        messages.chain(unread).collect()
    }

    /// The texts that are known.
    pub(crate) fn messages(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.list
            .iter()
            .filter_map(|entry| entry.message.as_deref())
    }
}

/// The present as journalctl takes it: with microseconds, as entries have, so that earlier ones are
/// left out.
pub(crate) fn now() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.unwrap_or_default();
    format!("@{}.{:06}", now.as_secs(), now.subsec_micros())
}

/// Which entries are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Filter<'a> {
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
pub(crate) fn last(place: &Place, filter: Filter<'_>, since: Option<&str>) -> Entries {
    let user = place.scope == Scope::User;
    // So that the newest entries are there too. Only root may do this; for others it fails.
    let synced = journalctl(place, &["--sync"], SYNC_TIME, MAX_ENTRIES);
    // Without --all, journalctl leaves out the values of fields that have more than 4096 bytes.
    let mut arguments = vec!["--no-pager", "--boot", "--quiet", "--output=json"];
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
    let of_unit = if user { "--user-unit" } else { "--unit" };
    match filter {
        Filter::Unit(unit) | Filter::Warnings(unit) => arguments.extend([of_unit, unit]),
        Filter::Identifier(name) => arguments.extend(["--identifier", name]),
        Filter::Fields(fields) => arguments.extend(fields),
    }
    let answer = match journalctl(place, &arguments, PATIENCE, MAX_ENTRIES) {
        Ok(answer) => answer,
        Err(error) => {
            return Entries {
                list: Vec::new(),
                unread: Some(Unread::NoAnswer(error.to_string())),
            };
        }
    };
    let mut entries = Entries::parse(&answer.stdout, place.scope);
    entries.list.reverse();
    entries.unread = match synced {
        _ if !user && !is_readable() => Some(Unread::Denied),
        Err(error) => Some(Unread::NoAnswer(format!("--sync {error}"))),
        Ok(_) => None,
    };
    entries
}

/// Runs journalctl(1). If its output has more bytes, those are read that come first.
fn journalctl(
    place: &Place,
    arguments: &[&str],
    time: Duration,
    bytes: usize,
) -> Result<Answer, RunError> {
    let mut command = Command::new("journalctl");
    command
        .args(place.scope.option())
        .args(arguments)
        .env("LC_ALL", "C.UTF-8");
    let time = Some(time);
    run(&mut command, Limits { time, bytes })
}

/// The last entries of this boot that have all of these fields, each as `FIELD=value`: the values of the
/// wanted fields, oldest first. `None` if the caller may not read all entries, or journalctl has no answer.
pub(crate) fn values(place: &Place, fields: &[&str], wanted: &[&str]) -> Option<Vec<Vec<String>>> {
    let user = place.scope == Scope::User;
    let output_fields = format!("--output-fields={}", wanted.join(","));
    let mut arguments = vec!["--no-pager", "--boot", "--quiet", "--output=json"];
    // The newest come first, and are read whatever the others have.
    arguments.extend([&output_fields, "--reverse", "--lines", MANY]);
    arguments.extend(fields);
    let answer = journalctl(place, &arguments, PATIENCE, MAX_VALUES).ok()?;
    (user || is_readable()).then(|| {
        let mut values = parse_values(&answer.stdout, wanted);
        values.reverse();
        values
    })
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
fn parse(line: &[u8], scope: Scope) -> Option<Entry> {
    let fields: Value = serde_json::from_slice(line).ok()?;
    let field = |name: &str| text(&fields[name]);
    let is_left_out = match fields.get("MESSAGE")? {
        Value::Array(values) => values.first().is_some_and(Value::is_null),
        value => value.is_null(),
    };
    let message = field("MESSAGE").filter(|message| !message.is_empty());
    if message.is_none() && !is_left_out {
        return None;
    }
    // Without a priority, journald has it as information.
    let priority = field("PRIORITY").and_then(|text| text.parse().ok());
    let (name, value) = match scope {
        Scope::System => ("_PID", "1"),
        // The manager runs in a unit of its own.
        Scope::User => ("_SYSTEMD_USER_UNIT", "init.scope"),
    };
    Some(Entry {
        message,
        priority: priority.unwrap_or(6),
        of_manager: field(name).as_deref() == Some(value),
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
            let expected = Entry {
                message: Some(message.to_string()),
                priority,
                of_manager,
            };
            let entry = parse(line.as_bytes(), Scope::System);
            assert_eq!(entry, Some(expected), "{line}");
        }
        for line in [
            "",
            "x",
            "[]",
            "{}",
            r#"{"MESSAGE":[97,256]}"#,
            // Cut.
            r#"{"MESSAGE":"a","PRIO"#,
        ] {
            assert_eq!(parse(line.as_bytes(), Scope::System), None, "{line}");
        }
    }

    #[test]
    fn an_entry_that_is_too_long_is_evidence_without_its_text() {
        let lines = br#"{"MESSAGE":null,"_PID":"9"}
{"MESSAGE":[null,"a"]}
{"MESSAGE":"b"}
{"MESSAGE":"c"#;
        let entries = Entries::parse(lines, Scope::System);
        let left_out = "(an entry of more than 4096 bytes)";
        assert_eq!(entries.quoted(), [left_out, left_out, "\"b\""]);
        assert_eq!(entries.messages().collect::<Vec<_>>(), ["b"]);
    }

    #[test]
    fn an_entry_of_the_manager_is_one_that_journald_says_is_of_this_manager() {
        let of_system = br#"{"MESSAGE":"a","_PID":"1"}"#;
        // Every user has a manager with this unit, and can start processes in it.
        let of_user = br#"{"MESSAGE":"a","_PID":"9","_SYSTEMD_USER_UNIT":"init.scope"}"#;
        let is_of = |line: &[u8], scope| parse(line, scope).unwrap().of_manager;
        assert!(is_of(of_system, Scope::System) && !is_of(of_user, Scope::System));
        assert!(!is_of(of_system, Scope::User) && is_of(of_user, Scope::User));
    }

    #[test]
    fn what_is_missing_is_said_with_the_reason() {
        let entries = |unread| Entries {
            list: Vec::new(),
            unread: Some(unread),
        };
        assert_eq!(
            entries(Unread::Denied).quoted(),
            ["(the journal is not readable: run this as root, or join the group systemd-journal)"]
        );
        let error = RunError::TimedOut(PATIENCE).to_string();
        assert_eq!(
            entries(Unread::NoAnswer(error)).quoted(),
            ["(the journal is not readable: journalctl did not answer within 30 s)"]
        );
    }
}
