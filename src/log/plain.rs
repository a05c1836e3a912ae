//! Text that must not control a terminal.

use std::fmt;
use std::ops::RangeInclusive;

/// Text from a file, a client or a program. Its Display escapes the characters that a terminal acts on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plain<'a>(pub &'a str);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in self.0.split_inclusive(is_unprintable) {
            let last = part.chars().next_back().filter(|c| is_unprintable(*c));
            match last {
                Some(last) => {
                    f.write_str(&part[..part.len() - last.len_utf8()])?;
                    write!(f, "{}", last.escape_default())?;
                }
                None => f.write_str(part)?,
            }
        }
        Ok(())
    }
}

/// The characters of Unicode's general categories Cf (format), Zl (line separator) and Zp (paragraph separator), and
/// the other code points of the block Tags. They change the direction of text, break lines, or are invisible.
const FORMAT: [RangeInclusive<char>; 20] = [
    '\u{ad}'..='\u{ad}',
    '\u{600}'..='\u{605}',
    '\u{61c}'..='\u{61c}',
    '\u{6dd}'..='\u{6dd}',
    '\u{70f}'..='\u{70f}',
    '\u{890}'..='\u{891}',
    '\u{8e2}'..='\u{8e2}',
    '\u{180e}'..='\u{180e}',
    '\u{200b}'..='\u{200f}',
    '\u{2028}'..='\u{202e}',
    '\u{2060}'..='\u{2064}',
    '\u{2066}'..='\u{206f}',
    '\u{feff}'..='\u{feff}',
    '\u{fff9}'..='\u{fffb}',
    '\u{110bd}'..='\u{110bd}',
    '\u{110cd}'..='\u{110cd}',
    '\u{13430}'..='\u{1343f}',
    '\u{1bca0}'..='\u{1bca3}',
    '\u{1d173}'..='\u{1d17a}',
    '\u{e0000}'..='\u{e007f}',
];

/// Whether a terminal acts on a character, or shows nothing of it.
pub(crate) fn is_unprintable(c: char) -> bool {
    c.is_control() || FORMAT.iter().any(|range| range.contains(&c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_that_changes_the_direction_of_text_is_escaped() {
        // Bidi_Control in PropList.txt of Unicode.
        let marks = ['\u{61c}', '\u{200e}', '\u{200f}'];
        let all = marks.into_iter().chain('\u{202a}'..='\u{202e}');
        for c in all.chain('\u{2066}'..='\u{2069}') {
            let number = u32::from(c);
            let name = format!("a{c}b");
            assert_eq!(Plain(&name).to_string(), format!("a\\u{{{number:x}}}b"));
        }
    }

    #[test]
    fn every_invisible_control_is_escaped_and_ordinary_text_is_not() {
        let separators = '\u{2028}'..='\u{2029}';
        let deprecated = '\u{206a}'..='\u{206f}';
        let tags = '\u{e0001}'..='\u{e007f}';
        let invisible = '\u{2060}'..='\u{2064}';
        let spaces = ['\u{ad}', '\u{180e}', '\u{200b}', '\u{feff}'];
        let all = separators.chain(deprecated).chain(tags).chain(invisible);
        for c in all.chain(spaces).chain('\0'..='\u{1f}') {
            let text = c.to_string();
            let shown = Plain(&text).to_string();
            assert!(shown.is_ascii() && shown.starts_with('\\'), "{shown:?}");
        }
        for text in [
            "a b",
            "naïve",
            "漢字",
            "עברית",
            "العربية",
            "e\u{301}",
            "👍",
            "\u{a0}",
        ] {
            assert_eq!(Plain(text).to_string(), text);
        }
    }

    #[test]
    fn what_is_escaped_here_is_escaped_in_log_entries() {
        for c in ('\0'..=char::MAX).filter(|c| is_unprintable(*c)) {
            let entry = crate::log::escape(c.to_string().as_bytes());
            assert!(!entry.contains(c), "{c:?}");
        }
    }
}
