//! What an `ExecStart=` line means.

use std::fmt;

/// One command of an `ExecStart=` or the like.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CommandLine {
    /// The characters before the program: `-` that a failure is none, `@` that the next word is
    /// the name the program is called by, `:` that `$` means nothing, `+` and `!` privileges.
    pub prefix: String,
    /// The program, a full path or a name that systemd looks for.
    pub program: String,
    /// The words behind it, unquoted. Specifiers (`%i`) and variables stand as they are written.
    pub words: Vec<String>,
}

/// Why a line is no command. Its Display is the sentence for the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// A quote that is never closed, or a backslash with nothing behind it.
    Open,
    /// Nothing that could be started.
    NoProgram,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Malformed::Open => "a quote or backslash without its end; systemd ignores the line",
            Malformed::NoProgram => "names no program; systemd ignores the line",
        })
    }
}

impl std::error::Error for Malformed {}

impl CommandLine {
    /// What the program finds in its argument list, its own name first: `%%` is `%`, `$$` is `$`,
    /// and other specifiers and variables, whose values only systemd knows, stand as written.
    pub fn argv(&self) -> Vec<String> {
        let named = self.prefix.contains('@');
        let own = (!named).then_some(&self.program);
        let plain = self.prefix.contains(':');
        own.into_iter()
            .chain(&self.words)
            .map(|word| {
                let word = word.replace("%%", "%");
                if plain { word } else { word.replace("$$", "$") }
            })
            .collect()
    }
}

/// The commands on a line: several where a `;` stands alone between them.
///
/// # Errors
///
/// systemd would ignore the line.
pub fn command_lines(line: &str) -> Result<Vec<CommandLine>, Malformed> {
    let mut commands = Vec::new();
    let mut words = Words { rest: line };
    while let Some(first) = words.next()? {
        let program = first.trim_start_matches(['-', '@', ':', '+', '!']);
        let prefix = &first[..first.len() - program.len()];
        if program.is_empty() {
            return Err(Malformed::NoProgram);
        }
        let mut command = CommandLine {
            prefix: prefix.to_string(),
            program: program.replace("%%", "%"),
            words: Vec::new(),
        };
        loop {
            if words.take_alone(";") {
                break;
            }
            if words.take_alone("\\;") {
                command.words.push(";".into());
                continue;
            }
            match words.next()? {
                Some(word) => command.words.push(word),
                None => break,
            }
        }
        if command.prefix.contains('@') && command.words.is_empty() {
            return Err(Malformed::NoProgram);
        }
        commands.push(command);
    }
    if commands.is_empty() {
        return Err(Malformed::NoProgram);
    }
    Ok(commands)
}

/// The words of a line, as systemd splits and unquotes them.
///
/// # Errors
///
/// [`Malformed::Open`].
pub fn split(line: &str) -> Result<Vec<String>, Malformed> {
    let mut words = Words { rest: line };
    let mut all = Vec::new();
    while let Some(word) = words.next()? {
        all.push(word);
    }
    Ok(all)
}

const BLANK: [char; 4] = [' ', '\t', '\n', '\r'];

struct Words<'a> {
    rest: &'a str,
}

impl Words<'_> {
    /// Takes a word away that stands there unquoted.
    fn take_alone(&mut self, word: &str) -> bool {
        self.rest = self.rest.trim_start_matches(BLANK);
        match self.rest.strip_prefix(word) {
            Some(rest) if rest.is_empty() || rest.starts_with(BLANK) => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    fn next(&mut self) -> Result<Option<String>, Malformed> {
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
                    return Err(Malformed::Open);
                }
                break;
            };
            match (c, quote) {
                ('\\', _) => {
                    let (bytes, rest) = unescape(chars.as_str()).ok_or(Malformed::Open)?;
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
        // Only an escape such as \xff makes something else.
        Ok(Some(String::from_utf8_lossy(&word).into_owned()))
    }
}

/// The bytes that are meant by what is behind a backslash, and what follows; an escape that
/// systemd does not know stands for itself. `None` where nothing is behind it.
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
    fn words_are_split_and_unquoted_as_systemd_does() {
        for (line, words) in [
            ("a  b\tc", &["a", "b", "c"][..]),
            (r#"a "b c" 'd "e'"#, &["a", "b c", r#"d "e"#]),
            (r#"a="b c"d ''"#, &["a=b cd", ""]),
            (r"a\ b \x41\102\u00e9\s\n", &[r"a\ b", "ABé \n"]),
            (r"\q '\'' \\ \0", &[r"\q", "'", "\\", r"\0"]),
        ] {
            // A backslash before a blank is no escape of systemd's: it stands, and so does the
            // blank.
            assert_eq!(split(line).unwrap(), words, "{line}");
        }
        for line in ["'a", "a \"b", "a\\"] {
            assert_eq!(split(line), Err(Malformed::Open), "{line}");
        }
    }

    #[test]
    fn a_command_names_its_program_behind_the_prefix() {
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
        fn words_between_quotes_come_back(words in prop::collection::vec("[^\0]{0,12}", 1..5)) {
            let quoted: Vec<_> = words
                .iter()
                .map(|word| format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\"")))
                .collect();
            prop_assert_eq!(split(&quoted.join(" ")).unwrap(), words);
        }
    }
}
