//! Classes of error messages in the journal, and the directives of the unit that can cause them.
//!
//! Clients and programs write the messages. So a class is a hint, never a verdict: nothing of the
//! message is used but the class.

use super::subject::Subject;

/// A class of errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Symptom {
    /// The C library's text for the error.
    text: &'static str,
    /// Directives of the `[Service]` section that can cause it.
    causes: &'static [&'static str],
    /// What to do.
    hint: &'static str,
}

const SYMPTOMS: [Symptom; 4] = [
    Symptom {
        text: "Permission denied",
        causes: &[],
        hint: "the service's user may not access a file: see which user that is (User= or DynamicUser=); a log file is \
               not needed, because standard error goes to the journal",
    },
    Symptom {
        text: "Read-only file system",
        causes: &[
            "ProtectSystem",
            "TemporaryFileSystem",
            "ReadOnlyPaths",
            "ProtectHome",
        ],
        hint: "the sandbox makes a file system read-only: StateDirectory=NAME gives the service a directory of its own \
               to write to, /var/lib/NAME",
    },
    Symptom {
        text: "Address family not supported by protocol",
        causes: &["RestrictAddressFamilies"],
        hint: "the sandbox forbids the program to make sockets of this kind: RestrictAddressFamilies= allows them",
    },
    Symptom {
        text: "Operation not permitted",
        causes: &[
            "SystemCallFilter",
            "CapabilityBoundingSet",
            "RestrictNamespaces",
            "NoNewPrivileges",
        ],
        hint: "the sandbox forbids the program a system call or a privilege",
    },
];

/// A hint about the messages of a service, with the lines of its unit that can be the cause; `None` if
/// they are of no known class.
pub fn hint(subject: &Subject<'_>, messages: &[String]) -> Option<String> {
    let symptom = messages.iter().rev().find_map(|message| {
        let is_in = |symptom: &&Symptom| message.contains(symptom.text);
        SYMPTOMS.iter().find(is_in)
    })?;
    let values = symptom.causes.iter().filter_map(|key| {
        let value = subject.service.value("Service", key)?;
        let path = value.path.display();
        Some(format!("{path}:{}: {key}={}", value.line, value.text))
    });
    let values: Vec<String> = values.collect();
    Some(match values.is_empty() {
        true => symptom.hint.to_string(),
        false => format!("{} ({})", symptom.hint, values.join("; ")),
    })
}
