//! Words of a configuration file and their positions.

use std::fmt;
use std::path::Path;
use std::rc::Rc;

use crate::log::Plain;

/// A place in a file. Its Display is `FILE:LINE:COLUMN`, and escapes control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) file: Rc<Path>,
    /// The line number, from 1.
    pub(crate) line: usize,
    /// The number of the byte in the line, from 1.
    pub(crate) column: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display().to_string();
        write!(f, "{}:{}:{}", Plain(&file), self.line, self.column)
    }
}

/// The bytes of a word, as they are in the file. Its Display escapes control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) bytes: Vec<u8>,
    /// The number of its first byte in the line, from 1.
    pub(crate) column: usize,
}

impl Word {
    /// Whether it is `text` without regard to case, as xinetd compares words.
    pub(crate) fn is(&self, text: &str) -> bool {
        self.bytes.eq_ignore_ascii_case(text.as_bytes())
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Plain(&String::from_utf8_lossy(&self.bytes)).fmt(f)
    }
}

/// Splits a line at blanks and tabs, and at nothing else. `column` is the number of its first byte.
pub(super) fn words(line: &[u8], column: usize) -> Vec<Word> {
    let mut words = Vec::new();
    let mut start = 0;
    for part in line.split(|byte| matches!(byte, b' ' | b'\t')) {
        if !part.is_empty() {
            words.push(Word {
                bytes: part.to_vec(),
                column: column + start,
            });
        }
        start += part.len() + 1;
    }
    words
}

/// Whether isspace(3) is true in the C locale.
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}

/// The lines of a file with their numbers, from 1. A NUL ends a line, as in a C string.
pub(super) fn lines(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let text = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let lines = text.split(|&byte| byte == b'\n');
    let lines = lines.map(|line| line.split(|&byte| byte == 0).next().unwrap_or_default());
    (1..).zip(lines)
}
