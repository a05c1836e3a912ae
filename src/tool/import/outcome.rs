//! What was installed or taken back, as text.

use crate::import::{Applied, Done, Failure, Problem, Reverted, revert_command, shown_path};
use crate::systemd::Place;

/// What was installed in a place.
pub(super) fn done(place: &Place, applied: &[Applied<'_>]) -> String {
    let mut text = String::new();
    let mut any = false;
    for Applied { services, result } in applied {
        let names: Vec<&str> = services.iter().map(|service| &*service.name).collect();
        let what = match result {
            Ok(Done::Unchanged) => "unchanged",
            Ok(Done::Written) => "written",
            Ok(Done::Started) => "started, now and at every boot",
            Err(failure) => {
                text += &not_installed(place, &names.join(", "), failure);
                continue;
            }
        };
        text.extend(names.iter().map(|name| format!("{what}: {name}\n")));
        any |= *result.as_ref().unwrap_or(&Done::Unchanged) != Done::Unchanged;
    }
    if any {
        if let Ok(revert) = revert_command(place).line() {
            text += &format!("to undo all of this: {revert}\n");
        }
    }
    text
}

/// Why services were not installed, and what was undone.
fn not_installed(place: &Place, names: &str, failure: &Failure) -> String {
    let mut text = format!("not installed: {names}: {}\n", failure.error);
    for path in &failure.enabled_again {
        let path = shown_path(path);
        text += &format!("the old service is enabled again: {path}\n");
    }
    for left in &failure.left {
        text += &format!("not undone: {left}\n{}\n", left.hint(place));
    }
    // What is not undone comes first.
    let hint = failure
        .error
        .hint(place)
        .filter(|_| failure.left.is_empty());
    text.extend(hint.map(|hint| format!("{hint}\n")));
    text
}

/// What was taken back, and what was not.
pub(super) fn taken_back(reverted: &Reverted) -> String {
    let mut text = String::new();
    for name in &reverted.removed {
        text += &format!("removed: {name}\n");
    }
    for path in &reverted.files {
        let path = shown_path(path);
        text += &format!("{path}: its services are enabled again\n");
    }
    for Problem { text: why, hint } in &reverted.problems {
        text += &format!("not reverted: {why}\n");
        text.extend(hint.iter().map(|hint| format!("{hint}\n")));
    }
    let is_same = reverted.files.is_empty() && reverted.removed.is_empty();
    match (is_same, reverted.problems.is_empty()) {
        (false, _) => {}
        (true, true) => text += "unchanged: there is no imported service\n",
        (true, false) => text += "nothing was changed\n",
    }
    text
}
