//! Commands that mend a fault.

use std::path::Path;

use super::Fault;
use crate::systemd::{Place, Scope};

/// A word as a shell takes it.
pub fn shell(word: impl AsRef<Path>) -> String {
    crate::shell::quote(word.as_ref())
}

/// What can be done about the units of one socket.
#[derive(Debug, Clone, Copy)]
pub struct Way<'a> {
    /// Where they lie.
    pub place: &'a Place,
    /// The socket's name, with its type.
    pub socket: &'a str,
}

impl Way<'_> {
    /// A systemctl command as it is to be typed.
    pub fn systemctl(&self, command: &str) -> String {
        match self.place.scope {
            Scope::System => format!("systemctl {command}"),
            Scope::User => format!("systemctl --user {command}"),
        }
    }

    /// Has a fault mended by lines in a drop-in for a unit.
    pub fn by_drop_in(&self, fault: Fault, unit: &str, section: &str, lines: &[&str]) -> Fault {
        let folder = self.place.own_folder().join(format!("{unit}.d"));
        let lines = lines.join("\\n");
        // printf has a use of its own for the percent sign.
        let text = format!("[{section}]\\n{lines}\\n").replace('%', "%%");
        let (text, file) = (shell(text), shell(folder.join("doctor.conf")));
        let fault = fault
            .command(format!("mkdir -p {}", shell(folder)))
            .command(format!("printf {text} >>{file}"));
        self.by_reload(fault)
    }

    /// Has a fault mended by a file under its right name in the administrator's folder: moved from
    /// there, copied from elsewhere.
    pub fn by_name(&self, fault: Fault, file: &Path, name: &str) -> Fault {
        let own = self.place.own_folder();
        let verb = if file.starts_with(&own) { "mv" } else { "cp" };
        let (from, to) = (shell(file), shell(own.join(name)));
        self.by_reload(fault.command(format!("{verb} {from} {to}")))
    }

    /// Has a fault mended by what was done before, once the manager knows of it.
    pub fn by_reload(&self, fault: Fault) -> Fault {
        if !self.place.live() {
            return fault;
        }
        fault
            .command(self.systemctl("daemon-reload"))
            .command(self.systemctl(&format!("restart {}", self.socket)))
    }
}
