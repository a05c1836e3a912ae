//! The open connections of services, and what systemd has counted.
//!
//! A connection is a socket whose local address is one that the service listens on, and that a process
//! of its units has open. All of that is from the kernel and the service manager, not from the programs, except the client
//! behind a proxy.

pub(crate) mod client;
mod penalties;
mod process;
mod sockets;

use std::net::SocketAddr;

use jiff::Timestamp;

pub(crate) use self::penalties::{Penalised, penalties};

use self::process::OwnUnits;
use self::sockets::Sockets;
use super::{Error, Kind};
use crate::connection::Traffic;
use crate::systemd::{Listening, Manager, Place, Properties, Scope};

/// A service that systemd listens for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Status {
    pub name: String,
    pub kind: Kind,
    /// The state of the socket unit: `active`, `inactive`, `failed`.
    pub state: String,
    /// Since when the socket listens.
    pub since: Option<Timestamp>,
    /// The addresses that it listens on, or would.
    pub listen: Vec<Listening>,
    /// The number of connections.
    pub now: u64,
    /// Connections accepted and refused at a limit since systemd loaded the unit. It counts them only for
    /// a per-connection service.
    pub totals: Option<Totals>,
    /// The connections, those of the longest duration first.
    pub open: Vec<Connection>,
}

/// What systemd counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Connections accepted.
    pub accepted: u64,
    /// Connections refused because of MaxConnections= or MaxConnectionsPerSource=.
    pub refused: u64,
}

/// An open connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Connection {
    pub remote: Remote,
    /// The client, if the peer is a proxy, from the environment of the program, which can change it.
    pub client: Option<SocketAddr>,
    /// When the process was started.
    pub since: Option<Timestamp>,
    /// The process that serves it: the main process of its unit, or in a shared service the program
    /// that was started for it. `None` if the caller may not see it.
    pub pid: Option<u32>,
    pub unit: Option<String>,
    /// The bytes in both directions; `None` for AF_UNIX.
    pub traffic: Option<Traffic>,
}

/// The other end of a connection, as the kernel knows it from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Remote {
    Tcp(SocketAddr),
    /// A socket of this machine, with the user who created it and a process that has it open.
    Unix {
        uid: Option<u32>,
        pid: Option<u32>,
    },
}

const PROPERTIES: [&str; 8] = [
    "LoadState",
    "ActiveState",
    "ActiveEnterTimestamp",
    "Accept",
    "Listen",
    "NConnections",
    "NAccepted",
    "NRefused",
];

/// The status of services, without those that have no socket unit.
///
/// # Errors
///
/// See [`Error`]: systemctl fails, or the kernel does not list its sockets.
pub(crate) fn status(
    place: &Place,
    manager: &Manager,
    names: &[String],
) -> Result<Vec<Status>, Error> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let units: Vec<String> = names.iter().map(|name| format!("{name}.socket")).collect();
    let units: Vec<&str> = units.iter().map(String::as_str).collect();
    let shown = manager.show_all(&units, &PROPERTIES)?;
    let mut all: Vec<Status> = names
        .iter()
        .zip(&shown)
        .filter(|(_, shown)| shown.get("LoadState") != "not-found")
        .map(|(name, shown)| without_connections(name, shown))
        .collect();
    let sockets = Sockets::read(&all)?;
    for status in &mut all {
        let own = OwnUnits {
            name: &status.name,
            of_user: place.scope == Scope::User,
        };
        status.open = sockets.connections(&own, &status.listen, status.state == "active");
        if status.kind == Kind::Shared {
            status.now = status.open.len() as u64;
        }
    }
    Ok(all)
}

fn without_connections(name: &str, shown: &Properties) -> Status {
    let number = |property| shown.get(property).parse().unwrap_or(0);
    let kind = Kind::of(shown);
    let active = shown.get("ActiveState") == "active";
    let since = shown.get("ActiveEnterTimestamp").strip_prefix('@');
    let since = since.and_then(|seconds| Timestamp::from_second(seconds.parse().ok()?).ok());
    Status {
        name: name.into(),
        kind,
        state: shown.get("ActiveState").into(),
        since: since.filter(|_| active),
        listen: shown.listening().collect(),
        now: number("NConnections"),
        totals: (kind == Kind::PerConnection).then(|| Totals {
            accepted: number("NAccepted"),
            refused: number("NRefused"),
        }),
        open: Vec::new(),
    }
}
