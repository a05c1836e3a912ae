//! The users and groups that the units name.

use super::subject::Subject;
use super::{Problem, Report};
use crate::executable::{group_id, user_exists};
use crate::hint::ShellCommand;
use crate::systemd::{Unit, Value};

/// Checks that they exist.
///
/// # Errors
///
/// The first that does not.
pub(super) fn check(subject: &Subject<'_>, report: &mut Report<'_>) -> Result<(), Problem> {
    if !subject.of_system() {
        return Ok(());
    }
    let Subject {
        socket, service, ..
    } = subject;
    exist(subject, socket, "Socket", ["SocketUser", "SocketGroup"])?;
    if service.flag("Service", "DynamicUser") == Some(true) {
        report.ok(format!("{} runs as a dynamic user", service.name));
        return Ok(());
    }
    exist(subject, service, "Service", ["User", "Group"])?;
    report.ok(match service.value("Service", "User") {
        Some(user) => format!("{} runs as the user {}", service.name, user.text),
        None => format!("{} runs as root", service.name),
    });
    Ok(())
}

fn exist(
    subject: &Subject<'_>,
    unit: &Unit,
    section: &str,
    [user, group]: [&str; 2],
) -> Result<(), Problem> {
    for (key, is_user) in [(user, true), (group, false)] {
        let Some(value) = unit.value(section, key).filter(is_name) else {
            continue;
        };
        let name = value.text;
        let exists = match is_user {
            true => user_exists(&subject.place.root, name),
            false => group_id(&subject.place.root, name).is_some(),
        };
        if exists {
            continue;
        }
        let (what, create) = match is_user {
            true => (
                "user",
                ShellCommand::new(&["useradd", "--system", "--no-create-home"]),
            ),
            false => ("group", ShellCommand::new(&["groupadd", "--system"])),
        };
        let create = match subject.place.live() {
            true => create,
            false => {
                let place = subject.place;
                let database = place.own_path(&place.path("/etc/passwd"));
                let root = place.own_path(&place.root);
                create.path_option("--root", database.and(root))
            }
        };
        let problem = Problem::new(
            format!(
                "{}:{}: the {what} {name} does not exist",
                value.path.display(),
                value.line
            ),
            format!("create it, or name another in {}", unit.name),
        );
        return Err(problem.command(create.arg(name)));
    }
    Ok(())
}

/// Whether it is a name that can be looked up, not a number or a specifier.
fn is_name(value: &Value<'_>) -> bool {
    !value.text.is_empty() && !value.text.contains('%') && value.text.parse::<u32>().is_err()
}
