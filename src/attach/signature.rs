//! The first lines of a unit file that `sockunit add` wrote. They show later that `add` wrote the file,
//! and whether it was changed since.

use crate::services::ServiceName;
use crate::systemd::Scope;

/// The beginning of the first line. sockunit-generator and sockunit-sweep look for it too.
pub(crate) const MADE: &str = "# Made by sockunit ";
const SUM: &str = "# Checksum: ";

/// The command that writes a unit file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Maker {
    Add,
    Import,
}

/// The author of a unit file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Author {
    /// `sockunit add` or `import` wrote it, and it has not changed since.
    Unchanged,
    /// `sockunit add` or `import` wrote it, and it has changed since.
    Changed,
    /// Neither of them wrote it.
    Other,
}

/// Puts the first lines before the text of a unit file.
pub(crate) fn sign(text: &str, name: &ServiceName, scope: Scope, maker: Maker) -> String {
    let maker = match maker {
        Maker::Add => "add",
        Maker::Import => "import",
    };
    let user = match scope {
        Scope::System => "",
        Scope::User => " --user",
    };
    let first = format!("{MADE}{maker}; to remove it: sockunit remove{user} {name}\n");
    let sum = sum(&[first.as_bytes(), text.as_bytes()]);
    format!("{first}{SUM}{sum:016x}\n{text}")
}

/// Whether `import` wrote a file with these bytes.
pub(crate) fn is_imported(file: &[u8]) -> bool {
    file.starts_with(format!("{MADE}import;").as_bytes())
}

/// The author of a file with these bytes.
pub(crate) fn author(file: &[u8]) -> Author {
    if !file.starts_with(MADE.as_bytes()) {
        return Author::Other;
    }
    let mut lines = file.splitn(3, |&byte| byte == b'\n');
    let (first, second, rest) = (lines.next(), lines.next(), lines.next());
    let written = second.and_then(|line| line.strip_prefix(SUM.as_bytes()));
    let sum = sum(&[first.unwrap_or_default(), b"\n", rest.unwrap_or_default()]);
    match written == Some(format!("{sum:016x}").as_bytes()) {
        true => Author::Unchanged,
        false => Author::Changed,
    }
}

/// FNV-1a. It shows changes; it does not authenticate.
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
    fn a_change_anywhere_is_detected() {
        let name = "echo".parse().unwrap();
        let file = sign("[Unit]\nDescription=x\n", &name, Scope::User, Maker::Add);
        assert!(file.starts_with(
            "# Made by sockunit add; to remove it: sockunit remove --user echo\n# Checksum: "
        ));
        assert_eq!(author(file.as_bytes()), Author::Unchanged);
        assert_eq!(author(file.replace("=x", "=y").as_bytes()), Author::Changed);
        assert_eq!(
            author(format!("{file}# mine\n").as_bytes()),
            Author::Changed
        );
        assert_eq!(author(&file.as_bytes()[..50]), Author::Changed);
        assert_eq!(author(b"[Unit]\n"), Author::Other);
        assert_eq!(author(b""), Author::Other);
    }
}
