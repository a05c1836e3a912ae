//! Finds a line in a stream, wherever it is cut.

/// Looks for a line that is one word, in bounded memory.
#[derive(Debug, Clone)]
pub struct Watch {
    word: Vec<u8>,
    line: Line,
}

/// How the current line compares with the word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    /// So many bytes are the word's first.
    Matches(usize),
    /// The word and a CR.
    MatchesWithReturn,
    Differs,
}

impl Watch {
    /// Looks for lines that are this word, whether they end in LF or CR LF.
    pub fn new(word: &[u8]) -> Watch {
        Watch {
            word: word.to_vec(),
            line: Line::Matches(0),
        }
    }

    /// Where the line ends in these bytes, the line end included, if it ends here.
    pub fn find(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while at < bytes.len() {
            if self.line == Line::Differs {
                // Nothing matters until the next line.
                at += bytes[at..].iter().position(|&byte| byte == b'\n')?;
            }
            let byte = bytes[at];
            at += 1;
            self.line = match (self.line, byte) {
                (_, b'\n') => {
                    let found = self.at_word();
                    self.line = Line::Matches(0);
                    if found {
                        return Some(at);
                    }
                    continue;
                }
                (Line::Matches(n), _) if self.word.get(n) == Some(&byte) => Line::Matches(n + 1),
                (Line::Matches(n), b'\r') if n == self.word.len() => Line::MatchesWithReturn,
                _ => Line::Differs,
            };
        }
        None
    }

    /// Whether what came since the last line end is the word: at the end of the stream that is a
    /// line too.
    pub fn at_word(&self) -> bool {
        self.line == Line::Matches(self.word.len()) || self.line == Line::MatchesWithReturn
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn find(bytes: &[u8]) -> Option<usize> {
        Watch::new(b"Finished").find(bytes)
    }

    #[test]
    fn a_line_is_found_with_either_line_end_and_only_whole() {
        assert_eq!(find(b"Finished\n"), Some(9));
        assert_eq!(find(b"a\n\nFinished\r\nmore"), Some(13));
        for text in [
            &b"Finished"[..],
            b"Finished \n",
            b" Finished\n",
            b"unFinished\n",
            b"Finishe\n",
        ] {
            assert_eq!(find(text), None);
        }
        assert_eq!(find(b"Finished\r\r\n"), None);
        assert_eq!(
            Watch::new(b"").find(b"a\n\nb"),
            Some(3),
            "the empty line is a line"
        );
        assert_eq!(Watch::new(b"a\r").find(b"a\r\r\n"), Some(4));
    }

    #[test]
    fn at_the_end_of_the_stream_the_line_end_may_be_missing() {
        let mut watch = Watch::new(b"Finished");
        assert_eq!(watch.find(b"x\nFini"), None);
        assert!(!watch.at_word());
        assert_eq!(watch.find(b"shed"), None);
        assert!(watch.at_word());
    }

    proptest! {
        #[test]
        fn it_is_found_at_the_same_place_however_the_stream_is_cut(
            text in "((Fini|Finished|shed|x)(\r\n|\n|\r|)){0,12}",
            chunk in 1usize..12,
        ) {
            let bytes = text.as_bytes();
            let mut watch = Watch::new(b"Finished");
            let mut before = 0;
            let mut found = None;
            for piece in bytes.chunks(chunk) {
                if let Some(at) = watch.find(piece) {
                    found = Some(before + at);
                    break;
                }
                before += piece.len();
            }
            let mut end = 0;
            let expected = text.split_inclusive('\n').find_map(|line| {
                end += line.len();
                let line = line.strip_suffix('\n')?;
                let line = line.strip_suffix('\r').unwrap_or(line);
                (line == "Finished").then_some(end)
            });
            prop_assert_eq!(found, expected);
        }
    }
}
