//! Parses `ExecStart=` lines.

use std::fmt;

/// One command of an `ExecStart=`, `ExecStartPre=` and so on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct CommandLine {
    /// The characters before the program: `-` ignores failure, `@` makes the next word `argv[0]`,
    /// `:` disables variables, `+` and `!` change privileges.
    pub(crate) prefix: String,
    /// An absolute path, or a name that systemd looks up.
    pub(crate) program: String,
    /// The words after the program, unquoted; specifiers (`%i`) and variables are not expanded.
    pub(crate) words: Vec<String>,
}

/// Why systemd ignores a command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CommandLineError {
    /// A quote is not closed, or a backslash is the last character.
    Unterminated,
    /// The line names no program.
    NoProgram,
}

impl fmt::Display for CommandLineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CommandLineError::Unterminated => {
                "a quote or backslash is not terminated; systemd ignores the line"
            }
            CommandLineError::NoProgram => "names no program; systemd ignores the line",
        })
    }
}

impl std::error::Error for CommandLineError {}

impl CommandLine {
    /// The arguments that systemd passes to the program, `argv[0]` first. `%%` becomes `%` and `$$`
    /// becomes `$`; other specifiers and variables, whose values only systemd knows, stay.
    pub(crate) fn argv(&self) -> Vec<String> {
        let argv0 = (!self.prefix.contains('@')).then_some(&self.program);
        let no_variables = self.prefix.contains(':');
        argv0
            .into_iter()
            .chain(&self.words)
            .map(|word| {
                let word = word.replace("%%", "%");
                if no_variables {
                    word
                } else {
                    word.replace("$$", "$")
                }
            })
            .collect()
    }
}

/// Parses a line, which may have several commands with a `;` as a word of its own between them.
///
/// # Errors
///
/// systemd ignores the line.
pub(crate) fn command_lines(line: &str) -> Result<Vec<CommandLine>, CommandLineError> {
    let mut commands = Vec::new();
    let mut words = WordReader { rest: line };
    while let Some(first) = words.next()? {
        let program = first.trim_start_matches(['-', '@', ':', '+', '!']);
        let prefix = &first[..first.len() - program.len()];
        if program.is_empty() {
            return Err(CommandLineError::NoProgram);
        }
        let mut command = CommandLine {
            prefix: prefix.to_string(),
            program: program.replace("%%", "%"),
            words: Vec::new(),
        };
        loop {
            if words.skip(";") {
                break;
            }
            if words.skip("\\;") {
                command.words.push(";".into());
                continue;
            }
            match words.next()? {
                Some(word) => command.words.push(word),
                None => break,
            }
        }
        if command.prefix.contains('@') && command.words.is_empty() {
            return Err(CommandLineError::NoProgram);
        }
        commands.push(command);
    }
    if commands.is_empty() {
        return Err(CommandLineError::NoProgram);
    }
    Ok(commands)
}

/// Splits a line into words and unquotes them as systemd does.
///
/// # Errors
///
/// [`CommandLineError::Unterminated`].
pub(crate) fn split(line: &str) -> Result<Vec<String>, CommandLineError> {
    let mut words = WordReader { rest: line };
    let mut all = Vec::new();
    while let Some(word) = words.next()? {
        all.push(word);
    }
    Ok(all)
}

const BLANK: [char; 4] = [' ', '\t', '\n', '\r'];

/// Reads the words of a line one by one.
struct WordReader<'a> {
    rest: &'a str,
}

