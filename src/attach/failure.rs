//! Why a service was not attached or removed, and what could not be undone.

use std::fmt;

use super::Error;
use crate::hint::{Hint, ShellCommand};
use crate::services::ServiceName;
use crate::systemd::Place;

/// A service was not attached, replaced or removed, and is as it was before, but for what is left.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The reason.
    pub error: Box<Error>,
    /// What a signal has left as it was, if that is the reason.
    pub kept: &'static str,
    /// What could not be undone.
    pub left: Vec<Left>,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure {
            error: Box::new(error),
            kept: "nothing was changed",
            left: Vec::new(),
        }
    }
}

/// What could not be undone, and why.
#[derive(Debug)]
pub(crate) enum Left {
    /// Files of a new service.
    Files(Error),
    /// These units of a new service may run.
    Running(Error, Vec<String>),
    /// The previous files of a service could not be restored.
    Former(Error),
    /// The socket that listened before does not.
    Stopped(Error),
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Left::Files(error) => write!(f, "some of its files could not be removed: {error}"),
            Left::Running(error, _) => write!(f, "its units may still run: {error}"),
            Left::Former(error) => write!(
                f,
                "some of its previous files could not be restored: {error}"
            ),
            Left::Stopped(error) => write!(f, "its socket may not listen: {error}"),
        }
    }
}

impl Left {
    /// The command that does it.
    pub(crate) fn hint(&self, place: &Place, name: &ServiceName) -> Hint {
        let user = place.scope.option();
        let remove = ShellCommand::new(&["sockunit", "remove"]).literals(user);
        let remove = place.with_root(remove);
        let systemctl = ShellCommand::new(&["systemctl"]).literals(user);
        let socket = format!("{name}.socket");
        match self {
            Left::Files(_) => Hint::new("this removes them").command(remove.arg(name.to_string())),
            Left::Running(_, units) => {
                let stop = systemctl.literals(&["stop"]);
                Hint::new("this stops them").command(units.iter().fold(stop, ShellCommand::arg))
            }
            Left::Former(_) => Hint::new("run sockunit add --replace with the previous options"),
            Left::Stopped(_) => {
                Hint::new("this starts it").command(systemctl.literals(&["restart"]).arg(socket))
            }
        }
    }
}

impl Failure {
    /// How to go on.
    pub(crate) fn hint(&self, place: &Place, name: &ServiceName) -> Option<Hint> {
        match self.left.first() {
            Some(left) => Some(left.hint(place, name)),
            None => self.error.hint(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)?;
        if matches!(*self.error, Error::Interrupted) && self.left.is_empty() {
            write!(f, "; {}", self.kept)?;
        }
        self.left.iter().try_for_each(|left| write!(f, "; {left}"))
    }
}
