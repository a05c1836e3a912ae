//! Disables services in files of xinetd and inetd with lines that can be removed again exactly.

use super::word::is_space;

/// The line before each line that was added or changed.
const MARK: &[u8] = b"# Disabled by sockunit import; to undo that: sockunit import --revert";
/// The same line, as the first versions wrote it.
const FIRST_MARK: &[u8] =
    b"# Switched off by sockunit import; to undo that: sockunit import --revert";
/// The line that follows in a file of xinetd. The first `disable` of an entry counts.
const DISABLE: &[u8] = b"\tdisable\t\t= yes";
/// What is put before a line of inetd.conf, as update-inetd(8) does.
const OFF: &[u8] = b"#<off># ";

/// A service in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    /// The line of its `service` keyword in a file of xinetd, from 1.
    Xinetd(usize),
    /// Its line in inetd.conf, from 1.
    Inetd(usize),
}

/// Whether a service is disabled by lines that [`switched`] adds; `None` if there is no such service.
///
/// The numbers of lines are those of the file, whatever is disabled in it.
pub(crate) fn is_disabled(bytes: &[u8], entry: Entry) -> Option<bool> {
    Some(find(&split(bytes), entry)?.1)
}

/// The file with services disabled (`true`) or enabled again (`false`); `None` if nothing is to be changed.
pub(crate) fn switched(bytes: &[u8], wanted: &[(Entry, bool)]) -> Option<Vec<u8>> {
    let mut lines = split(bytes);
    let mut changed = false;
    let mut wanted = wanted.to_vec();
    // From the end, so that the numbers of the lines before stay right.
    wanted.sort_by_key(|(entry, _)| match entry {
        Entry::Xinetd(line) | Entry::Inetd(line) => std::cmp::Reverse(*line),
    });
    wanted.dedup_by_key(|(entry, _)| *entry);
    for (entry, disable) in wanted {
        let Some((at, _)) = find(&lines, entry).filter(|(_, disabled)| *disabled != disable) else {
            continue;
        };
        match (entry, disable) {
            (Entry::Xinetd(_), true) => {
                let added = [[b"\t", MARK].concat(), DISABLE.to_vec()];
                lines.splice(at + 1..at + 1, added);
            }
            (Entry::Xinetd(_), false) => {
                lines.drain(at + 1..at + 3);
            }
            (Entry::Inetd(_), true) => {
                lines[at].splice(0..0, OFF.iter().copied());
                lines.insert(at, MARK.to_vec());
            }
            (Entry::Inetd(_), false) => {
                lines[at].drain(..OFF.len());
                lines.remove(at - 1);
            }
        }
        changed = true;
    }
    changed.then(|| lines.join(&b'\n'))
}

/// The index of the line after or before which lines are added, and whether they are there.
fn find(lines: &[Vec<u8>], entry: Entry) -> Option<(usize, bool)> {
    let is_mark = |at: usize| lines.get(at).is_some_and(|line| is_mark(line));
    match entry {
        Entry::Xinetd(line) => {
            let mut after = lines.iter().skip(line);
            let brace = line + after.position(|line| trimmed(line) == b"{")?;
            let has_line = lines.get(brace + 2).is_some_and(|line| line == DISABLE);
            Some((brace, is_mark(brace + 1) && has_line))
        }
        Entry::Inetd(line) => {
            let at = line.checked_sub(1)?;
            let is_disabled = at > 0 && is_mark(at - 1) && lines.get(at)?.starts_with(OFF);
            lines.get(at).map(|_| (at, is_disabled))
        }
    }
}

