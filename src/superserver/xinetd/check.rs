//! What xinetd does after it has read all files: it removes what is disabled, adds what comes from
//! `defaults`, and checks each service.

use super::defaults::Defaults;
use super::entry::{Draft, Settings};
use super::note::{Note, NoteKind};
use super::refusal::Refusal;
use super::{Service, Socket, socket};
use crate::superserver::System;

/// What services inherit at the end, wherever `defaults` stand.
const LATE: [&str; 11] = [
    "instances",
    "umask",
    "per_source",
    "groups",
    "cps",
    "max_load",
    "bind",
    "log_on_success",
    "log_on_failure",
    "log_type",
    "passenv",
];

/// The built-in services, and whether they exist for datagrams too.
const BUILT_IN: [(&str, bool); 6] = [
    ("echo", true),
    ("discard", true),
    ("time", true),
    ("daytime", true),
    ("chargen", true),
    ("tcpmux", false),
];

pub(super) fn services(
    drafts: Vec<Draft>,
    defaults: &Defaults,
    system: &dyn System,
) -> Vec<Service> {
    let mut services: Vec<Service> = Vec::new();
    for mut draft in drafts {
        let disabled = switch(&mut draft, defaults);
        let mut settings = std::mem::take(&mut draft.settings);
        for attribute in LATE {
            if !settings.is_specified(attribute) && defaults.settings.is_specified(attribute) {
                settings.inherit(defaults, attribute);
            }
        }
        let (socket, note) = socket::of(&draft, &settings, system);
        let fatal = defaults.fatal.clone().map(Refusal::Fatal);
        let kept = || services.iter().filter(|service| service.refusal.is_none());
        let refusal = disabled.or(fatal).or_else(|| {
            let check = Check {
                draft: &draft,
                settings: &settings,
                socket: &socket,
                system,
            };
            check
                .refusal(kept())
                .or_else(|| socket::opens(&socket, &settings, kept()))
        });
        let is_rpc = settings.has("type", "RPC");
        let ignored = match is_rpc && settings.is_specified("port") {
            true => Some(NoteKind::PortIgnored),
            false => None,
        };
        let waits = settings.has("wait", "yes");
        let no_wait = match socket.kind.as_deref() == Some("dgram") && !waits {
            true => Some(NoteKind::DatagramsWithoutWait),
            false => None,
        };
        let notes = note.into_iter().chain(ignored).chain(no_wait);
        let notes = notes.map(|kind| Note {
            position: draft.position.clone(),
            kind,
        });
        settings.notes.extend(notes);
        let id = settings.first("id").unwrap_or(&draft.name).clone();
        services.push(Service {
            id,
            name: draft.name,
            position: draft.position,
            refusal,
            settings: settings.values,
            socket,
            notes: settings.notes,
            is_inetd_line: draft.is_inetd_line,
        });
    }
    services
}

/// Why a service is dropped before it is checked: by its entry, or by `enabled` and `disabled`.
fn switch(draft: &mut Draft, defaults: &Defaults) -> Option<Refusal> {
    if let Some(refusal) = draft.dropped.take() {
        return Some(refusal);
    }
    let names = |attribute| {
        let setting = defaults.settings.values.get(attribute);
        setting.map(|setting| {
            let mut names = setting.values.iter();
            names.any(|name| name.bytes.eq_ignore_ascii_case(&draft.id().bytes))
        })
    };
    match (names("enabled"), names("disabled")) {
        (Some(false), _) => Some(Refusal::NotEnabled),
        // This also enables a service with a bad value.
        (Some(true), Some(true)) => Some(Refusal::Disabled),
        (Some(true), _) => None,
        (None, is_disabled) => {
            let disabled = (is_disabled == Some(true)).then_some(Refusal::Disabled);
            draft.marked.take().or(disabled)
        }
    }
}

/// The check of one service.
struct Check<'a> {
    draft: &'a Draft,
    settings: &'a Settings,
    socket: &'a Socket,
    system: &'a dyn System,
}

