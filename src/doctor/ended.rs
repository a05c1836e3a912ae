//! How the service's processes have ended so far.

use std::thread;
use std::time::{Duration, Instant};

use super::report::Impact;
use super::subject::Subject;
use super::{Problem, Report, attempt, symptom};
use crate::systemd::journalctl::{self, Filter};
use crate::systemd::{Manager, Properties};

/// How long systemd may take to see that a process has failed, and how often it is asked.
const MOMENT: Duration = Duration::from_millis(300);
const INTERVAL: Duration = Duration::from_millis(50);

/// The properties of each unit that may have failed.
pub(super) const PROPERTIES: [&str; 7] = [
    "Id",
    "ActiveState",
    "SubState",
    "NRestarts",
    "Result",
    "ExecMainCode",
    "ExecMainStatus",
];

/// Checks that no unit of the service has failed.
///
/// # Errors
///
/// One has: how it ended, and the last entries of its journal.
pub(super) fn check(subject: &Subject<'_>, report: &mut Report<'_>) -> Result<(), Problem> {
    let Some(manager) = subject.manager else {
        return Ok(());
    };
    failed(subject, manager)?;
    report.ok(match subject.accept {
        true => "no instance has failed".to_string(),
        false => format!("{} has not failed", subject.service.name),
    });
    Ok(())
}

/// Waits for a moment for a unit of the service to fail, whose connection has just ended.
///
/// # Errors
///
/// See [`check`].
pub(super) fn failing(subject: &Subject<'_>) -> Result<(), Problem> {
    let Some(manager) = subject.manager else {
        return Ok(());
    };
    let until = Instant::now() + MOMENT;
    while Instant::now() < until {
        failed(subject, manager)?;
        thread::sleep(INTERVAL);
    }
    failed(subject, manager)
}

fn failed(subject: &Subject<'_>, manager: Manager) -> Result<(), Problem> {
    let pattern = subject.services();
    let shown = manager.show_all(&[&pattern], &PROPERTIES);
    let shown = shown.unwrap_or_default();
    if let (false, Some(unit)) = (subject.accept, shown.first()) {
        not_restarting(subject, unit)?;
    }
    let failed: Vec<_> = shown
        .iter()
        .filter(|unit| unit.get("ActiveState") == "failed")
        .collect();
    let Some(first) = failed.first() else {
        return Ok(());
    };
    let id = first.get("Id");
    let entries = journalctl::last(subject.place, Filter::Unit(id), None);
    let status = first.get("ExecMainStatus");
    let how = how(first.get("Result"), status);
    // SIGSYS, of the program itself or of one that a shell started.
    let forbidden = match ["31", "159"].contains(&status) {
        true => symptom::forbidden_call(subject),
        false => None,
    };
    let what = match failed.len() {
        1 => format!("{id} failed: {how}"),
        more => format!("{more} units of {pattern} failed, {id} among them: {how}"),
    };
    let program = match &forbidden {
        Some(forbidden) => forbidden.text.clone(),
        None => match symptom::advice(subject, &entries) {
            Some(advice) => format!("if the program wrote the entries above: {advice}"),
            None => format!(
                "fix the program, which sockunit try {} runs in its sandbox",
                subject.name
            ),
        },
    };
    let reset = match subject.accept {
        true => "this removes the failed instances from memory",
        false => "this resets the failure, and the next connection starts the service",
    };
    let problem = Problem::new(what, format!("{program}; {reset}")).evidence(entries.quoted());
    let problem = match forbidden {
        Some(forbidden) => forbidden.lift(subject, problem),
        None => problem,
    };
    Err(problem.command(subject.fixer().systemctl(&["reset-failed"]).arg(pattern)))
}

/// Checks that systemd does not restart a shared service again and again.
///
/// # Errors
///
/// It does, or waits to do so.
pub(super) fn restarted(subject: &Subject<'_>, manager: Manager) -> Result<(), Problem> {
    let unit = manager.show(&subject.service.name, &PROPERTIES);
    not_restarting(subject, &unit.unwrap_or_default())
}

fn not_restarting(subject: &Subject<'_>, unit: &Properties) -> Result<(), Problem> {
    let id = &subject.service.name;
    let restarts = unit.get("NRestarts");
    // A service that is restarted without a pause may be running whenever its state is read.
    let number = |text: &str| text.parse::<u64>().unwrap_or(0);
    let since = number(restarts).saturating_sub(number(subject.started.get("NRestarts")));
    if since == 0 && !unit.get("SubState").starts_with("auto-restart") {
        return Ok(());
    }
    let how = how(unit.get("Result"), unit.get("ExecMainStatus"));
    let problem = Problem::new(
        format!("{id} ends, and systemd restarts it: {how}"),
        format!(
            "fix the program or its options, and restart it{}",
            attempt::must_accept(subject)
        ),
    )
    .evidence(journalctl::last(subject.place, Filter::Unit(id), None).quoted())
    .evidence([format!("restarts so far: {restarts}")])
    .impact(Impact::NoAnswer);
    let fixer = subject.fixer();
    Err(problem
        .command(fixer.systemctl(&["daemon-reload"]))
        .command(fixer.systemctl(&["restart"]).arg(id)))
}

/// Explains a `Result=` of systemd.
pub(super) fn how(result: &str, status: &str) -> String {
    let meaning = match status {
        "126" => "a program cannot be executed",
        "127" => "a program was not found",
        "200" => "the working directory cannot be entered (CHDIR)",
        "203" => "the program cannot be executed (EXEC)",
        "208" | "209" => "standard input or output cannot be set up",
        "216" | "217" => "the user or group cannot be set (USER, GROUP)",
        "218" => "capabilities cannot be dropped",
        "226" => {
            "the mount namespace cannot be made (NAMESPACE): a path in the unit does not exist"
        }
        "228" => "the system call filter cannot be installed",
        _ => "",
    };
    // A shell and sockunit serve exit like this if their program was killed.
    let number: u8 = status.parse().unwrap_or(0);
    let signal = number.checked_sub(128).filter(|n| (1..=64).contains(n));
    match (result, meaning) {
        ("exit-code", "") if signal.is_some() => format!(
            "exit status {status}: its program was killed by signal {}",
            signal.unwrap_or_default()
        ),
        ("exit-code", "") => format!("its program ended with exit status {status}"),
        ("exit-code", meaning) => format!("exit status {status}: {meaning}"),
        ("signal" | "core-dump", _) => format!("its program was killed by signal {status}"),
        ("timeout", _) => "a timeout expired".to_string(),
        ("oom-kill", _) => {
            "the kernel killed one of its processes because memory ran out (MemoryMax= limits it)"
                .to_string()
        }
        ("success", _) => "its program ended".to_string(),
        (other, _) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_status_of_systemd_is_explained() {
        assert_eq!(
            how("exit-code", "1"),
            "its program ended with exit status 1"
        );
        assert_eq!(
            how("exit-code", "139"),
            "exit status 139: its program was killed by signal 11"
        );
        assert!(how("exit-code", "203").contains("cannot be executed"));
        assert_eq!(how("signal", "9"), "its program was killed by signal 9");
        assert_eq!(how("resources", "0"), "resources");
    }
}
