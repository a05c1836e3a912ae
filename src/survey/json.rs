//! Findings for programs.

use serde_json::{Map, Value, json};

use super::{Finding, Holder, Process, UnitHolder, Where};

/// A finding as an object of JSON.
pub fn json(finding: &Finding) -> Value {
    let mut object = Map::new();
    let mut set = |key: &str, value: Value| object.insert(key.to_string(), value);
    set(
        "degree",
        (if finding.is_taken() { "taken" } else { "note" }).into(),
    );
    set("name", finding.claim.name.is_some().into());
    set("port", finding.claim.port.is_some().into());
    match &finding.place {
        Where::File(path, line) => {
            set("file", path.to_string_lossy().into());
            set("line", (*line).into());
        }
        Where::Address(address) => {
            set("address", address.to_string().into());
        }
        Where::Manager | Where::Nowhere => {}
    }
    set("text", finding.to_string().into());
    let (kind, more) = match &finding.holder {
        Holder::Entry { tcp, ours, .. } => ("services", json!({"tcp": tcp, "ours": ours})),
        Holder::Listener {
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
        Holder::Unit(holder) => ("unit", unit(holder)),
        Holder::DropIns { unit } => ("drop-in", json!({"unit": unit})),
        Holder::Instances { count } => ("instances", json!({"count": count})),
        Holder::Super {
            program,
            service,
            disabled,
            tcp,
        } => (
            *program,
            json!({"service": service, "disabled": disabled, "tcp": tcp}),
        ),
        Holder::Unread { why } => ("unread", json!({"why": why})),
        Holder::LowPort => ("low-port", json!({})),
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

fn unit(holder: &UnitHolder) -> Value {
    json!({
        "unit": holder.unit,
        "alias_of": holder.alias_of,
        "listens": holder.listens,
        "masked": holder.masked,
        "enablement": holder.enablement.map(|enablement| enablement.to_string()),
        "active": holder.active,
    })
}
