//! Why a service does not work: its units, program, socket and a connection are checked from the bottom
//! up, to the first problem.
//!
//! It works on every socket unit, also on those that sockunit did not write, and changes nothing. Below another root directory
//! it checks what files alone can show.
//!
//! The journal's text is written by clients and programs. It is quoted as evidence and selects at most
//! one of a fixed list of hints in words; no verdict and no command is made from it.

mod access;
mod address;
mod attempt;
mod command;
mod database;
mod ended;
mod error_class;
mod files;
mod fix;
mod inactive;
mod json;
mod kind;
mod limits;
mod loaded;
mod overlap;
mod report;
mod sandbox;
mod socket;
mod streams;
mod subject;
mod symptom;
mod trial;
mod users;
mod verify;

pub(crate) use json::json;
pub(crate) use report::{CheckResult, Outcome, Problem};
pub(crate) use trial::try_service;

use self::subject::Subject;
use crate::systemd::{Place, journalctl};

/// Passes each result on as soon as it is known.
pub(crate) struct Report<'t> {
    to: &'t mut dyn FnMut(&CheckResult),
    outcome: Outcome,
}

impl Report<'_> {
    fn ok(&mut self, text: String) {
        (self.to)(&CheckResult::Ok(text));
    }

    fn note(&mut self, text: String) {
        (self.to)(&CheckResult::Note(text));
    }

    fn unchecked(&mut self, text: String) {
        self.outcome = self.outcome.max(Outcome::Unchecked);
        (self.to)(&CheckResult::Unchecked(text));
    }
}

/// The name of a service, which users may name by any of its units.
pub(crate) fn name_of(text: &str) -> &str {
    let stem = ["@.service", ".service", "@.socket", ".socket"]
        .iter()
        .find_map(|end| text.strip_suffix(end));
    stem.unwrap_or(text)
}

/// Why a service is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Selection {
    /// The user named it: if it is not started, that is a problem.
    Named,
    /// All services are checked: one that is disabled and not started has no problem.
    All,
}

/// Checks the service `name` and passes each result to `to`. A problem is the last result. `line` is what
/// a client says first.
pub(crate) fn examine(
    place: &Place,
    name: &str,
    selection: Selection,
    line: Option<&str>,
    to: &mut dyn FnMut(&CheckResult),
) -> Outcome {
    let outcome = Outcome::Works;
    let mut report = Report { to, outcome };
    match check(place, name_of(name), selection, line, &mut report) {
        Ok(()) => report.outcome,
        Err(problem) if problem.unchecked => {
            report.unchecked(format!("{} ({})", problem.what, problem.hint.text));
            report.outcome
        }
        Err(problem) => {
            (report.to)(&CheckResult::Problem(problem));
            Outcome::Problem
        }
    }
}

fn check(
    place: &Place,
    name: &str,
    selection: Selection,
    line: Option<&str>,
    report: &mut Report<'_>,
) -> Result<(), Problem> {
    let socket = files::socket(place, name, report)?;
    if !kind::has_streams(&socket, report) {
        return Ok(());
    }
    let mut subject = files::open(place, name, socket, report)?;
    if kind::is_of_systemd(&subject, report) {
        return Ok(());
    }
    // What files show ...
    address::check(&subject, report)?;
    database::check(&subject, report)?;
    users::check(&subject, report)?;
    command::check(&subject, report)?;
    // ... and what the running system shows.
    loaded::check(&mut subject, report)?;
    streams::check(&subject, report)?;
    if !socket::check(&subject, selection, report)? {
        return Ok(());
    }
    if kind::is_flushed(&subject, report) {
        return Ok(());
    }
    limits::check(&subject, report)?;
    ended::check(&subject, report)?;
    attempt::check(&subject, line, report)?;
    journal(&subject, report);
    Ok(())
}

/// Reports whether the caller could not see what the program logs.
fn journal(subject: &Subject<'_>, report: &mut Report<'_>) {
    if subject.of_system() && subject.manager.is_some() && !journalctl::is_readable() {
        report.unchecked(
            "what the program writes to the journal (run this as root, or join the group systemd-journal)".into(),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_named_by_any_of_its_units() {
        for name in ["a.b", "a.b.socket", "a.b@.service", "a.b.service"] {
            assert_eq!(name_of(name), "a.b");
        }
    }
}
