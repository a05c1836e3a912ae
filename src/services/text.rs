//! Changes to the database's text, with no idea of files.

use std::fmt;

use super::entry::Entry;
use super::line::line;
use crate::log::escape;

/// An entry that stands in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    what: String,
    line_number: usize,
    line: Vec<u8>,
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Taken {
            what,
            line_number,
            line,
        } = self;
        let line = escape(line.trim_ascii());
        write!(
            f,
            "line {line_number}: {what} is taken by {line}; choose another, or change that line"
        )
    }
}

/// The text with the entry's line at its end; `None` where it is there already.
///
/// A text whose last line has no line end keeps it so, for [`remove`] to bring back every byte.
///
/// # Errors
///
/// Another entry has the name, as its name or an alias and whatever its protocol, or has the port
/// for TCP.
pub fn add(text: &[u8], entry: &Entry) -> Result<Option<Vec<u8>>, Taken> {
    let own = entry.to_string().into_bytes();
    for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
        if line == own {
            return Ok(None);
        }
        if let Some(what) = claim(line, entry) {
            return Err(Taken {
                what,
                line_number: index + 1,
                line: line.to_vec(),
            });
        }
    }
    let mut changed = text.to_vec();
    if text.is_empty() || text.ends_with(b"\n") {
        changed.extend(own);
        changed.push(b'\n');
    } else {
        changed.push(b'\n');
        changed.extend(own);
    }
    Ok(Some(changed))
}

/// The text without the lines that are, to the byte, the entry's; `None` where there is none.
pub fn remove(text: &[u8], entry: &Entry) -> Option<Vec<u8>> {
    let own = entry.to_string().into_bytes();
    let lines = text.split(|&byte| byte == b'\n');
    let kept: Vec<&[u8]> = lines.clone().filter(|line| *line != own).collect();
    (kept.len() < lines.count()).then(|| kept.join(&b'\n'))
}

/// What of the entry this line has already.
fn claim(text: &[u8], entry: &Entry) -> Option<String> {
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
    fn the_line_is_added_once_at_the_end() {
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
    fn a_name_an_alias_or_a_port_that_is_taken_is_told_with_its_line() {
        for (name, port, sentence) in [
            (
                "ssh",
                3333,
                r#"line 3: the name ssh is taken by "ssh\t\t22/tcp\t\t# SSH"; choose another, or change that line"#,
            ),
            (
                "www",
                3333,
                r#"line 4: the name www is taken by "http\t80/tcp\twww"; choose another, or change that line"#,
            ),
            (
                "hello",
                80,
                r#"line 4: the port 80/tcp is taken by "http\t80/tcp\twww"; choose another, or change that line"#,
            ),
        ] {
            let taken = add(NETBASE.as_bytes(), &entry(name, port)).unwrap_err();
            assert_eq!(taken.to_string(), sentence);
        }
    }

    #[test]
    fn a_udp_port_and_a_comment_take_nothing_but_a_udp_name_does() {
        let text = "other 3333/udp\n# hello 3333/tcp\nx 33330/tcp # hello\n";
        assert!(add(text.as_bytes(), &entry("hello", 3333)).is_ok());
        assert!(add(b"hello 9/udp\n", &entry("hello", 3333)).is_err());
    }

    #[test]
    fn a_line_that_somebody_changed_is_not_ours() {
        let hello = entry("hello", 3333);
        let changed = added(NETBASE, &hello).replace("added by sockunit", "mine");
        assert_eq!(remove(changed.as_bytes(), &hello), None);
        let moved = added(NETBASE, &hello).replace("3333", "4444");
        assert_eq!(remove(moved.as_bytes(), &hello), None);
        assert!(
            add(moved.as_bytes(), &hello).is_err(),
            "and its name is taken"
        );
    }

    proptest! {
        #[test]
        fn what_add_did_remove_takes_back_to_the_byte(
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
        fn any_text_can_be_read(text: Vec<u8>) {
            let hello = entry("hello", 3333);
            if let Ok(Some(added)) = add(&text, &hello) {
                prop_assert_eq!(remove(&added, &hello), Some(text));
            }
        }
    }
}
