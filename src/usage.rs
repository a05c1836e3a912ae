//! Hints for usage errors of `sockunit add` and `sockunit serve` that the parser's message does not explain.

use std::ffi::OsString;

use clap::error::ErrorKind;

use crate::hint::{Hint, ShellCommand};

/// What the user probably meant, if a small change makes a command line that can be parsed. The first
/// argument is the program's name.
pub(crate) fn hint(
    command: &clap::Command,
    arguments: &[OsString],
    error: &clap::Error,
) -> Option<Hint> {
    let parses = |words: &[OsString]| command.clone().try_get_matches_from(words).is_ok();
    let is_word = |word: &OsString| !word.as_encoded_bytes().starts_with(b"-");
    let adds = arguments.get(1).is_some_and(|word| word == "add");
    let mut pairs = arguments.windows(2);
    let user = pairs.position(|pair| adds && pair[0] == "--user" && is_word(&pair[1]));
    if let Some(at) = user {
        let without = [&arguments[..=at], &arguments[at + 2..]].concat();
        if parses(&without) {
            return Some(Hint::new(
                "--user takes no value; --user-name USER runs the program as USER",
            ));
        }
    }
    if error.kind() != ErrorKind::UnknownArgument || arguments.iter().any(|word| word == "--") {
        return None;
    }
    let with_dashes = |at: usize| [&arguments[..at], &["--".into()], &arguments[at..]].concat();
    let starts = (1..arguments.len()).filter(|at| is_word(&arguments[*at]));
    let words = starts.map(with_dashes).find(|words| parses(words))?;
    let hint = Hint::new("put -- before the program");
    let meant = ShellCommand::new(&["sockunit"]).typed(&words[1..]);
    Some(match meant.line() {
        Ok(_) => hint.command(meant),
        Err(_) => hint,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(line: &str) -> Option<String> {
        let words: Vec<OsString> = line.split(' ').map(Into::into).collect();
        let command = crate::tool::command();
        let error = command.clone().try_get_matches_from(&words).unwrap_err();
        hint(&command, &words, &error).map(|hint| hint.to_string())
    }

    #[test]
    fn the_dashes_before_the_program_are_put_where_the_line_can_be_parsed() {
        for (line, meant) in [
            (
                "sockunit add greeter 4000 cat",
                "sockunit add greeter 4000 -- cat",
            ),
            (
                "sockunit add --group cat greeter 4000 cat cat -n",
                "sockunit add --group cat greeter 4000 -- cat cat -n",
            ),
            (
                "sockunit serve --listen 127.0.0.1:5150 $x",
                "sockunit serve --listen 127.0.0.1:5150 -- '$x'",
            ),
        ] {
            let expected = format!("hint: put -- before the program\n    {meant}");
            assert_eq!(shown(line), Some(expected), "{line}");
        }
        assert_eq!(
            shown("sockunit add greeter 4000 a\\b").as_deref(),
            Some("hint: put -- before the program")
        );
    }

    #[test]
    fn a_user_after_the_option_user_is_one_for_another_option() {
        for line in [
            "sockunit add --user daemon greeter 5100 -- cat",
            "sockunit add greeter 5100 --user daemon -- cat",
        ] {
            assert_eq!(
                shown(line).as_deref(),
                Some("hint: --user takes no value; --user-name USER runs the program as USER"),
                "{line}"
            );
        }
    }

    #[test]
    fn another_usage_error_has_no_hint() {
        for line in [
            "sockunit add greeter 4000",
            "sockunit add --user greeter port -- cat",
            "sockunit add greeter 4000 --nonsense cat",
            "sockunit serve",
            "sockunit list hello",
        ] {
            assert_eq!(shown(line), None, "{line}");
        }
    }
}
