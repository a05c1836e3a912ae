//! Classes of error messages in the journal, and the directives of the unit that can cause them.
//!
//! Clients and programs write the messages. So a class is a hint in words, never a verdict, and no command: a program
//! that an attacker has taken over could choose the one that weakens its sandbox. Nothing of a message is used but the
//! class.

use super::Problem;
use super::error_class::{CALLS, CLASSES, Class, Fix};
use super::sandbox::Found;
use super::subject::Subject;
use crate::systemd::journalctl::{Entries, Entry, WARNING};

/// A call of the program that its system call filter forbids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ForbiddenCall {
    /// What it means, with the line of the unit, and what to do.
    pub text: String,
    /// The lines of the `[Service]` section that allow the call.
    lines: Vec<String>,
}

/// What the messages of a service mean if the program wrote them, with the lines of the unit that can be the cause, and
/// what to do; `None` if they are of no known class.
pub(super) fn advice(subject: &Subject<'_>, entries: &Entries) -> Option<String> {
    let own = entries
        .list
        .iter()
        .rev()
        .filter(|entry| is_of_program(subject, entry));
    own.flat_map(|entry| CLASSES.iter().filter(|class| class.has(entry)))
        .find_map(|class| class.advice(subject))
}

/// What to do about a program that SIGSYS killed, as systemd reports.
pub(super) fn forbidden_call(subject: &Subject<'_>) -> Option<ForbiddenCall> {
    let found = CALLS.find(&subject.service)?;
    Some(ForbiddenCall {
        text: format!(
            "the system call filter kills a program that makes a call that it forbids ({}): {}",
            found.line,
            allowed_by(subject, &found.lift)
        ),
        lines: found.lift,
    })
}

/// Whether the program may have written an entry. Programs of this package write what their clients say
/// as notices.
fn is_of_program(subject: &Subject<'_>, entry: &Entry) -> bool {
    !entry.of_manager && (!subject.is_shipped() || entry.priority <= WARNING)
}

/// The complaints among the entries: warnings and what is worse, and messages of a known class.
pub(super) fn complaints(subject: &Subject<'_>, entries: Entries) -> Entries {
    let list = entries.list.into_iter().filter(|entry| {
        let has_class = || CLASSES.iter().any(|class| class.has(entry));
        is_of_program(subject, entry) && (entry.priority <= WARNING || has_class())
    });
    Entries {
        list: list.collect(),
        unread: entries.unread,
    }
}

impl Class {
    fn advice(&self, subject: &Subject<'_>) -> Option<String> {
        let causes = self.causes.iter();
        let found: Vec<Found> = causes
            .filter_map(|cause| cause.find(&subject.service))
            .collect();
        if found.is_empty() {
            return (!self.otherwise.is_empty()).then(|| self.otherwise.to_string());
        }
        let at: Vec<&str> = found.iter().map(|found| found.line.as_str()).collect();
        let cause = format!("{} ({})", self.means, at.join("; "));
        let words = match self.fix {
            // The name of the service is that of its directory too.
            Fix::Words(fix) => Some(fix.replace("NAME", &subject.name)),
            Fix::ForRoot(fix) if !subject.is_root() => Some(fix.to_string()),
            Fix::OneOf if found.len() > 1 => Some(format!(
                "lift one of these lines after the other to find out which it is, as sockunit try {} --property {} does",
                subject.name,
                found[0].lift.concat()
            )),
            Fix::Together | Fix::OneOf | Fix::ForRoot(_) => None,
        };
        // Two directives may be lifted by the same line.
        let mut lines: Vec<String> = Vec::new();
        for line in found.into_iter().flat_map(|found| found.lift) {
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
        let fix = words.unwrap_or_else(|| match lines.is_empty() {
            true => "change that line".to_string(),
            false => allowed_by(subject, &lines),
        });
        Some(format!("{cause}: {fix}"))
    }
}

/// What a drop-in with these lines does.
fn allowed_by(subject: &Subject<'_>, lines: &[String]) -> String {
    let unit = &subject.service.name;
    let (lines, verb) = match lines {
        [line] => (line.clone(), "allows"),
        lines => (lines.join(", "), "allow"),
    };
    format!("{lines} in a drop-in for {unit} {verb} it")
}

impl ForbiddenCall {
    /// Adds the commands that write and load the drop-in.
    pub(super) fn lift(&self, subject: &Subject<'_>, problem: Problem) -> Problem {
        let lines: Vec<&str> = self.lines.iter().map(String::as_str).collect();
        let unit = &subject.service.name;
        subject.fixer().by_drop_in(problem, unit, "Service", &lines)
    }
}
