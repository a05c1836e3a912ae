//! What starts the program of a service.

use std::net::IpAddr;

use super::super::units::{Socket, Start};
use super::{Converter, has, text};

/// What `sockunit serve` can apply to a redirected connection, and systemd-socket-proxyd cannot.
const RULES: [&str; 9] = [
    "only_from",
    "no_access",
    "access_times",
    "max_load",
    "per_source",
    "cps",
    "banner",
    "banner_success",
    "banner_fail",
];

/// `sockunit connect` as a program for each connection.
const CONNECT: &str = "/usr/bin/sockunit";

impl Converter<'_> {
    pub(super) fn start(&mut self) -> Start {
        let service = self.service;
        let waits = has(service, "wait", "yes");
        let kind = service.socket.kind.as_deref();
        let protocol = service.socket.protocol.as_ref().map(|(_, number)| *number);
        if kind == Some("dgram") && matches!(protocol, Some(0 | 17)) {
            if !waits {
                self.report.obstacle(
                    "socket_type = dgram with wait = no: xinetd 2.3.15.4 does not serve it",
                    Some("set wait = yes if the program reads datagrams from its standard input"),
                );
            }
            return match self.built_in {
                Some(_) => Start::Datagrams,
                None => Start::Waits(Socket::Datagram),
            };
        }
        if !service.is_tcp() {
            let why = "it is neither for TCP nor for UDP";
            self.report
                .obstacle(why, Some("write a socket unit of your own"));
            return Start::Serve;
        }
        if self.built_in.is_some() {
            if waits {
                self.report.obstacle(
                    "wait = yes for a built-in service: xinetd serves one connection at a time",
                    Some("set wait = no"),
                );
            }
            return Start::Serve;
        }
        if waits {
            return Start::Waits(Socket::Stream);
        }
        let is_plain = RULES.iter().all(|name| service.setting(name).is_none());
        match self.target() {
            Some((host, port)) if is_plain => Start::Proxy(match host.contains(':') {
                true => format!("[{host}]:{port}"),
                false => format!("{host}:{port}"),
            }),
            _ => Start::Serve,
        }
    }

    /// The host and the port of `redirect`.
    fn target(&self) -> Option<(String, String)> {
        let setting = self.service.setting("redirect")?;
        match setting.values.as_slice() {
            [host, port] => Some((text(host)?, text(port)?)),
            _ => None,
        }
    }

    /// The program and arguments that pass a connection on.
    pub(super) fn redirected(&mut self) -> Option<(String, Vec<String>)> {
        let setting = self.service.setting("redirect")?;
        let Some((host, port)) = self.target() else {
            setting.values.iter().for_each(|word| {
                if text(word).is_none() {
                    self.not_text(word);
                }
            });
            return None;
        };
        if setting
            .values
            .iter()
            .any(|word| word.bytes.starts_with(b"-"))
        {
            let why = format!("redirect = {host} {port}: it cannot be read");
            self.report.obstacle(why, Some("write a host and a port"));
        }
        let lookup = match host.parse::<IpAddr>() {
            Ok(_) => "",
            Err(_) => {
                "; the name is looked up for each connection, not once, and may have IPv6 addresses"
            }
        };
        match self.start {
            Start::Proxy(_) => {
                let text = format!("systemd-socket-proxyd{lookup}");
                self.otherwise("redirect", setting, &text);
                self.wrapper_rules();
                Some((String::new(), Vec::new()))
            }
            _ => {
                let text = format!(
                    "sockunit connect for each connection{lookup}; a client that half-closes gets the answer"
                );
                self.otherwise("redirect", setting, &text);
                self.wrapper_rules();
                Some((CONNECT.into(), vec!["connect".into(), host, port]))
            }
        }
    }

    /// For redirect and built-in services, xinetd looks for rules of the service, which tcpd would not.
    pub(super) fn wrapper_rules(&mut self) {
        if self.host.has_wrapper_rules() && !has(self.service, "flags", "NOLIBWRAP") {
            self.report.obstacle(
                "xinetd applies the rules of /etc/hosts.allow and /etc/hosts.deny, and the units would not",
                Some("set flags = NOLIBWRAP if they do not matter to it, and only_from for the addresses"),
            );
        }
    }
}
