//! The steps of `add` and `add --replace`: done as a whole, or undone when one fails or a signal comes.

use super::add::{Plan, write};
use super::failure::{Failure, Left};
use super::mark::UNFINISHED;
use super::probe::{self, Answer};
use super::remove::{self, Attached};
use super::stop::{stop, unless_interrupted};
use super::store::Store;
use super::{Attachment, Error};
use crate::interrupts::Interrupts;
use crate::log::Plain;
use crate::systemd::journalctl::{self, Filter};
use crate::systemd::{Manager, Place};

/// A change of a service that `add` makes.
pub(super) struct Changing<'a> {
    pub(super) place: &'a Place,
    pub(super) store: &'a Store,
    pub(super) manager: Option<Manager>,
    pub(super) attachment: &'a Attachment,
    pub(super) interrupts: &'a Interrupts,
}

impl Changing<'_> {
    pub(super) fn attach(&self, plan: &Plan) -> Result<Option<Answer>, Failure> {
        let done = self.begin().and_then(|()| {
            write(self.place, self.store, plan)?;
            self.manager.map(|manager| self.start(manager)).transpose()
        });
        self.end(done, "nothing was attached", || {
            remove::undo(self.place, self.store, &self.attachment.name)
        })
    }

    fn start(&self, manager: Manager) -> Result<Answer, Error> {
        self.interrupts.none_has_come()?;
        manager.daemon_reload()?;
        let socket = format!("{}.socket", self.attachment.name);
        let since = journalctl::now();
        let unit = socket.clone();
        if let Err(error) = self.patiently(move || manager.start(&unit))? {
            let entries = journalctl::last(self.place, Filter::Unit(&socket), Some(&since));
            return Err(match entries.messages().last() {
                Some(line) => Error::NoAnswer(format!("{socket} does not start: {}", Plain(line))),
                None => error.into(),
            });
        }
        self.probe(since)
    }

    /// Has systemd use the files, which a killed run has written. Which of its steps were done is not known.
    pub(super) fn finish(&self, manager: Manager, attached: &Attached) -> Result<Answer, Failure> {
        let own = attached.names();
        let name = &self.attachment.name;
        let begun = self.interrupts.none_has_come().map_err(Error::from);
        let done = begun.and_then(|()| {
            stop(self.place, &manager, name, &own, Some(self.interrupts))?;
            self.start(manager)
        });
        match done {
            Ok(answer) => {
                self.set_unfinished(false);
                Ok(answer)
            }
            // It is still not finished.
            Err(error) => {
                let error = self.cause(error);
                self.interrupts.take();
                Err(Failure {
                    kept: "run the same command again to finish it",
                    ..error.into()
                })
            }
        }
    }

    /// The error to report: systemctl fails because of a signal that it gets too.
    fn cause(&self, error: Error) -> Error {
        match self.interrupts.has_come() {
            true => Error::Interrupted,
            false => error,
        }
    }

    pub(super) fn probe(&self, since: String) -> Result<Answer, Error> {
        let (place, attachment) = (self.place.clone(), self.attachment.clone());
        self.patiently(move || probe::connect_once(&place, &attachment, &since))?
    }

    pub(super) fn patiently<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        unless_interrupted(self.interrupts, work)
    }

    pub(super) fn begin(&self) -> Result<(), Error> {
        self.interrupts.none_has_come()?;
        self.set_unfinished(true);
        Ok(())
    }

    /// Undoes the change if it has failed.
    pub(super) fn end<T>(
        &self,
        done: Result<T, Error>,
        kept: &'static str,
        undo: impl FnOnce() -> Vec<Left>,
    ) -> Result<T, Failure> {
        let done = done.map_err(|error| Failure {
            error: Box::new(self.cause(error)),
            kept,
            left: undo(),
        });
        self.set_unfinished(false);
        if done.is_err() {
            // The error says that it came.
            self.interrupts.take();
        }
        done
    }

    pub(super) fn is_unfinished(&self) -> bool {
        UNFINISHED.is_set(self.place, &self.attachment.name)
    }

    fn set_unfinished(&self, unfinished: bool) {
        if self.manager.is_some() {
            // Without the mark, a killed run is not noticed.
            let _ = UNFINISHED.set(self.place, &self.attachment.name, unfinished);
        }
    }
}
