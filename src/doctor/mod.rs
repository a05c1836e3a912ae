//! Why a service does not work: its units, its program, its socket and a connection, looked at from
//! the bottom up, to the first fault.
//!
//! It works on every socket unit, whoever wrote it, and changes nothing. In a system that is only
//! unpacked it tells what the tree can tell.

mod address;
mod attempt;
mod command;
mod database;
mod denied;
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
mod users;

pub use json::json;
pub use report::{Fault, Said};

use crate::systemd::Place;

/// To whom each thing is said as it is found out.
pub struct Tell<'t> {
    to: &'t mut dyn FnMut(&Said),
}

impl Tell<'_> {
    fn good(&mut self, text: String) {
        (self.to)(&Said::Good(text));
    }

    fn note(&mut self, text: String) {
        (self.to)(&Said::Note(text));
    }
}

/// The service that a user means, who may name any of its units.
pub fn name_of(text: &str) -> &str {
    let stem = ["@.service", ".service", "@.socket", ".socket"]
        .iter()
        .find_map(|end| text.strip_suffix(end));
    stem.unwrap_or(text)
}

/// Why a service is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// It was named: that it is not started is a fault.
    ByName,
    /// All are looked at: that one was never meant to be started is none.
    Among,
}

/// Looks at the service of a name, and tells `to` each thing as it is found out. The first fault is
/// the last thing told; true where there is none.
pub fn examine(place: &Place, name: &str, asked: Asked, to: &mut dyn FnMut(&Said)) -> bool {
    let mut tell = Tell { to };
    match look(place, name_of(name), asked, &mut tell) {
        Ok(()) => true,
        Err(fault) => {
            (tell.to)(&Said::Fault(fault));
            false
        }
    }
}

fn look(place: &Place, name: &str, asked: Asked, tell: &mut Tell<'_>) -> Result<(), Fault> {
    let mut case = files::open(place, name, tell)?;
    // What a tree can tell ...
    address::check(&case, tell)?;
    database::check(&case, tell)?;
    users::check(&case, tell)?;
    command::check(&case, tell)?;
    // ... and what the running system can.
    loaded::check(&mut case, tell)?;
    streams::check(&case, tell)?;
    if !socket::check(&case, asked, tell)? {
        return Ok(());
    }
    limits::check(&case, tell)?;
    ended::check(&case, tell)?;
    attempt::check(&case, tell)
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
