//! The conversion of a service of xinetd.

mod built_in;
mod limits;
mod log;
mod process;
mod program;
mod rules;
mod socket;
mod start;
mod user;

use super::access::Family;
use super::report::{Fate, Report};
use super::units::{self, Start};
use super::{
    Conversion, Host, Options, SuperServer, at_once, finish, noted, shown, source, text, unit_user,
};
use crate::attach::{Attachment, Imported, Kind, Level};
use crate::builtin::BuiltIn;
use crate::server::{ConnectionRules, SharedLimits};
use crate::services::ServiceName;
use crate::superserver::switch::Entry;
use crate::superserver::xinetd::{Note, NoteKind, Refusal, Service, Setting};
use crate::superserver::{self, Word};

/// A service of xinetd on its way to units.
struct Converter<'a> {
    service: &'a Service,
    host: &'a dyn Host,
    options: Options,
    report: Report,
    rules: ConnectionRules,
    shared: SharedLimits,
    imported: Imported,
    /// A service that xinetd itself serves, and that a program of the package can serve.
    built_in: Option<BuiltIn>,
    start: Start,
    /// `None` before its socket is converted.
    family: Option<Family>,
}

/// Converts a service. Without a name it has no units.
pub(super) fn convert(
    service: &Service,
    name: Option<ServiceName>,
    host: &dyn Host,
    options: Options,
) -> Conversion {
    let mut converter = Converter {
        service,
        host,
        options,
        report: Report::default(),
        rules: ConnectionRules::default(),
        shared: at_once(),
        imported: Imported {
            source: source(host, &service.position),
            ..Imported::default()
        },
        built_in: built_in::of(service),
        start: Start::Serve,
        family: None,
    };
    let units = converter.service(name.as_ref());
    let family = converter.family;
    let disabled = service.refusal.as_ref().filter(|why| why.is_disabled());
    let disabled = disabled.map(ToString::to_string);
    finish(converter.report, units, |units, report| Conversion {
        name: shown(name.as_ref(), &service.id),
        super_server: SuperServer::Xinetd,
        position: service.position.clone(),
        entry: match service.is_inetd_line {
            true => Entry::Inetd(service.position.line),
            false => Entry::Xinetd(service.position.line),
        },
        behind: match service.refusal {
            Some(Refusal::Duplicate(_)) => service.socket.port,
            _ => None,
        },
        disabled,
        units,
        report,
        notes: {
            let is_v4 = family == Some(Family::V4);
            let about_v6 = |note: &&Note| is_v4 && note.kind == NoteKind::LocalhostByName;
            let notes = service.notes.iter().filter(|note| !about_v6(note));
            notes.map(noted).collect()
        },
    })
}

impl<'a> Converter<'a> {
    fn service(&mut self, name: Option<&ServiceName>) -> Option<units::Service> {
        self.refused();
        self.not_disabled();
        if name.is_none() {
            self.report
                .obstacle("no unit can have its name", Some("give it another id"));
        }
        self.unsupported();
        self.start = self.start();
        let (port, listen, family) = self.socket();
        self.family = Some(family);
        let (mut program, mut user, mut group) = (None, None, None);
        match self.built_in {
            Some(built_in) => self.built_in(built_in),
            None => {
                program = self.program();
                (user, group) = self.user();
                self.environment();
                self.process();
            }
        }
        self.access(family);
        self.banners(user.as_deref());
        let (max_connections, per_source) = self.limits();
        self.log(name);
        self.rules.message = "all=".parse().into_iter().collect();
        let kind = self.kind();
        let level = match self.built_in {
            Some(built_in) => {
                program = Some(self.command(built_in));
                Level::Strict
            }
            None => {
                user.as_ref()?;
                Level::Off
            }
        };
        let attachment = Attachment {
            listen,
            kind,
            user: user.map(|user| unit_user(self.host, &user)),
            group,
            level,
            max_connections,
            per_source: Some(per_source),
            shared: match kind {
                Kind::Shared => self.shared.clone(),
                Kind::PerConnection => SharedLimits::default(),
            },
            rules: self.rules.clone(),
            imported: Some(self.imported.clone()),
            ..units::plain(name?.clone(), port?, program?)
        };
        let start = self.start.clone();
        Some(units::Service { attachment, start })
    }

    fn kind(&self) -> Kind {
        match self.has_limits() && self.start == Start::Serve {
            true => Kind::PerConnection,
            false => Kind::Shared,
        }
    }

