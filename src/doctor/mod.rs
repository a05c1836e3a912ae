//! Why a service does not work: its units, program, socket and a connection are checked from the bottom
//! up, to the first problem.
//!
//! It works on every socket unit, also on those that sockunit did not write, and changes nothing. Below another root directory
//! it checks what files alone can show.
//!
//! The journal's text is written by clients and programs. It is quoted as evidence and selects at most
//! one of a fixed list of hints; no verdict and no command is made from it.

mod address;
mod attempt;
mod command;
mod database;
mod ended;
mod files;
mod fix;
mod json;
mod limits;
mod loaded;
mod report;
mod socket;
mod streams;
mod subject;
mod symptom;
mod users;

pub use json::json;
pub use report::{CheckResult, Problem};

use crate::systemd::Place;

/// Passes each result on as soon as it is known.
pub struct Report<'t> {
    to: &'t mut dyn FnMut(&CheckResult),
}

impl Report<'_> {
    fn ok(&mut self, text: String) {
        (self.to)(&CheckResult::Ok(text));
    }

    fn note(&mut self, text: String) {
        (self.to)(&CheckResult::Note(text));
    }
}

/// The name of a service, which users may name by any of its units.
pub fn name_of(text: &str) -> &str {
    let stem = ["@.service", ".service", "@.socket", ".socket"]
        .iter()
        .find_map(|end| text.strip_suffix(end));
    stem.unwrap_or(text)
}

/// Why a service is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    /// The user named it: if it is not started, that is a problem.
    Named,
    /// All services are checked: one that is disabled and not started has no problem.
    All,
}

/// Checks the service `name` and passes each result to `to`. A problem is the last result; returns
/// whether there is none.
pub fn examine(
    place: &Place,
    name: &str,
    selection: Selection,
    to: &mut dyn FnMut(&CheckResult),
) -> bool {
    let mut report = Report { to };
    match check(place, name_of(name), selection, &mut report) {
        Ok(()) => true,
        Err(problem) => {
            (report.to)(&CheckResult::Problem(problem));
            false
        }
    }
}

fn check(
    place: &Place,
    name: &str,
    selection: Selection,
    report: &mut Report<'_>,
) -> Result<(), Problem> {
    let mut subject = files::open(place, name, report)?;
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
    limits::check(&subject, report)?;
    ended::check(&subject, report)?;
    attempt::check(&subject, report)
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
