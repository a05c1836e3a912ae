//! Why a system call failed, in words.

use std::io;

use nix::errno::Errno;

/// The reason of an error, for the end of a message: without the number that its Display adds, and in lower case.
pub(crate) fn reason(error: &io::Error) -> String {
    let text = match error.raw_os_error() {
        Some(number) => Errno::from_raw(number).desc().to_owned(),
        None => error.to_string(),
    };
    let mut chars = text.chars();
    match (chars.next(), chars.clone().next()) {
        // "I/O error" stays.
        (Some(first), Some(second)) if second.is_lowercase() => {
            first.to_lowercase().chain(chars).collect()
        }
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_has_no_number_and_begins_in_lower_case() {
        let error = |errno: Errno| reason(&errno.into());
        assert_eq!(error(Errno::ENOENT), "no such file or directory");
        assert_eq!(error(Errno::EIO), "I/O error");
        assert_eq!(reason(&io::Error::other("no header")), "no header");
    }
}
