//! Programs attached to ports.
//!
//! [`add`] checks an [`Attachment`], writes its units, starts the socket and connects once; [`remove`]
//! undoes exactly that; [`list`] lists what is attached, and [`status`] the open connections.

mod add;
mod changing;
mod drain;
mod error;
mod failure;
mod free;
mod list;
mod listen;
mod lookup;
mod mark;
mod probe;
mod remove;
mod render;
mod replace;
mod rules;
mod run_as;
mod sandbox;
pub(crate) mod signature;
mod socket_path;
pub(crate) mod status;
mod stop;
mod store;

use std::fmt;
use std::num::NonZeroU16;
use std::str::FromStr;

pub(crate) use add::is_noncharacter;
pub(crate) use add::{Added, Change, Plan, add, plan};
pub(crate) use drain::{has_socket, health, set_draining};
pub(crate) use error::Error;
pub(crate) use failure::Left;
pub(crate) use list::{Listed, list, own};
pub(crate) use listen::{ListenAddress, connect_arguments, listen_directives};
pub(crate) use lookup::absolute_path;
pub(crate) use probe::NO_CLIENT;
pub(crate) use probe::{BUFFERED, UNBUFFER};
pub(crate) use remove::{
    Stopping, check_removal, has_foreign_unit, imported, link as socket_link, remove, undo,
};
pub(crate) use render::{RECORD, RenderedUnit, confinement, render_imported, serve_command};
pub(crate) use sandbox::Level;
pub(crate) use signature::{Maker, sign};
pub(crate) use status::{Connection, Penalised, Remote, Status, Totals, penalties, status};
pub(crate) use stop::stop_shared;
pub(crate) use store::{Content, Store};

use crate::server::{ConnectionRules, ProxyOptions, SharedLimits};
use crate::services::ServiceName;
use crate::systemd::{CommandLine, Properties};

/// The program of `sockunit serve` as the package installs it for units: linked statically, it starts
/// faster than the tool.
pub(crate) const SERVE: &str = "/usr/libexec/sockunit/serve";

/// A program to attach to a port.
#[derive(Debug, Clone)]
pub(crate) struct Attachment {
    pub name: ServiceName,
    /// The TCP port of addresses without one.
    pub port: NonZeroU16,
    /// The addresses; empty means the loopback addresses.
    pub listen: Vec<ListenAddress>,
    pub kind: Kind,
    /// The user that the program runs as; `None` for a dynamic user.
    pub user: Option<String>,
    /// The group that it runs as; `None` for the user's own.
    pub group: Option<String>,
    /// The working directory; `None` for the root directory.
    pub directory: Option<String>,
    /// Give the service a directory to write to, `/var/lib/NAME`, which is also its HOME.
    pub state: bool,
    pub environment: Vec<Variable>,
    /// Add an entry to /etc/services, unless the name or the port has one.
    pub services_entry: bool,
    /// The sandbox.
    pub level: Level,
    /// The concurrency limit.
    pub max_connections: u32,
    /// The concurrency limit of one remote address, if it is not the default.
    pub per_source: Option<u32>,
    /// Proxies that forward connections of others.
    pub proxy: ProxyOptions,
    /// The limits of a shared service.
    pub shared: SharedLimits,
    /// The rules for connections; the paths in them are absolute.
    pub rules: ConnectionRules,
    /// The program's absolute path.
    pub program: String,
    pub arguments: Vec<String>,
    /// Start the socket at every boot.
    pub enable: bool,
    /// What `sockunit import` adds.
    pub imported: Option<Imported>,
}

/// What an imported service has beside the options of `sockunit add`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Imported {
    /// The file that it was imported from.
    pub source: String,
    /// The name that the program finds in `argv[0]`.
    pub program_name: Option<String>,
    /// Lines of the `[Socket]` section.
    pub socket: Vec<String>,
    /// Lines of the `[Service]` section.
    pub service: Vec<String>,
}

/// The concurrency limit of one remote address unless the user says otherwise.
const PER_SOURCE: u32 = 64;

impl Attachment {
    /// The name of the user that the program runs as; `None` for a dynamic user, or with `--user` for that
    /// user.
    fn run_as(&self) -> Option<&str> {
        let default = self.level.sandbox().as_root.then_some("root");
        self.user.as_deref().or(default)
    }

    /// Whether systemd enforces the limit on one address, but has the addresses of proxies alone.
    fn sees_proxies_alone(&self) -> bool {
        self.kind == Kind::PerConnection && !self.proxy.accept_proxy.is_empty()
    }

    /// The concurrency limit of one remote address. A proxy has many clients, so that it has no limit of its own.
    fn of_one_source(&self) -> u32 {
        let default = match self.sees_proxies_alone() {
            true => self.max_connections,
            false => PER_SOURCE,
        };
        self.per_source.unwrap_or(default)
    }
}

/// How connections are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// By an instance of the template `NAME@.service` for each connection (`Accept=yes`).
    PerConnection,
    /// By one `NAME.service` for all connections (`Accept=no`).
    Shared,
}

impl Kind {
    /// The kind of a service by the properties of its socket unit.
    fn of(socket: &Properties) -> Kind {
        match socket.get("Accept") {
            "yes" => Kind::PerConnection,
            _ => Kind::Shared,
        }
    }

    /// The units of a service: the one that listens, and the one that runs the program.
    pub(crate) fn units(self, name: &ServiceName) -> [String; 2] {
        [format!("{name}.socket"), self.service(name)]
    }

    /// The unit that runs the program.
    pub(crate) fn service(self, name: &ServiceName) -> String {
        match self {
            Kind::PerConnection => format!("{name}@.service"),
            Kind::Shared => format!("{name}.service"),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Kind::PerConnection => "per-connection",
            Kind::Shared => "shared",
        })
    }
}

/// An environment variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Variable {
    name: String,
    value: String,
}

impl fmt::Display for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.value)
    }
}

impl FromStr for Variable {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Variable, &'static str> {
        let (name, value) = text.split_once('=').ok_or("give it as NAME=VALUE")?;
        let valid = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty()
            || name.starts_with(|c: char| c.is_ascii_digit())
            || !name.chars().all(valid)
        {
            return Err("a name has letters, digits and _ only, and does not begin with a digit");
        }
        Ok(Variable {
            name: name.into(),
            value: value.into(),
        })
    }
}

/// The program and arguments that `sockunit serve` starts, if the command is that or the program of it.
pub(crate) fn served(command: &CommandLine) -> Option<Vec<String>> {
    let argv = command.argv();
    let program = argv.first()?;
    let serves = program == SERVE || program.ends_with("/sockunit") && argv.get(1)? == "serve";
    let end = argv.iter().position(|word| word == "--")?;
    serves.then(|| argv[end + 1..].to_vec())
}
