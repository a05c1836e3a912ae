//! The open connections of services, and what systemd has counted.
//!
//! A connection is a socket whose local address is one that the service listens on, and that a process
//! of its units has open. All of that is from the kernel and the service manager, not from the programs.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use nix::time::{ClockId, clock_gettime};

use super::{Error, Kind};
use crate::conflicts::{Process, SocketOwners};
use crate::connection::diag::{self, TcpConnection, UnixConnection};
use crate::connection::{Peer, Traffic};
use crate::systemd::{Manager, Place, Properties, Scope};

/// A service that systemd listens for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The service name.
    pub name: String,
    /// How connections are served.
    pub kind: Kind,
    /// The state of the socket unit: `active`, `inactive`, `failed`.
    pub state: String,
    /// Since when the socket listens.
    pub since: Option<Timestamp>,
    /// The addresses that it listens on, or would.
    pub listen: Vec<String>,
    /// The number of connections.
    pub now: u64,
    /// Connections accepted and refused at a limit since the socket was started. systemd counts them
    /// only for a per-connection service.
    pub totals: Option<Totals>,
    /// The connections, those of the longest duration first.
    pub open: Vec<Connection>,
}

/// What systemd counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Totals {
    /// Connections accepted.
    pub accepted: u64,
    /// Connections refused because of MaxConnections= or MaxConnectionsPerSource=.
    pub refused: u64,
}

/// An open connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// The other end.
    pub remote: Remote,
    /// When the process was started.
    pub since: Option<Timestamp>,
    /// The process that serves it: the main process of its unit, or in a shared service the program
    /// that was started for it. `None` if the caller may not see it.
    pub pid: Option<u32>,
    /// Its unit.
    pub unit: Option<String>,
    /// The bytes in both directions; `None` for AF_UNIX.
    pub traffic: Option<Traffic>,
}

/// The other end of a connection, as the kernel knows it from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remote {
    /// A TCP address.
    Tcp(SocketAddr),
    /// A socket of this machine, with the user who created it and a process that has it open.
    Unix {
        /// The user ID.
        uid: Option<u32>,
        /// The process ID.
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
pub fn status(place: &Place, manager: &Manager, names: &[String]) -> Result<Vec<Status>, Error> {
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
    let kind = match shown.get("Accept") {
        "yes" => Kind::PerConnection,
        _ => Kind::Shared,
    };
    let active = shown.get("ActiveState") == "active";
    let since = shown.get("ActiveEnterTimestamp").strip_prefix('@');
    let since = since.and_then(|seconds| Timestamp::from_second(seconds.parse().ok()?).ok());
    Status {
        name: name.into(),
        kind,
        state: shown.get("ActiveState").into(),
        since: since.filter(|_| active),
        listen: shown.stream_addresses(),
        now: number("NConnections"),
        totals: (kind == Kind::PerConnection).then(|| Totals {
            accepted: number("NAccepted"),
            refused: number("NRefused"),
        }),
        open: Vec::new(),
    }
}

/// The units of a service that have processes.
struct OwnUnits<'a> {
    name: &'a str,
    of_user: bool,
}

impl OwnUnits<'_> {
    fn have(&self, process: &Process) -> bool {
        let Some(unit) = &process.unit else {
            return false;
        };
        let rest = unit.name.strip_prefix(self.name);
        let own = rest.is_some_and(|rest| {
            rest == ".service" || rest.starts_with('@') && rest.ends_with(".service")
        });
        own && unit.of_user == self.of_user
    }
}

/// The connected sockets of this machine with the addresses of services.
struct Sockets {
    tcp: Vec<TcpConnection>,
    /// By inode number.
    unix: HashMap<u64, UnixConnection>,
    owners: SocketOwners,
}

