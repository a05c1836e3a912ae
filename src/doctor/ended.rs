//! How the program has ended so far, and what its last words mean.

use super::denied::denied;
use super::subject::Case;
use super::{Fault, Tell};
use crate::systemd::journalctl::{self, Of};
use crate::systemd::{Manager, Properties};

/// What is asked of each unit that may have failed.
const ASKED: [&str; 7] = [
    "Id",
    "ActiveState",
    "SubState",
    "NRestarts",
    "Result",
    "ExecMainCode",
    "ExecMainStatus",
];

/// Checks that nothing that serves connections has failed.
///
/// # Errors
///
/// Something has: how it ended, and its last words.
pub fn check(case: &Case<'_>, tell: &mut Tell<'_>) -> Result<(), Fault> {
    let Some(manager) = case.manager else {
        return Ok(());
    };
    let pattern = case.services();
    let shown = manager.show_all(&[&pattern], &ASKED).unwrap_or_default();
    if let (false, Some(unit)) = (case.accept, shown.first()) {
        not_again(case, unit)?;
    }
    let failed: Vec<_> = shown
        .iter()
        .filter(|unit| unit.get("ActiveState") == "failed")
        .collect();
    let Some(first) = failed.first() else {
        tell.good(match case.accept {
            true => "no connection has left a failed unit behind".to_string(),
            false => format!("{} has not failed", case.service.name),
        });
        return Ok(());
    };
    let id = first.get("Id");
    let words = journalctl::last(case.place, Of::Unit(id), None);
    let how = how(first.get("Result"), first.get("ExecMainStatus"));
    let reset = case.systemctl(&format!("reset-failed '{pattern}'"));
    if let Some(fault) = denied(case, &words.lines) {
        return Err(fault.seen(words.evidence()).command(reset));
    }
    let what = match failed.len() {
        1 => format!("{id} failed: {how}"),
        more => format!("{more} units of {pattern} failed, {id} among them: {how}"),
    };
    let advice = match case.accept {
        true => {
            "mend the program; this forgets the failed units, which count against MaxConnections="
        }
        false => "mend the program; this forgets that it failed, and the next connection starts it",
    };
    Err(Fault::new(what, advice)
        .seen(words.evidence())
        .command(reset))
}

/// Checks that a process for all connections is not started again and again.
///
/// # Errors
///
/// It is: systemd waits to start it once more, or does so.
pub fn restarted(case: &Case<'_>, manager: Manager) -> Result<(), Fault> {
    let unit = manager.show(&case.service.name, &ASKED);
    not_again(case, &unit.unwrap_or_default())
}

fn not_again(case: &Case<'_>, unit: &Properties) -> Result<(), Fault> {
    let id = &case.service.name;
    let restarts = unit.get("NRestarts");
    // One that is started again at once may run whenever it is looked.
    let number = |text: &str| text.parse::<u64>().unwrap_or(0);
    let since = number(restarts).saturating_sub(number(case.started.get("NRestarts")));
    if since == 0 && !unit.get("SubState").starts_with("auto-restart") {
        return Ok(());
    }
    let how = how(unit.get("Result"), unit.get("ExecMainStatus"));
    let fault = Fault::new(
        format!("{id} ends, and systemd starts it again: {how}"),
        "mend the program or its options, and start it anew",
    )
    .seen(journalctl::last(case.place, Of::Unit(id), None).evidence())
    .seen([format!("started again {restarts} times by now")])
    .means("A client is connected, and waits for ever.");
    Err(fault
        .command(case.systemctl("daemon-reload"))
        .command(case.systemctl(&format!("restart {id}"))))
}

/// A result of systemd's in words.
fn how(result: &str, status: &str) -> String {
    let meaning = match status {
        "200" => "its working directory cannot be entered (CHDIR)",
        "203" => "it could not be executed (EXEC)",
        "208" | "209" => "its standard input or output could not be set up",
        "216" | "217" => "its user or group could not be taken on (USER, GROUP)",
        "218" => "its capabilities could not be taken away",
        "226" => {
            "its view of the file system could not be made (NAMESPACE): a path in the unit is not there"
        }
        "228" => "its filter of system calls could not be made",
        _ => "",
    };
    match (result, meaning) {
        ("exit-code", "") => format!("its program ended with exit status {status}"),
        ("exit-code", meaning) => format!("exit status {status}: {meaning}"),
        ("signal" | "core-dump", _) => format!("its program was killed by signal {status}"),
        ("timeout", _) => "it took too long".to_string(),
        ("success", _) => "its program ended".to_string(),
        (other, _) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_status_of_systemds_own_is_explained() {
        assert_eq!(
            how("exit-code", "1"),
            "its program ended with exit status 1"
        );
        assert!(how("exit-code", "203").contains("could not be executed"));
        assert_eq!(how("signal", "9"), "its program was killed by signal 9");
        assert_eq!(how("resources", "0"), "resources");
    }
}
