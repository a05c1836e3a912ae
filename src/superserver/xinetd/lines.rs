//! The lines and blocks of one file of xinetd.conf(5).
//!
//! A fault in a line costs an entry: xinetd goes on after the next line that is a lone `}`. Where that
//! is the end of the next entry, this entry is lost too.

use std::path::Path;
use std::rc::Rc;

use super::block::{Assignment, Block, Fault, FaultKind, File, Item, Operator};
use super::note::{Note, NoteKind};
use crate::superserver::word::{is_space, lines, words};
use crate::superserver::{Position, Word};

/// Parses a file. Every file can be parsed; what xinetd does not take has a [`Fault`] or a note.
pub(crate) fn parse(path: &Rc<Path>, bytes: &[u8]) -> File {
    let lines: Vec<_> = lines(bytes)
        .filter(|(_, line)| {
            let first = line.iter().find(|byte| !is_space(**byte));
            first.is_some_and(|byte| *byte != b'#')
        })
        .collect();
    let mut parser = Parser {
        path,
        lines: lines.into_iter(),
        file: File::default(),
        has_defaults: false,
    };
    while let Some((number, line)) = parser.lines.next() {
        parser.entry(number, line);
    }
    parser.file
}

struct Parser<'a> {
    path: &'a Rc<Path>,
    /// The lines that are not blank and no comments.
    lines: std::vec::IntoIter<(usize, &'a [u8])>,
    file: File,
    /// Whether xinetd has read a whole `defaults` of this file.
    has_defaults: bool,
}

impl<'a> Parser<'a> {
    /// Parses the entry that begins with a line.
    fn entry(&mut self, number: usize, line: &'a [u8]) {
        let mut words = words(line, 1).into_iter();
        let Some(keyword) = words.next() else {
            return;
        };
        let position = self.position(number, keyword.column);
        let is_defaults = keyword.is("defaults");
        let (name, rest) = match words.next() {
            _ if is_defaults => (empty(), Vec::new()),
            Some(name) => (name, words.collect()),
            None => (empty(), Vec::new()),
        };
        let takes_name = ["service", "include", "includedir"]
            .iter()
            .any(|known| keyword.is(known));
        if !is_defaults && (!takes_name || name.bytes.is_empty()) {
            let kind = match takes_name {
                true => NoteKind::NameMissing(keyword),
                false => NoteKind::StrayLine(keyword),
            };
            self.note(position.clone(), kind);
            self.skip(&position, None, None);
            return;
        }
        if !rest.is_empty() {
            self.note(position.clone(), NoteKind::WordsDropped(rest));
        }
        if keyword.is("include") {
            self.file.items.push(Item::Include(position, name));
        } else if keyword.is("includedir") {
            self.file.items.push(Item::IncludeDir(position, name));
        } else {
            let block = Block {
                name,
                position,
                assignments: Vec::new(),
                fault: None,
            };
            self.block(block, is_defaults);
        }
    }

    /// Parses the lines of an entry after its first.
    fn block(&mut self, mut block: Block, is_defaults: bool) {
        let next = self.lines.next();
        if !next.is_some_and(|(_, line)| is_lone(line, b'{')) {
            let position = block.position.clone();
            let kind = FaultKind::NoOpeningBrace;
            block.fault = Some(Fault { position, kind });
            let position = block.position.clone();
            if is_defaults {
                self.note(position.clone(), NoteKind::DefaultsLost);
            }
            self.skip(&position, (!is_defaults).then_some(block), next);
            return;
        }
        if is_defaults && self.has_defaults {
            let position = block.position;
            self.note(position.clone(), NoteKind::SecondDefaults);
            self.skip(&position, None, None);
            return;
        }
        let (fault, next) = loop {
            let Some((number, line)) = self.lines.next() else {
                let position = block.position.clone();
                let kind = FaultKind::NoClosingBrace;
                break (Fault { position, kind }, None);
            };
            if is_lone(line, b'}') {
                self.has_defaults |= is_defaults;
                self.file.items.push(match is_defaults {
                    true => Item::Defaults(block),
                    false => Item::Service(block),
                });
                return;
            }
            match self.assignment(number, line) {
                Ok(assignment) => block.assignments.push(assignment),
                Err(Fault {
                    position,
                    kind: FaultKind::NoOperator(word),
                }) if !is_defaults && is_keyword(&word) => {
                    let next = word.is("service").then_some((number, line));
                    let kind = FaultKind::NextEntry(word);
                    break (Fault { position, kind }, next);
                }
                Err(fault) => break (fault, None),
            }
        };
        let position = fault.position.clone();
        if is_defaults {
            // xinetd keeps what it has read, and takes the next line for the beginning of an entry.
            self.note(position, NoteKind::DefaultsCut(fault));
            self.file.items.push(Item::Defaults(block));
        } else {
            block.fault = Some(fault);
            self.skip(&position, Some(block), next);
        }
    }

