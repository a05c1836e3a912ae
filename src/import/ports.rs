//! Whether a port is in use, as the kernel lists it.

use std::fs;

use super::Conversion;
use crate::systemd::UnitFile;

/// The port of a service, as the kernel lists it.
pub(super) struct Ports {
    files: [&'static str; 2],
    /// The state of a socket that has the port, in the kernel's numbers.
    state: &'static str,
    pub(super) port: u16,
}

impl Ports {
    pub(super) fn of(service: &Conversion) -> Ports {
        let socket = service
            .units
            .iter()
            .find(|unit| unit.name.ends_with(".socket"));
        let text = socket.map(|unit| unit.text.as_str()).unwrap_or_default();
        let file = UnitFile::parse(text.as_bytes());
        let mut assignments = file.assignments.into_iter();
        let listen = assignments.find(|line| line.key.starts_with("Listen"));
        let (is_datagram, port) = listen.map_or((false, 0), |line| {
            let port = line
                .value
                .rsplit(':')
                .next()
                .and_then(|port| port.parse().ok());
            (line.key == "ListenDatagram", port.unwrap_or(0))
        });
        match is_datagram {
            true => Ports {
                files: ["/proc/net/udp", "/proc/net/udp6"],
                state: "07",
                port,
            },
            false => Ports {
                files: ["/proc/net/tcp", "/proc/net/tcp6"],
                state: "0A",
                port,
            },
        }
    }

    /// Whether a socket has the port, at any address.
    pub(super) fn are_bound(&self) -> bool {
        let port = format!(":{:04X}", self.port);
        self.files.iter().any(|file| {
            let text = fs::read_to_string(file).unwrap_or_default();
            text.lines().skip(1).any(|line| {
                let mut fields = line.split_whitespace();
                let local = fields.nth(1).unwrap_or_default();
                local.ends_with(&port) && fields.nth(1) == Some(self.state)
            })
        })
    }
}
