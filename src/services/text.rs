//! Changes to the text of the database, without file access.

use std::fmt;

use super::entry::Entry;
use super::line::line;
use crate::log::escape;

/// The name or the port has another entry already. Its Display is the reason alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EntryConflict {
    what: String,
    /// The number of the other entry's line, from 1.
    pub(super) line_number: usize,
    line: Vec<u8>,
    /// The other entry, if sockunit added it.
    pub(super) own: Option<Entry>,
}

impl fmt::Display for EntryConflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = escape(self.line.trim_ascii());
        write!(f, "{} is in use by {line}", self.what)
    }
}

/// The text with the entry's line at its end; `None` if it has that line already.
///
/// If the last line has no line end, the new last line has none either, so that [`remove`] restores
/// every byte.
///
/// # Errors
///
/// Another entry has the name as its name or an alias, for any protocol, or the port for TCP.
pub(crate) fn add(text: &[u8], entry: &Entry) -> Result<Option<Vec<u8>>, EntryConflict> {
    let entry_line = entry.to_string().into_bytes();
    for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
        if line == entry_line {
            return Ok(None);
        }
        if let Some(what) = conflict(line, entry) {
            return Err(EntryConflict {
                what,
                line_number: index + 1,
                line: line.to_vec(),
                own: own(line),
            });
        }
    }
    let mut changed = text.to_vec();
    if text.is_empty() || text.ends_with(b"\n") {
        changed.extend(entry_line);
        changed.push(b'\n');
    } else {
        changed.push(b'\n');
        changed.extend(entry_line);
    }
    Ok(Some(changed))
}

/// The text without the lines that are equal to the entry's line; `None` if there is none.
pub(crate) fn remove(text: &[u8], entry: &Entry) -> Option<Vec<u8>> {
    let entry_line = entry.to_string().into_bytes();
    let lines = text.split(|&byte| byte == b'\n');
    let kept: Vec<&[u8]> = lines.clone().filter(|line| *line != entry_line).collect();
    (kept.len() < lines.count()).then(|| kept.join(&b'\n'))
}

/// The entry of a line, if sockunit added the line.
fn own(text: &[u8]) -> Option<Entry> {
    let line = line(text, 0)?;
    let entry = Entry {
        name: std::str::from_utf8(line.name).ok()?.parse().ok()?,
        port: line.port?.try_into().ok()?,
    };
    (entry.to_string().as_bytes() == text).then_some(entry)
}

/// The name or the port of the entry, if this line has it too.
fn conflict(text: &[u8], entry: &Entry) -> Option<String> {
    let line = line(text, 0)?;
    if line.is_named(entry.name.as_ref()) {
        return Some(format!("the name {}", entry.name));
    }
    (line.is_tcp() && line.port == Some(entry.port.get()))
        .then(|| format!("the port {}/tcp", entry.port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry(name: &str, port: u16) -> Entry {
        Entry {
            name: name.parse().unwrap(),
            port: port.try_into().unwrap(),
        }
    }

    fn added(text: &str, entry: &Entry) -> String {
        String::from_utf8(add(text.as_bytes(), entry).unwrap().unwrap()).unwrap()
    }

    const NETBASE: &str = "# Network services\n\nssh\t\t22/tcp\t\t# SSH\nhttp\t80/tcp\twww\n";

    #[test]
    fn the_line_is_appended_once() {
        let hello = entry("hello", 3333);
        let text = added(NETBASE, &hello);
        assert_eq!(
            text,
            format!(
                "{NETBASE}hello            3333/tcp                       # added by sockunit\n"
            )
        );
        assert_eq!(add(text.as_bytes(), &hello), Ok(None));
    }

    #[test]
    fn a_conflict_names_the_line_that_has_the_name_the_alias_or_the_port() {
        for (name, port, line_number, reason) in [
            (
                "ssh",
                3333,
                3,
                r#"the name ssh is in use by "ssh\t\t22/tcp\t\t# SSH""#,
            ),
            (
                "www",
                3333,
                4,
                r#"the name www is in use by "http\t80/tcp\twww""#,
            ),
            (
                "hello",
                80,
                4,
                r#"the port 80/tcp is in use by "http\t80/tcp\twww""#,
            ),
        ] {
            let conflict = add(NETBASE.as_bytes(), &entry(name, port)).unwrap_err();
            assert_eq!(
                (conflict.line_number, conflict.to_string().as_str()),
                (line_number, reason)
            );
        }
    }

    #[test]
    fn a_conflict_with_a_line_that_sockunit_added_has_its_entry() {
        let text = added(NETBASE, &entry("hello", 3333));
        let own = |name, port| add(text.as_bytes(), &entry(name, port)).unwrap_err().own;
        assert_eq!(own("hello", 4444), Some(entry("hello", 3333)));
        assert_eq!(own("other", 3333), Some(entry("hello", 3333)));
        assert_eq!(own("ssh", 3333), None);
    }

    #[test]
    fn a_udp_port_or_a_comment_is_no_conflict_and_a_udp_name_is_one() {
        let text = "other 3333/udp\n# hello 3333/tcp\nx 33330/tcp # hello\n";
        assert!(add(text.as_bytes(), &entry("hello", 3333)).is_ok());
        assert!(add(b"hello 9/udp\n", &entry("hello", 3333)).is_err());
    }

    #[test]
    fn a_line_that_was_edited_is_kept() {
        let hello = entry("hello", 3333);
        let changed = added(NETBASE, &hello).replace("added by sockunit", "mine");
        assert_eq!(remove(changed.as_bytes(), &hello), None);
        let moved = added(NETBASE, &hello).replace("3333", "4444");
        assert_eq!(remove(moved.as_bytes(), &hello), None);
        assert!(add(moved.as_bytes(), &hello).is_err(), "its name is in use");
    }

    proptest! {
        #[test]
        fn remove_restores_every_byte_of_the_text_before_add(
            lines in prop::collection::vec("[a-z]{3,8} [0-9]{1,4}/(tcp|udp)( #[ -~]{0,9})?|[ -~]{0,20}", 0..8),
            end in any::<bool>(),
            first_hello in any::<bool>(),
        ) {
            let mut text = lines.join("\n").into_bytes();
            if end {
                text.push(b'\n');
            }
            let (hello, celebs) = (entry("zz-hello", 33333), entry("zz-celebs", 33334));
            let both = add(&text, &hello).unwrap().unwrap();
            let both = add(&both, &celebs).unwrap().unwrap();
            let order = if first_hello { [&hello, &celebs] } else { [&celebs, &hello] };
            let left = remove(&remove(&both, order[0]).unwrap(), order[1]).unwrap();
            prop_assert_eq!(left, text);
        }

        #[test]
        fn any_bytes_can_be_changed_and_restored(text: Vec<u8>) {
            let hello = entry("hello", 3333);
            if let Ok(Some(added)) = add(&text, &hello) {
                prop_assert_eq!(remove(&added, &hello), Some(text));
            }
        }
    }
}
