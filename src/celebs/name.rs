//! Reads names, one a line, in bounded memory.

use super::telnet::{Filter, Received};

/// The longest name, in bytes, once the blanks around it are dropped.
pub const LIMIT: usize = 1024;

const CTRL_D: u8 = 4;

/// What the reader found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found<'a> {
    /// A line ended, and this is the name on it.
    Name(&'a [u8]),
    /// A line ended, and the name on it was longer than [`LIMIT`].
    TooLong,
    /// The user wants to leave: telnet's interrupt, or Ctrl-D on a line that is still empty.
    ///
    /// Ctrl-D counts at once, without a line end: telnet sends none after it.
    Interrupt,
}

/// Turns received bytes into names: telnet's commands are taken out, lines end in LF or CR LF, the
/// blanks (space and tab) around a name are dropped and runs of blanks inside it become one space.
///
/// It keeps at most [`LIMIT`] bytes, however long a line is.
#[derive(Debug, Clone, Default)]
pub struct Reader {
    telnet: Filter,
    name: Vec<u8>,
    /// A blank that counts only when more of the name follows it.
    blank: bool,
    /// A CR that is part of the name unless LF, or the end of input, follows it.
    carriage_return: bool,
    too_long: bool,
    /// Something of the current line was received, if only a blank.
    line_begun: bool,
    /// The last name was handed out; the next byte begins a new line.
    line_ended: bool,
}

impl Reader {
    /// Reads up to the first find and says how many bytes that took; all of them if there is none.
    pub fn read(&mut self, input: &[u8]) -> (usize, Option<Found<'_>>) {
        self.forget_ended_line();
        for (at, &byte) in input.iter().enumerate() {
            match self.telnet.take(byte) {
                Received::Command => {}
                Received::Interrupt => return (at + 1, Some(Found::Interrupt)),
                Received::Text(b'\n') => return (at + 1, Some(self.end_line())),
                Received::Text(CTRL_D) if self.is_empty() => {
                    return (at + 1, Some(Found::Interrupt));
                }
                Received::Text(byte) => self.push(byte),
            }
        }
        (input.len(), None)
    }

