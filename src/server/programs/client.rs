//! The environment variables that describe the client to a program.

use std::ffi::CString;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt;

use nix::sys::socket::{UnixAddr, getpeername};

use super::program_spec::assignment;
use crate::connection::Peer;
use crate::server::connection_log::ConnectionId;
use crate::server::proxy::Via;

/// The environment variables for the client: REMOTE_ADDR and REMOTE_PORT as systemd sets them,
/// REMOTE_HOST as xinetd does; behind a proxy PROXY_ADDR and PROXY_PORT too.
pub(super) fn client_environment(id: ConnectionId, connection: RawFd) -> Vec<CString> {
    let mut variables = match id.peer {
        Peer::Tcp(address) => remote_environment(address),
        // Few clients bind their socket to a path or an abstract name.
        _ => getpeername::<UnixAddr>(connection)
            .ok()
            .and_then(|address| socket_name(&address))
            .and_then(|name| assignment(b"REMOTE_ADDR", &name))
            .into_iter()
            .collect(),
    };
    if let Via::Proxy {
        proxy: Peer::Tcp(proxy),
        ..
    } = id.via
    {
        let (ip, port) = (proxy.ip().to_string(), proxy.port().to_string());
        variables.extend(assignment(b"PROXY_ADDR", ip.as_bytes()));
        variables.extend(assignment(b"PROXY_PORT", port.as_bytes()));
    }
    variables
}

/// The absolute path of an AF_UNIX socket, or its abstract name after an @. The client chooses it: a relative path
/// could be the IP address of another.
fn socket_name(address: &UnixAddr) -> Option<Vec<u8>> {
    let name = match (address.path(), address.as_abstract()) {
        (Some(path), _) if path.is_absolute() => path.as_os_str().as_bytes().to_owned(),
        (None, Some(name)) => [b"@", name].concat(),
        _ => return None,
    };
    let has_control = name.iter().any(u8::is_ascii_control);
    (!has_control).then_some(name)
}

/// The variables for a remote address.
pub(crate) fn remote_environment(address: SocketAddr) -> Vec<CString> {
    let (ip, port) = (address.ip().to_string(), address.port().to_string());
    let variables = [
        assignment(b"REMOTE_ADDR", ip.as_bytes()),
        assignment(b"REMOTE_PORT", port.as_bytes()),
        assignment(b"REMOTE_HOST", ip.as_bytes()),
    ];
    variables.into_iter().flatten().collect()
}