/// The service of this name that is disabled by lines that [`switched`] adds.
pub(crate) fn disabled_by_name(bytes: &[u8], name: &str) -> Option<Entry> {
    let lines = split(bytes);
    (1..=lines.len()).find_map(|number| {
        let mut words = lines[number - 1]
            .split(|byte| is_space(*byte))
            .filter(|word| !word.is_empty());
        let entry = match words.next()? {
            b"service" => Entry::Xinetd(number),
            b"#<off>#" => Entry::Inetd(number),
            _ => return None,
        };
        let is_disabled = find(&lines, entry).is_some_and(|(_, is_disabled)| is_disabled);
        // In inetd.conf, an address may stand before the name.
        let own = words.next()?.rsplit(|byte| *byte == b':').next()?;
        (is_disabled && own == name.as_bytes()).then_some(entry)
    })
}

/// The file as it was before; `None` if it has no marks.
pub(crate) fn all_enabled(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut lines = Vec::new();
    let changed = unmark(bytes, |line| lines.extend(line.map(<[u8]>::to_vec)));
    changed.then(|| lines.join(&b'\n'))
}

/// The file as it was before, with an empty line for each that is removed, so that the numbers of lines
/// stay right.
pub(crate) fn as_before(bytes: &[u8]) -> Vec<u8> {
    let mut lines = Vec::new();
    unmark(bytes, |line| lines.push(line.unwrap_or_default().to_vec()));
    lines.join(&b'\n')
}

/// Passes each line on, and `None` for each that was added. Returns whether there were any.
fn unmark(bytes: &[u8], mut line: impl FnMut(Option<&[u8]>)) -> bool {
    let mut changed = false;
    let mut after_mark = None;
    for text in bytes.split(|byte| *byte == b'\n') {
        match after_mark.take() {
            Some(_) if text == DISABLE => {
                line(None);
                line(None);
                changed = true;
                continue;
            }
            Some(mark) => match text.strip_prefix(OFF) {
                Some(rest) => {
                    line(None);
                    line(Some(rest));
                    changed = true;
                    continue;
                }
                None => line(Some(mark)),
            },
            None => {}
        }
        match is_mark(text) {
            true => after_mark = Some(text),
            false => line(Some(text)),
        }
    }
    if let Some(mark) = after_mark {
        line(Some(mark));
    }
    changed
}

fn is_mark(line: &[u8]) -> bool {
    [MARK, FIRST_MARK].contains(&trimmed(line))
}

fn split(bytes: &[u8]) -> Vec<Vec<u8>> {
    let lines = bytes.split(|byte| *byte == b'\n');
    lines.map(<[u8]>::to_vec).collect()
}

