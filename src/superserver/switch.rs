//! Switches services off in files of xinetd and inetd with lines that can be taken out again exactly.

use super::word::is_space;

/// The line before each line that was added or changed.
const MARK: &[u8] = b"# Switched off by sockunit import; to undo that: sockunit import --revert";
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

/// Whether a service is switched off by lines that [`switched`] adds; `None` if there is no such service.
///
/// The numbers of lines are those of the file, whatever is switched off in it.
pub(crate) fn is_off(bytes: &[u8], entry: Entry) -> Option<bool> {
    Some(find(&split(bytes), entry)?.1)
}

/// The file with services switched off (`true`) or on again (`false`); `None` if nothing is to be changed.
pub(crate) fn switched(bytes: &[u8], wanted: &[(Entry, bool)]) -> Option<Vec<u8>> {
    let mut lines = split(bytes);
    let mut changed = false;
    let mut wanted = wanted.to_vec();
    // From the end, so that the numbers of the lines before stay right.
    wanted.sort_by_key(|(entry, _)| match entry {
        Entry::Xinetd(line) | Entry::Inetd(line) => std::cmp::Reverse(*line),
    });
    wanted.dedup_by_key(|(entry, _)| *entry);
    for (entry, off) in wanted {
        let Some((at, _)) = find(&lines, entry).filter(|(_, is_off)| *is_off != off) else {
            continue;
        };
        match (entry, off) {
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
    let is_mark = |at: usize| lines.get(at).is_some_and(|line| trimmed(line) == MARK);
    match entry {
        Entry::Xinetd(line) => {
            let mut after = lines.iter().skip(line);
            let brace = line + after.position(|line| trimmed(line) == b"{")?;
            let has_line = lines.get(brace + 2).is_some_and(|line| line == DISABLE);
            Some((brace, is_mark(brace + 1) && has_line))
        }
        Entry::Inetd(line) => {
            let at = line.checked_sub(1)?;
            let is_off = at > 0 && is_mark(at - 1) && lines.get(at)?.starts_with(OFF);
            lines.get(at).map(|_| (at, is_off))
        }
    }
}

/// The service of this name that is switched off by lines that [`switched`] adds.
pub(crate) fn off_by_name(bytes: &[u8], name: &str) -> Option<Entry> {
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
        let is_off = find(&lines, entry).is_some_and(|(_, is_off)| is_off);
        // In inetd.conf, an address may stand before the name.
        let own = words.next()?.rsplit(|byte| *byte == b':').next()?;
        (is_off && own == name.as_bytes()).then_some(entry)
    })
}

/// The file as it was before; `None` if it has no marks.
pub(crate) fn switched_on(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut lines = Vec::new();
    let changed = unmark(bytes, |line| lines.extend(line.map(<[u8]>::to_vec)));
    changed.then(|| lines.join(&b'\n'))
}

/// The file as it was before, with an empty line for each that is taken out, so that the numbers of lines
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
        match trimmed(text) == MARK {
            true => after_mark = Some(text),
            false => line(Some(text)),
        }
    }
    if let Some(mark) = after_mark {
        line(Some(mark));
    }
    changed
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

    /// The file with these services switched off.
    fn switched_off(bytes: &[u8], entries: &[Entry]) -> Option<Vec<u8>> {
        let wanted: Vec<_> = entries.iter().map(|entry| (*entry, true)).collect();
        switched(bytes, &wanted)
    }

    #[test]
    fn services_are_switched_off_and_on_again() {
        let off = switched_off(XINETD, &[Entry::Xinetd(1), Entry::Xinetd(6)]).unwrap();
        let text = String::from_utf8(off.clone()).unwrap();
        assert_eq!(text.matches("\n\tdisable\t\t= yes\n").count(), 2, "{text}");
        assert!(text.contains("\n {\n\t# Switched off"), "{text}");
        assert_eq!(switched_on(&off).unwrap(), XINETD);
        assert_eq!(off_by_name(&off, "b"), Some(Entry::Xinetd(8)));
        assert_eq!(
            (off_by_name(&off, "c"), off_by_name(XINETD, "b")),
            (None, None)
        );
        assert_eq!(switched_on(XINETD), None);
        assert_eq!(
            switched_off(&off, &[Entry::Xinetd(1), Entry::Xinetd(8)]),
            None
        );
        let before = as_before(&off);
        assert_eq!(split(&before).len(), split(&off).len());

        let off = switched_off(INETD, &[Entry::Inetd(2), Entry::Inetd(4)]).unwrap();
        let text = String::from_utf8(off.clone()).unwrap();
        assert_eq!(text.matches("\n#<off># ").count(), 2, "{text}");
        assert_eq!(switched_on(&off).unwrap(), INETD);
        assert_eq!(off_by_name(&off, "b"), Some(Entry::Inetd(6)));
        assert_eq!(
            switched_off(&off, &[Entry::Inetd(3), Entry::Inetd(6)]),
            None
        );
        assert_eq!(switched_off(INETD, &[Entry::Inetd(9)]), None);
        assert_eq!(is_off(INETD, Entry::Inetd(9)), None);
    }

    #[test]
    fn one_service_is_switched_on_again_and_the_others_stay_off() {
        for (text, first, second) in [
            (XINETD, Entry::Xinetd(1), Entry::Xinetd(6)),
            (INETD, Entry::Inetd(2), Entry::Inetd(4)),
        ] {
            let both = switched_off(text, &[first, second]).unwrap();
            let (first_there, second_there) = match first {
                Entry::Xinetd(_) => (Entry::Xinetd(1), Entry::Xinetd(8)),
                Entry::Inetd(_) => (Entry::Inetd(3), Entry::Inetd(6)),
            };
            for entry in [first_there, second_there] {
                assert_eq!(is_off(&both, entry), Some(true));
            }
            let on = switched(&both, &[(first_there, false), (second_there, true)]);
            assert_eq!(on, switched_off(text, &[second]));
            let on = switched(&both, &[(second_there, false)]);
            assert_eq!(on, switched_off(text, &[first]));
        }
    }

    #[test]
    fn a_comment_alone_switches_nothing_off() {
        let text = switched_off(XINETD, &[Entry::Xinetd(1)]).unwrap();
        let text = String::from_utf8(text).unwrap();
        let edited = text.replace("\tdisable\t\t= yes\n", "");
        assert_eq!(is_off(edited.as_bytes(), Entry::Xinetd(1)), Some(false));
    }

    proptest! {
        #[test]
        fn any_file_is_the_same_after_off_and_on(
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
            if let Some(off) = switched_off(&text, &entries) {
                prop_assert_eq!(switched_on(&off).unwrap(), text);
                prop_assert_eq!(split(&as_before(&off)).len(), split(&off).len());
            }
        }
    }
}
