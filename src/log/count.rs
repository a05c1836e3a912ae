//! Numbers with their nouns.

use std::fmt;

/// A number of things, such as `1 byte` or `2 bytes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Count(pub u64, pub &'static str);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Count(number, noun) = self;
        match number {
            1 => write!(f, "1 {noun}"),
            _ => write!(f, "{number} {noun}s"),
        }
    }
}
