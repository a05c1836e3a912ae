//! A system for the tests of the parsers.

use std::net::{IpAddr, Ipv4Addr};

use super::{System, xinetd};
use crate::services;

/// Its services database.
pub(super) const SERVICES: &str = "\
echo 7/tcp
echo 7/udp
discard 9/tcp sink null
daytime 13/tcp
qotd 17/tcp
ssh 22/tcp
telnet 23/tcp
smtp 25/tcp
time 37/tcp timserver
time 37/udp timserver
domain 53/tcp
tftp 69/udp
gopher 70/tcp
finger 79/tcp
http 80/tcp www
kerberos 88/tcp
sunrpc 111/tcp
auth 113/tcp
nntp 119/tcp
imap2 143/tcp
snmp 161/udp
https 443/tcp
ircd 6667/tcp
";

/// A system with users root and nobody, the programs /bin/cat and /bin/sh, and a few ports.
pub(crate) struct FixedSystem;

impl System for FixedSystem {
    fn has_user(&self, name: &[u8]) -> bool {
        [&b"root"[..], b"nobody"].contains(&name)
    }

    fn has_group(&self, name: &[u8]) -> bool {
        [&b"root"[..], b"nogroup"].contains(&name)
    }

    fn is_executable(&self, path: &[u8]) -> bool {
        [&b"/bin/cat"[..], b"/bin/sh"].contains(&path)
    }

    fn protocol(&self, name: &[u8]) -> Option<u8> {
        match name {
            b"ip" | b"IP" => Some(0),
            b"tcp" | b"TCP" => Some(6),
            b"udp" | b"UDP" => Some(17),
            _ => None,
        }
    }

    fn port(&self, name: &[u8], protocol: &[u8]) -> Option<u16> {
        services::port(SERVICES.as_bytes(), name, protocol)
    }

    fn has_rpc_program(&self, name: &[u8]) -> bool {
        name == b"rstatd"
    }

    fn network(&self, name: &[u8]) -> Option<u32> {
        (name == b"loopback").then_some(0x7f00_0000)
    }

    fn addresses(&self, host: &[u8]) -> Option<Vec<IpAddr>> {
        let text = String::from_utf8_lossy(host);
        let found = xinetd::numeric_address(&text).or_else(|| {
            let localhost = IpAddr::V4(Ipv4Addr::LOCALHOST);
            (host == b"localhost").then_some(localhost)
        });
        Some(found.into_iter().collect())
    }
}
