//! What to do about an error or a problem: in words, and as commands that can be pasted into a shell.
//!
//! Names, paths and directories may be chosen by a hostile user. A command is therefore an argument
//! vector until it is printed, one function quotes it, and a command with a word that is not safe to
//! paste is not printed at all.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

/// What to do, in words and, where commands can do it, as commands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hint {
    /// What to do, without a full stop.
    pub text: String,
    commands: Vec<ShellCommand>,
}

impl Hint {
    /// A hint in words alone.
    pub fn new(text: impl Into<String>) -> Hint {
        Hint {
            text: text.into(),
            commands: Vec::new(),
        }
    }

    /// Adds a command, to be run after those that were added before.
    #[must_use]
    pub fn command(mut self, command: ShellCommand) -> Hint {
        self.commands.push(command);
        self
    }

    /// The commands as lines for a shell. It is all of them or none: `None` if one has a word that is
    /// not safe to paste, because a part of them could do harm without the rest.
    pub fn lines(&self) -> Option<Vec<String>> {
        self.commands.iter().map(ShellCommand::line).collect()
    }
}

impl From<&str> for Hint {
    fn from(text: &str) -> Hint {
        Hint::new(text)
    }
}

impl From<String> for Hint {
    fn from(text: String) -> Hint {
        Hint::new(text)
    }
}

/// The hint's lines, `hint: TEXT` first; each command stands alone on a line.
impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hint: {}", crate::log::Plain(&self.text))?;
        match self.lines() {
            None => f.write_str(
                "\n    (no command is printed: a name in it has characters that are not safe to paste)",
            ),
            Some(lines) => lines.iter().try_for_each(|line| write!(f, "\n    {line}")),
        }
    }
}

