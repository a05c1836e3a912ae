//! Quoting for unit files.

use std::fmt::Write;

/// Quotes an argument of an `ExecStart=` line. systemd then passes it to the program unchanged,
/// including blanks, quotes, backslashes, `%` (specifiers) and `$` (variables).
pub(crate) fn exec_word(word: &str) -> String {
    quoted(word, true)
}

/// A value of `Environment=`, in which systemd replaces specifiers and no variables.
pub(crate) fn environment_word(word: &str) -> String {
    quoted(word, false)
}

fn quoted(word: &str, variables: bool) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:,@%$".contains(c);
    let quotes = word.is_empty() || !word.chars().all(plain);
    let mut text = String::with_capacity(word.len() + 2);
    if quotes {
        text.push('"');
    }
    for c in word.chars() {
        match c {
            '%' => text.push_str("%%"),
            '$' if variables => text.push_str("$$"),
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            // Writing to a String does not fail.
            c if c.is_ascii_control() => drop(write!(text, "\\x{:02x}", u32::from(c))),
            c => text.push(c),
        }
    }
    if quotes {
        text.push('"');
    }
    text
}

/// Whether systemd accepts this path as the program of an `ExecStart=` line, whose first word has
/// stricter rules than the others.
pub(crate) fn can_be_program(path: &str) -> bool {
    !path
        .chars()
        .any(|c| c.is_ascii_control() || "\"'\\".contains(c))
}

/// Quotes a path in a directive that takes a list of paths, such as `BindReadOnlyPaths=`. In quotes a
/// colon does not separate the source from the destination.
pub(crate) fn path_word(path: &str) -> String {
    let text = path.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", text.replace('%', "%%"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::systemd::command_lines;
    use proptest::prelude::*;

    /// The arguments that systemd reads from the quoted words.
    fn read_back(words: &[String]) -> Vec<String> {
        let words: Vec<String> = words.iter().map(|word| exec_word(word)).collect();
        let line = format!("/usr/bin/program {}", words.join(" "));
        let commands = command_lines(&line).unwrap();
        assert_eq!(commands.len(), 1, "{line:?}");
        commands[0].argv().split_off(1)
    }

    #[test]
    fn words_are_quoted_only_if_necessary() {
        assert_eq!(exec_word("--name=a,b"), "--name=a,b");
        assert_eq!(exec_word("a b"), "\"a b\"");
        assert_eq!(exec_word("100%"), "100%%");
        assert_eq!(exec_word("$HOME"), "$$HOME");
        assert_eq!(exec_word(";"), "\";\"");
        assert_eq!(exec_word("a\"b\\\n\u{1}"), "\"a\\\"b\\\\\\n\\x01\"");
        assert_eq!(exec_word(""), "\"\"");
    }

    proptest! {
        #[test]
        fn systemd_reads_every_argument_unchanged(
            words in prop::collection::vec(
                prop_oneof!["[^\0]{0,12}", "[-@:+!;%$\"'\\\\ a{}\n\t]{0,8}"],
                0..6,
            ),
        ) {
            prop_assert_eq!(read_back(&words), words);
        }
    }
}
