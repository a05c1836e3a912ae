//! The service that is checked: its units on disk, and as the service manager has loaded them.

use std::path::{Path, PathBuf};

use super::address::Address;
use super::fix::Fixer;
use crate::SHIPPED;
use crate::attach::served;
use crate::systemd::{ListenDirective, Manager, Place, Properties, Scope, Unit, command_lines};

/// Where the programs of this package's services are.
const LIBEXEC: &str = "/usr/libexec/sockunit/";

/// A socket and the service that it starts.
pub(super) struct Subject<'a> {
    /// Where the units are.
    pub place: &'a Place,
    /// The service manager, if one runs.
    pub manager: Option<Manager>,
    /// The service name.
    pub name: String,
    /// The socket unit.
    pub socket: Unit,
    /// Its properties in the service manager; empty without one.
    pub loaded: Properties,
    /// `Accept=yes`: systemd starts an instance for each connection.
    pub accept: bool,
    /// The service unit, or the template.
    pub service: Unit,
    /// The service's properties, or those of an instance that is never started.
    pub started: Properties,
}

/// The properties of the socket.
pub(super) const OF_SOCKET: [&str; 23] = [
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
    "IPAddressAllow",
    "IPAddressDeny",
];

/// The properties of the service.
pub(super) const OF_SERVICE: [&str; 17] = [
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

impl Subject<'_> {
    /// Whether the units are the system's. Only they can set users.
    pub(super) fn of_system(&self) -> bool {
        self.place.scope == Scope::System
    }

    /// The service's unit, or a pattern for all instances.
    pub(super) fn services(&self) -> String {
        match self.service.name.split_once("@.") {
            Some((prefix, kind)) => format!("{prefix}@*.{kind}"),
            None => self.service.name.clone(),
        }
    }

    /// A property of the service, as loaded or, without a service manager, as written.
    pub(super) fn setting(&self, key: &str) -> String {
        let loaded = self.started.get(key);
        if !loaded.is_empty() {
            return loaded.to_string();
        }
        let written = self.service.value("Service", key);
        written.map_or(String::new(), |value| value.text.to_string())
    }

    /// The service's command line as written, without the prefixes of `ExecStart=`.
    pub(super) fn command(&self) -> String {
        let line = self.service.value("Service", "ExecStart");
        let line = line.map_or("", |value| value.text);
        line.trim_start_matches(['-', '@', ':', '+', '!'])
            .to_string()
    }

    /// Whether the command is `sockunit serve`.
    pub(super) fn serves_by_tool(&self) -> bool {
        let line = self.service.value("Service", "ExecStart");
        let commands = line.and_then(|line| command_lines(line.text).ok());
        commands.is_some_and(|commands| commands.iter().any(|command| served(command).is_some()))
    }

    /// Whether the program is one of this package's services.
    pub(super) fn is_shipped(&self) -> bool {
        let command = self.command();
        let program = command.split_whitespace().next().unwrap_or_default();
        let name = program.strip_prefix(LIBEXEC).unwrap_or_default();
        SHIPPED.contains(&name)
    }

    /// Whether the program starts as root.
    pub(super) fn is_root(&self) -> bool {
        let user = self.setting("User");
        let dynamic = self.setting("DynamicUser") == "yes";
        self.of_system() && !dynamic && ["", "root", "0"].contains(&user.as_str())
    }

    /// Whether the IPv6 addresses accept no IPv4 connections.
    pub(super) fn only_v6(&self) -> bool {
        let value = self.socket.value("Socket", "BindIPv6Only");
        value.is_some_and(|value| value.text == "ipv6-only")
    }

    /// The TCP ports of the socket.
    pub(super) fn ports(&self) -> Vec<u16> {
        let listens = self.socket.listen_directives();
        let written = listens.iter().filter(|listen| listen.is_stream());
        let mut ports: Vec<u16> = written.filter_map(ListenDirective::port).collect();
        // The service manager has expanded specifiers.
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

    /// Commands that fix its units.
    pub(super) fn fixer(&self) -> Fixer<'_> {
        Fixer {
            place: self.place,
            socket: &self.socket.name,
            shared: (!self.accept).then_some(&self.service.name),
        }
    }

    /// A path of the system as a path for this process.
    pub(super) fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.place.path(path)
    }
}
