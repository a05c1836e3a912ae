//! The client of a connection that came through a proxy, as the environment of the program names it.

use std::net::SocketAddr;
use std::path::Path;

use super::Remote;
use crate::conflicts::Process;
use crate::root;

/// The client by the environment that `sockunit serve` gave to one of these processes.
pub(super) fn of_processes(processes: &[&Process], remote: Remote) -> Option<SocketAddr> {
    processes.iter().find_map(|process| {
        // A program can make it endless (PR_SET_MM_MAP in prctl(2)), so no more than of a file is read.
        let path = format!("/proc/{}/environ", process.pid);
        let environment = root::read(Path::new("/"), Path::new(&path)).ok()?;
        by_environment(&environment, remote)
    })
}

/// The client, if the variables are about a connection with this remote end. A local proxy has no address to compare.
pub(crate) fn by_environment(environment: &[u8], remote: Remote) -> Option<SocketAddr> {
    let value = |name: &str| {
        let mut assignments = environment.split(|byte| *byte == 0);
        let value = assignments.find_map(|assignment| {
            let value = assignment.strip_prefix(name.as_bytes())?;
            value.strip_prefix(b"=")
        })?;
        std::str::from_utf8(value).ok()
    };
    let address = |address, port| {
        let (address, port) = (value(address)?.parse().ok()?, value(port)?.parse().ok()?);
        Some(SocketAddr::new(address, port))
    };
    let client = address("REMOTE_ADDR", "REMOTE_PORT")?;
    let is_proxied = match remote {
        Remote::Tcp(peer) => address("PROXY_ADDR", "PROXY_PORT") == Some(peer) && client != peer,
        Remote::Unix { .. } => true,
    };
    is_proxied.then_some(client)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_is_known_if_the_variables_are_about_this_connection() {
        let tcp = Remote::Tcp("192.0.2.5:47100".parse().unwrap());
        let unix = Remote::Unix {
            uid: None,
            pid: None,
        };
        let client = "198.51.100.7:41224".parse().ok();
        let remote = b"A=1\0REMOTE_ADDR=198.51.100.7\0REMOTE_PORT=41224\0";
        let of = |proxy: &[u8], socket| by_environment(&[remote, proxy].concat(), socket);
        assert_eq!(of(b"PROXY_ADDR=192.0.2.5\0PROXY_PORT=47100\0", tcp), client);
        assert_eq!(of(b"PROXY_ADDR=192.0.2.5\0PROXY_PORT=1\0", tcp), None);
        assert_eq!(of(b"", tcp), None);
        assert_eq!(of(b"", unix), client);
        assert_eq!(
            by_environment(b"REMOTE_ADDR=/run/client.sock\0", unix),
            None
        );
        // A header without a client: it is the proxy.
        let own =
            b"REMOTE_ADDR=192.0.2.5\0REMOTE_PORT=47100\0PROXY_ADDR=192.0.2.5\0PROXY_PORT=47100\0";
        assert_eq!(by_environment(own, tcp), None);
    }
}
