//! The conversion of a line of inetd.conf.

mod built_in;
mod limits;
mod socket;

use std::num::NonZeroU16;

use super::report::{Fate, Report};
use super::units::{self, Socket, Start};
use super::{
    Conversion, Host, PUBLIC_ARGUMENTS, RENAME, SuperServer, at_once, file_name, finish, shown,
    source, text, unit_user,
};
use crate::attach::{Attachment, Imported, Level};
use crate::builtin::BuiltIn;
use crate::server::{ConnectionRules, SharedLimits};
use crate::services::ServiceName;
use crate::superserver::Word;
use crate::superserver::inetd::{Dialect, Service};
use crate::superserver::switch::Entry;
use crate::systemd::quote::can_be_program;

pub(super) use socket::split;

struct Converter<'a> {
    service: &'a Service,
    host: &'a dyn Host,
    report: Report,
    rules: ConnectionRules,
    shared: SharedLimits,
    imported: Imported,
    /// A service that inetd itself serves, and that a program of the package can serve.
    built_in: Option<BuiltIn>,
    start: Start,
}

/// Converts a line. Without a name it has no units.
pub(super) fn convert(service: &Service, name: Option<ServiceName>, host: &dyn Host) -> Conversion {
    let mut converter = Converter {
        service,
        host,
        report: Report::default(),
        rules: ConnectionRules::default(),
        shared: at_once(),
        imported: Imported {
            source: source(host, &service.position),
            ..Imported::default()
        },
        built_in: built_in::of(service),
        start: start(service),
    };
    let units = converter.service(name.as_ref());
    finish(converter.report, units, |units, report| Conversion {
        name: shown(name.as_ref(), &service.name),
        super_server: SuperServer::Inetd,
        position: service.position.clone(),
        entry: Entry::Inetd(service.position.line),
        behind: None,
        disabled: service.is_disabled.then(|| "disabled by #<off>#".into()),
        units,
        report,
        notes: Vec::new(),
    })
}

/// What starts the program.
fn start(service: &Service) -> Start {
    let is_datagram = service.socket_type.bytes == b"dgram";
    // inetd knows what its own services do, whatever the line says.
    if built_in::is_internal(service) {
        return match is_datagram {
            true => Start::Datagrams,
            false => Start::Serve,
        };
    }
    match (is_datagram, service.waits) {
        (true, _) => Start::Waits(Socket::Datagram),
        (false, true) => Start::Waits(Socket::Stream),
        (false, false) => Start::Serve,
    }
}

