//! The user and group that the program of a service runs as.

use super::render::dynamic_user;
use super::{Attachment, Error, Level};
use crate::executable::{RunAs, group_id, user_exists};
use crate::hint::{Hint, ShellCommand};
use crate::log::Plain;
use crate::systemd::{Place, Scope};

/// Finds out what the service manager runs the program as.
///
/// # Errors
///
/// There is no such user or group, or the sandbox is for others.
pub(super) fn run_as(place: &Place, attachment: &Attachment) -> Result<RunAs, Error> {
    if place.scope == Scope::User {
        return run_as_caller(place, attachment);
    }
    let group = match &attachment.group {
        None => None,
        Some(name) => Some(group_id(&place.root, name).ok_or_else(|| {
            Error::Invalid {
                problem: format!("the group {} does not exist", Plain(name)),
                hint: Hint::new("create it, or leave out --group")
                    .command(ShellCommand::new(&["addgroup", "--system"]).arg(name)),
            }
        })?),
    };
    if let Some(name) = attachment.run_as() {
        return run_as_named(place, name, group, attachment.level);
    }
    match dynamic_user(&attachment.name.to_string()) {
        Some(user) if user_exists(&place.root, &user) => Err(Error::invalid(
            format!("the dynamic user would have the name of an existing user, {user}"),
            format!("use another service name, or run it as that user: --user-name {user}"),
        )),
        _ => Ok(RunAs::dynamic().in_group(group)),
    }
}

/// The caller, whose service manager runs the program.
fn run_as_caller(place: &Place, attachment: &Attachment) -> Result<RunAs, Error> {
    if attachment.level.sandbox().as_root {
        return Err(Error::invalid(
            "--sandbox privileged is for servers that start as root",
            "leave out --user, or use another level",
        ));
    }
    match (
        attachment.user.as_ref().or(attachment.group.as_ref()),
        place.live(),
    ) {
        (Some(user), _) => Err(Error::invalid(
            format!("your service manager runs programs as you, not as {user}"),
            "leave out --user-name and --group, or --user",
        )),
        (None, true) => Ok(RunAs::own().without_privileges()),
        (None, false) => Ok(RunAs::dynamic()),
    }
}

/// A user that exists, and that fits the sandbox.
fn run_as_named(
    place: &Place,
    name: &str,
    group: Option<u32>,
    level: Level,
) -> Result<RunAs, Error> {
    let user = RunAs::named(&place.root, name).ok_or_else(|| Error::Invalid {
        problem: format!("the user {} does not exist", Plain(name)),
        hint: Hint::new("create it, or leave out --user-name")
            .command(ShellCommand::new(&["adduser", "--system"]).arg(name)),
    })?;
    let user = user.in_group(group);
    let sandbox = level.sandbox();
    match (user.is_root(), sandbox.unprivileged) {
        (true, true) => Err(Error::invalid(
            format!("{name} has no privileges in the sandbox {level}"),
            "for a server that starts as root and drops privileges itself, use --sandbox privileged; for another \
             program, another user",
        )),
        (false, _) if sandbox.as_root => Err(Error::invalid(
            format!("--sandbox privileged is for servers that start as root, not as {name}"),
            "leave out --user-name, or use another level",
        )),
        (_, true) => Ok(user.without_privileges()),
        (_, false) => Ok(user),
    }
}
