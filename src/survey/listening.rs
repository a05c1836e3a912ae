//! TCP sockets that listen, and the processes that have them open.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use super::unit::Sockets;
use super::{Degree, Finding, Holder, Process, Wanted, Where};
use crate::units::Place;

/// A listening socket, and the number of its inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Socket {
    address: SocketAddr,
    inode: u64,
}

/// The state of a listening socket in the kernel's tables.
const LISTENS: &str = "0A";

pub(super) fn find(
    place: &Place,
    wanted: Wanted<'_>,
    sockets: &Sockets,
    findings: &mut Vec<Finding>,
) {
    if !place.live() {
        return;
    }
    let mut open = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        match fs::read_to_string(table) {
            Ok(text) => open.extend(text.lines().filter_map(socket)),
            // A kernel without IPv6 has no table for it.
            Err(error) => findings.extend(Finding::unread(Path::new(table), &error)),
        }
    }
    open.retain(|socket| socket.address.port() == wanted.port);
    if open.is_empty() {
        return;
    }
    let mut seen = Processes::default();
    if let Err(error) = seen.look(&open) {
        findings.extend(Finding::unread(Path::new("/proc"), &error));
    }
    for Socket { address, inode } in open {
        let processes: Vec<_> = seen.of.remove(&inode).unwrap_or_default();
        // Another process may have the address while a unit that wants it waits.
        let systemd = |process: &Process| process.pid == 1 || process.command == "systemd";
        let by_systemd = processes.is_empty() || processes.iter().any(systemd);
        findings.push(Finding {
            degree: Degree::Taken,
            claim: wanted.claim(false, true),
            place: Where::Address(address),
            holder: Holder::Listener {
                unit: sockets.at(address).filter(|_| by_systemd),
                hidden: seen.hidden && processes.is_empty(),
                processes,
            },
        });
    }
}

/// A line of the kernel's table, where it is of a socket that listens.
fn socket(line: &str) -> Option<Socket> {
    let fields: Vec<_> = line.split_ascii_whitespace().collect();
    let (address, port) = fields.get(1)?.split_once(':')?;
    if *fields.get(3)? != LISTENS {
        return None;
    }
    // Words of four bytes, each as the machine has them in memory.
    let mut bytes = Vec::new();
    for word in address.as_bytes().chunks(8) {
        let word = std::str::from_utf8(word).ok()?;
        bytes.extend(u32::from_str_radix(word, 16).ok()?.to_ne_bytes());
    }
    let ip = match <[u8; 4]>::try_from(bytes.as_slice()) {
        Ok(v4) => IpAddr::from(Ipv4Addr::from(v4)),
        Err(_) => IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?)),
    };
    Some(Socket {
        address: SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?),
        inode: fields.get(9)?.parse().ok()?,
    })
}

/// The processes that have some sockets open.
#[derive(Default)]
struct Processes {
    of: HashMap<u64, Vec<Process>>,
    /// Whether there are others that could not be looked into.
    hidden: bool,
}

impl Processes {
    fn look(&mut self, sockets: &[Socket]) -> io::Result<()> {
        let mut wanted = BTreeMap::new();
        for socket in sockets {
            wanted.insert(format!("socket:[{}]", socket.inode), socket.inode);
        }
        let mut pids: Vec<u32> = fs::read_dir("/proc")?
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .collect();
        pids.sort_unstable();
        for pid in pids {
            let folder = format!("/proc/{pid}");
            let open = match fs::read_dir(format!("{folder}/fd")) {
                Ok(open) => open,
                Err(error) => {
                    self.hidden |= error.kind() == io::ErrorKind::PermissionDenied;
                    continue;
                }
            };
            let links = open.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
            let mut inodes: Vec<u64> = links
                .filter_map(|link| wanted.get(link.to_str()?).copied())
                .collect();
            inodes.sort_unstable();
            inodes.dedup();
            for inode in inodes {
                self.of
                    .entry(inode)
                    .or_default()
                    .push(process(pid, &folder));
            }
        }
        Ok(())
    }
}

fn process(pid: u32, folder: &str) -> Process {
    // It may have ended meanwhile.
    let read = |file: &str| fs::read(format!("{folder}/{file}")).unwrap_or_default();
    let command = String::from_utf8_lossy(read("comm").trim_ascii_end()).into_owned();
    let groups = String::from_utf8_lossy(&read("cgroup")).into_owned();
    Process {
        pid,
        command,
        unit: unit(&groups),
    }
}

/// The unit that a process is of, by its control group; none for systemd's own.
fn unit(groups: &str) -> Option<String> {
    let own = groups.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let controllers = fields.next()?;
        let path = fields.next()?;
        // The second is for the older hierarchy beside the unified one.
        matches!(controllers, "" | "name=systemd").then_some(path)
    })?;
    // A unit may divide its own group further.
    let mut parts = own.rsplit('/');
    let part = parts.find(|part| part.ends_with(".service") || part.ends_with(".scope"))?;
    let itself = part == "init.scope" || (part.starts_with("user@") && own.contains("init.scope"));
    (!itself).then(|| part.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn the_kernels_table_is_read_and_only_listening_sockets_count() {
        let text = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:0D05 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12345 1 0 100 0 0 10 0
   1: 0100007F:0D05 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 12346 1 0 20 4 30 10 -1
   0: 00000000000000000000000001000000:0D05 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 99 1 0 100 0 0 10 0
";
        let sockets: Vec<_> = text.lines().filter_map(socket).collect();
        assert_eq!(sockets.len(), 2);
        assert_eq!(sockets[0].address, "127.0.0.1:3333".parse().unwrap());
        assert_eq!(sockets[0].inode, 12345);
        assert_eq!(sockets[1].address, "[::1]:3333".parse().unwrap());
        assert_eq!(sockets[1].inode, 99);
    }

    #[test]
    fn a_process_belongs_to_the_unit_of_its_control_group_and_systemd_to_none() {
        for (groups, of) in [
            ("0::/system.slice/ssh.service\n", Some("ssh.service")),
            ("0::/system.slice/a.service/part\n", Some("a.service")),
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
                None,
            ),
            ("0::/init.scope\n", None),
            ("0::/\n", None),
            ("", None),
        ] {
            assert_eq!(unit(groups).as_deref(), of, "{groups}");
        }
    }

    proptest! {
        #[test]
        fn any_line_can_be_read(line in "([0-9A-F:]{0,34} ){0,12}") {
            socket(&line);
        }
    }
}
