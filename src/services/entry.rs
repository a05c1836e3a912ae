//! An entry that sockunit writes to the services database.

use std::fmt;
use std::num::NonZeroU16;
use std::str::FromStr;

/// A service name that is valid in the services database. It is never a number, which would be
/// taken for a port wherever a name or a port is accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServiceName(String);

/// The text is not a valid [`ServiceName`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InvalidServiceName;

impl fmt::Display for InvalidServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a service name begins with a letter or digit, has only letters, digits and . _ + -, at \
             least one letter, and at most 64 characters",
        )
    }
}

impl std::error::Error for InvalidServiceName {}

impl FromStr for ServiceName {
    type Err = InvalidServiceName;

    fn from_str(text: &str) -> Result<ServiceName, InvalidServiceName> {
        let valid = text.len() <= 64
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "._+-".contains(c))
            && text.contains(|c: char| c.is_ascii_alphabetic());
        if valid {
            Ok(ServiceName(text.into()))
        } else {
            Err(InvalidServiceName)
        }
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl AsRef<[u8]> for ServiceName {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// A TCP service and its port. Its Display is its line in the database, with the comment by which
/// sockunit recognizes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: ServiceName,
    pub(crate) port: NonZeroU16,
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
    fn names_that_are_invalid_in_the_database_are_refused() {
        for name in ["hello", "hello-2", "x11", "3com-tsmux", "a.b_c+d"] {
            assert!(name.parse::<ServiceName>().is_ok(), "{name}");
        }
        let long = "x".repeat(65);
        for name in [
            "", "3333", "a b", "a#b", "a/b", "-a", "a\nb", "é", ".a", &long,
        ] {
            assert_eq!(
                name.parse::<ServiceName>(),
                Err(InvalidServiceName),
                "{name}"
            );
        }
    }
}
