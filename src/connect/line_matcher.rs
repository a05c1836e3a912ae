//! Finds a line in a stream that arrives in pieces.

/// Finds lines that are equal to a word. It stores nothing of the stream but the state of one
/// comparison.
#[derive(Debug, Clone)]
pub(crate) struct LineMatcher {
    word: Vec<u8>,
    line: LineState,
}

/// How the current line compares with the word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LineState {
    /// All bytes of the line so far, this many, are the first bytes of the word.
    Matches(usize),
    /// The line so far is the word and a CR.
    MatchesWithReturn,
    Differs,
}

impl LineMatcher {
    /// A matcher for lines that are `word`, followed by LF or CR LF.
    pub(crate) fn new(word: &[u8]) -> LineMatcher {
        LineMatcher {
            word: word.to_vec(),
            line: LineState::Matches(0),
        }
    }

    /// Reads on in the stream. If a matching line ends in `bytes`, returns the offset behind its LF.
    pub(crate) fn find(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while at < bytes.len() {
            if self.line == LineState::Differs {
                // The rest of this line cannot match.
                at += bytes[at..].iter().position(|&byte| byte == b'\n')?;
            }
            let byte = bytes[at];
            at += 1;
            self.line = match (self.line, byte) {
                (_, b'\n') => {
                    let found = self.at_match();
                    self.line = LineState::Matches(0);
                    if found {
                        return Some(at);
                    }
                    continue;
                }
                (LineState::Matches(n), _) if self.word.get(n) == Some(&byte) => {
                    LineState::Matches(n + 1)
                }
                (LineState::Matches(n), b'\r') if n == self.word.len() => {
                    LineState::MatchesWithReturn
                }
                _ => LineState::Differs,
            };
        }
        None
    }

    /// Whether the bytes since the last LF are the word. At the end of the stream they are a line
    /// without its line end.
    pub(crate) fn at_match(&self) -> bool {
        self.line == LineState::Matches(self.word.len())
            || self.line == LineState::MatchesWithReturn
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn find(bytes: &[u8]) -> Option<usize> {
        LineMatcher::new(b"Finished").find(bytes)
    }

    #[test]
    fn a_whole_line_matches_with_either_line_end() {
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
            LineMatcher::new(b"").find(b"a\n\nb"),
            Some(3),
            "the empty line is a line"
        );
        assert_eq!(LineMatcher::new(b"a\r").find(b"a\r\r\n"), Some(4));
    }

    #[test]
    fn the_last_line_of_the_stream_matches_without_a_line_end() {
        let mut watch = LineMatcher::new(b"Finished");
        assert_eq!(watch.find(b"x\nFini"), None);
        assert!(!watch.at_match());
        assert_eq!(watch.find(b"shed"), None);
        assert!(watch.at_match());
    }

    proptest! {
        #[test]
        fn the_match_does_not_depend_on_how_the_stream_is_split(
            text in "((Fini|Finished|shed|x)(\r\n|\n|\r|)){0,12}",
            chunk in 1usize..12,
        ) {
            let bytes = text.as_bytes();
            let mut watch = LineMatcher::new(b"Finished");
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
