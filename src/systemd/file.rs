//! A unit file, read from its bytes by systemd's own rules.

use std::fmt;

/// What one file assigns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnitFile {
    /// Every assignment in the order of the file, the empty ones too.
    pub assignments: Vec<Assignment>,
    /// The lines that systemd ignores with a warning, or that end its reading.
    pub faults: Vec<SyntaxProblem>,
}

/// One assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// Its section, without the brackets.
    pub section: String,
    /// What is before the `=`.
    pub key: String,
    /// What is behind it, lines that were continued joined by blanks; empty where nothing is.
    pub value: String,
    /// The line on which it begins.
    pub line: usize,
}

/// A line that assigns nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SyntaxProblem {
    /// The line on which it begins.
    pub line: usize,
    /// What is wrong.
    pub flaw: Flaw,
}

/// What is wrong with a line. Its Display is the sentence for the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// Bytes that are no UTF-8, but for a comment. systemd reads no further in the file.
    NotUtf8,
    /// A section without its `]`, or with control characters in its name. systemd reads no further
    /// in the file.
    Header,
    /// An assignment before the first section.
    NoSection,
    /// Neither a section nor an assignment.
    NoEquals,
    /// Nothing before the `=`.
    NoKey,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Flaw::NotUtf8 => "not UTF-8; systemd reads no further",
            Flaw::Header => {
                "a section without its ], or with control characters; systemd reads no further"
            }
            Flaw::NoSection => "an assignment outside of a section; systemd ignores the line",
            Flaw::NoEquals => "neither [Section] nor Key=value; systemd ignores the line",
            Flaw::NoKey => "nothing before the =; systemd ignores the line",
        })
    }
}

impl Flaw {
    /// Whether systemd reads no further than this line. It does not load a unit whose main file
    /// has one, and goes without the rest of a drop-in.
    pub fn ends_reading(self) -> bool {
        matches!(self, Flaw::NotUtf8 | Flaw::Header)
    }
}

impl UnitFile {
    /// Reads a file as far as systemd does. Nothing in it is an error: what systemd ignores is told
    /// in [`UnitFile::faults`].
    pub fn parse(bytes: &[u8]) -> UnitFile {
        let mut file = UnitFile::default();
        let mut section = None;
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        for (line, text) in logical_lines(bytes) {
            match file.line(line, &text, &mut section) {
                Ok(()) => {}
                Err(flaw) => {
                    file.faults.push(SyntaxProblem { line, flaw });
                    if flaw.ends_reading() {
                        break;
                    }
                }
            }
        }
        file
    }

    fn line(&mut self, line: usize, text: &[u8], section: &mut Option<String>) -> Result<(), Flaw> {
        let text = strip(text);
        if text.is_empty() {
            return Ok(());
        }
        let text = std::str::from_utf8(text).map_err(|_| Flaw::NotUtf8)?;
        if let Some(header) = text.strip_prefix('[') {
            let name = header.strip_suffix(']').ok_or(Flaw::Header)?;
            if name.contains(|c: char| c.is_ascii_control()) {
                return Err(Flaw::Header);
            }
            *section = Some(name.to_string());
            return Ok(());
        }
        let section = section.as_ref().ok_or(Flaw::NoSection)?;
        let (key, value) = text.split_once('=').ok_or(Flaw::NoEquals)?;
        if key.is_empty() {
            return Err(Flaw::NoKey);
        }
        self.assignments.push(Assignment {
            section: section.clone(),
            key: key.trim_end_matches(BLANK).to_string(),
            value: value.trim_matches(BLANK).to_string(),
            line,
        });
        Ok(())
    }
}

/// What systemd takes for a blank.
const BLANK: [char; 4] = [' ', '\t', '\n', '\r'];

fn is_blank(byte: &u8) -> bool {
    BLANK.contains(&char::from(*byte))
}

fn strip(mut text: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = text {
        if !is_blank(first) {
            break;
        }
        text = rest;
    }
    while let [rest @ .., last] = text {
        if !is_blank(last) {
            break;
        }
        text = rest;
    }
    text
}

