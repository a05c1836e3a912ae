//! Words as the readers of command lines want them: systemd in `ExecStart=`, and a shell.

use std::fmt::Write;

/// A word that reaches the program unchanged from an `ExecStart=` line: its blanks, quotes and
/// backslashes, and what systemd would take for a specifier (`%`) or a variable (`$`).
pub fn exec_word(word: &str) -> String {
    quoted(word, true)
}

/// The same for the program, the first word of the line, in which systemd replaces no variables.
pub fn exec_program(word: &str) -> String {
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

/// Whether systemd takes this path as the program of an `ExecStart=` line: it reads the line's first
/// word by stricter rules than the others.
pub fn can_be_program(path: &str) -> bool {
    !path
        .chars()
        .any(|c| c.is_ascii_control() || "\"'\\".contains(c))
}

/// A path in an option that takes a list of paths, such as `BindReadOnlyPaths=`: between quotes a colon
/// does not part source and destination.
pub fn path_word(path: &str) -> String {
    let text = path.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", text.replace('%', "%%"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::systemd::command_lines;
    use proptest::prelude::*;

    /// What systemd makes of the words.
    fn read_back(words: &[String]) -> Vec<String> {
        let mut line = vec![exec_program(&words[0])];
        line.extend(words[1..].iter().map(|word| exec_word(word)));
        let commands = command_lines(&line.join(" ")).unwrap();
        assert_eq!(commands.len(), 1, "{line:?}");
        let mut words = commands[0].argv();
        // Its own name in there had its variables replaced once more.
        words[0] = commands[0].program.clone();
        words
    }

    #[test]
    fn words_stay_readable_where_they_can() {
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
        fn the_program_and_every_argument_reach_systemd_unchanged(
            program in "[ -~&&[^'\"\\\\]]{0,8}",
            words in prop::collection::vec(
                prop_oneof!["[^\0]{0,12}", "[-@:+!;%$\"'\\\\ a{}\n\t]{0,8}"],
                0..6,
            ),
        ) {
            let mut words = words;
            words.insert(0, format!("/usr/bin/{program}"));
            prop_assert_eq!(read_back(&words), words);
        }
    }
}
