//! Escaping of what a client sent, so that it is safe to log.

use std::fmt::Write;

/// How much of what a client sent goes into a log entry, in received bytes.
pub(super) const LIMIT: usize = 128;

/// Returns what a client sent as one line of printable text in quotation marks. Control
/// characters, characters that change the direction of text, quotation marks and backslashes are
/// escaped as in Rust's literals; bytes that are not UTF-8 become `\xNN`. Input longer than
/// [`LIMIT`] bytes is cut, and its length is appended.
pub(crate) fn escape(bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(LIMIT)];
    let mut text = String::with_capacity(shown.len() + 2);
    text.push('"');
    for chunk in shown.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\'' => text.push(character),
                _ => text.extend(character.escape_debug()),
            }
        }
        for byte in chunk.invalid() {
            // Writing to a String never fails.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text.push('"');
    if shown.len() < bytes.len() {
        let _ = write!(text, "... ({} bytes)", bytes.len());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn plain_text_is_unchanged() {
        assert_eq!(
            escape("linus o'toole é 漢".as_bytes()),
            "\"linus o'toole é 漢\""
        );
        assert_eq!(escape(b""), "\"\"");
    }

    #[test]
    fn control_characters_and_quotation_marks_are_escaped() {
        assert_eq!(
            escape(b"a\nb\r\x1b[31m\0\x7f"),
            r#""a\nb\r\u{1b}[31m\0\u{7f}""#
        );
        assert_eq!(escape(b"\", answered \"hall"), r#""\", answered \"hall""#);
        assert_eq!(
            escape("\u{202e}\u{9b}\u{2028}".as_bytes()),
            r#""\u{202e}\u{9b}\u{2028}""#
        );
        assert_eq!(escape(b"\xff\xc3("), r#""\xff\xc3(""#);
    }

    #[test]
    fn long_input_is_cut_and_its_length_appended() {
        let text = escape(&[b'x'; 1024]);
        assert_eq!(text, format!("\"{}\"... (1024 bytes)", "x".repeat(LIMIT)));
        // A character that is cut in two is shown as bytes.
        let mut bytes = vec![b'x'; LIMIT - 1];
        bytes.extend("é".as_bytes());
        assert!(escape(&bytes).ends_with("x\\xc3\"... (129 bytes)"));
    }

    proptest! {
        #[test]
        fn any_bytes_become_one_bounded_printable_line(bytes: Vec<u8>) {
            let text = escape(&bytes);
            prop_assert!(!text.chars().any(char::is_control));
            prop_assert!(text.len() <= 10 * LIMIT + 40);
        }
    }
}
