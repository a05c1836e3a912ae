//! Findings for programs.

use serde_json::{Map, Value, json};

use super::{Finding, Location, Process, UnitUse, UsedBy};

/// A finding as an object of JSON.
pub fn json(finding: &Finding) -> Value {
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
    match &finding.place {
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
    let (kind, more) = match &finding.used_by {
        UsedBy::Entry { tcp, ours, .. } => ("services", json!({"tcp": tcp, "ours": ours})),
        UsedBy::Listener {
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
        UsedBy::Unit(used_by) => ("unit", unit(used_by)),
        UsedBy::DropIns { unit } => ("drop-in", json!({"unit": unit})),
        UsedBy::Instances { count } => ("instances", json!({"count": count})),
        UsedBy::Super {
            program,
            service,
            disabled,
            tcp,
        } => (
            *program,
            json!({"service": service, "disabled": disabled, "tcp": tcp}),
        ),
        UsedBy::Unread { why } => ("unread", json!({"why": why})),
        UsedBy::LowPort => ("low-port", json!({})),
    };
    set("kind", kind.into());
    if let Value::Object(more) = more {
        object.extend(more);
    }
    Value::Object(object)
}

fn process(process: &Process) -> Value {
    json!({"pid": process.pid, "command": process.command, "unit": process.unit})
}

fn unit(used_by: &UnitUse) -> Value {
    json!({
        "unit": used_by.unit,
        "alias_of": used_by.alias_of,
        "listens": used_by.listens,
        "masked": used_by.masked,
        "enablement": used_by.enablement.map(|enablement| enablement.to_string()),
        "active": used_by.active,
    })
}
