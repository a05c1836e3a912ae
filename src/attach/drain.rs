//! Services that get no new connections from a load balancer, and the answers to its agent checks.

use std::fmt;

use super::mark::DRAINING;
use super::{Error, Kind};
use crate::services::ServiceName;
use crate::systemd::{Manager, Place, State, Unit};

/// What the agent of a service answers the load balancer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Health {
    /// It accepts connections.
    Ready,
    /// It serves the connections that it has, and wants no new ones.
    Draining,
    /// It cannot accept connections, for this reason.
    Down(String),
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // HAProxy keeps a server that was down until it hears "up".
        match self {
            Health::Ready => f.write_str("up ready"),
            Health::Draining => f.write_str("up drain"),
            Health::Down(why) => write!(f, "down #{why}"),
        }
    }
}

/// Marks a service as draining, or ends that. Returns whether this changed anything. A reboot ends it too.
///
/// # Errors
///
/// The mark cannot be made or removed, or root would do so below a directory of another user.
pub(crate) fn set_draining(
    place: &Place,
    name: &ServiceName,
    draining: bool,
) -> Result<bool, Error> {
    DRAINING.set(place, name, draining)
}

/// Whether a service can be drained: its socket unit has a file, or is loaded.
///
/// # Errors
///
/// The unit cannot be read.
pub(crate) fn has_socket(place: &Place, name: &ServiceName) -> Result<bool, Error> {
    let unit = format!("{name}.socket");
    if Unit::load(place, &unit)?.state != State::Missing {
        return Ok(true);
    }
    let shown = Manager::of(place).map(|manager| manager.show(&unit, &["LoadState"]));
    Ok(matches!(shown, Some(Ok(shown)) if shown.get("LoadState") == "loaded"))
}

const SOCKET_PROPERTIES: [&str; 5] = [
    "LoadState",
    "ActiveState",
    "Accept",
    "NConnections",
    "MaxConnections",
];

/// Whether a service accepts connections.
///
/// # Errors
///
/// systemctl fails.
pub(crate) fn health(
    place: &Place,
    manager: &Manager,
    name: &ServiceName,
) -> Result<Health, Error> {
    let unit = format!("{name}.socket");
    let socket = manager.show(&unit, &SOCKET_PROPERTIES)?;
    if socket.get("LoadState") != "loaded" {
        return Ok(Health::Down(format!(
            "{unit} is {}",
            socket.get("LoadState")
        )));
    }
    if socket.get("ActiveState") != "active" {
        return Ok(Health::Down(format!(
            "{unit} is {}",
            socket.get("ActiveState")
        )));
    }
    let number = |property| socket.get(property).parse::<u64>().ok();
    match Kind::of(&socket) {
        Kind::PerConnection => {
            let full = number("NConnections").zip(number("MaxConnections"));
            if full.is_some_and(|(open, max)| open >= max) {
                return Ok(Health::Down("concurrency limit reached".into()));
            }
        }
        Kind::Shared => {
            let unit = format!("{name}.service");
            let service = manager.show(&unit, &["ActiveState"])?;
            if service.get("ActiveState") == "failed" {
                return Ok(Health::Down(format!("{unit} is failed")));
            }
        }
    }
    Ok(match DRAINING.is_set(place, name) {
        true => Health::Draining,
        false => Health::Ready,
    })
}
