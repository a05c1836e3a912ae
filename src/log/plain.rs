//! Text from other files, made safe for a terminal.

use std::fmt;

/// Text from a file that somebody else may have written. Display escapes control characters and
/// characters that change the direction of text, so that it cannot control a terminal.
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

/// Returns whether a character changes the direction of the text after it.
fn is_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
