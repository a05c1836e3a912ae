//! The entries of one file and their faults.

use std::fmt;

use super::inetd_conf::Line;
use super::note::Note;
use crate::superserver::{Position, Word};

/// The content of one file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct File {
    /// The entries in the order of the file.
    pub(crate) items: Vec<Item>,
    pub(crate) notes: Vec<Note>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    /// `service NAME`
    Service(Block),
    /// The first `defaults` of the file.
    Defaults(Block),
    /// `include FILE`
    Include(Position, Word),
    /// `includedir DIRECTORY`
    IncludeDir(Position, Word),
    /// A line of inetd.conf.
    InetdLine(Line),
}

/// An entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Block {
    /// The service name; empty for the defaults.
    pub(crate) name: Word,
    /// The position of its keyword.
    pub(crate) position: Position,
    /// The lines with an attribute. Those after a fault are for messages only: xinetd does not read
    /// them.
    pub(crate) assignments: Vec<Assignment>,
    /// The fault that ends the entry for xinetd.
    pub(crate) fault: Option<Fault>,
}

/// A line with an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Assignment {
    /// The position of the attribute's name.
    pub(crate) position: Position,
    pub(crate) name: Word,
    pub(crate) operator: Operator,
    pub(crate) values: Vec<Word>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    /// `=`
    Set,
    /// `+=`
    Add,
    /// `-=`
    Remove,
}

/// A fault in a line, for which xinetd drops an entry. Its Display is a reason, without the position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) position: Position,
    pub(crate) kind: FaultKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FaultKind {
    /// The line after the keyword is not a lone `{`.
    NoOpeningBrace,
    /// The file ends before the `}`.
    NoClosingBrace,
    /// The next entry begins before a lone `}`.
    NextEntry(Word),
    /// There is no `=`, `+=` or `-=` after the first word.
    NoOperator(Word),
    /// `port=80`
    NoBlank(Word),
    /// xinetd skips the entry because of a fault before it.
    Skipped,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Position { line, .. } = self.position;
        match &self.kind {
            FaultKind::NoOpeningBrace => f.write_str("the next line is not { alone"),
            FaultKind::NoClosingBrace => f.write_str("the block has no closing line with } alone"),
            FaultKind::NextEntry(word) => {
                write!(f, "no line with }} alone before the {word} in line {line}")
            }
            FaultKind::NoOperator(word) => write!(f, "no operator after {word} in line {line}"),
            FaultKind::NoBlank(word) => {
                write!(f, "no blank between {word} and the = in line {line}")
            }
            FaultKind::Skipped => write!(
                f,
                "after the fault in line {line}, xinetd skips all lines up to the next line with }} alone"
            ),
        }
    }
}