impl Converter<'_> {
    fn service(&mut self, name: Option<&ServiceName>) -> Option<units::Service> {
        let service = self.service;
        if name.is_none() {
            self.report.obstacle("no unit can have its name", None);
        }
        if service.is_disabled {
            self.report.is_unserved = true;
            self.entry(Fate::Kept, "#<off>#", "its socket is not enabled");
        }
        self.unsupported();
        let port = self.port();
        let listen = self.socket();
        let (mut program, mut user, mut group) = (None, None, None);
        match self.built_in {
            Some(built_in) => self.built_in(built_in),
            None => {
                (user, group) = self.user();
                program = self.program();
            }
        }
        let (max_connections, per_source) = self.limits();
        self.rules.message = "all=".parse().into_iter().collect();
        let level = match self.built_in {
            Some(built_in) => {
                program = Some(self.command(built_in));
                Level::Strict
            }
            None => {
                self.environment();
                user.as_ref()?;
                Level::Off
            }
        };
        let attachment = Attachment {
            listen: listen?,
            user: user.map(|user| unit_user(self.host, &user)),
            group,
            level,
            max_connections,
            per_source: Some(per_source),
            shared: self.shared.clone(),
            rules: self.rules.clone(),
            imported: Some(self.imported.clone()),
            ..units::plain(name?.clone(), port?, program?)
        };
        let start = self.start.clone();
        Some(units::Service { attachment, start })
    }

    /// What systemd sets, and inetd does not.
    fn environment(&mut self) {
        self.default(
            Fate::Otherwise,
            "standard error",
            "the journal; inetd passes the connection",
        );
        self.default(Fate::Otherwise, "the process that listens", units::LISTENER);
        let environment = match self.start {
            Start::Serve | Start::Waits(Socket::Datagram) => {
                "that of systemd, with PATH, which openbsd-inetd removes, and with REMOTE_ADDR, REMOTE_PORT and REMOTE_HOST"
            }
            _ => "that of systemd, with PATH, which openbsd-inetd removes",
        };
        self.default(Fate::Otherwise, "environment", environment);
        let unset = units::unset(&[], |_| false);
        self.imported.service.extend(unset);
    }

    /// What the line says.
    fn entry(&mut self, fate: Fate, attribute: &str, text: &str) {
        let position = Some(&self.service.position);
        self.report.add(fate, attribute, position, text);
    }

    /// What inetd does where the line says nothing.
    fn default(&mut self, fate: Fate, attribute: &str, text: &str) {
        self.report.add(fate, attribute, None, text);
    }

    /// Kinds of services that have no units.
    fn unsupported(&mut self) {
        self.login_class();
        let service = self.service;
        let is_internal = built_in::is_internal(service);
        if is_internal && self.built_in.is_none() {
            let why = super::built_in::no_program("internal", &service.name);
            self.report.obstacle(why, Some(super::built_in::ADD));
        }
        let is_rpc = service.rpc_versions.is_some();
        let protocol = &service.protocol.bytes;
        let is_known = match service.socket_type.bytes.as_slice() {
            b"stream" => protocol.starts_with(b"tcp"),
            b"dgram" => protocol.starts_with(b"udp"),
            _ => false,
        };
        let is_tcpd = service
            .program
            .first()
            .is_some_and(|word| word.bytes == b"/usr/sbin/tcpd");
        let is_wrapped =
            !is_internal && !is_tcpd && self.host.has_wrapper_rules() && self.host.inetd_wraps();
        let no_wait = service.socket_type.bytes == b"dgram" && !service.waits;
        let reasons = [
            (
                is_rpc,
                "systemd does not register services with rpcbind",
                "run the server as a service of its own: RPC servers register themselves. Restart openbsd-inetd after --apply: it \
                 loses the registrations of RPC services when it reads its file again",
            ),
            (
                !is_rpc && !is_known,
                "it is neither for TCP nor for UDP",
                "write a socket unit of your own",
            ),
            (
                is_wrapped,
                "inetd -l applies the rules of /etc/hosts.allow and /etc/hosts.deny, and the units would not",
                "start the program through /usr/sbin/tcpd in its line",
            ),
            (
                no_wait && !is_internal,
                "nowait for datagrams: each program would get the listening socket",
                "write wait if the program reads datagrams from its standard input",
            ),
        ];
        for (is_it, why, hint) in reasons {
            if is_it {
                self.report.obstacle(why, Some(hint));
            }
        }
    }

    /// The class after the user, which is a part of the name to other programs than FreeBSD's inetd.
    fn login_class(&mut self) {
        let service = self.service;
        let Some(class) = &service.login_class else {
            return;
        };
        if service.dialect == Dialect::FreeBsd || built_in::is_internal(service) {
            self.entry(
                Fate::Kept,
                &format!("/{class}"),
                "Linux has no login classes",
            );
            return;
        }
        self.report.is_unserved = true;
        let hint = format!("remove /{class}: only inetd of FreeBSD has login classes");
        let why = match &service.group {
            Some(group) => format!("there is no group {group}/{class}"),
            None => format!("there is no user {}/{class}", service.user),
        };
        self.report.obstacle(why, Some(&hint));
    }

    fn port(&mut self) -> Option<NonZeroU16> {
        let service = self.service;
        if service.is_not_listed() {
            self.report.is_unserved = true;
            self.report.obstacle(
                format!(
                    "inetd does not serve it: {} is not in the services database",
                    service.name
                ),
                Some("add it to /etc/services, or write its port in its place"),
            );
        }
        let port = service.port.and_then(NonZeroU16::new)?;
        let (name, text) = (service.name.to_string(), format!("the port {port}"));
        self.entry(Fate::Kept, &name, &text);
        Some(port)
    }

    fn user(&mut self) -> (Option<String>, Option<String>) {
        let service = self.service;
        let name = |word: &Word| text(word).filter(|text| can_be_program(text));
        let (user, group) = (name(&service.user), service.group.as_ref());
        let user = user.filter(|user| self.host.has_user(user));
        match &user {
            Some(user) => {
                let text = format!("User={}", unit_user(self.host, user));
                self.entry(Fate::Kept, &service.user.to_string(), &text);
            }
            None => {
                self.report.is_unserved = true;
                self.report
                    .obstacle(format!("there is no user {}", service.user), None);
            }
        }
        let is_root = service.dialect != Dialect::FreeBsd && user.as_deref() == Some("root");
        let group = match group {
            None => None,
            Some(word) if is_root => {
                let text = "inetd ignores the group of a service of root";
                self.entry(Fate::Kept, &word.to_string(), text);
                None
            }
            Some(word) => {
                let found = name(word).filter(|group| self.host.has_group(group));
                match &found {
                    Some(group) => {
                        let text = format!("Group={group}");
                        self.entry(Fate::Kept, &word.to_string(), &text);
                    }
                    None => self
                        .report
                        .obstacle(format!("there is no group {word}"), None),
                }
                found
            }
        };
        (user, group)
    }

    fn program(&mut self) -> Option<(String, Vec<String>)> {
        let service = self.service;
        let [path, argv @ ..] = service.program.as_slice() else {
            return None;
        };
        let mut words = Vec::new();
        for word in argv {
            let is_quoted = |byte| matches!(byte, b'"' | b'\'' | b'\\');
            if service.dialect == Dialect::Inetutils && word.bytes.iter().copied().any(is_quoted) {
                self.report.obstacle(
                    format!("{word}: inetutils-inetd removes quotes and backslashes"),
                    Some("call the program from a script"),
                );
            }
            match text(word) {
                Some(word) => words.push(word),
                None => self.report.obstacle(
                    format!("{word}: systemd ignores lines that are not valid UTF-8"),
                    Some("call the program from a script"),
                ),
            }
        }
        let Some(path) = text(path).filter(|path| can_be_program(path) && path.starts_with('/'))
        else {
            if self.report.obstacles.is_empty() {
                let (why, hint) = match path.bytes.starts_with(b"/") {
                    true => ("systemd accepts no such path", RENAME),
                    false => ("not an absolute path", "write the absolute path"),
                };
                self.report.obstacle(format!("{path}: {why}"), Some(hint));
            }
            return None;
        };
        if !self.host.is_executable(&path) {
            self.report.is_unserved = true;
            self.report
                .obstacle(format!("there is no program {path}"), None);
        }
        let name = match words.is_empty() {
            true => file_name(&path),
            false => words.remove(0),
        };
        self.imported.program_name = Some(name);
        let line: Vec<_> = service.program.iter().map(Word::to_string).collect();
        let is_secret = !words.is_empty() && !self.host.is_public(&service.position.file);
        let (fate, text) = match is_secret {
            true => (Fate::Otherwise, PUBLIC_ARGUMENTS),
            false => (Fate::Kept, "ExecStart="),
        };
        self.entry(fate, &line.join(" "), text);
        Some((path, words))
    }
}
