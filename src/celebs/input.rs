//! Reads one name per line in bounded memory.

use super::telnet::{Received, TelnetFilter};

/// The longest name, in bytes, without the blanks around it.
pub(crate) const MAX_NAME: usize = 1024;

const CTRL_D: u8 = 4;

/// What the client sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Input<'a> {
    /// A line with this name.
    Name(&'a [u8]),
    /// A line with a name longer than [`MAX_NAME`].
    TooLong,
    /// Telnet's interrupt, or Ctrl-D on an empty line.
    ///
    /// Ctrl-D needs no line end, because telnet sends none after it.
    Interrupt,
}

/// Splits received bytes into names. It removes telnet commands and the blanks (space and tab)
/// around a name, and replaces runs of blanks inside it by one space. Lines end in LF or CR LF.
///
/// It stores at most [`MAX_NAME`] bytes, however long a line is.
#[derive(Debug, Clone, Default)]
pub(crate) struct NameReader {
    telnet: TelnetFilter,
    name: Vec<u8>,
    /// A blank was received, which is part of the name only if more of the name follows.
    blank: bool,
    /// A CR was received, which is part of the name unless LF or the end of input follows.
    carriage_return: bool,
    too_long: bool,
    /// Any byte of the current line was received, a blank included.
    line_begun: bool,
    /// The last call returned a name; the next byte begins a new line.
    line_ended: bool,
}

impl NameReader {
    /// Reads up to the first name or interrupt, or all bytes if there is none. Returns the number of
    /// bytes read, and what was found.
    pub(crate) fn read(&mut self, input: &[u8]) -> (usize, Option<Input<'_>>) {
        self.clear_ended_line();
        for (at, &byte) in input.iter().enumerate() {
            match self.telnet.process(byte) {
                Received::Command => {}
                Received::Interrupt => return (at + 1, Some(Input::Interrupt)),
                Received::Text(b'\n') => return (at + 1, Some(self.end_line())),
                Received::Text(CTRL_D) if self.is_empty() => {
                    return (at + 1, Some(Input::Interrupt));
                }
                Received::Text(byte) => self.push(byte),
            }
        }
        (input.len(), None)
    }

