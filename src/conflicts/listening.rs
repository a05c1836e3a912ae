//! Listening sockets, and the processes that have them open.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use super::unit::ActiveSockets;
use super::{Finding, FindingKind, Location, Process, ProcessUnit, Query, Requested, Severity};
use crate::connection::diag::{self, UnixSocket};
use crate::connection::table::{self, Row};
use crate::systemd::Place;

/// Adds the listening sockets with the port or path. `active` are the active socket units.
pub(super) fn find(
    place: &Place,
    query: Query<'_>,
    active: &ActiveSockets,
    findings: &mut Vec<Finding>,
) {
    if let Requested::Path(path) = query.address {
        other_file(place, path, query, findings);
    }
    if !place.live() {
        return;
    }
    let sockets = match query.address {
        Requested::Port(port) => table::read().map(|rows| of_port(rows, port)),
        Requested::Path(path) => diag::unix_listeners()
            .map(|sockets| of_path(sockets, path))
            .map_err(|error| ("sock_diag".into(), error)),
    };
    let sockets = match sockets {
        Ok(sockets) => sockets,
        Err((path, error)) => {
            findings.push(Finding::unread(&path, &error));
            return;
        }
    };
    if sockets.is_empty() {
        return;
    }
    let mut owners = SocketOwners::default();
    if let Err(error) = owners.search(sockets.iter().map(|socket| socket.inode)) {
        findings.push(Finding::unread(Path::new("/proc"), &error));
    }
    for Socket {
        location,
        address,
        inode,
    } in sockets
    {
        let processes = owners.by_inode.remove(&inode).unwrap_or_default();
        // Another process may listen on an address that an active socket unit also has.
        let systemd = |process: &Process| process.pid == 1 || process.command == "systemd";
        let by_systemd = processes.is_empty() || processes.iter().any(systemd);
        findings.push(Finding {
            severity: Severity::Conflict,
            claim: query.claim(false, true),
            location,
            kind: FindingKind::Listener {
                unit: active.at(&address).filter(|_| by_systemd),
                hidden: owners.hidden && processes.is_empty(),
                processes,
            },
        });
    }
}

/// A listening socket.
struct Socket {
    location: Location,
    /// The address as systemd prints it.
    address: String,
    inode: u64,
}

fn of_port(rows: Vec<Row>, port: u16) -> Vec<Socket> {
    let rows = rows.iter().filter(|row| row.listens());
    let rows = rows.filter(|row| row.local.port() == port);
    let socket = |row: &Row| Socket {
        location: Location::Address(row.local),
        address: row.local.to_string(),
        inode: row.inode,
    };
    rows.map(socket).collect()
}

fn of_path(sockets: Vec<UnixSocket>, path: &str) -> Vec<Socket> {
    let sockets = sockets
        .iter()
        .filter(|socket| socket.name == path.as_bytes());
    let socket = |socket: &UnixSocket| Socket {
        location: Location::File(path.into(), None),
        address: path.into(),
        inode: socket.inode,
    };
    sockets.map(socket).collect()
}

/// Adds a file with the path that is not a socket. systemd deletes it, as it deletes a socket on which
/// nobody listens any more.
fn other_file(place: &Place, path: &str, query: Query<'_>, findings: &mut Vec<Finding>) {
    let file = place.path(path);
    if fs::symlink_metadata(&file).is_ok_and(|file| !file.file_type().is_socket()) {
        findings.push(Finding {
            severity: Severity::Conflict,
            claim: query.claim(false, true),
            location: Location::File(file, None),
            kind: FindingKind::OtherFile,
        });
    }
}

/// The processes that have sockets open.
#[derive(Debug, Default)]
pub(crate) struct SocketOwners {
    /// The processes that have each socket open, by its inode number.
    pub(crate) by_inode: HashMap<u64, Vec<Process>>,
    /// Whether there are processes whose file descriptors the caller may not see.
    pub(crate) hidden: bool,
}