/// The text of a line, as a C string.
fn trimmed(line: &[u8]) -> &[u8] {
    let line = line.split(|byte| *byte == 0).next().unwrap_or_default();
    let start = line.iter().position(|byte| !is_space(*byte));
    let end = line.iter().rposition(|byte| !is_space(*byte));
    match (start, end) {
        (Some(start), Some(end)) => &line[start..=end],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const XINETD: &[u8] = b"service a\n{\n\tport = 1\n}\n# x\nservice b\n\n {\n\tdisable = no\n}";
    const INETD: &[u8] =
        b"# x\na stream tcp nowait root /bin/a\n\nb stream tcp nowait root /bin/b\n";

    /// The file with these services disabled.
    fn disabled(bytes: &[u8], entries: &[Entry]) -> Option<Vec<u8>> {
        let wanted: Vec<_> = entries.iter().map(|entry| (*entry, true)).collect();
        switched(bytes, &wanted)
    }

    #[test]
    fn services_are_disabled_and_enabled_again() {
        let off = disabled(XINETD, &[Entry::Xinetd(1), Entry::Xinetd(6)]).unwrap();
        let text = String::from_utf8(off.clone()).unwrap();
        assert_eq!(text.matches("\n\tdisable\t\t= yes\n").count(), 2, "{text}");
        assert!(text.contains("\n {\n\t# Disabled"), "{text}");
        assert_eq!(all_enabled(&off).unwrap(), XINETD);
        assert_eq!(disabled_by_name(&off, "b"), Some(Entry::Xinetd(8)));
        assert_eq!(
            (disabled_by_name(&off, "c"), disabled_by_name(XINETD, "b")),
            (None, None)
        );
        assert_eq!(all_enabled(XINETD), None);
        assert_eq!(disabled(&off, &[Entry::Xinetd(1), Entry::Xinetd(8)]), None);
        let before = as_before(&off);
        assert_eq!(split(&before).len(), split(&off).len());

        let off = disabled(INETD, &[Entry::Inetd(2), Entry::Inetd(4)]).unwrap();
        let text = String::from_utf8(off.clone()).unwrap();
        assert_eq!(text.matches("\n#<off># ").count(), 2, "{text}");
        assert_eq!(all_enabled(&off).unwrap(), INETD);
        assert_eq!(disabled_by_name(&off, "b"), Some(Entry::Inetd(6)));
        assert_eq!(disabled(&off, &[Entry::Inetd(3), Entry::Inetd(6)]), None);
        assert_eq!(disabled(INETD, &[Entry::Inetd(9)]), None);
        assert_eq!(is_disabled(INETD, Entry::Inetd(9)), None);
    }

    #[test]
    fn one_service_is_enabled_again_and_the_others_stay_disabled() {
        for (text, first, second) in [
            (XINETD, Entry::Xinetd(1), Entry::Xinetd(6)),
            (INETD, Entry::Inetd(2), Entry::Inetd(4)),
        ] {
            let both = disabled(text, &[first, second]).unwrap();
            let (first_there, second_there) = match first {
                Entry::Xinetd(_) => (Entry::Xinetd(1), Entry::Xinetd(8)),
                Entry::Inetd(_) => (Entry::Inetd(3), Entry::Inetd(6)),
            };
            for entry in [first_there, second_there] {
                assert_eq!(is_disabled(&both, entry), Some(true));
            }
            let on = switched(&both, &[(first_there, false), (second_there, true)]);
            assert_eq!(on, disabled(text, &[second]));
            let on = switched(&both, &[(second_there, false)]);
            assert_eq!(on, disabled(text, &[first]));
        }
    }

    #[test]
    fn a_comment_alone_disables_nothing() {
        let text = disabled(XINETD, &[Entry::Xinetd(1)]).unwrap();
        let text = String::from_utf8(text).unwrap();
        let edited = text.replace("\tdisable\t\t= yes\n", "");
        assert_eq!(
            is_disabled(edited.as_bytes(), Entry::Xinetd(1)),
            Some(false)
        );
    }

    #[test]
    fn the_line_of_the_first_versions_is_read_too() {
        for (text, entry) in [(XINETD, Entry::Xinetd(1)), (INETD, Entry::Inetd(2))] {
            let text = String::from_utf8(disabled(text, &[entry]).unwrap()).unwrap();
            let first = text.replace("# Disabled by", "# Switched off by");
            assert_ne!(first, text);
            assert_eq!(all_enabled(first.as_bytes()), all_enabled(text.as_bytes()));
            let name = disabled_by_name(text.as_bytes(), "a");
            assert_eq!(disabled_by_name(first.as_bytes(), "a"), name);
        }
    }

    proptest! {
        #[test]
        fn any_file_is_the_same_when_all_is_enabled_again(
            lines in prop::collection::vec("service a|\\{|\\}|a b c d e f|# x| |\t\\{ ?|\\}\r", 0..12),
            chosen in prop::collection::vec((any::<bool>(), 1..14usize), 0..4),
        ) {
            let text = lines.join("\n").into_bytes();
            let is_xinetd = chosen.first().is_some_and(|(is_xinetd, _)| *is_xinetd);
            let entries: Vec<Entry> = chosen
                .iter()
                .map(|(_, line)| match is_xinetd {
                    true => Entry::Xinetd(*line),
                    false => Entry::Inetd(*line),
                })
                .collect();
            if let Some(off) = disabled(&text, &entries) {
                prop_assert_eq!(all_enabled(&off).unwrap(), text);
                prop_assert_eq!(split(&as_before(&off)).len(), split(&off).len());
            }
        }
    }
}
