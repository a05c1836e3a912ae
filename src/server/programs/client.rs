//! The environment variables that describe the client to a program.

use std::ffi::CString;
use std::net::SocketAddr;
use std::os::fd::RawFd;

use nix::sys::socket::{UnixAddr, getpeername};

use super::program_spec::assignment;
use crate::connection::Peer;
use crate::server::connection_log::ConnectionId;
use crate::server::proxy::Via;

/// The environment variables for the client: REMOTE_ADDR and REMOTE_PORT as systemd sets them,
/// REMOTE_HOST as xinetd does; behind a proxy PROXY_ADDR and PROXY_PORT too.
pub fn client_environment(id: ConnectionId, connection: RawFd) -> Vec<CString> {
    let mut variables = match id.peer {
        Peer::Tcp(address) => remote_address(address)
            .map(|(name, value)| assignment(name.as_bytes(), value.as_bytes()))
            .into(),
        // Few clients bind their socket to a path or an abstract name.
        _ => vec![match getpeername::<UnixAddr>(connection) {
            Ok(name) => match (name.path(), name.as_abstract()) {
                (Some(path), _) => assignment(b"REMOTE_ADDR", path.as_os_str().as_encoded_bytes()),
                (None, Some(name)) => assignment(b"REMOTE_ADDR", &[b"@", name].concat()),
                (None, None) => None,
            },
            Err(_) => None,
        }],
    };
    if let Via::Proxy {
        proxy: Peer::Tcp(proxy),
        ..
    } = id.via
    {
        let (ip, port) = (proxy.ip().to_string(), proxy.port().to_string());
        variables.push(assignment(b"PROXY_ADDR", ip.as_bytes()));
        variables.push(assignment(b"PROXY_PORT", port.as_bytes()));
    }
    variables.into_iter().flatten().collect()
}

/// The variables for a remote address.
pub fn remote_address(address: SocketAddr) -> [(&'static str, String); 3] {
    let ip = address.ip().to_string();
    [
        ("REMOTE_ADDR", ip.clone()),
        ("REMOTE_PORT", address.port().to_string()),
        ("REMOTE_HOST", ip),
    ]
}
