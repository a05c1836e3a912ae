//! The connected sockets of services.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use super::process::{OwnUnits, Server};
use super::{Connection, Error, Remote, Status, client};
use crate::conflicts::{Process, SocketOwners};
use crate::connection::Traffic;
use crate::connection::diag::{self, TcpConnection, UnixSocket};
use crate::systemd::Listening;

/// The connected sockets of this machine with the addresses of services.
pub(super) struct Sockets {
    tcp: Vec<TcpConnection>,
    /// By inode number.
    unix: HashMap<u64, UnixSocket>,
    owners: SocketOwners,
}

impl Sockets {
    /// Asks the kernel: once for all sockets, and once for the processes that have them open.
    pub(super) fn read(services: &[Status]) -> Result<Sockets, Error> {
        let addresses = Addresses::parse(services.iter().flat_map(|s| &s.listen));
        let failed = |error| Error::Io("sock_diag".into(), error);
        let mut tcp = diag::tcp().map_err(failed)?;
        tcp.retain(|c| addresses.have(c.local));
        let mut wanted: Vec<u64> = tcp.iter().map(|c| c.inode).collect();
        let mut unix = HashMap::new();
        if !addresses.unix.is_empty() {
            let all = diag::unix_connections().map_err(failed)?;
            unix = all.into_iter().map(|c| (c.inode, c)).collect();
            let accepted = unix.values().filter(|c| addresses.unix.contains(&c.name));
            wanted.extend(accepted.flat_map(|c| [Some(c.inode), c.peer]).flatten());
        }
        let mut owners = SocketOwners::default();
        let searched = owners.search(wanted.into_iter());
        searched.map_err(|error| Error::Io("/proc".into(), error))?;
        Ok(Sockets { tcp, unix, owners })
    }

    /// The connections of one service.
    pub(super) fn connections(
        &self,
        own: &OwnUnits,
        listen: &[Listening],
        active: bool,
    ) -> Vec<Connection> {
        let mut all = Vec::new();
        let addresses = Addresses::parse(listen);
        for tcp in self.tcp.iter().filter(|tcp| addresses.have(tcp.local)) {
            let remote = Remote::Tcp(tcp.remote);
            all.extend(self.connection(own, tcp.inode, remote, tcp.traffic, active));
        }
        let unix = self.unix.values();
        for unix in unix.filter(|unix| addresses.unix.contains(&unix.name)) {
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
                client: None,
                since: None,
                pid: None,
                unit: None,
                traffic,
            });
        };
        Some(Connection {
            remote,
            client: client::of_processes(&of_units, remote),
            since: server.since,
            pid: Some(server.pid),
            unit: Some(server.unit),
            traffic,
        })
    }
}

/// The addresses that a service listens on.
struct Addresses {
    tcp: Vec<SocketAddr>,
    /// Names of AF_UNIX sockets as the kernel has them.
    unix: Vec<Vec<u8>>,
}

impl Addresses {
    /// Parses those that have connections, as systemd prints them.
    fn parse<'a>(listen: impl IntoIterator<Item = &'a Listening>) -> Addresses {
        let streams = listen.into_iter().filter(|listening| listening.is_stream);
        let streams: Vec<&String> = streams.map(|listening| &listening.address).collect();
        // A scope may follow: [fe80::1]:4000%2
        let tcp = |address: &String| address.split('%').next()?.parse().ok();
        let unix = |address: &String| match address.as_bytes() {
            [b'/', ..] => Some(address.as_bytes().to_vec()),
            [b'@', rest @ ..] => Some([b"\0", rest].concat()),
            _ => None,
        };
        Addresses {
            tcp: streams.iter().copied().filter_map(tcp).collect(),
            unix: streams.iter().copied().filter_map(unix).collect(),
        }
    }

    /// Whether a connection to this local address comes from one of the listeners.
    fn have(&self, local: SocketAddr) -> bool {
        self.tcp.iter().any(|address| {
            let same = match address.ip() {
                IpAddr::V4(ip) if ip.is_unspecified() => local.is_ipv4(),
                ip => ip.is_unspecified() || ip.to_canonical() == local.ip(),
            };
            same && address.port() == local.port()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            for is_stream in [true, false] {
                let address = listen.to_owned();
                let addresses = Addresses::parse(&[Listening { address, is_stream }]);
                let accepts = accepts && is_stream;
                assert_eq!(addresses.have(local), accepts, "{listen} {local}");
            }
        }
    }
}