impl Sockets {
    /// Asks the kernel: once for all sockets, and once for the processes that have them open.
    fn read(services: &[Status]) -> Result<Sockets, Error> {
        let addresses: Vec<&String> = services.iter().flat_map(|s| &s.listen).collect();
        let failed = |error| Error::Io("sock_diag".into(), error);
        let mut tcp = diag::tcp().map_err(failed)?;
        tcp.retain(|c| addresses.iter().any(|a| is_of(a, c.local)));
        let mut wanted: Vec<u64> = tcp.iter().map(|c| c.inode).collect();
        let mut unix = HashMap::new();
        let names: HashSet<Vec<u8>> = addresses.iter().filter_map(|a| unix_name(a)).collect();
        if !names.is_empty() {
            let all = diag::unix().map_err(failed)?;
            unix = all.into_iter().map(|c| (c.inode, c)).collect();
            let accepted = unix.values().filter(|c| names.contains(&c.name));
            wanted.extend(accepted.flat_map(|c| [Some(c.inode), c.peer]).flatten());
        }
        let mut owners = SocketOwners::default();
        let searched = owners.search(wanted.into_iter());
        searched.map_err(|error| Error::Io("/proc".into(), error))?;
        Ok(Sockets { tcp, unix, owners })
    }

    /// The connections of one service.
    fn connections(&self, own: &OwnUnits, listen: &[String], active: bool) -> Vec<Connection> {
        let mut all = Vec::new();
        for tcp in &self.tcp {
            if listen.iter().any(|address| is_of(address, tcp.local)) {
                let Peer::Tcp(remote) = Peer::tcp(tcp.remote) else {
                    continue;
                };
                let remote = Remote::Tcp(remote);
                all.extend(self.connection(own, tcp.inode, remote, tcp.traffic, active));
            }
        }
        let names: Vec<Vec<u8>> = listen.iter().filter_map(|a| unix_name(a)).collect();
        for unix in self.unix.values().filter(|c| names.contains(&c.name)) {
            let socket = unix.peer.and_then(|peer| self.unix.get(&peer));
            let processes = unix.peer.and_then(|peer| self.owners.by_inode.get(&peer));
            let remote = Remote::Unix {
                uid: socket.and_then(|socket| socket.uid),
                pid: processes.and_then(|processes| Some(processes.first()?.pid)),
            };
            all.extend(self.connection(own, unix.inode, remote, None, active));
        }
        all.sort_by_key(|connection| (connection.since, connection.pid));
        all
    }

    /// The connection with this socket; `None` if it belongs to something else.
    fn connection(
        &self,
        own: &OwnUnits,
        inode: u64,
        remote: Remote,
        traffic: Option<Traffic>,
        active: bool,
    ) -> Option<Connection> {
        let owners = self.owners.by_inode.get(&inode);
        let owners: Vec<&Process> = owners.into_iter().flatten().collect();
        let of_units: Vec<&Process> = owners.iter().filter(|p| own.have(p)).copied().collect();
        let Some(server) = Server::among(&of_units) else {
            // Only one unit listens on an address. What others than its processes have open has
            // another origin.
            let unseen = owners.is_empty() && self.owners.hidden && active;
            return unseen.then_some(Connection {
                remote,
                since: None,
                pid: None,
                unit: None,
                traffic,
            });
        };
        Some(Connection {
            remote,
            since: server.since,
            pid: Some(server.pid),
            unit: Some(server.unit),
            traffic,
        })
    }
}

/// The process that serves a connection.
struct Server {
    pid: u32,
    unit: String,
    since: Option<Timestamp>,
}

impl Server {
    /// Chooses it among the processes that have the socket open: the main process of the unit is the
    /// one whose parent is none of them. In a shared service, it has started the program, whose start
    /// is that of the connection; if it serves the connection itself, the start is not known.
    fn among(processes: &[&Process]) -> Option<Server> {
        let origins = processes.iter().map(|p| (*p, Origin::of(p.pid)));
        let origins: Vec<(&Process, Option<Origin>)> = origins.collect();
        let parent = |origin: &Option<Origin>| origin.map(|origin| origin.parent);
        let pids: HashSet<u32> = processes.iter().map(|p| p.pid).collect();
        let is_main = |(_, origin): &&(&Process, Option<Origin>)| {
            !parent(origin).is_some_and(|parent| pids.contains(&parent))
        };
        let (main, main_origin) = origins.iter().find(is_main)?;
        let unit = main.unit.as_ref()?.name.clone();
        let children = origins.iter().filter(|(_, o)| parent(o) == Some(main.pid));
        let program = children.min_by_key(|(_, origin)| origin.map(|origin| origin.started));
        let (server, since) = match (unit.contains('@'), program) {
            (true, _) => (main, main_origin.and_then(Origin::time)),
            (false, Some((program, origin))) => (program, origin.and_then(Origin::time)),
            (false, None) => (main, None),
        };
        Some(Server {
            pid: server.pid,
            unit,
            since,
        })
    }
}

