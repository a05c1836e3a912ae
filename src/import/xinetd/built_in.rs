//! Services that xinetd itself serves.

use clap::ValueEnum;

use super::super::built_in::{self, replacement};
use super::super::units::Start;
use super::{Converter, Fate, has};
use crate::builtin::{BuiltIn, Edition};
use crate::superserver::xinetd::{Refusal, Service};

pub(super) use super::super::built_in::no_program;

/// What xinetd sets for programs alone.
const OF_PROGRAMS: [&str; 12] = [
    "server",
    "server_args",
    "redirect",
    "env",
    "passenv",
    "umask",
    "rlimit_as",
    "rlimit_cpu",
    "rlimit_data",
    "rlimit_files",
    "rlimit_rss",
    "rlimit_stack",
];

/// The built-in service, if there is a program for it.
pub(super) fn of(service: &Service) -> Option<BuiltIn> {
    let is_internal = has(service, "type", "INTERNAL");
    let mut known = BuiltIn::value_variants().iter().copied();
    known.find(|built_in| is_internal && service.name.is(built_in.name()))
}

impl Converter<'_> {
    /// Whether it is a built-in service that there is no program for.
    pub(super) fn has_unknown_program(&self) -> bool {
        let is_unknown = matches!(self.service.refusal, Some(Refusal::NotBuiltIn(_)));
        has(self.service, "type", "INTERNAL") && self.built_in.is_none() && !is_unknown
    }

    /// What becomes of the attributes of the program and its process.
    pub(super) fn built_in(&mut self, built_in: BuiltIn) {
        let service = self.service;
        if let Some(setting) = service.setting("type") {
            self.otherwise("type", setting, &replacement(built_in));
        }
        for name in ["user", "group", "groups"] {
            if let Some(setting) = service.setting(name) {
                self.otherwise(name, setting, "a dynamic user; the program needs no rights");
            }
        }
        for name in OF_PROGRAMS {
            if let Some(setting) = service.setting(name) {
                self.kept(name, setting, "it has no effect on a built-in service");
            }
        }
        self.nice();
        self.built_in_wrapper();
        if self.start == Start::Datagrams {
            built_in::report(built_in, Edition::Xinetd, &mut self.report);
        }
    }

    /// The rules of hosts.allow and hosts.deny, which tcpd would look for under the name of the program.
    fn built_in_wrapper(&mut self) {
        let service = self.service;
        let libwrap = service.setting("libwrap");
        if has(service, "flags", "NOLIBWRAP") {
            if let Some(setting) = libwrap {
                self.kept("libwrap", setting, "flags = NOLIBWRAP comes first");
            }
            return;
        }
        self.wrapper_rules();
        let text = "they have no rules, and the units do not read them";
        match libwrap {
            Some(setting) => self.otherwise("libwrap", setting, text),
            None => {
                let what = "hosts.allow and hosts.deny for built-in services";
                self.report.add(Fate::Otherwise, what, None, text);
            }
        }
    }

    /// The program and its arguments.
    pub(super) fn command(&self, built_in: BuiltIn) -> (String, Vec<String>) {
        let rules = (&self.rules, &self.shared);
        built_in::command(built_in, Edition::Xinetd, &self.start, rules)
    }
}
