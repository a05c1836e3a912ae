//! The running service manager, called through systemctl.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::{Limits, PATIENCE, Place, RunError, Scope, run};
use crate::log::reason;

/// The most that is read of an answer: 10 times what all properties of 2,000 units have.
const MAX_ANSWER: usize = 64 << 20;

/// The service manager of a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Manager {
    scope: Scope,
}

/// systemctl failed.
#[derive(Debug)]
pub(crate) enum SystemctlError {
    /// systemctl could not be started.
    NoSystemctl(io::Error),
    /// It has no answer.
    NoAnswer {
        /// The command line.
        command: String,
        /// Why not.
        error: RunError,
    },
    /// Its answer is longer than [`MAX_ANSWER`].
    TooLong {
        /// The command line.
        command: String,
    },
    /// It exited with an error.
    Failed {
        /// The command line.
        command: String,
        /// Its standard error.
        stderr: String,
    },
}

impl fmt::Display for SystemctlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SystemctlError::NoSystemctl(error) => {
                write!(f, "cannot run systemctl: {}", reason(error))
            }
            SystemctlError::NoAnswer { command, error } => write!(f, "{command} {error}"),
            SystemctlError::TooLong { command } => {
                write!(f, "{command} prints more than {} MiB", MAX_ANSWER >> 20)
            }
            SystemctlError::Failed { command, stderr } if stderr.is_empty() => {
                write!(f, "{command} failed")
            }
            SystemctlError::Failed { command, stderr } => write!(f, "{command}: {stderr}"),
        }
    }
}

impl std::error::Error for SystemctlError {}

/// The properties of a unit, as [`Manager::show`] returns them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Properties(HashMap<String, Vec<String>>);

/// An address that a socket unit listens on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listening {
    /// The address as systemd prints it.
    pub address: String,
    /// Whether it has connections. Otherwise it is for datagrams.
    pub is_stream: bool,
}

impl fmt::Display for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address)?;
        match self.is_stream {
            true => Ok(()),
            false => f.write_str(" (UDP)"),
        }
    }
}

impl Properties {
    /// The value of a property, the empty text where it has none.
    pub(crate) fn get(&self, property: &str) -> &str {
        self.all(property).first().map_or("", String::as_str)
    }

    /// The values of one that may have several: `Listen`, `ExecStart`.
    pub(crate) fn all(&self, property: &str) -> &[String] {
        self.0.get(property).map_or(&[], Vec::as_slice)
    }

    /// The addresses of a socket unit's `Listen` property that are for streams.
    pub(crate) fn stream_addresses(&self) -> Vec<String> {
        let streams = self.listening().filter(|listening| listening.is_stream);
        streams.map(|listening| listening.address).collect()
    }

    /// The addresses of a socket unit's `Listen` property that are for streams or datagrams.
    pub(crate) fn listening(&self) -> impl Iterator<Item = Listening> {
        self.all("Listen").iter().filter_map(|listen| {
            let (address, kind) = listen.rsplit_once(' ')?;
            let is_stream = match kind {
                "(Stream)" => true,
                "(Datagram)" => false,
                _ => return None,
            };
            Some(Listening {
                address: address.to_owned(),
                is_stream,
            })
        })
    }

    /// Parses the output of `systemctl show`.
    pub(crate) fn parse(text: &str, asked: &[&str]) -> Properties {
        let mut properties: HashMap<String, Vec<String>> = HashMap::new();
        let mut last: Option<&str> = None;
        for line in text.lines() {
            match line.split_once('=') {
                Some((key, value)) if asked.contains(&key) => {
                    let values = properties.entry(key.into()).or_default();
                    values.push(value.into());
                    last = Some(key);
                }
                // A value of several lines.
                _ => {
                    let open = last.and_then(|key| properties.get_mut(key)?.last_mut());
                    if let Some(value) = open {
                        value.push('\n');
                        value.push_str(line);
                    }
                }
            }
        }
        Properties(properties)
    }
}

impl Manager {
    /// The manager of a place; `None` where there is none to ask: in a system that is only
    /// unpacked, or where systemd does not run.
    pub(crate) fn of(place: &Place) -> Option<Manager> {
        let scope = place.scope;
        let runs = match scope {
            Scope::System => Path::new("/run/systemd/system").is_dir(),
            // The file stays when the manager has ended.
            Scope::User => UnixStream::connect(super::runtime().join("systemd/private")).is_ok(),
        };
        (place.live() && runs).then_some(Manager { scope })
    }

    /// Properties of a unit. One that is not known has them too: `LoadState` is `not-found`.
    ///
    /// # Errors
    ///
    /// See [`SystemctlError`], as for all that follows.
    pub(crate) fn show(
        &self,
        unit: &str,
        properties: &[&str],
    ) -> Result<Properties, SystemctlError> {
        let mut arguments = vec!["show"];
        arguments.extend(properties.iter().flat_map(|name| ["--property", name]));
        arguments.extend(["--", unit]);
        Ok(Properties::parse(&self.ask(&arguments)?, properties))
    }

