//! What the doctor says.

use std::fmt;

use crate::log::Plain;

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// It is as it should be.
    Good(String),
    /// Nobody can say from here, or it is worth knowing and breaks nothing.
    Note(String),
    /// It is what keeps the service from working.
    Fault(Fault),
}

/// What keeps a service from working. Its Display is what the user reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong, beginning with the unit or the file that it is wrong with.
    pub what: String,
    /// What shows it: lines of files and of the journal, made safe to print.
    pub evidence: Vec<String>,
    /// What it means to a client, where that is not plain.
    pub means: Option<String>,
    /// What mends it, in words.
    pub advice: String,
    /// The same as commands, where commands can do it.
    pub commands: Vec<String>,
}

impl Fault {
    /// A fault, and what mends it in words.
    pub fn new(what: impl Into<String>, advice: impl Into<String>) -> Fault {
        Fault {
            what: what.into(),
            advice: advice.into(),
            ..Fault::default()
        }
    }

    /// With what shows it.
    #[must_use]
    pub fn seen(mut self, evidence: impl IntoIterator<Item = String>) -> Fault {
        self.evidence.extend(evidence);
        self
    }

    /// With what it means.
    #[must_use]
    pub fn means(mut self, means: impl Into<String>) -> Fault {
        self.means = Some(means.into());
        self
    }

    /// With a command that mends it.
    #[must_use]
    pub fn command(mut self, command: impl Into<String>) -> Fault {
        self.commands.push(command.into());
        self
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Said::Good(text) => write!(f, "ok: {}", Plain(text)),
            Said::Note(text) => write!(f, "note: {}", Plain(text)),
            Said::Fault(fault) => write!(f, "fault: {fault}"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Plain(&self.what))?;
        for line in &self.evidence {
            write!(f, "\n    {}", Plain(line))?;
        }
        if let Some(means) = &self.means {
            write!(f, "\n  {}", Plain(means))?;
        }
        write!(f, "\n  {}", Plain(&self.advice))?;
        if !self.commands.is_empty() {
            f.write_str(":")?;
        }
        for command in &self.commands {
            write!(f, "\n    {}", Plain(command))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_says_cannot_steer_the_terminal() {
        let fault = Fault::new("a\x1b[2Jb\u{202e}c\nd é", "x").command("rm 'a\tb'");
        assert_eq!(
            Said::Fault(fault).to_string(),
            "fault: a\\u{1b}[2Jb\\u{202e}c\\nd é\n  x:\n    rm 'a\\tb'"
        );
    }
}
