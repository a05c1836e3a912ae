//! What becomes of a configuration as JSON, for programs.

use serde_json::{Value, json};

use super::{Applied, Conversion, Converted, Done, Failure, Fate};
use crate::superserver::Position;

/// The services and notes as a JSON object, with what was installed of them.
pub(crate) fn json(converted: &Converted, applied: &[Applied<'_>]) -> Value {
    let services = converted.services.iter().map(|conversion| {
        let mut object = service(conversion);
        let mut applied = applied.iter();
        let result = applied.find(|applied| {
            let mut services = applied.services.iter();
            services.any(|service| std::ptr::eq(*service, conversion))
        });
        let (installed, error) = match result.map(|applied| &applied.result) {
            None => (None, None),
            Some(Ok(Done::Unchanged)) => (Some("unchanged"), None),
            Some(Ok(Done::Written)) => (Some("written"), None),
            Some(Ok(Done::Started)) => (Some("started"), None),
            Some(Err(failure)) => (None, Some(sentences(failure))),
        };
        object["installed"] = installed.into();
        object["error"] = error.into();
        object
    });
    json!({
        "services": services.collect::<Vec<_>>(),
        "notes": notes(&converted.notes),
    })
}

/// The error, and what could not be undone.
fn sentences(failure: &Failure) -> String {
    let mut sentences = vec![failure.error.to_string()];
    sentences.extend(failure.left.iter().map(ToString::to_string));
    sentences.join("; ")
}

fn service(conversion: &Conversion) -> Value {
    let report = &conversion.report;
    let units = conversion.units.iter();
    let attributes = report.entries.iter().map(|entry| {
        let kept = match entry.fate {
            Fate::Kept => "yes",
            Fate::Otherwise => "otherwise",
            Fate::Lost => "no",
        };
        json!({
            "attribute": entry.attribute,
            "kept": kept,
            "text": entry.text,
            "position": entry.position.as_ref().map(position),
        })
    });
    let obstacles = report.obstacles.iter();
    json!({
        "name": conversion.name,
        "from": conversion.super_server.name(),
        "position": position(&conversion.position),
        "disabled": conversion.disabled,
        "enabled": conversion.is_enabled(),
        "units": units
            .map(|unit| json!({"name": unit.name, "text": unit.text}))
            .collect::<Vec<_>>(),
        "attributes": attributes.collect::<Vec<_>>(),
        "not_written": obstacles
            .map(|obstacle| json!({"why": obstacle.why, "hint": obstacle.hint}))
            .collect::<Vec<_>>(),
        "notes": notes(&conversion.notes),
    })
}

fn notes(notes: &[(Position, String)]) -> Vec<Value> {
    let notes = notes.iter();
    notes
        .map(|(at, text)| json!({"position": position(at), "text": text}))
        .collect()
}

fn position(position: &Position) -> Value {
    json!({
        "file": position.file.to_string_lossy(),
        "line": position.line,
        "column": position.column,
    })
}