impl WordReader<'_> {
    /// Skips the next word if it is `word` and has no quotes.
    fn skip(&mut self, word: &str) -> bool {
        self.rest = self.rest.trim_start_matches(BLANK);
        match self.rest.strip_prefix(word) {
            Some(rest) if rest.is_empty() || rest.starts_with(BLANK) => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    fn next(&mut self) -> Result<Option<String>, CommandLineError> {
        self.rest = self.rest.trim_start_matches(BLANK);
        if self.rest.is_empty() {
            return Ok(None);
        }
        let mut word = Vec::new();
        let mut quote = None;
        let mut chars = self.rest.chars();
        loop {
            let Some(c) = chars.next() else {
                if quote.is_some() {
                    return Err(CommandLineError::Unterminated);
                }
                break;
            };
            match (c, quote) {
                ('\\', _) => {
                    let (bytes, rest) =
                        unescape(chars.as_str()).ok_or(CommandLineError::Unterminated)?;
                    word.extend(bytes);
                    chars = rest.chars();
                }
                (c, Some(open)) if c == open => quote = None,
                ('"' | '\'', None) => quote = Some(c),
                (c, None) if BLANK.contains(&c) => break,
                (c, _) => word.extend(c.encode_utf8(&mut [0; 4]).bytes()),
            }
        }
        self.rest = chars.as_str();
        // An escape such as \xff may make the word invalid UTF-8.
        Ok(Some(String::from_utf8_lossy(&word).into_owned()))
    }
}

/// Decodes the escape sequence at the start of `text`, which follows a backslash. Returns its bytes
/// and the rest of `text`. Unknown sequences are kept with their backslash. `None` if `text` is
/// empty.
fn unescape(text: &str) -> Option<(Vec<u8>, &str)> {
    let c = text.chars().next()?;
    let rest = &text[c.len_utf8()..];
    let simple = match c {
        'a' => Some(7),
        'b' => Some(8),
        'f' => Some(12),
        'n' => Some(b'\n'),
        'r' => Some(b'\r'),
        't' => Some(b'\t'),
        'v' => Some(11),
        's' => Some(b' '),
        '\\' | '"' | '\'' => Some(c as u8),
        _ => None,
    };
    if let Some(byte) = simple {
        return Some((vec![byte], rest));
    }
    let (digits, radix, from) = match c {
        'x' => (2, 16, rest),
        'u' => (4, 16, rest),
        'U' => (8, 16, rest),
        '0'..='7' => (3, 8, text),
        _ => (0, 10, rest),
    };
    let number = from
        .get(..digits)
        .filter(|number| !number.is_empty() && number.chars().all(|digit| digit.is_digit(radix)));
    let code = number.and_then(|number| u32::from_str_radix(number, radix).ok());
    let bytes = match code {
        Some(0) | None => None,
        Some(code) if digits < 4 => u8::try_from(code).ok().map(|byte| vec![byte]),
        Some(code) => char::from_u32(code).map(|c| c.to_string().into_bytes()),
    };
    match bytes {
        Some(bytes) => Some((bytes, &from[digits..])),
        None => Some((format!("\\{c}").into_bytes(), rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_are_split_and_unquoted_like_systemd_does_it() {
        for (line, words) in [
            ("a  b\tc", &["a", "b", "c"][..]),
            (r#"a "b c" 'd "e'"#, &["a", "b c", r#"d "e"#]),
            (r#"a="b c"d ''"#, &["a=b cd", ""]),
            (r"a\ b \x41\102\u00e9\s\n", &[r"a\ b", "ABé \n"]),
            (r"\q '\'' \\ \0", &[r"\q", "'", "\\", r"\0"]),
        ] {
            // A backslash before a blank is not an escape sequence in systemd: both are kept.
            assert_eq!(split(line).unwrap(), words, "{line}");
        }
        for line in ["'a", "a \"b", "a\\"] {
            assert_eq!(split(line), Err(CommandLineError::Unterminated), "{line}");
        }
    }

    #[test]
    fn a_command_has_a_prefix_a_program_and_arguments() {
        let line = r#"-@/bin/a%%b called "x y" %% $$ %i ${HOME} ';' \; ; :+/bin/c $$"#;
        let commands = command_lines(line).unwrap();
        assert_eq!(commands.len(), 2);
        assert_eq!(commands[0].prefix, "-@");
        assert_eq!(commands[0].program, "/bin/a%b");
        assert_eq!(
            commands[0].argv(),
            ["called", "x y", "%", "$", "%i", "${HOME}", ";", ";"]
        );
        assert_eq!(commands[1].program, "/bin/c");
        assert_eq!(commands[1].argv(), ["/bin/c", "$$"]);
        for line in ["", "-", "@/bin/a", "; /bin/a; -"] {
            assert!(
                command_lines(line).is_err() || line.starts_with(';'),
                "{line}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_line_can_be_split(line in "([\"'\\\\; xuU0-9a$%-]|é){0,40}") {
            let _ = command_lines(&line);
        }

        #[test]
        fn quoted_words_are_read_unchanged(words in prop::collection::vec("[^\0]{0,12}", 1..5)) {
            let quoted: Vec<_> = words
                .iter()
                .map(|word| format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\"")))
                .collect();
            prop_assert_eq!(split(&quoted.join(" ")).unwrap(), words);
        }
    }
}
