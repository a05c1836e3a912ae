//! What was said, for programs.

use serde_json::{Value, json};

use super::Said;

/// One thing that was said as an object of JSON.
pub fn json(said: &Said) -> Value {
    match said {
        Said::Good(text) => json!({"verdict": "ok", "text": text}),
        Said::Note(text) => json!({"verdict": "note", "text": text}),
        Said::Fault(fault) => json!({
            "verdict": "fault",
            "text": fault.what,
            "evidence": fault.evidence,
            "means": fault.means,
            "advice": fault.advice,
            "commands": fault.commands,
        }),
    }
}