    /// Whether xinetd does not serve it.
    fn refused(&mut self) {
        let bad = self.service.notes.iter().find_map(|note| match &note.kind {
            NoteKind::BadValue { attribute, why } => {
                Some(format!("{attribute} in line {}: {why}", note.position.line))
            }
            _ => None,
        });
        match &self.service.refusal {
            Some(Refusal::Disable(position)) => {
                let position = position.clone();
                let text = "its socket is not enabled";
                self.report
                    .add(Fate::Kept, "disable = yes", Some(&position), text);
            }
            Some(refusal) if refusal.is_disabled() => {
                let text = "its socket is not enabled";
                self.report.add(Fate::Kept, refusal.to_string(), None, text);
            }
            Some(refusal) => {
                self.report.is_unserved = true;
                let why = format!("xinetd does not serve it: {refusal}");
                let hint = match superserver::serves(refusal) {
                    true => {
                        "--as-meant imports it with its port; or set type = UNLISTED in the file"
                    }
                    false if matches!(refusal, Refusal::Duplicate(_)) => {
                        "--disable-old disables it with the other one, which xinetd serves"
                    }
                    false if self.service.is_inetd_line => {
                        "with -inetd_compat, a line has the name of a service, tcp or udp, and USER or USER.GROUP"
                    }
                    false if matches!(refusal, Refusal::NotListed { .. }) => socket::UNLISTED,
                    false => "correct the file if it is meant to be served",
                };
                self.report.obstacle(why, Some(hint));
                return;
            }
            None => return,
        }
        self.report.is_unserved = true;
        if let Some(bad) = bad {
            let why = format!("xinetd would not serve it if it were enabled: {bad}");
            self.report.obstacle(why, None);
        }
    }

    /// `disable = no`, which is the default.
    fn not_disabled(&mut self) {
        let service = self.service;
        let Some(setting) = service.setting("disable") else {
            return;
        };
        match &service.refusal {
            None => self.kept("disable", setting, "its socket is enabled"),
            Some(Refusal::Disable(_)) => {}
            Some(refusal) => self.kept("disable", setting, &refusal.to_string()),
        }
    }

    /// Kinds of services that have no units.
    fn unsupported(&mut self) {
        let has = |attribute, word| has(self.service, attribute, word);
        let reasons = [
            (
                has("flags", "SENSOR"),
                "flags = SENSOR: no unit can refuse the clients of one service at all others",
                "fail2ban or a firewall can",
            ),
            (
                has("type", "RPC"),
                "type = RPC: systemd does not register services with rpcbind",
                "run the server as a service of its own: RPC servers register themselves",
            ),
            (
                has("type", "TCPMUX") || has("type", "TCPMUXPLUS"),
                "type = TCPMUX: it has no port of its own",
                "give the service a port",
            ),
            (
                has("flags", "IDONLY"),
                "flags = IDONLY: no unit can ask the client's host for the user",
                "remove the flag if clients without an ident server may connect too",
            ),
            (
                has("flags", "LABELED"),
                "flags = LABELED: the program would run without the client's SELinux label",
                "set SELinuxContextFromNet=yes in a socket unit of your own",
            ),
        ];
        for (is_it, why, hint) in reasons {
            if is_it {
                self.report.obstacle(why, Some(hint));
            }
        }
        if self.has_unknown_program() {
            let why = built_in::no_program("type = INTERNAL", &self.service.name);
            self.report.obstacle(why, Some(super::built_in::ADD));
        }
        if let Some(setting) = self.service.setting("type") {
            let others: Vec<&Word> = setting.values.iter().collect();
            if others
                .iter()
                .all(|word| word.is("UNLISTED") || word.is("SPECIAL"))
            {
                self.kept("type", setting, "the units need no line in /etc/services");
            }
        }
    }

    /// An attribute with its values, as the file has them.
    fn add(&mut self, fate: Fate, name: &str, setting: &Setting, text: &str) {
        let mut attribute = format!("{name} =");
        if setting.values.is_empty() {
            attribute = format!("{name} without a value");
        }
        let mut last = None;
        for value in &setting.values {
            // A list in braces stands for several patterns.
            if last != Some(value) {
                attribute += &format!(" {value}");
            }
            last = Some(value);
        }
        let position = Some(&setting.position);
        self.report.add(fate, attribute, position, text);
    }

    fn kept(&mut self, name: &str, setting: &Setting, text: &str) {
        self.add(Fate::Kept, name, setting, text);
    }

    fn otherwise(&mut self, name: &str, setting: &Setting, text: &str) {
        self.add(Fate::Otherwise, name, setting, text);
    }

    fn lost(&mut self, name: &str, setting: &Setting, text: &str) {
        self.add(Fate::Lost, name, setting, text);
    }

    /// The first value of an attribute as text, with its setting.
    fn value(&mut self, name: &str) -> Option<(String, &'a Setting)> {
        let setting = self.service.setting(name)?;
        let word = setting.values.first()?;
        let value = text(word);
        if value.is_none() {
            self.not_text(word);
        }
        Some((value?, setting))
    }

    fn not_text(&mut self, word: &Word) {
        let why = format!("{word}: systemd ignores lines that are not valid UTF-8");
        self.report.obstacle(why, Some("call it from a script"));
    }
}

/// Whether one of an attribute's values is this word.
fn has(service: &Service, attribute: &str, word: &str) -> bool {
    let setting = service.setting(attribute);
    setting.is_some_and(|setting| setting.values.iter().any(|value| value.is(word)))
}