    /// Handles the end of input: a last line without a line end is a name too.
    pub(crate) fn finish(&mut self) -> Option<Input<'_>> {
        self.clear_ended_line();
        self.line_begun.then(|| self.end_line())
    }

    fn is_empty(&self) -> bool {
        self.name.is_empty() && !self.carriage_return && !self.too_long
    }

    fn push(&mut self, byte: u8) {
        self.line_begun = true;
        // A CR that is not followed by LF is part of the name.
        if std::mem::take(&mut self.carriage_return) {
            self.push_visible(b'\r');
        }
        match byte {
            b' ' | b'\t' => self.blank = !self.name.is_empty(),
            b'\r' => self.carriage_return = true,
            _ => self.push_visible(byte),
        }
    }

    fn push_visible(&mut self, byte: u8) {
        let blank = std::mem::take(&mut self.blank);
        if self.name.len() + usize::from(blank) >= MAX_NAME {
            self.too_long = true;
        }
        if self.too_long {
            return;
        }
        if blank {
            self.name.push(b' ');
        }
        self.name.push(byte);
    }

    fn end_line(&mut self) -> Input<'_> {
        self.line_ended = true;
        if self.too_long {
            Input::TooLong
        } else {
            Input::Name(&self.name)
        }
    }

    fn clear_ended_line(&mut self) {
        if std::mem::take(&mut self.line_ended) {
            self.name.clear();
            self.blank = false;
            self.carriage_return = false;
            self.too_long = false;
            self.line_begun = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, PartialEq, Eq)]
    enum Seen {
        Name(Vec<u8>),
        TooLong,
        Interrupt,
    }

    impl From<Input<'_>> for Seen {
        fn from(found: Input<'_>) -> Seen {
            match found {
                Input::Name(name) => Seen::Name(name.to_vec()),
                Input::TooLong => Seen::TooLong,
                Input::Interrupt => Seen::Interrupt,
            }
        }
    }

    /// Reads this and the end of input.
    fn read(mut input: &[u8]) -> Vec<Seen> {
        let mut reader = NameReader::default();
        let mut seen = Vec::new();
        while !input.is_empty() {
            let (taken, found) = reader.read(input);
            seen.extend(found.map(Seen::from));
            input = &input[taken..];
        }
        seen.extend(reader.finish().map(Seen::from));
        seen
    }

    fn names(input: &[u8]) -> Vec<Vec<u8>> {
        read(input)
            .into_iter()
            .map(|seen| match seen {
                Seen::Name(name) => name,
                other => panic!("{other:?} is not a name"),
            })
            .collect()
    }

    #[test]
    fn lines_end_in_lf_or_cr_lf() {
        assert_eq!(names(b"linus\nmaddog\r\n"), [&b"linus"[..], b"maddog"]);
    }

    #[test]
    fn a_last_line_without_a_line_end_is_a_name() {
        assert_eq!(names(b"linus\nmad"), [&b"linus"[..], b"mad"]);
        assert_eq!(names(b"linus\r"), [b"linus"]);
        assert_eq!(names(b"  "), [b""]);
        assert_eq!(names(b""), [b""; 0]);
        assert_eq!(names(b"linus\n"), [b"linus"]);
    }

    #[test]
    fn blanks_around_a_name_are_removed_and_runs_inside_become_one_space() {
        assert_eq!(names(b" \t linus \t torvalds\t \r\n"), [b"linus torvalds"]);
        assert_eq!(names(b"\n"), [b""]);
    }

    #[test]
    fn a_cr_inside_a_line_is_part_of_the_name() {
        assert_eq!(names(b"a\rb\n"), [b"a\rb"]);
        assert_eq!(names(b"a\r\r\n"), [b"a\r"]);
        assert_eq!(names(b"a \r b\n"), [b"a \r b"]);
    }

    #[test]
    fn nul_and_bytes_that_are_not_utf_8_are_kept() {
        assert_eq!(names(b"\xc3(\0\x80\n"), [b"\xc3(\0\x80"]);
    }

    #[test]
    fn a_name_longer_than_the_limit_is_too_long() {
        let mut line = vec![b'x'; MAX_NAME];
        line.push(b'\n');
        assert_eq!(names(&line), [&line[..MAX_NAME]]);
        line.insert(0, b'x');
        line.extend(b"linus\n");
        assert_eq!(read(&line), [Seen::TooLong, Seen::Name(b"linus".to_vec())]);
    }

    #[test]
    fn removed_blanks_do_not_count_towards_the_limit() {
        let mut line = vec![b' '; 3 * MAX_NAME];
        line.extend(b"linus");
        line.extend(vec![b' '; 3 * MAX_NAME]);
        line.push(b'\n');
        assert_eq!(names(&line), [b"linus"]);
    }

    #[test]
    fn a_line_of_megabytes_needs_bounded_memory() {
        let mut reader = NameReader::default();
        for _ in 0..4096 {
            assert_eq!(reader.read(&[b'x'; 1024]), (1024, None));
        }
        assert!(reader.name.capacity() <= 2 * MAX_NAME);
        assert_eq!(reader.read(b"\n"), (1, Some(Input::TooLong)));
    }

    #[test]
    fn ctrl_d_interrupts_at_once_on_an_empty_line_only() {
        assert_eq!(read(b"\x04"), [Seen::Interrupt]);
        assert_eq!(
            NameReader::default().read(b"\x04\n"),
            (1, Some(Input::Interrupt))
        );
        assert_eq!(names(b"a\x04\n"), [b"a\x04"]);
    }

    #[test]
    fn an_interrupt_is_recognized_inside_a_line() {
        assert_eq!(
            NameReader::default().read(b"lin\xff\xf4"),
            (5, Some(Input::Interrupt))
        );
    }

    /// Bytes with many line ends, blanks and telnet commands.
    fn arbitrary_input() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![
            3 => any::<u8>(),
            2 => prop::sample::select(&b"\n\r \t\x04\xff\xfa\xf0\xf4\xfb"[..]),
            2 => prop::sample::select(&b"linusmaddogrichardq"[..]),
        ];
        let long = (any::<u8>(), MAX_NAME - 2..MAX_NAME + 3).prop_map(|(byte, n)| vec![byte; n]);
        let part = prop_oneof![8 => prop::collection::vec(byte, 0..60), 1 => long];
        prop::collection::vec(part, 0..6).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn names_are_normalized_and_do_not_depend_on_the_chunks_of_the_input(
            bytes in arbitrary_input(),
            chunk in 1u8..50,
        ) {
            crate::fuzzing::names(&[&[chunk], &bytes[..]].concat());
        }
    }
}