/// One command as an argument vector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShellCommand {
    words: Vec<Word>,
    /// The file that its output is appended to.
    append_to: Option<PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Word {
    /// Written in this program.
    Literal(&'static str),
    /// From elsewhere: a file, a unit, the command line.
    Foreign(OsString),
}

impl ShellCommand {
    /// A program and its first words, as they are written here.
    pub fn new(words: &[&'static str]) -> ShellCommand {
        ShellCommand {
            words: words.iter().map(|word| Word::Literal(word)).collect(),
            append_to: None,
        }
    }

    /// Adds words as they are written here.
    #[must_use]
    pub fn literals(mut self, words: &[&'static str]) -> ShellCommand {
        self.words
            .extend(words.iter().map(|word| Word::Literal(word)));
        self
    }

    /// Adds an operand. If it begins with a `-`, a `--` goes before it, so that no program takes it
    /// for an option.
    #[must_use]
    pub fn arg(mut self, word: impl AsRef<OsStr>) -> ShellCommand {
        let word = word.as_ref();
        let ended = self.words.contains(&Word::Literal("--"));
        if word.as_encoded_bytes().starts_with(b"-") && !ended {
            self.words.push(Word::Literal("--"));
        }
        self.words.push(Word::Foreign(word.into()));
        self
    }

    /// Adds an option with its value, as `--name=value`.
    #[must_use]
    pub fn option(mut self, name: &'static str, value: impl AsRef<OsStr>) -> ShellCommand {
        let mut word = OsString::from(name);
        word.push("=");
        word.push(value);
        self.words.push(Word::Foreign(word));
        self
    }

    /// Adds words as the user typed them, options among them.
    #[must_use]
    pub fn typed(mut self, words: &[OsString]) -> ShellCommand {
        self.words.extend(words.iter().cloned().map(Word::Foreign));
        self
    }

    /// Appends lines to a file. The text is never printf's format, and printf takes no options after
    /// the format.
    pub fn append<'l>(lines: impl IntoIterator<Item = &'l str>, path: &Path) -> ShellCommand {
        let mut command = ShellCommand::new(&["printf", "%s\\n"]);
        let lines = lines.into_iter().map(|line| Word::Foreign(line.into()));
        command.words.extend(lines);
        command.append_to = Some(path.into());
        command
    }

    /// The command as one line for a POSIX shell; `None` if it has a word that is not safe to paste.
    pub fn line(&self) -> Option<String> {
        let words: Option<Vec<String>> = self
            .words
            .iter()
            .map(|word| match word {
                Word::Literal(word) => Some(quoted(word)),
                Word::Foreign(word) => quote(word),
            })
            .collect();
        let line = words?.join(" ");
        match &self.append_to {
            None => Some(line),
            Some(path) => Some(format!("{line} >>{}", quote(path.as_os_str())?)),
        }
    }
}

/// A word as a shell reads it back; `None` if it is not safe to paste: bytes that are not UTF-8,
/// characters that a terminal acts on or does not show, and backslashes, which some shells interpret
/// between quotes too.
fn quote(word: &OsStr) -> Option<String> {
    let text = word.to_str()?;
    let hidden = |c: char| match c {
        '"' | '\'' => false,
        // Backslashes and all that is not printable.
        c => c.escape_debug().len() > 1,
    };
    (!text.contains(hidden)).then(|| quoted(text))
}

fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:,@%".contains(c);
    // zsh expands a word that begins with =.
    match !text.is_empty() && text.chars().all(plain) && !text.starts_with('=') {
        true => text.into(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    use std::process::{Command, Stdio};

    /// The arguments that a program gets when a line is pasted into a shell.
    fn run(line: &str) -> Vec<Vec<u8>> {
        let output = Command::new("sh")
            .args(["-c", line])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.success(), "{line}");
        let mut words: Vec<_> = output
            .stdout
            .split(|&b| b == 0)
            .map(<[u8]>::to_vec)
            .collect();
        words.pop();
        words
    }

    /// Prints its operands, each with a NUL behind it.
    fn show(word: &OsStr) -> ShellCommand {
        ShellCommand::new(&["printf", "--", "%s\\0"]).arg(word)
    }

    #[test]
    fn words_stay_readable_where_they_can() {
        let command = ShellCommand::new(&["chmod"])
            .arg("o+x")
            .arg("/home/it's you/a b");
        assert_eq!(
            command.line().unwrap(),
            r"chmod o+x '/home/it'\''s you/a b'"
        );
        let command = ShellCommand::new(&["systemctl", "stop"]).arg("-.socket");
        assert_eq!(command.line().unwrap(), "systemctl stop -- -.socket");
        let command = ShellCommand::append(["[Socket]"], Path::new("/etc/a b"));
        assert_eq!(
            command.line().unwrap(),
            r"printf '%s\n' '[Socket]' >>'/etc/a b'"
        );
        let command = ShellCommand::new(&["sockunit", "list"]).option("--root", "-x $y");
        assert_eq!(command.line().unwrap(), "sockunit list '--root=-x $y'");
    }

    #[test]
    fn a_word_that_is_not_safe_to_paste_withholds_every_command_of_the_hint() {
        for word in [
            "a\nb",
            "a\rb",
            "\x1b[2J",
            "a\\b",
            "a\u{9b}b",
            "a\u{202e}b",
            "a\u{200b}b",
            "a\0b",
            "\u{2028}",
        ] {
            let command = ShellCommand::new(&["rm"]).arg(word);
            assert_eq!(command.line(), None, "{word:?}");
            let hint = Hint::new("do it")
                .command(ShellCommand::new(&["mkdir"]).arg("/x"))
                .command(command);
            assert_eq!(hint.lines(), None);
            assert_eq!(
                hint.to_string(),
                "hint: do it\n    (no command is printed: a name in it has characters that are not safe to paste)"
            );
        }
        assert_eq!(show(OsStr::from_bytes(b"\xff")).line(), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_shell_passes_every_printed_word_on_unchanged(
            words in prop::collection::vec(
                prop_oneof![
                    "[ -~é]{0,12}",
                    "[-$`\"'!*?~#&|;<>(){}\\[\\]=% ^\t\n\\\\a]{0,10}",
                    prop::collection::vec(any::<u8>(), 0..8).prop_map(|bytes| {
                        String::from_utf8_lossy(&bytes).into_owned()
                    }),
                ],
                1..4,
            ),
            bytes in prop::collection::vec(1u8.., 0..6),
        ) {
            let mut words: Vec<OsString> = words.into_iter().map(OsString::from).collect();
            words.push(OsString::from_vec(bytes));
            let command = words[1..].iter().fold(show(&words[0]), ShellCommand::arg);
            if let Some(line) = command.line() {
                prop_assert_eq!(line.lines().count(), 1);
                let expected: Vec<Vec<u8>> = words.iter().map(|w| w.as_bytes().to_vec()).collect();
                prop_assert_eq!(run(&line), expected);
            }
        }

        #[test]
        fn text_that_is_appended_to_a_file_is_never_a_format(text in "[ -~&&[^\\\\]]{0,20}") {
            let file = std::env::temp_dir().join(format!("sockunit-{}-'a b'$x", std::process::id()));
            let _ = std::fs::remove_file(&file);
            let command = ShellCommand::append([text.as_str()], &file);
            run(&command.line().unwrap());
            prop_assert_eq!(std::fs::read_to_string(&file).unwrap(), format!("{text}\n"));
            std::fs::remove_file(&file).unwrap();
        }
    }
}
