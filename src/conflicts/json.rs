//! Findings as JSON, for programs.

use serde_json::{Map, Value, json};

use super::{ConflictingUnit, Finding, FindingKind, Location, Process};

/// A finding as a JSON object.
pub(crate) fn json(finding: &Finding) -> Value {
    let mut object = Map::new();
    let mut set = |key: &str, value: Value| object.insert(key.to_string(), value);
    set(
        "severity",
        (if finding.is_conflict() {
            "conflict"
        } else {
            "note"
        })
        .into(),
    );
    set("name", finding.claim.name.is_some().into());
    set("port", finding.claim.port.is_some().into());
    match &finding.location {
        Location::File(path, line) => {
            set("file", path.to_string_lossy().into());
            set("line", (*line).into());
        }
        Location::Address(address) => {
            set("address", address.to_string().into());
        }
        Location::Manager | Location::Nowhere => {}
    }
    set("text", finding.to_string().into());
    let (kind, details) = match &finding.kind {
        FindingKind::Entry { tcp, ours, .. } => ("services", json!({"tcp": tcp, "ours": ours})),
        FindingKind::Listener {
            processes,
            unit,
            hidden,
        } => (
            "listener",
            json!({
                "processes": processes.iter().map(process).collect::<Vec<_>>(),
                "unit": unit,
                "hidden": hidden,
            }),
        ),
        FindingKind::Unit(conflicting) => ("unit", unit(conflicting)),
        FindingKind::DropIn { unit } => ("drop-in", json!({"unit": unit})),
        FindingKind::Instances { count } => ("instances", json!({"count": count})),
        FindingKind::SuperServer {
            program,
            service,
            disabled,
            refusal,
            tcp,
            compat: _,
        } => (
            *program,
            json!({"service": service, "disabled": disabled, "not_served": refusal, "tcp": tcp}),
        ),
        FindingKind::Unread { why } => ("unread", json!({"why": why})),
        FindingKind::OtherFile => ("file", json!({})),
        FindingKind::PrivilegedPort => ("low-port", json!({})),
    };
    set("kind", kind.into());
    if let Value::Object(details) = details {
        object.extend(details);
    }
    Value::Object(object)
}

fn process(process: &Process) -> Value {
    json!({"pid": process.pid, "command": process.command, "unit": process.unit.as_ref().map(|unit| &unit.name)})
}

fn unit(unit: &ConflictingUnit) -> Value {
    json!({
        "unit": unit.unit,
        "alias_of": unit.alias_of,
        "listens": unit.listens,
        "masked": unit.masked,
        "enablement": unit.enablement.map(|enablement| enablement.to_string()),
        "active": unit.active,
    })
}
