//! Services that get no new connections from a load balancer, and what an agent check tells it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::store::own_directory;
use super::{Error, Kind};
use crate::root::open_directory;
use crate::services::ServiceName;
use crate::systemd::{self, Manager, Place, Scope, State, Unit};

/// What the agent of a service tells the load balancer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
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
pub fn set_draining(place: &Place, name: &ServiceName, draining: bool) -> Result<bool, Error> {
    let path = directory(place);
    own_directory(place, &path)?;
    set_mark(place, &path, &name.to_string(), draining).map_err(|error| Error::Io(path, error))
}

fn set_mark(place: &Place, path: &Path, name: &str, draining: bool) -> io::Result<bool> {
    let directory = match open_directory(&place.root, path, draining) {
        Err(error) if !draining && error.kind() == io::ErrorKind::NotFound => return Ok(false),
        directory => directory?,
    };
    let changed = match draining {
        true => {
            let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
            openat(&directory, name, flags, Mode::from_bits_truncate(0o644)).map(drop)
        }
        false => unlinkat(&directory, name, UnlinkatFlags::NoRemoveDir),
    };
    match changed {
        Ok(()) => Ok(true),
        Err(Errno::EEXIST) if draining => Ok(false),
        Err(Errno::ENOENT) if !draining => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Whether a service can be drained: its socket unit has a file, or is loaded.
///
/// # Errors
///
/// The unit cannot be read.
pub fn has_socket(place: &Place, name: &ServiceName) -> Result<bool, Error> {
    let unit = format!("{name}.socket");
    if Unit::load(place, &unit)?.state != State::Missing {
        return Ok(true);
    }
    let shown = Manager::of(place).map(|manager| manager.show(&unit, &["LoadState"]));
    Ok(matches!(shown, Some(Ok(shown)) if shown.get("LoadState") == "loaded"))
}

/// Where the marks are.
fn directory(place: &Place) -> PathBuf {
    match place.scope {
        Scope::System => PathBuf::from("/run"),
        Scope::User => systemd::runtime(),
    }
    .join("sockunit/draining")
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
pub fn health(place: &Place, manager: &Manager, name: &ServiceName) -> Result<Health, Error> {
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
    let mark = directory(place).join(name.to_string());
    Ok(match place.path(mark).exists() {
        true => Health::Draining,
        false => Health::Ready,
    })
}
