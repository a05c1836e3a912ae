//! The environment variables that describe the client to a program.

use std::ffi::CString;
use std::os::fd::RawFd;

use nix::sys::socket::{UnixAddr, getpeername};

use super::program_spec::assignment;
use crate::connection::Peer;

/// The environment variables for the client: REMOTE_ADDR and REMOTE_PORT as systemd sets them,
/// REMOTE_HOST as xinetd does.
pub fn client_environment(peer: Peer, connection: RawFd) -> Vec<CString> {
    let variables = match peer {
        Peer::Tcp(address) => {
            let ip = address.ip().to_string();
            vec![
                assignment(b"REMOTE_ADDR", ip.as_bytes()),
                assignment(b"REMOTE_PORT", address.port().to_string().as_bytes()),
                assignment(b"REMOTE_HOST", ip.as_bytes()),
            ]
        }
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
    variables.into_iter().flatten().collect()
}
