//! Commands that fix a problem of a unit.

use std::ffi::OsStr;
use std::path::Path;

use super::Problem;
use crate::hint::ShellCommand;
use crate::systemd::{Place, Unit};

/// Fixes problems of the units of one socket.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fixer<'a> {
    /// Where the units are.
    pub place: &'a Place,
    /// The socket unit's name.
    pub socket: &'a str,
    /// The name of the service that serves all connections.
    pub shared: Option<&'a str>,
}

impl Fixer<'_> {
    /// A systemctl command for the units' service manager.
    pub(super) fn systemctl(&self, words: &[&'static str]) -> ShellCommand {
        let command = ShellCommand::new(&["systemctl"]);
        command.literals(self.place.scope.option()).literals(words)
    }

    /// The command that runs the program of a service in its own sandbox.
    pub(super) fn try_out(&self, name: &str) -> ShellCommand {
        let command = ShellCommand::new(&["sockunit", "try"]);
        command.literals(self.place.scope.option()).arg(name)
    }

    /// Adds lines to a section of a unit, in a drop-in.
    pub(super) fn by_drop_in(
        &self,
        problem: Problem,
        unit: &str,
        section: &'static str,
        lines: &[&str],
    ) -> Problem {
        let directory = self.place.own_folder().join(format!("{unit}.d"));
        let file = directory.join(self.last_drop_in(unit));
        let section = format!("[{section}]");
        let lines = [section.as_str()].into_iter().chain(lines.iter().copied());
        let problem = problem
            .command(ShellCommand::new(&["mkdir", "-p"]).path(self.place.own_path(&directory)))
            .command(ShellCommand::append(lines, self.place.own_path(&file)));
        self.by_reload(problem)
    }

    /// The name of a drop-in that systemd reads after those that the unit has.
    fn last_drop_in(&self, unit: &str) -> String {
        let drop_ins = Unit::load(self.place, unit).map_or(Vec::new(), |unit| unit.sources);
        let names = drop_ins
            .iter()
            .skip(1)
            .filter_map(|source| source.path.file_name());
        let last = names.max().unwrap_or_default();
        let mut name = "doctor.conf".to_string();
        while OsStr::new(&name) < last {
            name.insert(0, 'z');
        }
        name
    }

    /// Puts a unit file under its right name into the administrator's directory: by a move within
    /// that directory, or by a copy.
    pub(super) fn by_name(&self, problem: Problem, file: &Path, name: &str) -> Problem {
        let own = self.place.own_folder();
        let is_move = file.starts_with(&own);
        let own = own.join(name);
        let place = self.place;
        let command = match is_move {
            true => {
                let command = ShellCommand::new(&["mv"]).path(place.own_entry(file));
                command.path(place.own_entry(&own))
            }
            false => {
                let command = ShellCommand::new(&["cp"]).path(place.own_path(file));
                command.path(place.own_path(&own))
            }
        };
        self.by_reload(problem.command(command))
    }

    /// Inserts an empty assignment before a line of a unit file, which removes the earlier values.
    pub(super) fn by_reset(
        &self,
        problem: Problem,
        key: &str,
        line: usize,
        file: &Path,
    ) -> Problem {
        let command = ShellCommand::new(&["sed", "-i"])
            .arg(format!("{line}i {key}="))
            .path(self.place.own_path(file));
        self.by_reload(problem.command(command))
    }

    /// Has the running service manager read the changed files.
    pub(super) fn by_reload(&self, problem: Problem) -> Problem {
        if !self.place.live() {
            return problem;
        }
        let problem = problem.command(self.systemctl(&["daemon-reload"]));
        // systemd starts no socket whose service runs.
        let problem = match self.shared {
            Some(service) => problem.command(self.systemctl(&["stop"]).arg(service)),
            None => problem,
        };
        problem.command(self.systemctl(&["restart"]).arg(self.socket))
    }
}
