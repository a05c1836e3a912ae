//! How a unit file that `sockunit add` made is known again, and whether somebody changed it since.

use crate::services::ServiceName;
use crate::systemd::Scope;

/// How the first line of every such file begins.
pub const MADE: &str = "# Made by sockunit add; to take it away: ";
const SUM: &str = "# Sum of the rest: ";

/// Whose a unit file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Maker {
    /// `sockunit add` wrote every byte of it.
    Untouched,
    /// `sockunit add` made it, and somebody changed it since.
    Changed,
    /// Somebody else.
    Other,
}

/// The text of a unit file with the lines before it by which it is known again.
pub fn sign(text: &str, name: &ServiceName, scope: Scope) -> String {
    let user = match scope {
        Scope::System => "",
        Scope::User => " --user",
    };
    let first = format!("{MADE}sockunit remove{user} {name}\n");
    let sum = sum(&[first.as_bytes(), text.as_bytes()]);
    format!("{first}{SUM}{sum:016x}\n{text}")
}

/// Whose the file with these bytes is.
pub fn maker(file: &[u8]) -> Maker {
    if !file.starts_with(MADE.as_bytes()) {
        return Maker::Other;
    }
    let mut lines = file.splitn(3, |&byte| byte == b'\n');
    let (first, second, rest) = (lines.next(), lines.next(), lines.next());
    let written = second.and_then(|line| line.strip_prefix(SUM.as_bytes()));
    let sum = sum(&[first.unwrap_or_default(), b"\n", rest.unwrap_or_default()]);
    match written == Some(format!("{sum:016x}").as_bytes()) {
        true => Maker::Untouched,
        false => Maker::Changed,
    }
}

/// FNV-1a. It tells a change that somebody made; nobody is kept from making one.
fn sum(parts: &[&[u8]]) -> u64 {
    parts
        .iter()
        .copied()
        .flatten()
        .fold(0xcbf2_9ce4_8422_2325, |sum, &byte| {
            (sum ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_anywhere_is_told() {
        let name = "echo".parse().unwrap();
        let file = sign("[Unit]\nDescription=x\n", &name, Scope::User);
        assert!(file.starts_with(
            "# Made by sockunit add; to take it away: sockunit remove --user echo\n# Sum of the rest: "
        ));
        assert_eq!(maker(file.as_bytes()), Maker::Untouched);
        assert_eq!(maker(file.replace("=x", "=y").as_bytes()), Maker::Changed);
        assert_eq!(maker(format!("{file}# mine\n").as_bytes()), Maker::Changed);
        assert_eq!(maker(&file.as_bytes()[..50]), Maker::Changed);
        assert_eq!(maker(b"[Unit]\n"), Maker::Other);
        assert_eq!(maker(b""), Maker::Other);
    }
}