    /// Skips all lines to the next lone `}`, as xinetd does after a fault. `block` is the entry with the
    /// fault, and `line` a line that was read already.
    fn skip(
        &mut self,
        cause: &Position,
        mut block: Option<Block>,
        line: Option<(usize, &'a [u8])>,
    ) {
        let mut next = line.or_else(|| self.lines.next());
        while let Some((number, line)) = next {
            if is_lone(line, b'}') {
                break;
            }
            let assignment = self.assignment(number, line);
            let mut words = words(line, 1).into_iter();
            let first = words.next().unwrap_or_else(empty);
            let position = self.position(number, first.column);
            match (assignment, words.next(), &mut block) {
                (Err(_), Some(name), _) if first.is("service") => {
                    self.file.items.extend(block.take().map(Item::Service));
                    let fault = Fault {
                        position: cause.clone(),
                        kind: FaultKind::Skipped,
                    };
                    block = Some(Block {
                        name,
                        position,
                        assignments: Vec::new(),
                        fault: Some(fault),
                    });
                }
                (Err(_), _, _)
                    if ["defaults", "include", "includedir"]
                        .iter()
                        .any(|word| first.is(word)) =>
                {
                    let kind = NoteKind::EntrySkipped(first, cause.line);
                    self.note(position, kind);
                }
                (Ok(assignment), _, Some(block)) => block.assignments.push(assignment),
                _ => {}
            }
            next = self.lines.next();
        }
        self.file.items.extend(block.map(Item::Service));
    }

    /// Parses `NAME BLANK OPERATOR VALUE…`.
    fn assignment(&self, number: usize, line: &[u8]) -> Result<Assignment, Fault> {
        let blanks = |from: usize| {
            let rest = line[from..].iter();
            from + rest.take_while(|byte| is_space(**byte)).count()
        };
        let start = blanks(0);
        let rest = &line[start..];
        let end = rest
            .iter()
            .position(|byte| is_space(*byte) || *byte == b'=');
        let end = end.map_or(line.len(), |length| start + length);
        let name = Word {
            bytes: line[start..end].to_vec(),
            column: start + 1,
        };
        let position = self.position(number, start + 1);
        let fault = |kind| {
            Err(Fault {
                position: self.position(number, start + 1),
                kind,
            })
        };
        if line.get(end) == Some(&b'=') {
            return fault(FaultKind::NoBlank(name));
        }
        let after = blanks(end);
        let (operator, length) = match &line[after..] {
            [b'=', ..] => (Operator::Set, 1),
            [b'+', b'=', ..] => (Operator::Add, 2),
            [b'-', b'=', ..] => (Operator::Remove, 2),
            _ => return fault(FaultKind::NoOperator(name)),
        };
        let from = after + length;
        Ok(Assignment {
            position,
            name,
            operator,
            values: words(&line[from..], from + 1),
        })
    }

    fn position(&self, line: usize, column: usize) -> Position {
        Position {
            file: Rc::clone(self.path),
            line,
            column,
        }
    }

    fn note(&mut self, position: Position, kind: NoteKind) {
        self.file.notes.push(Note { position, kind });
    }
}

/// Whether a word can begin an entry.
fn is_keyword(word: &Word) -> bool {
    ["service", "defaults", "include", "includedir"]
        .iter()
        .any(|keyword| word.is(keyword))
}

fn empty() -> Word {
    Word {
        bytes: Vec::new(),
        column: 1,
    }
}

/// Whether a character stands in a line alone, apart from white space.
fn is_lone(line: &[u8], character: u8) -> bool {
    let mut rest = line.iter().filter(|byte| !is_space(**byte));
    rest.next() == Some(&character) && rest.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(text: &[u8]) -> File {
        parse(&Rc::from(Path::new("/etc/xinetd.conf")), text)
    }

    #[test]
    fn an_assignment_has_the_columns_of_its_words() {
        let file = parsed(b"service a\n{\n\tserver_args +=\t-x  a=b\n}");
        let [Item::Service(block)] = file.items.as_slice() else {
            panic!("{file:?}");
        };
        let [assignment] = block.assignments.as_slice() else {
            panic!("{file:?}");
        };
        assert_eq!(
            assignment.position.to_string(),
            "/etc/xinetd.conf:3:2".to_string()
        );
        assert_eq!(assignment.operator, Operator::Add);
        let values = assignment.values.iter();
        let values: Vec<_> = values.map(|v| (v.to_string(), v.column)).collect();
        assert_eq!(values, [("-x".into(), 17), ("a=b".into(), 21)]);
    }

    #[test]
    fn a_service_whose_predecessor_has_no_closing_brace_is_skipped_with_its_lines() {
        let file =
            parsed(b"service a\n{\n\tport = 1\nservice b\n{\n\tport = 2\n}\nservice c\n{\n}");
        let [Item::Service(a), Item::Service(b), Item::Service(c)] = file.items.as_slice() else {
            panic!("{file:?}");
        };
        let fault = |block: &Block| block.fault.as_ref().map(Fault::to_string);
        assert_eq!(
            fault(a).as_deref(),
            Some("no line with } alone before the service in line 4")
        );
        assert_eq!(
            fault(b).as_deref(),
            Some(
                "after the fault in line 4, xinetd skips all lines up to the next line with } alone"
            )
        );
        assert_eq!(fault(c), None);
        let lengths = [a, b, c].map(|block| block.assignments.len());
        assert_eq!(lengths, [1, 1, 0]);
    }

    #[test]
    fn a_nul_ends_a_line() {
        let file = parsed(b"service a\0 b\n{\n}\0\n\0x\n");
        assert_eq!((file.items.len(), file.notes.len()), (1, 0));
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_parsed(bytes: Vec<u8>) {
            parsed(&bytes);
        }

        #[test]
        fn any_lines_can_be_parsed(
            text in "(service|defaults|include|includedir|\\{|\\}|=|\\+=|#|é| |a|\n|\t){0,60}",
        ) {
            parsed(text.as_bytes());
        }
    }
}
