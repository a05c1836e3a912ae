//! Text that must not steer a terminal.

use std::fmt;

/// A line with what somebody else wrote in a file, which must not steer a terminal: control
/// characters are escaped.
#[derive(Debug, Clone, Copy)]
pub struct Plain<'a>(pub &'a str);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in self
            .0
            .split_inclusive(|c: char| c.is_control() || is_direction(c))
        {
            let last = part
                .chars()
                .next_back()
                .filter(|c| c.is_control() || is_direction(*c));
            match last {
                Some(last) => {
                    f.write_str(&part[..part.len() - last.len_utf8()])?;
                    write!(f, "{}", last.escape_default())?;
                }
                None => f.write_str(part)?,
            }
        }
        Ok(())
    }
}

/// Whether a character turns the direction of what follows.
fn is_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
