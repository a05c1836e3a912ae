//! One entry of the database.

use std::fmt;
use std::num::NonZeroU16;
use std::str::FromStr;

/// A service's name as the database can hold it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(String);

/// Why a text is no service name. Its Display is the sentence for the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidName;

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a service name begins with a letter or digit, goes on with letters, digits and . _ + -, \
             has a letter in it and at most 64 characters",
        )
    }
}

impl std::error::Error for InvalidName {}

impl FromStr for Name {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Name, InvalidName> {
        let valid = text.len() <= 64
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "._+-".contains(c))
            // A number would be taken for a port wherever a name or a port may stand.
            && text.contains(|c: char| c.is_ascii_alphabetic());
        if valid {
            Ok(Name(text.into()))
        } else {
            Err(InvalidName)
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl AsRef<[u8]> for Name {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// A TCP service and its port. Its Display is its line in the database, with the mark by which it
/// is known again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The service's name.
    pub name: Name,
    /// Its TCP port.
    pub port: NonZeroU16,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Entry { name, port } = self;
        write!(
            f,
            "{name:<15} {port:>5}/tcp                       # added by sockunit"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_the_database_could_not_hold_are_refused() {
        for name in ["hello", "hello-2", "x11", "3com-tsmux", "a.b_c+d"] {
            assert!(name.parse::<Name>().is_ok(), "{name}");
        }
        let long = "x".repeat(65);
        for name in [
            "", "3333", "a b", "a#b", "a/b", "-a", "a\nb", "é", ".a", &long,
        ] {
            assert_eq!(name.parse::<Name>(), Err(InvalidName), "{name}");
        }
    }
}
