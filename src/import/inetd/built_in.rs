//! Services that inetd itself serves.

use clap::ValueEnum;

use super::super::built_in::{self, replacement};
use super::{Converter, Fate, Start};
use crate::builtin::{BuiltIn, Edition};
use crate::superserver::inetd::Service;

/// Whether inetd itself is the program.
pub(super) fn is_internal(service: &Service) -> bool {
    let program = service.program.first();
    program.is_some_and(|word| word.bytes == b"internal")
}

/// The built-in service, if there is a program for it.
pub(super) fn of(service: &Service) -> Option<BuiltIn> {
    let mut known = BuiltIn::value_variants().iter().copied();
    let named = known.find(|built_in| service.name.bytes == built_in.name().as_bytes());
    named.filter(|_| is_internal(service))
}

impl Converter<'_> {
    /// What becomes of the user and the program.
    pub(super) fn built_in(&mut self, built_in: BuiltIn) {
        let service = self.service;
        for word in [Some(&service.user), service.group.as_ref()]
            .into_iter()
            .flatten()
        {
            let text = "a dynamic user; the program needs no rights";
            self.entry(Fate::Otherwise, &word.to_string(), text);
        }
        self.entry(Fate::Otherwise, "internal", &replacement(built_in));
        if self.start == Start::Datagrams {
            built_in::report(built_in, Edition::Inetd, &mut self.report);
        }
    }

    /// The program and its arguments.
    pub(super) fn command(&self, built_in: BuiltIn) -> (String, Vec<String>) {
        let rules = (&self.rules, &self.shared);
        built_in::command(built_in, Edition::Inetd, &self.start, rules)
    }
}
