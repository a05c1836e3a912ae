//! What to do about an error or a problem: in words, and as commands that can be pasted into a shell.
//!
//! Names, paths and directories may be chosen by a hostile user. A command is therefore an argument
//! vector until it is printed, one function quotes it, and a command with a word that is not safe to
//! paste is not printed at all. The same holds for a command with a path that another user can change
//! before it is pasted: a path becomes a word only as an [`OwnPath`].

use std::ffi::{OsStr, OsString};
use std::fmt;

use crate::root::OwnPath;

/// What to do, in words and, where commands can do it, as commands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Hint {
    /// What to do, without a full stop.
    pub text: String,
    commands: Vec<ShellCommand>,
}

impl Hint {
    /// A hint in words alone.
    pub(crate) fn new(text: impl Into<String>) -> Hint {
        Hint {
            text: text.into(),
            commands: Vec::new(),
        }
    }

    /// Adds a command, to be run after those that were added before.
    #[must_use]
    pub(crate) fn command(mut self, command: ShellCommand) -> Hint {
        self.commands.push(command);
        self
    }

    /// The hint as part of a log entry, which is one line.
    pub(crate) fn in_one_line(&self) -> String {
        let commands = self.lines().unwrap_or_default();
        match commands.is_empty() {
            true => self.text.clone(),
            false => format!("{}: {}", self.text, commands.join("; ")),
        }
    }

    /// The commands as lines for a shell. It is all of them or none, because a part of them could do harm
    /// without the rest.
    ///
    /// # Errors
    ///
    /// One has a word that is not safe to paste.
    pub(crate) fn lines(&self) -> Result<Vec<String>, Unsafe> {
        self.commands.iter().map(ShellCommand::line).collect()
    }
}

/// Why a command is not printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unsafe {
    /// A word has characters that a shell or terminal acts on.
    Characters,
    /// Another user can change a path that it names.
    OpenPath,
}

impl fmt::Display for Unsafe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unsafe::Characters => "a name in it has characters that are not safe to paste",
            Unsafe::OpenPath => "others can change the path",
        })
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
            Err(why) => write!(f, "\n    (no command is printed: {why})"),
            Ok(lines) => lines.iter().try_for_each(|line| write!(f, "\n    {line}")),
        }
    }
}