    /// Properties of several units at once, of each name and of each loaded one that matches a
    /// pattern. `Id` says whose, where it is asked for. Times are `@` and seconds since 1970.
    pub(crate) fn show_all(
        &self,
        units: &[&str],
        properties: &[&str],
    ) -> Result<Vec<Properties>, SystemctlError> {
        let mut arguments = vec!["show", "--timestamp=unix"];
        arguments.extend(properties.iter().flat_map(|name| ["--property", name]));
        arguments.push("--");
        arguments.extend(units);
        let output = self.ask(&arguments)?;
        let blocks = output
            .split("\n\n")
            .filter(|block| !block.trim().is_empty());
        Ok(blocks
            .map(|block| Properties::parse(block, properties))
            .collect())
    }

    /// Has the manager read all unit files again.
    pub(crate) fn daemon_reload(&self) -> Result<(), SystemctlError> {
        self.call(&["daemon-reload"]).map(drop)
    }

    /// Starts a unit and waits for it.
    pub(crate) fn start(&self, unit: &str) -> Result<(), SystemctlError> {
        self.call(&["start", "--", unit]).map(drop)
    }

    /// Restarts a unit, or starts it if it does not run.
    pub(crate) fn restart(&self, unit: &str) -> Result<(), SystemctlError> {
        self.call(&["restart", "--", unit]).map(drop)
    }

    /// Restarts a unit if it runs.
    pub(crate) fn try_restart(&self, unit: &str) -> Result<(), SystemctlError> {
        self.call(&["try-restart", "--", unit]).map(drop)
    }

    /// Starts, stops or restarts a unit. If it is not to be waited for, systemd does so when it can.
    pub(crate) fn change(&self, verb: &str, unit: &str, waits: bool) -> Result<(), SystemctlError> {
        let arguments = match waits {
            true => vec![verb, "--", unit],
            false => vec![verb, "--no-block", "--", unit],
        };
        self.call(&arguments).map(drop)
    }

    /// Has a unit read its configuration again, and does not wait for it.
    pub(crate) fn reload(&self, unit: &str) -> Result<(), SystemctlError> {
        self.call(&["reload", "--no-block", "--", unit]).map(drop)
    }

    /// Stops a unit, or all that match a pattern, and waits for it.
    pub(crate) fn stop(&self, unit: &str) -> Result<(), SystemctlError> {
        self.call(&["stop", "--", unit]).map(drop)
    }

    /// Forgets that a unit, or any that matches a pattern, has failed.
    pub(crate) fn reset_failed(&self, unit: &str) -> Result<(), SystemctlError> {
        self.call(&["reset-failed", "--", unit]).map(drop)
    }

    /// Has the manager do something, for as long as that takes: a service may take minutes to stop.
    fn call(&self, arguments: &[&str]) -> Result<String, SystemctlError> {
        self.run(arguments, None)
    }

    /// Asks the manager for something that it knows.
    fn ask(&self, arguments: &[&str]) -> Result<String, SystemctlError> {
        self.run(arguments, Some(PATIENCE))
    }

    fn run(&self, arguments: &[&str], time: Option<Duration>) -> Result<String, SystemctlError> {
        let mut command = Command::new("systemctl");
        let mut typed = String::from("systemctl");
        if self.scope == Scope::User {
            command.arg("--user");
            typed += " --user";
            // After su it is not set, and systemctl would not find the manager.
            command.env("XDG_RUNTIME_DIR", super::runtime());
        }
        command.args(["--no-pager", "--no-ask-password"]);
        for argument in arguments.iter().filter(|argument| **argument != "--") {
            typed = typed + " " + argument;
        }
        command
            .args(arguments)
            .env("LC_ALL", "C.UTF-8")
            .env("SYSTEMD_COLORS", "0")
            .env_remove("SYSTEMD_LOG_LEVEL");
        let limits = Limits {
            time,
            bytes: MAX_ANSWER,
        };
        let output = match run(&mut command, limits) {
            Ok(output) => output,
            Err(RunError::NotStarted(error)) => return Err(SystemctlError::NoSystemctl(error)),
            Err(error) => {
                return Err(SystemctlError::NoAnswer {
                    command: typed,
                    error,
                });
            }
        };
        if output.is_cut {
            return Err(SystemctlError::TooLong { command: typed });
        }
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let stderr = String::from_utf8_lossy(&output.stderr);
        Err(SystemctlError::Failed {
            command: typed,
            stderr: stderr.trim().to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_may_come_several_times_and_in_several_lines() {
        let asked = ["Listen", "StatusText", "Id"];
        let text = "Id=a.socket\nListen=[::1]:1 (Stream)\nListen=/x (Stream)\nListen=0.0.0.0:1 (Datagram)\n\
                    Listen=/y (FIFO)\nStatusText=a\nb=c\n";
        let shown = Properties::parse(text, &asked);
        assert_eq!(shown.get("Id"), "a.socket");
        assert_eq!(
            shown.all("Listen")[..2],
            ["[::1]:1 (Stream)", "/x (Stream)"]
        );
        let listening: Vec<String> = shown.listening().map(|one| one.to_string()).collect();
        assert_eq!(listening, ["[::1]:1", "/x", "0.0.0.0:1 (UDP)"]);
        assert_eq!(shown.stream_addresses(), ["[::1]:1", "/x"]);
        assert_eq!(shown.get("StatusText"), "a\nb=c");
        assert_eq!(shown.get("Accept"), "");
    }

    #[test]
    fn in_an_unpacked_system_there_is_no_manager() {
        for scope in [Scope::System, Scope::User] {
            assert_eq!(Manager::of(&Place::new("/tree", scope)), None);
        }
    }
}