    /// At the end of input: a line without a line end holds a name too.
    pub fn finish(&mut self) -> Option<Found<'_>> {
        self.forget_ended_line();
        self.line_begun.then(|| self.end_line())
    }

    fn is_empty(&self) -> bool {
        self.name.is_empty() && !self.carriage_return && !self.too_long
    }

    fn push(&mut self, byte: u8) {
        self.line_begun = true;
        // A CR before anything but LF was a byte of the name after all.
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
        if self.name.len() + usize::from(blank) >= LIMIT {
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

    fn end_line(&mut self) -> Found<'_> {
        self.line_ended = true;
        if self.too_long {
            Found::TooLong
        } else {
            Found::Name(&self.name)
        }
    }

    fn forget_ended_line(&mut self) {
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

    impl From<Found<'_>> for Seen {
        fn from(found: Found<'_>) -> Seen {
            match found {
                Found::Name(name) => Seen::Name(name.to_vec()),
                Found::TooLong => Seen::TooLong,
                Found::Interrupt => Seen::Interrupt,
            }
        }
    }

    /// Everything found in these pieces, the end of input included.
    fn read_all<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Seen> {
        let mut reader = Reader::default();
        let mut seen = Vec::new();
        for mut piece in pieces {
            while !piece.is_empty() {
                let (taken, found) = reader.read(piece);
                seen.extend(found.map(Seen::from));
                piece = &piece[taken..];
            }
        }
        seen.extend(reader.finish().map(Seen::from));
        seen
    }

    fn read(input: &[u8]) -> Vec<Seen> {
        read_all([input])
    }

    fn names(input: &[u8]) -> Vec<Vec<u8>> {
        read(input)
            .into_iter()
            .map(|seen| match seen {
                Seen::Name(name) => name,
                other => panic!("{other:?} where a name was expected"),
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
    fn blanks_around_are_dropped_and_runs_inside_become_one_space() {
        assert_eq!(names(b" \t linus \t torvalds\t \r\n"), [b"linus torvalds"]);
        assert_eq!(names(b"\n"), [b""]);
    }

    #[test]
    fn a_cr_within_a_line_is_a_byte_like_any_other() {
        assert_eq!(names(b"a\rb\n"), [b"a\rb"]);
        assert_eq!(names(b"a\r\r\n"), [b"a\r"]);
        assert_eq!(names(b"a \r b\n"), [b"a \r b"]);
    }

    #[test]
    fn bytes_that_are_not_utf_8_and_nul_are_kept() {
        assert_eq!(names(b"\xc3(\0\x80\n"), [b"\xc3(\0\x80"]);
    }

    #[test]
    fn a_name_of_the_limit_is_a_name_and_one_byte_more_is_too_long() {
        let mut line = vec![b'x'; LIMIT];
        line.push(b'\n');
        assert_eq!(names(&line), [&line[..LIMIT]]);
        line.insert(0, b'x');
        line.extend(b"linus\n");
        assert_eq!(read(&line), [Seen::TooLong, Seen::Name(b"linus".to_vec())]);
    }

    #[test]
    fn blanks_do_not_count_towards_the_limit_where_they_are_dropped() {
        let mut line = vec![b' '; 3 * LIMIT];
        line.extend(b"linus");
        line.extend(vec![b' '; 3 * LIMIT]);
        line.push(b'\n');
        assert_eq!(names(&line), [b"linus"]);
    }

    #[test]
    fn a_line_of_megabytes_takes_no_more_memory_than_the_limit() {
        let mut reader = Reader::default();
        for _ in 0..4096 {
            assert_eq!(reader.read(&[b'x'; 1024]), (1024, None));
        }
        assert!(reader.name.capacity() <= 2 * LIMIT);
        assert_eq!(reader.read(b"\n"), (1, Some(Found::TooLong)));
    }

    #[test]
    fn ctrl_d_on_an_empty_line_interrupts_at_once_and_elsewhere_is_a_byte() {
        assert_eq!(read(b"\x04"), [Seen::Interrupt]);
        assert_eq!(
            Reader::default().read(b"\x04\n"),
            (1, Some(Found::Interrupt))
        );
        assert_eq!(names(b"a\x04\n"), [b"a\x04"]);
    }

    #[test]
    fn an_interrupt_is_found_in_the_middle_of_a_line() {
        assert_eq!(
            Reader::default().read(b"lin\xff\xf4"),
            (5, Some(Found::Interrupt))
        );
    }

    /// Bytes in which line ends, blanks and telnet's commands are frequent.
    fn wild_bytes() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![
            3 => any::<u8>(),
            2 => prop::sample::select(&b"\n\r \t\x04\xff\xfa\xf0\xf4\xfb"[..]),
            2 => prop::sample::select(&b"linusmaddogrichardq"[..]),
        ];
        let long = (any::<u8>(), LIMIT - 2..LIMIT + 3).prop_map(|(byte, n)| vec![byte; n]);
        let part = prop_oneof![8 => prop::collection::vec(byte, 0..60), 1 => long];
        prop::collection::vec(part, 0..6).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn any_chunking_of_any_bytes_gives_the_same_names(
            bytes in wild_bytes(),
            chunk in 1usize..50,
        ) {
            let whole = read(&bytes);
            prop_assert_eq!(&whole, &read_all(bytes.chunks(chunk)));
            prop_assert_eq!(&whole, &read_all(bytes.chunks(1)));
        }

        #[test]
        fn no_name_is_longer_than_the_limit_or_has_blanks_to_drop(bytes in wild_bytes()) {
            for seen in read(&bytes) {
                if let Seen::Name(name) = seen {
                    prop_assert!(name.len() <= LIMIT);
                    prop_assert!(!name.starts_with(b" ") && !name.ends_with(b" "));
                    prop_assert!(!name.windows(2).any(|pair| pair == b"  "));
                    prop_assert!(!name.contains(&b'\t') && !name.contains(&b'\n'));
                }
            }
        }
    }
}
