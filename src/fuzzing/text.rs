//! What is printed, and what is given at the command line.

use std::ffi::OsStr;
use std::fmt::{Debug, Display};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::str::FromStr;

use super::{byte, expect_printable};
use crate::attach::ListenAddress;
use crate::clock::{duration, duration_word};
use crate::hint::{Hint, ShellCommand};
use crate::log::{Plain, escape};
use crate::root::OwnPath;
use crate::server::admission::{
    Network, Rate, Refusal, RefusalMessage, RefusalMessages, SourcePrefix, TimeRange,
};
use crate::services::ServiceName;

/// A printed command, read by a shell's rules, is the argument vector that it was made of, and stands on
/// one line that a terminal does not act on.
pub fn commands(mut data: &[u8]) {
    let kind = byte(&mut data);
    let words: Vec<&OsStr> = data
        .split(|byte| *byte == 0)
        .map(OsStr::from_bytes)
        .collect();
    // Which of them exist does not matter.
    let path = OwnPath::real(Path::new("/"), Path::new(words[0]));
    let shown = path.as_ref().map_or(OsStr::new(""), OwnPath::as_os_str);
    let shown = shown.as_bytes().to_vec();
    let (command, expected) = match kind % 3 {
        0 => {
            let texts = words[1..].iter().map(|word| word.to_string_lossy());
            let texts: Vec<_> = texts.collect();
            let command = ShellCommand::new(&["rm", "--"]).path(path);
            let command = texts.iter().fold(command, ShellCommand::arg);
            let mut expected = vec![b"rm".to_vec(), b"--".to_vec(), shown];
            expected.extend(texts.iter().map(|text| text.as_bytes().to_vec()));
            (command, expected)
        }
        1 => {
            let command = ShellCommand::new(&["sockunit", "list"]).path_option("--root", path);
            let option = [b"--root=".to_vec(), shown].concat();
            (
                command,
                vec![b"sockunit".to_vec(), b"list".to_vec(), option],
            )
        }
        _ => {
            let lines: Vec<_> = words[1..]
                .iter()
                .map(|word| word.to_string_lossy())
                .collect();
            let lines = lines.iter().map(AsRef::as_ref);
            let command = ShellCommand::append(lines.clone(), path);
            let mut expected = vec![b"printf".to_vec(), b"%s\\n".to_vec()];
            expected.extend(lines.map(|line: &str| line.as_bytes().to_vec()));
            expected.push(b">>".to_vec());
            expected.push(shown);
            (command, expected)
        }
    };
    let line = command.line();
    if let Ok(line) = &line {
        expect_printable(line);
        assert_eq!(shell_words(line.as_bytes()), expected, "{line}");
    }
    let hint = Hint::new(String::from_utf8_lossy(data)).command(command);
    assert_eq!(hint.lines(), line.map(|line| vec![line]));
    hint.to_string().lines().for_each(expect_printable);
}

/// The words of a line by the rules of POSIX shells, `>>` as one of them.
fn shell_words(line: &[u8]) -> Vec<Vec<u8>> {
    let mut words: Vec<Vec<u8>> = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut rest = line.iter();
    while let Some(byte) = rest.next() {
        match byte {
            b' ' => words.extend(word.take()),
            b'\'' => {
                let word = word.get_or_insert_default();
                word.extend(rest.by_ref().take_while(|byte| **byte != b'\''));
            }
            b'\\' => word.get_or_insert_default().extend(rest.next()),
            b'>' if word.is_none() => {
                assert_eq!(rest.next(), Some(&b'>'));
                words.push(b">>".to_vec());
            }
            // What no shell expands or acts on outside of quotes, wherever it stands.
            b'0'..=b'9'
            | b'A'..=b'Z'
            | b'a'..=b'z'
            | b'/'
            | b'.'
            | b'_'
            | b'-'
            | b'+'
            | b':'
            | b','
            | b'@'
            | b'%' => word.get_or_insert_default().push(*byte),
            b'=' if word.is_some() => word.get_or_insert_default().push(b'='),
            byte => panic!("a shell acts on {}", char::from(*byte)),
        }
    }
    words.extend(word);
    words
}

/// What is read from text is written as text that is read as the same.
#[track_caller]
fn expect_same<T: FromStr + Display + PartialEq + Debug>(text: &str) -> Option<T>
where
    T::Err: Debug,
{
    let value: T = text.parse().ok()?;
    let again: T = value.to_string().parse().unwrap();
    assert_eq!(value, again);
    Some(value)
}

/// Options are read as they are written.
pub fn options(data: &[u8]) {
    let text = &*String::from_utf8_lossy(data);
    if let Ok(value) = duration(text) {
        assert_eq!(duration(&duration_word(value)), Ok(value));
    }
    expect_same::<Rate>(text);
    expect_same::<SourcePrefix>(text);
    expect_same::<TimeRange>(text);
    expect_same::<ServiceName>(text);
    if let Some(network) = expect_same::<Network>(text) {
        let address = text.split('/').next().unwrap_or_default();
        assert!(network.contains(address.parse().unwrap()));
    }
    if let Some(message) = expect_same::<RefusalMessage>(text) {
        let reason = message.reason().unwrap_or(Refusal::Full);
        RefusalMessages::new(vec![message], Vec::new()).text(reason);
    }
    if let Ok(ListenAddress::Path(path)) = text.parse() {
        expect_printable(path);
    }
}

/// What a client, a file or a program wrote is printed as one bounded line that a terminal does not act
/// on.
pub fn words(data: &[u8]) {
    let escaped = escape(data);
    expect_printable(&escaped);
    assert!(escaped.len() <= 2048);
    expect_printable(Plain(&String::from_utf8_lossy(data)));
}
