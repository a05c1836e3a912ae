//! Listening TCP sockets, and the processes that have them open.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::path::Path;

use super::unit::ActiveSockets;
use super::{Finding, FindingKind, Location, Process, Query, Severity};
use crate::connection::table::{self, Row};
use crate::systemd::Place;

/// Adds the listening sockets with the port. `active` are the active socket units.
pub(super) fn find(
    place: &Place,
    query: Query<'_>,
    active: &ActiveSockets,
    findings: &mut Vec<Finding>,
) {
    if !place.live() {
        return;
    }
    let mut sockets = match table::read() {
        Ok(rows) => rows,
        Err((path, error)) => {
            findings.push(Finding::unread(&path, &error));
            return;
        }
    };
    sockets.retain(|row| row.listens() && row.local.port() == query.port);
    if sockets.is_empty() {
        return;
    }
    let mut owners = SocketOwners::default();
    if let Err(error) = owners.search(&sockets) {
        findings.push(Finding::unread(Path::new("/proc"), &error));
    }
    for Row {
        local: address,
        inode,
        ..
    } in sockets
    {
        let processes: Vec<_> = owners.by_inode.remove(&inode).unwrap_or_default();
        // Another process may listen on an address that an active socket unit also has.
        let systemd = |process: &Process| process.pid == 1 || process.command == "systemd";
        let by_systemd = processes.is_empty() || processes.iter().any(systemd);
        findings.push(Finding {
            severity: Severity::Conflict,
            claim: query.claim(false, true),
            location: Location::Address(address),
            kind: FindingKind::Listener {
                unit: active.at(address).filter(|_| by_systemd),
                hidden: owners.hidden && processes.is_empty(),
                processes,
            },
        });
    }
}

/// The processes that have sockets open.
#[derive(Default)]
struct SocketOwners {
    by_inode: HashMap<u64, Vec<Process>>,
    /// Whether there are processes whose file descriptors the caller may not see.
    hidden: bool,
}

impl SocketOwners {
    /// Searches /proc for the processes that have one of the sockets open.
    fn search(&mut self, sockets: &[Row]) -> io::Result<()> {
        let mut inode_of_link = BTreeMap::new();
        for socket in sockets {
            inode_of_link.insert(format!("socket:[{}]", socket.inode), socket.inode);
        }
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
        unit: unit(&groups),
    }
}

/// The unit of a process, by its control group (cgroups(7)); `None` for PID 1.
fn unit(groups: &str) -> Option<String> {
    groups.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let controllers = fields.next()?;
        let path = fields.next()?;
        // systemd has its units in the unified hierarchy or in the one named systemd.
        if !matches!(controllers, "" | "name=systemd") {
            return None;
        }
        // A service may have sub-groups of its own.
        let is_unit = |part: &&str| part.ends_with(".service") || part.ends_with(".scope");
        let mut parts = path.rsplit('/').filter(is_unit);
        parts.find(|part| *part != "init.scope").map(str::to_string)
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
                Some("c.service"),
            ),
            (
                "0::/user.slice/user-9.slice/user@9.service/init.scope\n",
                Some("user@9.service"),
            ),
            ("0::/init.scope\n", None),
            ("0::/\n", None),
            ("", None),
        ] {
            assert_eq!(unit(groups).as_deref(), of, "{groups}");
        }
    }
}
