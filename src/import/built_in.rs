//! Built-in services of xinetd and inetd, which a program of the package serves.

use super::report::{Fate, Report};
use super::units::{self, Start};
use crate::builtin::{self, BuiltIn, Edition};
use crate::server::{ConnectionRules, SharedLimits};
use crate::superserver::Word;

/// What to do without a program.
pub(super) const ADD: &str = "sockunit add can attach a program to the port";

/// Why a built-in service is not converted.
pub(super) fn no_program(attribute: &str, name: &Word) -> String {
    format!("{attribute}: there is no program for the built-in service {name}")
}

/// What serves it instead.
pub(super) fn replacement(built_in: BuiltIn) -> String {
    format!(
        "{} {} serves it, as a dynamic user in a sandbox",
        builtin::PROGRAM,
        built_in.name()
    )
}

/// The program and its arguments.
pub(super) fn command(
    built_in: BuiltIn,
    edition: Edition,
    start: &Start,
    (rules, shared): (&ConnectionRules, &SharedLimits),
) -> (String, Vec<String>) {
    let mut words = Vec::new();
    if edition == Edition::Inetd {
        words.extend(["--edition".to_owned(), "inetd".to_owned()]);
    }
    if *start == Start::Datagrams {
        // For connections, sockunit serve applies the rules.
        words.extend(units::event_options(rules, shared));
    }
    words.push(built_in.name().to_owned());
    (builtin::PROGRAM.to_owned(), words)
}

/// How the answers to datagrams differ.
pub(super) fn report(built_in: BuiltIn, edition: Edition, report: &mut Report) {
    let mut differs = |what: &str, text: &str| {
        report.add(Fate::Otherwise, what, None, text);
    };
    differs(
        "datagrams for built-in services",
        "those from ports below 1024 get no answer, and no answer is longer than its datagram",
    );
    let shorter = match built_in {
        BuiltIn::Echo | BuiltIn::Discard => return,
        BuiltIn::Chargen => {
            return differs("chargen over UDP", "cut to the length of the datagram");
        }
        BuiltIn::Daytime => builtin::daytime_length(edition),
        BuiltIn::Time => 4,
    };
    differs(
        &format!("{} over UDP", built_in.name()),
        &format!("datagrams of fewer than {shorter} bytes get no answer; send more, or use TCP"),
    );
}
