//! The file that a service was imported from, as a value in its unit.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::log::is_unprintable;

/// The path on one line that does not end with a backslash, which would make the next line a part of it. All that
/// could be something else than text is `\xNN`.
pub(super) fn encoded(path: &Path) -> String {
    let mut text = String::new();
    for chunk in path.as_os_str().as_bytes().utf8_chunks() {
        let mut buffer = [0; 4];
        for c in chunk.valid().chars() {
            match c == '\\' || c == ' ' || is_unprintable(c) || crate::attach::is_noncharacter(c) {
                true => escape(&mut text, c.encode_utf8(&mut buffer).as_bytes()),
                false => text.push(c),
            }
        }
        escape(&mut text, chunk.invalid());
    }
    text
}

fn escape(text: &mut String, bytes: &[u8]) {
    text.extend(bytes.iter().map(|byte| format!("\\x{byte:02x}")));
}

/// The path that a text stands for.
pub(super) fn decoded(text: &str) -> PathBuf {
    let mut bytes = Vec::new();
    let mut parts = text.split("\\x");
    bytes.extend(parts.next().unwrap_or_default().bytes());
    for part in parts {
        let (digits, rest) = part.split_at_checked(2).unwrap_or(("", part));
        match u8::from_str_radix(digits, 16) {
            Ok(byte) => bytes.push(byte),
            Err(_) => bytes.extend(format!("\\x{digits}").bytes()),
        }
        bytes.extend(rest.bytes());
    }
    OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_usual_path_is_written_as_it_is() {
        for (path, text) in [
            ("/etc/xinetd.d/tftp", "/etc/xinetd.d/tftp"),
            ("/srv/x\\y", "/srv/x\\x5cy"),
            ("/srv/\\x41", "/srv/\\x5cx41"),
            ("/srv/a\n[Service]", "/srv/a\\x0a[Service]"),
        ] {
            assert_eq!(encoded(Path::new(path)), text);
            assert_eq!(decoded(text), Path::new(path));
        }
    }

    proptest! {
        #[test]
        fn any_path_is_found_again(bytes in prop::collection::vec(1..=255u8, 0..12)) {
            let path = PathBuf::from(OsString::from_vec(bytes));
            let text = encoded(&path);
            prop_assert!(!text.contains(|c: char| c.is_control()) && !text.ends_with('\\'));
            prop_assert_eq!(decoded(&text), path);
        }
    }
}
