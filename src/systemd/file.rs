//! Parses a unit file by systemd's rules.

use std::fmt;

/// The content of a unit file or a drop-in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct UnitFile {
    /// Every assignment in the order of the file, including empty ones.
    pub(crate) assignments: Vec<Assignment>,
    /// The lines that systemd ignores, and the line at which it stops reading.
    pub(crate) problems: Vec<SyntaxProblem>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Assignment {
    /// The name of the section, without brackets.
    pub(crate) section: String,
    pub(crate) key: String,
    /// The value, without the blanks around it. Continued lines are joined by a blank.
    pub(crate) value: String,
    /// The number of its first line, from 1.
    pub(crate) line: usize,
}

/// A line that systemd ignores, or at which it stops reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SyntaxProblem {
    /// The number of its first line, from 1.
    pub(crate) line: usize,
    pub(crate) kind: SyntaxProblemKind,
}

/// What is wrong with a line. Its Display also says what systemd does about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SyntaxProblemKind {
    /// The line is not UTF-8 and not a comment. systemd stops reading the file.
    NotUtf8,
    /// A section header without `]`, or with control characters in it. systemd stops reading the
    /// file.
    Header,
    /// An assignment before the first section header.
    NoSection,
    /// Neither a section header nor an assignment.
    NoEquals,
    /// An assignment without a key.
    NoKey,
}

impl fmt::Display for SyntaxProblemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SyntaxProblemKind::NotUtf8 => "not UTF-8; systemd stops reading the file here",
            SyntaxProblemKind::Header => {
                "a section header without ], or with control characters; systemd stops reading the file here"
            }
            SyntaxProblemKind::NoSection => "an assignment before the first section header; systemd ignores the line",
            SyntaxProblemKind::NoEquals => "neither [Section] nor Key=value; systemd ignores the line",
            SyntaxProblemKind::NoKey => "an assignment without a key; systemd ignores the line",
        })
    }
}

impl SyntaxProblemKind {
    /// Whether systemd stops reading the file at this line. It does not load the unit if the file is
    /// the unit file, and ignores the rest if it is a drop-in.
    pub(crate) fn ends_reading(self) -> bool {
        matches!(self, SyntaxProblemKind::NotUtf8 | SyntaxProblemKind::Header)
    }
}

impl UnitFile {
    /// Parses a file as far as systemd does. Lines that systemd ignores are in
    /// [`UnitFile::problems`].
    pub(crate) fn parse(bytes: &[u8]) -> UnitFile {
        let mut file = UnitFile::default();
        let mut section = None;
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        for (line, text) in logical_lines(bytes) {
            match file.line(line, &text, &mut section) {
                Ok(()) => {}
                Err(kind) => {
                    file.problems.push(SyntaxProblem { line, kind });
                    if kind.ends_reading() {
                        break;
                    }
                }
            }
        }
        file
    }

    fn line(
        &mut self,
        line: usize,
        text: &[u8],
        section: &mut Option<String>,
    ) -> Result<(), SyntaxProblemKind> {
        let text = strip(text);
        if text.is_empty() {
            return Ok(());
        }
        let text = std::str::from_utf8(text).map_err(|_| SyntaxProblemKind::NotUtf8)?;
        if let Some(header) = text.strip_prefix('[') {
            let name = header.strip_suffix(']').ok_or(SyntaxProblemKind::Header)?;
            if name.contains(|c: char| c.is_ascii_control()) {
                return Err(SyntaxProblemKind::Header);
            }
            *section = Some(name.to_string());
            return Ok(());
        }
        let section = section.as_ref().ok_or(SyntaxProblemKind::NoSection)?;
        let (key, value) = text.split_once('=').ok_or(SyntaxProblemKind::NoEquals)?;
        if key.is_empty() {
            return Err(SyntaxProblemKind::NoKey);
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

/// The blanks of systemd's parser.
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

/// The lines without comments, each with the number of its first line. A line that ends in a
/// backslash continues on the next line that is not a comment.
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

/// The lines as they are in the file. They end in LF, CR, NUL, CR LF or LF CR.
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
    fn sections_may_repeat_and_comments_and_blanks_are_ignored() {
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
    fn a_backslash_continues_a_line_across_comments() {
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
    fn lines_may_end_in_cr_lf_and_a_byte_order_mark_is_ignored() {
        assert_eq!(
            read("\u{feff}[S]\r\nA=1\r\n\r\nB=2\rC=3"),
            [one("S.A", "1", 2), one("S.B", "2", 4), one("S.C", "3", 5)]
        );
    }

    #[test]
    fn a_problem_has_its_line_number_and_some_problems_end_the_reading() {
        let file = UnitFile::parse(b"A=0\n[S]\nnothing\n=1\n# \xff\nC=1\n[T\nD=1\n");
        let problems: Vec<_> = file.problems.iter().map(|f| (f.line, f.kind)).collect();
        assert_eq!(
            problems,
            [
                (1, SyntaxProblemKind::NoSection),
                (3, SyntaxProblemKind::NoEquals),
                (4, SyntaxProblemKind::NoKey),
                (7, SyntaxProblemKind::Header),
            ]
        );
        for end in [&b"[T"[..], b"[T]x", b"[T\x01]", b"B=\xff"] {
            let text = [b"[S]\nC=1\n", end, b"\nD=1\n"].concat();
            let file = UnitFile::parse(&text);
            let keys: Vec<_> = file.assignments.iter().map(|a| a.key.as_str()).collect();
            assert_eq!(keys, ["C"], "{end:?} ends the reading");
            assert!(file.problems[0].kind.ends_reading());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_parsed(bytes: Vec<u8>) {
            UnitFile::parse(&bytes);
        }

        #[test]
        fn line_numbers_and_values_of_any_text_are_valid(text in "([\\[\\]=#;\\\\\r\n \0a-cé]{0,6}){0,20}") {
            let lines = physical_lines(text.as_bytes()).len();
            let file = UnitFile::parse(text.as_bytes());
            for assignment in file.assignments {
                prop_assert!(assignment.line >= 1 && assignment.line <= lines);
                prop_assert_eq!(assignment.value.trim_matches(BLANK), &assignment.value);
            }
        }
    }
}