/// The lines without comments, each with the number of the line on which it begins; a line that
/// ends in a backslash goes on in the next one that is no comment.
fn logical_lines(bytes: &[u8]) -> Vec<(usize, Vec<u8>)> {
    let mut lines = Vec::new();
    let mut open: Option<(usize, Vec<u8>)> = None;
    for (index, text) in physical_lines(bytes).into_iter().enumerate() {
        if matches!(strip(text).first(), Some(b'#' | b';')) {
            continue;
        }
        let (number, mut line) = open.take().unwrap_or((index + 1, Vec::new()));
        line.extend(text);
        let backslashes = line.iter().rev().take_while(|byte| **byte == b'\\').count();
        if backslashes % 2 == 1 {
            line.pop();
            line.push(b' ');
            open = Some((number, line));
        } else {
            lines.push((number, line));
        }
    }
    lines.extend(open);
    lines
}

/// The lines as they stand. LF, CR, NUL, and CR with LF in either order end one.
fn physical_lines(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    while !bytes.is_empty() {
        let is_end = |byte: &u8| b"\n\r\0".contains(byte);
        let Some(end) = bytes.iter().position(is_end) else {
            lines.push(bytes);
            break;
        };
        let next = match &bytes[end..] {
            [b'\n', b'\r', ..] | [b'\r', b'\n', ..] => end + 2,
            _ => end + 1,
        };
        lines.push(&bytes[..end]);
        bytes = &bytes[next..];
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Vec<(String, String, usize)> {
        UnitFile::parse(text.as_bytes())
            .assignments
            .into_iter()
            .map(|a| (format!("{}.{}", a.section, a.key), a.value, a.line))
            .collect()
    }

    fn one(key: &str, value: &str, line: usize) -> (String, String, usize) {
        (key.into(), value.into(), line)
    }

    #[test]
    fn sections_repeat_and_comments_and_blanks_say_nothing() {
        let text =
            "# a\n[Unit]\n; b\nA=1\n\n [Service] \n  B = two words \nC=\n[Unit]\nA=2 # kept\n";
        assert_eq!(
            read(text),
            [
                one("Unit.A", "1", 4),
                one("Service.B", "two words", 7),
                one("Service.C", "", 8),
                one("Unit.A", "2 # kept", 10),
            ]
        );
    }

    #[test]
    fn a_line_goes_on_behind_a_backslash_across_comments() {
        let text = "[S]\nA=1 \\\n  # not this\n; nor this\n  2\\\n3\nB=x\\\\\nC=y\\";
        assert_eq!(
            read(text),
            [
                one("S.A", "1    2 3", 2),
                one("S.B", "x\\\\", 7),
                one("S.C", "y", 8),
            ]
        );
    }

    #[test]
    fn lines_may_end_in_cr_lf_and_a_byte_order_mark_is_none_of_them() {
        assert_eq!(
            read("\u{feff}[S]\r\nA=1\r\n\r\nB=2\rC=3"),
            [one("S.A", "1", 2), one("S.B", "2", 4), one("S.C", "3", 5)]
        );
    }

    #[test]
    fn what_systemd_ignores_is_told_with_its_line_and_what_is_broken_ends_the_reading() {
        let file = UnitFile::parse(b"A=0\n[S]\nnothing\n=1\n# \xff\nC=1\n[T\nD=1\n");
        let faults: Vec<_> = file.faults.iter().map(|f| (f.line, f.flaw)).collect();
        assert_eq!(
            faults,
            [
                (1, Flaw::NoSection),
                (3, Flaw::NoEquals),
                (4, Flaw::NoKey),
                (7, Flaw::Header),
            ]
        );
        for end in [&b"[T"[..], b"[T]x", b"[T\x01]", b"B=\xff"] {
            let text = [b"[S]\nC=1\n", end, b"\nD=1\n"].concat();
            let file = UnitFile::parse(&text);
            let keys: Vec<_> = file.assignments.iter().map(|a| a.key.as_str()).collect();
            assert_eq!(keys, ["C"], "what is broken ends the reading: {end:?}");
            assert!(file.faults[0].flaw.ends_reading());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_read(bytes: Vec<u8>) {
            UnitFile::parse(&bytes);
        }

        #[test]
        fn any_text_of_a_unit_file_can_be_read(text in "([\\[\\]=#;\\\\\r\n \0a-cé]{0,6}){0,20}") {
            let lines = physical_lines(text.as_bytes()).len();
            let file = UnitFile::parse(text.as_bytes());
            for assignment in file.assignments {
                prop_assert!(assignment.line >= 1 && assignment.line <= lines);
                prop_assert_eq!(assignment.value.trim_matches(BLANK), &assignment.value);
            }
        }
    }
}
