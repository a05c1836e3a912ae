//! What `sockunit doctor` reports.

use std::fmt;

use crate::hint::{Hint, ShellCommand};
use crate::log::Plain;

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CheckResult {
    /// Nothing is wrong.
    Ok(String),
    /// Clients are served, and this is worth knowing.
    Note(String),
    /// It could not be checked, and why not.
    Unchecked(String),
    /// Clients are not served.
    Problem(Problem),
}

/// What the checks of a service have shown, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// There is no problem.
    Works,
    /// No problem was found, and something could not be checked.
    Unchecked,
    /// There is a problem.
    Problem,
}

/// What clients see of a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Impact {
    /// Nothing listens.
    Refused,
    /// The connection is accepted, and no program serves it.
    Closed,
    /// The same, for the clients of one address.
    ClosedForOne,
    /// No program accepts the connection.
    NoAnswer,
    /// A program runs, and has another standard output.
    Silence,
    /// Packets are dropped.
    Timeout,
    /// The services database has another port.
    OtherPort,
}

impl fmt::Display for Impact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Impact::Refused => "Clients see \"Connection refused\".",
            Impact::Closed => "Clients are connected, and the connection is closed without a byte.",
            Impact::ClosedForOne => {
                "Its clients are connected, and the connection is closed without a byte. Other addresses are served."
            }
            Impact::NoAnswer => "Clients are connected, and wait for an answer.",
            Impact::Silence => "Clients are connected and receive nothing.",
            Impact::Timeout => "Denied clients wait until their connection attempt times out.",
            Impact::OtherPort => "Clients that use the service name connect to another port.",
        })
    }
}

/// What keeps clients from being served.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The problem, beginning with the unit or file that has it.
    pub what: String,
    /// Lines of files and of the journal that show it. Those of the journal are quoted.
    pub evidence: Vec<String>,
    /// Why it is a problem, if that is not obvious.
    pub explanation: Option<&'static str>,
    /// What clients see, if that is not obvious.
    pub impact: Option<Impact>,
    /// How to fix it.
    pub hint: Hint,
    /// The caller may not see whether it is a problem.
    pub unchecked: bool,
}

impl Problem {
    /// A problem, and how to fix it in words.
    pub(crate) fn new(what: impl Into<String>, hint: impl Into<String>) -> Problem {
        Problem {
            what: what.into(),
            hint: Hint::new(hint),
            ..Problem::default()
        }
    }

    /// Adds evidence.
    #[must_use]
    pub(crate) fn evidence(mut self, evidence: impl IntoIterator<Item = String>) -> Problem {
        self.evidence.extend(evidence);
        self
    }

    /// Adds why it is a problem.
    #[must_use]
    pub(crate) fn explanation(mut self, explanation: &'static str) -> Problem {
        self.explanation = Some(explanation);
        self
    }

    /// Adds what clients see.
    #[must_use]
    pub(crate) fn impact(mut self, impact: Impact) -> Problem {
        self.impact = Some(impact);
        self
    }

    /// The problem and its evidence in one line, without the hint.
    pub(crate) fn in_one_line(&self) -> String {
        match self.evidence.is_empty() {
            true => self.what.clone(),
            false => format!("{}: {}", self.what, self.evidence.join("; ")),
        }
    }

    /// What keeps the caller from checking, and what to do about that.
    pub(crate) fn unchecked(what: impl Into<String>, hint: impl Into<String>) -> Problem {
        Problem {
            unchecked: true,
            ..Problem::new(what, hint)
        }
    }

    /// Adds a command that fixes it, to be run after those added before.
    #[must_use]
    pub(crate) fn command(mut self, command: ShellCommand) -> Problem {
        self.hint = self.hint.command(command);
        self
    }
}

impl fmt::Display for CheckResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CheckResult::Ok(text) => write!(f, "ok: {}", Plain(text)),
            CheckResult::Note(text) => write!(f, "note: {}", Plain(text)),
            CheckResult::Unchecked(text) => write!(f, "not checked: {}", Plain(text)),
            CheckResult::Problem(problem) => write!(f, "problem: {problem}"),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Plain(&self.what))?;
        for line in &self.evidence {
            write!(f, "\n    {}", Plain(line))?;
        }
        if let Some(explanation) = self.explanation {
            write!(f, "\n  {explanation}")?;
        }
        if let Some(impact) = self.impact {
            write!(f, "\n  {impact}")?;
        }
        write!(f, "\n{}", self.hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_explanation_and_the_impact_have_a_line_each() {
        let problem = Problem::new("a", "b")
            .impact(Impact::Refused)
            .explanation("c");
        let shown = format!("a\n  c\n  {}\nhint: b", Impact::Refused);
        assert_eq!(problem.to_string(), shown);
    }

    #[test]
    fn text_of_a_file_cannot_control_the_terminal() {
        let problem = Problem::new("a\x1b[2Jb\u{202e}c\nd é", "x\ny");
        let shown = "problem: a\\u{1b}[2Jb\\u{202e}c\\nd é\nhint: x\\ny";
        assert_eq!(CheckResult::Problem(problem.clone()).to_string(), shown);
        let problem = problem.command(ShellCommand::new(&["rm"]).arg("a b"));
        assert_eq!(
            CheckResult::Problem(problem.clone()).to_string(),
            format!("{shown}\n    rm 'a b'")
        );
        let problem = problem.command(ShellCommand::new(&["rm"]).arg("a\tb"));
        let shown = CheckResult::Problem(problem).to_string();
        assert!(shown.ends_with("not safe to paste)") && !shown.contains("rm"));
    }
}