/// Where a process comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Origin {
    parent: u32,
    /// When it was started, in clock ticks since boot.
    started: i64,
}

impl Origin {
    fn of(pid: u32) -> Option<Origin> {
        Origin::parse(&fs::read(Path::new("/proc").join(pid.to_string()).join("stat")).ok()?)
    }

    /// Parses /proc/PID/stat.
    fn parse(stat: &[u8]) -> Option<Origin> {
        // The second field is the command name in parentheses, which may contain any byte.
        let end = stat.iter().rposition(|byte| *byte == b')')?;
        let rest = std::str::from_utf8(&stat[end + 1..]).ok()?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        Some(Origin {
            parent: fields.get(1)?.parse().ok()?,
            started: fields.get(19)?.parse().ok()?,
        })
    }

    /// The time of its start.
    fn time(self) -> Option<Timestamp> {
        let now = clock_gettime(ClockId::CLOCK_BOOTTIME).ok()?;
        // USER_HZ is 100 on all architectures of Debian.
        let started = SignedDuration::from_millis(self.started.checked_mul(10)?);
        let age = SignedDuration::new(now.tv_sec(), i32::try_from(now.tv_nsec()).ok()?) - started;
        Timestamp::now().checked_sub(age).ok()
    }
}

/// Whether a listener with this address, as systemd prints it, accepts connections to `local`.
fn is_of(listen: &str, local: SocketAddr) -> bool {
    // A scope may follow: [fe80::1]:4000%2
    let address = listen.split('%').next().unwrap_or_default();
    let Ok(address) = address.parse::<SocketAddr>() else {
        return false;
    };
    let same = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => local.is_ipv4(),
        ip => ip.is_unspecified() || ip.to_canonical() == local.ip(),
    };
    same && address.port() == local.port()
}

/// The name of an AF_UNIX socket as the kernel has it, if a listener's address is one.
fn unix_name(listen: &str) -> Option<Vec<u8>> {
    match listen.as_bytes() {
        [b'/', ..] => Some(listen.into()),
        [b'@', rest @ ..] => Some([b"\0", rest].concat()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conflicts::ProcessUnit;

    #[test]
    fn a_listener_accepts_connections_to_its_address() {
        for (listen, local, accepts) in [
            ("127.0.0.1:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "127.0.0.1:81", false),
            ("127.0.0.1:80", "127.0.0.2:80", false),
            ("0.0.0.0:80", "192.0.2.1:80", true),
            ("0.0.0.0:80", "[2001:db8::1]:80", false),
            ("[::]:80", "[2001:db8::1]:80", true),
            ("[::]:80", "192.0.2.1:80", true),
            ("[::ffff:192.0.2.1]:80", "192.0.2.1:80", true),
            ("[fe80::1]:80%2", "[fe80::1]:80", true),
            ("/run/80", "127.0.0.1:80", false),
            ("vsock::80", "127.0.0.1:80", false),
        ] {
            let local = local.parse().unwrap();
            assert_eq!(is_of(listen, local), accepts, "{listen} {local}");
        }
    }

    #[test]
    fn a_process_is_of_a_service_by_its_unit_and_manager() {
        let own = OwnUnits {
            name: "a",
            of_user: false,
        };
        for (name, of_user, is_own) in [
            ("a.service", false, true),
            ("a@7-127.0.0.1:80-[::1]:1.service", false, true),
            ("a.service", true, false),
            ("ab.service", false, false),
            ("ab@7.service", false, false),
            ("a@7.scope", false, false),
        ] {
            let name = name.to_owned();
            let process = Process {
                pid: 1,
                command: String::new(),
                unit: Some(ProcessUnit { name, of_user }),
            };
            assert_eq!(own.have(&process), is_own, "{process:?}");
        }
    }

    #[test]
    fn the_parent_and_the_start_of_a_process_are_read_whatever_its_name_is() {
        let stat = b"12 (a) b) S 7 12 12 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 0 0\n";
        let origin = Origin::parse(stat).unwrap();
        assert_eq!((origin.parent, origin.started), (7, 4711));
        let before = Timestamp::now();
        let own = Origin::of(std::process::id()).unwrap().time().unwrap();
        assert!(own < before, "{own}");
    }
}
