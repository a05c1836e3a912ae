//! The service that is looked at: its units as they are on disk, and as the manager has them.

use std::path::{Path, PathBuf};

use super::Fault;
use super::address::Address;
use super::fix::Way;
use crate::systemd::{Manager, Properties};
use crate::systemd::{Place, Scope, Unit};

/// A socket and the service that it starts.
pub struct Case<'a> {
    /// Where its units lie.
    pub place: &'a Place,
    /// The service manager, where there is one to ask.
    pub manager: Option<Manager>,
    /// The name without its type.
    pub name: String,
    /// The socket.
    pub socket: Unit,
    /// What the manager has of it; empty without one.
    pub loaded: Properties,
    /// Whether there is a unit for each connection.
    pub accept: bool,
    /// The service, or the template of it.
    pub service: Unit,
    /// What the manager has of the service, or of an instance that is never started.
    pub started: Properties,
}

/// What is asked of the manager about the socket.
pub const OF_SOCKET: [&str; 21] = [
    "LoadState",
    "LoadError",
    "FragmentPath",
    "DropInPaths",
    "NeedDaemonReload",
    "ActiveState",
    "SubState",
    "Result",
    "Listen",
    "Accept",
    "UnitFileState",
    "NConnections",
    "NRefused",
    "MaxConnections",
    "MaxConnectionsPerSource",
    "PollLimitIntervalUSec",
    "PollLimitBurst",
    "TriggerLimitIntervalUSec",
    "TriggerLimitBurst",
    "Triggers",
    "FreeBind",
];

/// What is asked of it about the service.
pub const OF_SERVICE: [&str; 17] = [
    "LoadState",
    "LoadError",
    "FragmentPath",
    "DropInPaths",
    "NeedDaemonReload",
    "ActiveState",
    "NRestarts",
    "Result",
    "ExecMainCode",
    "ExecMainStatus",
    "StandardInput",
    "StandardOutput",
    "StandardError",
    "User",
    "Group",
    "DynamicUser",
    "StatusText",
];

impl Case<'_> {
    /// Whether the units are the system's, and so the users that they name count.
    pub fn of_system(&self) -> bool {
        self.place.scope == Scope::System
    }

    /// A systemctl command as it is to be typed.
    pub fn systemctl(&self, command: &str) -> String {
        self.way().systemctl(command)
    }

    /// A pattern for the service's units: all instances, or the one.
    pub fn services(&self) -> String {
        match self.service.name.split_once("@.") {
            Some((prefix, kind)) => format!("{prefix}@*.{kind}"),
            None => self.service.name.clone(),
        }
    }

    /// A property of the service, as the manager has it or, without one, as it is written.
    pub fn setting(&self, key: &str) -> String {
        let loaded = self.started.get(key);
        if !loaded.is_empty() {
            return loaded.to_string();
        }
        let written = self.service.value("Service", key);
        written.map_or(String::new(), |value| value.text.to_string())
    }

    /// Whether its addresses of IPv6 take no IPv4.
    pub fn only_v6(&self) -> bool {
        let value = self.socket.value("Socket", "BindIPv6Only");
        value.is_some_and(|value| value.text == "ipv6-only")
    }

    /// The TCP ports that the socket is meant to have.
    pub fn ports(&self) -> Vec<u16> {
        let listens = self.socket.listen_directives();
        let written = listens.iter().filter(|listen| listen.is_stream());
        let mut ports: Vec<u16> = written
            .filter_map(crate::systemd::ListenDirective::port)
            .collect();
        // What was written with specifiers is known to the manager.
        let loaded = self.loaded.all("Listen").iter();
        ports.extend(loaded.filter_map(|listen| {
            match Address::parse(listen.strip_suffix(" (Stream)")?) {
                Address::Tcp(address) => Some(address.port()),
                _ => None,
            }
        }));
        ports.sort_unstable();
        ports.dedup();
        ports
    }

    /// What can be done about its units.
    pub fn way(&self) -> Way<'_> {
        Way {
            place: self.place,
            socket: &self.socket.name,
        }
    }

    /// As [`Way::by_drop_in`].
    pub fn by_drop_in(&self, fault: Fault, unit: &str, section: &str, lines: &[&str]) -> Fault {
        self.way().by_drop_in(fault, unit, section, lines)
    }

    /// As [`Way::by_reload`].
    pub fn by_reload(&self, fault: Fault) -> Fault {
        self.way().by_reload(fault)
    }

    /// A path of the system as one from here.
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.place.path(path)
    }
}
