//! Standard input, output and error of the program.

use super::subject::Subject;
use super::{Problem, Report};

/// Checks that the program gets the connection, and that only its answers go to the client.
///
/// # Errors
///
/// The first stream that is set wrongly.
pub(super) fn check(subject: &Subject<'_>, report: &mut Report<'_>) -> Result<(), Problem> {
    let unit = &subject.service.name;
    let fixer = subject.fixer();
    let output = subject.setting("StandardOutput");
    let error = subject.setting("StandardError");
    let inherits = |value: &str| ["socket", "inherit", ""].contains(&value);
    let on_socket = subject.setting("StandardInput") == "socket";
    match (subject.accept, on_socket) {
        (true, true) => {}
        (true, false) => {
            report.note(format!(
                "{unit} does not set StandardInput=socket: the program gets the connection as file descriptor 3"
            ));
            return Ok(());
        }
        (false, true) => {
            report.note(format!(
                "{unit} gets the listening socket as standard input, and has to accept connections itself"
            ));
            return Ok(());
        }
        (false, false) => {
            report.ok(format!(
                "{unit} gets the listening socket as file descriptor 3"
            ));
            return Ok(());
        }
    }
    if !inherits(&output) {
        let problem = Problem::new(
            format!(
                "{unit} sets StandardOutput={output}: the program's answers do not go to the client"
            ),
            "send them to the connection",
        );
        return Err(fixer.by_drop_in(problem, unit, "Service", &["StandardOutput=socket"]));
    }
    if inherits(&error) {
        report.note(format!(
            "{unit} does not set StandardError=journal: the program's error messages go to the client"
        ));
        return Ok(());
    }
    let error = match &*error {
        "journal" => "the journal",
        other => other,
    };
    report.ok(format!(
        "standard input and output are the connection, standard error is {error}"
    ));
    Ok(())
}