/// One command as an argument vector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ShellCommand {
    words: Vec<Word>,
    /// The file that its output is appended to.
    append_to: Option<Word>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Word {
    /// Written in this program.
    Literal(&'static str),
    /// From elsewhere: a file, a unit, the command line.
    Foreign(OsString),
    /// A path that others can change.
    Open,
}

impl ShellCommand {
    /// A program and its first words, as they are written here.
    pub(crate) fn new(words: &[&'static str]) -> ShellCommand {
        ShellCommand {
            words: words.iter().map(|word| Word::Literal(word)).collect(),
            append_to: None,
        }
    }

    /// Adds words as they are written here.
    #[must_use]
    pub(crate) fn literals(mut self, words: &[&'static str]) -> ShellCommand {
        self.words
            .extend(words.iter().map(|word| Word::Literal(word)));
        self
    }

    /// Adds an operand. If it begins with a `-`, a `--` goes before it, so that no program takes it
    /// for an option.
    #[must_use]
    pub(crate) fn arg(self, word: impl AsRef<str>) -> ShellCommand {
        self.operand(word.as_ref().as_ref())
    }

    /// Adds a path as an operand. Without one, others can change it.
    #[must_use]
    pub(crate) fn path(mut self, path: Option<OwnPath>) -> ShellCommand {
        match path {
            Some(path) => self.operand(path.as_os_str()),
            None => {
                self.words.push(Word::Open);
                self
            }
        }
    }

    fn operand(mut self, word: &OsStr) -> ShellCommand {
        let ended = self.words.contains(&Word::Literal("--"));
        if word.as_encoded_bytes().starts_with(b"-") && !ended {
            self.words.push(Word::Literal("--"));
        }
        self.words.push(Word::Foreign(word.into()));
        self
    }

    /// Adds an option with a path as its value, as `--name=value`. Without one, others can change it.
    #[must_use]
    pub(crate) fn path_option(mut self, name: &'static str, path: Option<OwnPath>) -> ShellCommand {
        self.words.push(match path {
            Some(path) => {
                let mut word = OsString::from(name);
                word.push("=");
                word.push(path.as_os_str());
                Word::Foreign(word)
            }
            None => Word::Open,
        });
        self
    }

    /// Adds words as the user typed them, options among them.
    #[must_use]
    pub(crate) fn typed(mut self, words: &[OsString]) -> ShellCommand {
        self.words.extend(words.iter().cloned().map(Word::Foreign));
        self
    }

    /// Appends lines to a file. The text is never printf's format, and printf takes no options after
    /// the format. Without a path, others can change it.
    pub(crate) fn append<'l>(
        lines: impl IntoIterator<Item = &'l str>,
        path: Option<OwnPath>,
    ) -> ShellCommand {
        let mut command = ShellCommand::new(&["printf", "%s\\n"]);
        let lines = lines.into_iter().map(|line| Word::Foreign(line.into()));
        command.words.extend(lines);
        command.append_to =
            Some(path.map_or(Word::Open, |path| Word::Foreign(path.as_os_str().into())));
        command
    }

    /// The command as one line for a POSIX shell.
    ///
    /// # Errors
    ///
    /// It has a word that is not safe to paste.
    pub(crate) fn line(&self) -> Result<String, Unsafe> {
        let words: Result<Vec<String>, Unsafe> = self.words.iter().map(Word::quoted).collect();
        let line = words?.join(" ");
        match &self.append_to {
            None => Ok(line),
            Some(path) => Ok(format!("{line} >>{}", path.quoted()?)),
        }
    }
}

impl Word {
    fn quoted(&self) -> Result<String, Unsafe> {
        match self {
            Word::Literal(word) => Ok(quoted(word)),
            Word::Foreign(word) => quote(word).ok_or(Unsafe::Characters),
            Word::Open => Err(Unsafe::OpenPath),
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
    use std::path::Path;
    use std::process::{Command, Stdio};

    use crate::tree::Tree;

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
        ShellCommand::new(&["printf", "--", "%s\\0"]).operand(word)
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
        let own = |path| OwnPath::real(Path::new("/"), Path::new(path));
        let command = ShellCommand::append(["[Socket]"], own("/etc/a b"));
        assert_eq!(
            command.line().unwrap(),
            r"printf '%s\n' '[Socket]' >>'/etc/a b'"
        );
        let command = ShellCommand::new(&["sockunit", "list"]).path_option("--root", own("/x $y"));
        assert_eq!(command.line().unwrap(), "sockunit list '--root=/x $y'");
    }

    #[test]
    fn a_path_that_others_can_change_withholds_every_command_of_the_hint() {
        let commands = [
            ShellCommand::new(&["rm"]).path(None),
            ShellCommand::new(&["useradd"]).path_option("--root", None),
            ShellCommand::append(["x"], None),
        ];
        for command in commands {
            assert_eq!(command.line(), Err(Unsafe::OpenPath));
            let hint = Hint::new("do it")
                .command(ShellCommand::new(&["mkdir"]).arg("/x"))
                .command(command);
            assert_eq!(hint.lines(), Err(Unsafe::OpenPath));
            assert_eq!(
                hint.to_string(),
                "hint: do it\n    (no command is printed: others can change the path)"
            );
        }
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
            assert_eq!(command.line(), Err(Unsafe::Characters), "{word:?}");
            let hint = Hint::new("do it")
                .command(ShellCommand::new(&["mkdir"]).arg("/x"))
                .command(command);
            assert_eq!(hint.lines(), Err(Unsafe::Characters));
            assert_eq!(
                hint.to_string(),
                "hint: do it\n    (no command is printed: a name in it has characters that are not safe to paste)"
            );
        }
        let bytes = show(OsStr::from_bytes(b"\xff"));
        assert_eq!(bytes.line(), Err(Unsafe::Characters));
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
            let add = |command: ShellCommand, word: &OsString| command.operand(word);
            let command = words[1..].iter().fold(show(&words[0]), add);
            if let Ok(line) = command.line() {
                prop_assert_eq!(line.lines().count(), 1);
                let expected: Vec<Vec<u8>> = words.iter().map(|w| w.as_bytes().to_vec()).collect();
                prop_assert_eq!(run(&line), expected);
            }
        }

        #[test]
        fn text_that_is_appended_to_a_file_is_never_a_format(text in "[ -~&&[^\\\\]]{0,20}") {
            let tree = Tree::new("append");
            let file = Path::new("/etc/'a b'$x");
            let command = ShellCommand::append([text.as_str()], OwnPath::real(tree.root(), file));
            run(&command.line().unwrap());
            prop_assert_eq!(tree.read("/etc/'a b'$x"), format!("{text}\n"));
        }
    }
}
