//! Programs attached to ports: the checks before, the units, and how they come, go and are listed.
//!
//! [`check`] says whether a program can be started. [`add`] plans an [`Attachment`], writes its
//! units, tells the service manager and connects once; [`remove`] takes exactly that away again,
//! and [`list`] tells what is there.

mod add;
mod answer;
mod error;
mod list;
mod mark;
mod remove;
mod render;
mod sandbox;
mod store;

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::str::FromStr;

pub use add::{Added, Plan, add, plan};
pub use answer::{Then, receive};
pub use error::Error;
pub use list::{Listed, list, own};
pub use remove::remove;
pub use sandbox::Level;

use crate::services::ServiceName;

/// A program at a port, as the user wants it.
#[derive(Debug, Clone)]
pub struct Attachment {
    /// The service's name, and its units'.
    pub name: ServiceName,
    /// The TCP port.
    pub port: NonZeroU16,
    /// The addresses; empty means the loopback addresses.
    pub listen: Vec<Listen>,
    /// A unit for each connection, or one process for all.
    pub kind: Kind,
    /// The user that the program runs as; nothing means one that systemd makes up.
    pub user: Option<String>,
    /// What is taken away from the program.
    pub level: Level,
    /// Connections at once.
    pub max_connections: u32,
    /// Connections at once of one address.
    pub per_source: u32,
    /// The program's full path.
    pub program: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Start it at every boot.
    pub enable: bool,
}

/// How connections are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A unit for each connection: `NAME@.service`.
    Single,
    /// One process for all: `NAME.service`.
    Shared,
}

impl Kind {
    /// The name of the unit that runs the program.
    pub fn service(self, name: &ServiceName) -> String {
        match self {
            Kind::Single => format!("{name}@.service"),
            Kind::Shared => format!("{name}.service"),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Kind::Single => "single",
            Kind::Shared => "shared",
        })
    }
}

/// An address to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listen {
    /// Every address of the host.
    Everywhere,
    /// One of them, or all of its kind.
    On(IpAddr),
}

impl FromStr for Listen {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Listen, &'static str> {
        let bare = text
            .strip_prefix('[')
            .and_then(|text| text.strip_suffix(']'));
        match text {
            "*" => Ok(Listen::Everywhere),
            _ => bare.unwrap_or(text).parse().map(Listen::On).map_err(
                |_| "give an address of this host, such as 192.0.2.1 or ::1, or * for all of them",
            ),
        }
    }
}