impl Check<'_> {
    /// Why xinetd refuses the service, in the order in which it checks. `kept` are the services before
    /// it that it has not refused.
    fn refusal<'a>(&self, kept: impl Iterator<Item = &'a Service>) -> Option<Refusal> {
        self.program()
            .or_else(|| self.port())
            .or_else(|| self.duplicate(kept))
            .or_else(|| self.built_in())
            .or_else(|| self.listed())
            .or_else(|| self.combination())
            .or_else(|| self.missing())
    }

    fn has_type(&self, word: &str) -> bool {
        self.settings.has("type", word)
    }

    fn has_flag(&self, word: &str) -> bool {
        self.settings.has("flags", word)
    }

    fn is_mux(&self) -> bool {
        self.has_type("TCPMUX") || self.has_type("TCPMUXPLUS")
    }

    fn waits(&self) -> bool {
        self.settings.has("wait", "yes")
    }

    fn is_redirect(&self) -> bool {
        self.settings.is_specified("redirect")
    }

    fn program(&self) -> Option<Refusal> {
        if self.has_type("INTERNAL") {
            return None;
        }
        if !self.is_redirect() && !self.settings.is_specified("server") {
            return Some(Refusal::Missing(vec!["server"]));
        }
        let has_name = self.settings.is_specified("server_args");
        (self.has_flag("NAMEINARGS") && !has_name).then_some(Refusal::Combination(
            "flags = NAMEINARGS without server_args",
        ))
    }

    fn port(&self) -> Option<Refusal> {
        if self.settings.is_specified("port") || self.is_mux() || self.has_type("RPC") {
            return None;
        }
        if self.has_type("UNLISTED") {
            return Some(Refusal::NoPort);
        }
        let Some((protocol, _)) = &self.socket.protocol else {
            return Some(Refusal::NoProtocol);
        };
        let is_listed = self.socket.port.is_some();
        (!is_listed).then(|| Refusal::NotListed {
            name: self.draft.name.clone(),
            protocol: protocol.clone(),
            has_port: false,
        })
    }

    /// A service before it with `bind` has the same port and protocol, and the same address unless this
    /// one has none.
    fn duplicate<'a>(&self, kept: impl Iterator<Item = &'a Service>) -> Option<Refusal> {
        let number = |socket: &Socket| socket.protocol.as_ref().map(|(_, number)| *number);
        let bind = self.settings.values.get("bind");
        let mut kept = kept;
        let same = kept.find(|other| {
            other.setting("bind").is_some()
                && other.socket.port == self.socket.port
                && other.socket.port.is_some()
                && number(&other.socket) == number(self.socket)
                && (bind.is_none() || other.socket.address == self.socket.address)
        });
        same.map(|other| Refusal::Duplicate(other.id.clone()))
    }

    fn built_in(&self) -> Option<Refusal> {
        let is_sensor = self.has_flag("SENSOR");
        if !is_sensor && !self.has_type("INTERNAL") {
            return None;
        }
        let name = &self.draft.name;
        let exists = match self.socket.kind.as_deref() {
            Some("stream") => is_sensor || BUILT_IN.iter().any(|(known, _)| name.is(known)),
            Some("dgram") => {
                let mut known = BUILT_IN.iter();
                is_sensor || known.any(|(known, datagrams)| *datagrams && name.is(known))
            }
            _ => false,
        };
        (!exists).then(|| Refusal::NotBuiltIn(name.clone()))
    }

    fn listed(&self) -> Option<Refusal> {
        let name = &self.draft.name;
        let is_unlisted = self.has_type("UNLISTED");
        let protocol = self.socket.protocol.as_ref();
        if self.is_mux() {
            if !is_unlisted {
                return Some(Refusal::Combination("TCPMUX without UNLISTED"));
            }
            if !protocol.is_some_and(|(name, _)| name.eq_ignore_ascii_case("tcp")) {
                return Some(Refusal::Combination("TCPMUX without protocol = tcp"));
            }
        }
        if is_unlisted {
            return None;
        }
        if self.has_type("RPC") {
            let exists = self.system.has_rpc_program(&name.bytes);
            return (!exists).then(|| Refusal::NoRpcProgram(name.clone()));
        }
        let Some((protocol, _)) = protocol else {
            return Some(Refusal::NoProtocol);
        };
        match self.system.port(&name.bytes, protocol.as_bytes()) {
            None => Some(Refusal::NotListed {
                name: name.clone(),
                protocol: protocol.clone(),
                has_port: self.settings.is_specified("port"),
            }),
            Some(listed) => {
                let port = self.socket.port.filter(|port| *port != listed);
                port.map(|port| Refusal::OtherPort { listed, port })
            }
        }
    }

    fn combination(&self) -> Option<Refusal> {
        let is_stream = self.socket.kind.as_deref() == Some("stream");
        let is_internal = self.has_type("INTERNAL") || self.has_flag("SENSOR");
        let is_labeled = self.has_flag("LABELED");
        let redirect = self.is_redirect();
        let names = self.has_flag("NAMEINARGS");
        let rules = [
            (
                is_labeled && (is_internal || !is_stream || self.waits() || redirect),
                "flags = LABELED is for programs with socket_type = stream and wait = no",
            ),
            (redirect && !is_stream, "redirect is for TCP only"),
            (redirect && self.waits(), "redirect with wait = yes"),
            (redirect && names, "redirect with flags = NAMEINARGS"),
            (
                !redirect && self.settings.has("log_on_success", "TRAFFIC"),
                "log_on_success = TRAFFIC without redirect",
            ),
            (
                names && is_internal,
                "flags = NAMEINARGS for a built-in service",
            ),
        ];
        let broken = rules.iter().find(|(is_broken, _)| *is_broken);
        broken.map(|(_, why)| Refusal::Combination(why))
    }

    fn missing(&self) -> Option<Refusal> {
        let is_internal = self.has_type("INTERNAL") || self.has_flag("SENSOR");
        let is_unlisted = self.has_type("UNLISTED");
        let is_rpc = self.has_type("RPC");
        let mut required = vec!["socket_type", "wait"];
        if !is_internal {
            required.extend(["server", "user"]);
            if is_unlisted && !self.is_mux() && !is_rpc {
                required.push("port");
            }
        }
        if is_rpc || (!is_internal && is_unlisted) {
            required.push("protocol");
        }
        if is_rpc {
            required.push("rpc_version");
            if is_unlisted {
                required.push("rpc_number");
            }
        }
        let is_there = |attribute: &str| match attribute {
            "socket_type" => self.socket.kind.is_some(),
            "protocol" => self.socket.protocol.is_some(),
            "server" => self.is_redirect() || self.settings.is_specified("server"),
            other => self.settings.is_specified(other),
        };
        required.retain(|attribute| !is_there(attribute));
        (!required.is_empty()).then_some(Refusal::Missing(required))
    }
}
