//! The socket of a service.

use std::net::IpAddr;
use std::num::NonZeroU16;

use super::super::units::{Socket, Start};
use super::{Converter, Family, has};
use crate::attach::ListenAddress;
use crate::superserver::xinetd::Address;

/// What to do with a service that has no port.
pub(super) const UNLISTED: &str =
    "add its port to /etc/services, or set port and type = UNLISTED in the file";

impl Converter<'_> {
    /// The port, the addresses, and the family of the clients' addresses.
    pub(super) fn socket(&mut self) -> (Option<NonZeroU16>, Vec<ListenAddress>, Family) {
        let service = self.service;
        let socket = &service.socket;
        let listen = match self.start {
            Start::Waits(Socket::Datagram) | Start::Datagrams => "ListenDatagram=",
            _ => "ListenStream=",
        };
        let wait = match self.start {
            Start::Serve if self.built_in.is_some() => "one process serves all connections",
            Start::Serve => "sockunit serve starts the program for each connection",
            Start::Waits(_) => "the program gets the listening socket",
            Start::Datagrams => "one process answers all datagrams",
            Start::Proxy(_) => "one proxy serves all connections",
        };
        for (name, text) in [
            ("socket_type", listen),
            ("protocol", listen),
            ("wait", wait),
        ] {
            if let Some(setting) = service.setting(name) {
                self.kept(name, setting, text);
            }
        }
        if let Some(setting) = service.setting("id") {
            self.kept("id", setting, "the name of the units");
        }
        let port = socket.port.and_then(NonZeroU16::new);
        match (port, service.setting("port")) {
            (Some(port), Some(setting)) => {
                self.kept("port", setting, &format!("{listen}{port}"));
            }
            (Some(port), None) => self.report.add(
                super::Fate::Kept,
                service.name.to_string(),
                Some(&service.position),
                format!("{listen}{port}, the port in /etc/services"),
            ),
            (None, _) if socket.port == Some(0) => self.report.obstacle(
                "port = 0: xinetd listens on a random port",
                Some("give it a port"),
            ),
            (None, _) if !self.report.obstacles.is_empty() => {}
            (None, _) if has(service, "type", "UNLISTED") => {
                let why = "type = UNLISTED, but the attribute port is missing";
                self.report.obstacle(why, Some("give it a port"));
            }
            (None, _) => {
                let why = format!(
                    "it has no port, and {} is not in /etc/services",
                    service.name
                );
                self.report.obstacle(why, Some(UNLISTED));
            }
        }
        let (listen, family) = self.addresses();
        self.socket_options();
        (port, listen, family)
    }

    fn addresses(&mut self) -> (Vec<ListenAddress>, Family) {
        let service = self.service;
        let (listen, family, text) = match &service.socket.address {
            Address::All { v6only: false } => (
                ListenAddress::All(None),
                Family::V6,
                "all addresses, IPv4 and IPv6",
            ),
            Address::All { v6only: true } => (
                ListenAddress::Ip(IpAddr::from([0u16; 8]), None),
                Family::V6,
                "all IPv6 addresses",
            ),
            Address::One(ip) => {
                let (family, text) = match (ip.is_ipv4(), ip.is_unspecified()) {
                    (true, true) => (Family::V4, "all IPv4 addresses"),
                    (true, false) => (Family::V4, "this address"),
                    (false, _) => (Family::V6, "this address"),
                };
                (ListenAddress::Ip(*ip, None), family, text)
            }
            Address::Host(name) => {
                self.report.obstacle(
                    format!("bind = {name}: the addresses of this name are not in /etc/hosts"),
                    Some("set bind to an address"),
                );
                return (Vec::new(), Family::V6);
            }
        };
        let mut any = false;
        if let Some(setting) = service.setting("bind") {
            self.kept(
                "bind",
                setting,
                &format!("the address of the socket: {text}"),
            );
            any = true;
        }
        if let Some(setting) = service.setting("v6only").filter(|own| !own.inherited) {
            self.kept("v6only", setting, "BindIPv6Only=ipv6-only");
            any = true;
        }
        if !any {
            let text = format!("the address of the socket: {text}");
            self.report.add(super::Fate::Kept, "no bind", None, text);
        }
        (vec![listen], family)
    }

    fn socket_options(&mut self) {
        let service = self.service;
        let Some(setting) = service.setting("flags") else {
            return;
        };
        let mut flags: Vec<String> = Vec::new();
        for word in &setting.values {
            let flag = word.to_string();
            let name = flag.to_ascii_uppercase();
            if flags.contains(&name) {
                continue;
            }
            let (fate, text) = match name.as_str() {
                "NODELAY" => {
                    self.imported.socket.push("NoDelay=yes".into());
                    (super::Fate::Kept, "NoDelay=yes")
                }
                "KEEPALIVE" if self.start == Start::Serve => (
                    super::Fate::Kept,
                    "sockunit serve sets it on each connection",
                ),
                "KEEPALIVE" => {
                    self.imported.socket.push("KeepAlive=yes".into());
                    (super::Fate::Kept, "KeepAlive=yes")
                }
                "REUSE" => (super::Fate::Kept, "systemd always does it"),
                "IPV4" | "IPV6" => (super::Fate::Kept, "the address of the socket"),
                "NAMEINARGS" => (super::Fate::Kept, "--program-name"),
                "NOLIBWRAP" => (
                    super::Fate::Kept,
                    "nothing reads hosts.allow and hosts.deny",
                ),
                "NORETRY" => (
                    super::Fate::Kept,
                    "a program that cannot be started is not tried again",
                ),
                "INTERCEPT" if self.start == Start::Serve => {
                    (super::Fate::Kept, "it has no effect with wait = no")
                }
                "INTERCEPT" => {
                    self.report.obstacle(
                        "flags = INTERCEPT: xinetd checks each connection and datagram",
                        Some("remove the flag if the program itself checks its clients"),
                    );
                    continue;
                }
                _ => continue,
            };
            let position = Some(&setting.position);
            self.report
                .add(fate, format!("flags = {flag}"), position, text);
            flags.push(name);
        }
    }
}