impl SocketOwners {
    /// Searches /proc for the processes that have one of the sockets open.
    pub(crate) fn search(&mut self, inodes: impl Iterator<Item = u64>) -> io::Result<()> {
        let link = |inode| (format!("socket:[{inode}]"), inode);
        let inode_of_link: HashMap<String, u64> = inodes.map(link).collect();
        let mut pids: Vec<u32> = fs::read_dir("/proc")?
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .collect();
        pids.sort_unstable();
        for pid in pids {
            let dir = format!("/proc/{pid}");
            let open = match fs::read_dir(format!("{dir}/fd")) {
                Ok(open) => open,
                Err(error) => {
                    self.hidden |= error.kind() == io::ErrorKind::PermissionDenied;
                    continue;
                }
            };
            let links = open.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
            let mut inodes: Vec<u64> = links
                .filter_map(|link| inode_of_link.get(link.to_str()?).copied())
                .collect();
            inodes.sort_unstable();
            inodes.dedup();
            for inode in inodes {
                self.by_inode
                    .entry(inode)
                    .or_default()
                    .push(process(pid, &dir));
            }
        }
        Ok(())
    }
}

fn process(pid: u32, dir: &str) -> Process {
    // The process may have exited meanwhile.
    let read = |file: &str| fs::read(format!("{dir}/{file}")).unwrap_or_default();
    let command = String::from_utf8_lossy(read("comm").trim_ascii_end()).into_owned();
    let groups = String::from_utf8_lossy(&read("cgroup")).into_owned();
    Process {
        pid,
        command,
        unit: unit_of(&groups),
    }
}

/// The unit of a process, by its control group (cgroups(7)); `None` for PID 1.
///
/// A service or a user may make groups of any name below its own. So the first group that is not a slice
/// is the unit of the system's manager, and the next one below a user's manager is a unit of that.
pub(crate) fn unit_of(groups: &str) -> Option<ProcessUnit> {
    groups.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let controllers = fields.next()?;
        let path = fields.next()?;
        // systemd has its units in the unified hierarchy or in the one named systemd.
        if !matches!(controllers, "" | "name=systemd") {
            return None;
        }
        let mut parts = path
            .split('/')
            .filter(|part| !part.is_empty() && !part.ends_with(".slice"));
        let is_unit = |part: &&str| part.ends_with(".service") || part.ends_with(".scope");
        let unit = |name: &str, of_user| ProcessUnit {
            name: name.to_string(),
            of_user,
        };
        let of_system = parts.next().filter(is_unit)?;
        match (of_system, parts.next().filter(is_unit)) {
            ("init.scope", _) => None,
            (manager, Some(own)) if manager.starts_with("user@") && own != "init.scope" => {
                Some(unit(own, true))
            }
            (name, _) => Some(unit(name, false)),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_belongs_to_the_unit_of_its_control_group_and_pid_1_to_none() {
        for (groups, of) in [
            ("0::/system.slice/ssh.service\n", Some("ssh.service")),
            ("0::/system.slice/a.service/part\n", Some("a.service")),
            (
                "9:name=systemd:/\n0::/system.slice/a.service\n",
                Some("a.service"),
            ),
            (
                "3:cpu:/x.service\n1:name=systemd:/b.service\n",
                Some("b.service"),
            ),
            (
                "0::/user.slice/user-0.slice/session-1.scope\n",
                Some("session-1.scope"),
            ),
            (
                "0::/user.slice/user-9.slice/user@9.service/app.slice/c.service\n",
                Some("c.service of a user"),
            ),
            (
                "0::/user.slice/user-9.slice/user@9.service/init.scope\n",
                Some("user@9.service"),
            ),
            // Below its own group, a service or a user can make groups of any name.
            (
                "0::/system.slice/a.service/ssh.service\n",
                Some("a.service"),
            ),
            (
                "0::/user.slice/user-9.slice/user@9.service/ssh.service\n",
                Some("ssh.service of a user"),
            ),
            (
                "0::/user.slice/user-9.slice/session-1.scope/ssh.service\n",
                Some("session-1.scope"),
            ),
            ("0::/init.scope\n", None),
            ("0::/\n", None),
            ("", None),
        ] {
            let shown = unit_of(groups).map(|unit| match unit.of_user {
                true => format!("{} of a user", unit.name),
                false => unit.name,
            });
            assert_eq!(shown.as_deref(), of, "{groups}");
        }
    }
}
