//! Check results as JSON.

use serde_json::{Value, json};

use super::CheckResult;

/// A check result as an object. `commands` is null if a command is not safe to paste.
pub(crate) fn json(result: &CheckResult) -> Value {
    match result {
        CheckResult::Ok(text) => json!({"verdict": "ok", "text": text}),
        CheckResult::Note(text) => json!({"verdict": "note", "text": text}),
        CheckResult::Unchecked(text) => json!({"verdict": "unchecked", "text": text}),
        CheckResult::Problem(problem) => json!({
            "verdict": "problem",
            "text": problem.what,
            "evidence": problem.evidence,
            "explanation": problem.explanation,
            "impact": problem.impact.map(|impact| impact.to_string()),
            "hint": problem.hint.text,
            "commands": problem.hint.lines().ok(),
        }),
    }
}
