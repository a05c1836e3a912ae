//! The socket of a service.

use std::net::IpAddr;
use std::num::NonZeroU16;

use super::{Converter, Family, has};
use crate::attach::ListenAddress;
use crate::superserver::xinetd::Address;

impl Converter<'_> {
    /// The port, the addresses, and the family of the clients' addresses.
    pub(super) fn socket(&mut self) -> (Option<NonZeroU16>, Vec<ListenAddress>, Family) {
        let service = self.service;
        let socket = &service.socket;
        if !service.is_tcp() {
            self.datagrams();
        } else if has(service, "wait", "yes") {
            self.report.obstacle(
                "wait = yes: its program accepts connections itself",
                Some("write a socket unit with Accept=no and StandardInput=socket"),
            );
        }
        for (name, text) in [
            ("socket_type", "ListenStream="),
            ("protocol", "ListenStream="),
            (
                "wait",
                "sockunit serve starts the program for each connection",
            ),
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
                self.kept(
                    "port",
                    setting,
                    &format!("ListenStream= with the port {port}"),
                );
            }
            (Some(port), None) => self.report.add(
                super::Fate::Kept,
                service.name.to_string(),
                Some(&service.position),
                format!("ListenStream= with the port {port} of /etc/services"),
            ),
            (None, _) if socket.port == Some(0) => self.report.obstacle(
                "port = 0: xinetd listens on a random port",
                Some("give it a port"),
            ),
            (None, _) => self.report.obstacle("it has no port", None),
        }
        let (listen, family) = self.addresses();
        self.socket_options();
        (port, listen, family)
    }

    fn datagrams(&mut self) {
        self.report.obstacle(
            "it is not for TCP",
            Some("write a socket unit with ListenDatagram= and StandardInput=socket"),
        );
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
            self.kept("bind", setting, &format!("ListenStream= with {text}"));
            any = true;
        }
        if let Some(setting) = service.setting("v6only").filter(|own| !own.inherited) {
            self.kept("v6only", setting, "BindIPv6Only=ipv6-only");
            any = true;
        }
        if !any {
            let text = format!("ListenStream= with {text}");
            self.report.add(super::Fate::Kept, "no bind", None, text);
        }
        (vec![listen], family)
    }

    fn socket_options(&mut self) {
        let service = self.service;
        let Some(setting) = service.setting("flags") else {
            return;
        };
        let mut words: Vec<String> = Vec::new();
        for word in &setting.values {
            let flag = word.to_string().to_ascii_uppercase();
            if words.contains(&flag) {
                continue;
            }
            words.push(flag);
        }
        for flag in words {
            let (fate, text) = match flag.as_str() {
                "NODELAY" => {
                    self.imported.socket.push("NoDelay=yes".into());
                    (super::Fate::Kept, "NoDelay=yes")
                }
                "KEEPALIVE" => (
                    super::Fate::Kept,
                    "sockunit serve sets it on each connection",
                ),
                "REUSE" => (super::Fate::Kept, "systemd always does it"),
                "IPV4" | "IPV6" => (super::Fate::Kept, "the address of ListenStream="),
                "NAMEINARGS" => (super::Fate::Kept, "--program-name"),
                "NOLIBWRAP" => (
                    super::Fate::Kept,
                    "nothing reads hosts.allow and hosts.deny",
                ),
                "NORETRY" => (
                    super::Fate::Kept,
                    "a program that cannot be started is not tried again",
                ),
                "INTERCEPT" => (super::Fate::Kept, "it has no effect with wait = no"),
                _ => continue,
            };
            let position = Some(&setting.position);
            self.report
                .add(fate, format!("flags = {flag}"), position, text);
        }
    }
}
