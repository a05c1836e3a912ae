//! The users and groups that the units name.

use nix::unistd::Group;

use super::fix::shell;
use super::subject::Case;
use super::{Fault, Tell};
use crate::executable::user_exists;
use crate::root::read;
use crate::systemd::{Unit, Value};

/// Checks that they exist.
///
/// # Errors
///
/// The first that does not.
pub fn check(case: &Case<'_>, tell: &mut Tell<'_>) -> Result<(), Fault> {
    if !case.of_system() {
        return Ok(());
    }
    there(case, &case.socket, "Socket", ["SocketUser", "SocketGroup"])?;
    let dynamic = case.service.flag("Service", "DynamicUser") == Some(true);
    if dynamic {
        tell.good(format!(
            "{} runs as a user that systemd makes up",
            case.service.name
        ));
        return Ok(());
    }
    there(case, &case.service, "Service", ["User", "Group"])?;
    tell.good(match case.service.value("Service", "User") {
        Some(user) => format!(
            "{} runs as the user {}, who exists",
            case.service.name, user.text
        ),
        None => format!("{} runs as root", case.service.name),
    });
    Ok(())
}

fn there(case: &Case<'_>, unit: &Unit, section: &str, keys: [&str; 2]) -> Result<(), Fault> {
    let [user, group] = keys;
    let root = &case.place.root;
    for (key, is_user) in [(user, true), (group, false)] {
        let Some(value) = unit.value(section, key).filter(|value| is_name(value)) else {
            continue;
        };
        let name = value.text;
        let exists = match is_user {
            true => user_exists(root, name),
            false => group_exists(case, name),
        };
        if exists {
            continue;
        }
        let (what, how) = match is_user {
            true => ("user", "useradd --system --no-create-home"),
            false => ("group", "groupadd --system"),
        };
        let root = match case.place.live() {
            true => String::new(),
            false => format!(" --root {}", shell(root)),
        };
        let fault = Fault::new(
            format!(
                "{}:{}: there is no {what} {name}",
                value.path.display(),
                value.line
            ),
            format!("make one, or name another in {}", unit.name),
        );
        return Err(fault.command(format!("{how}{root} {}", shell(name))));
    }
    Ok(())
}

/// Whether it is a name that can be looked up, and no number or specifier.
fn is_name(value: &Value<'_>) -> bool {
    !value.text.is_empty() && !value.text.contains('%') && value.text.parse::<u32>().is_err()
}

fn group_exists(case: &Case<'_>, name: &str) -> bool {
    if case.place.live() {
        return Group::from_name(name).is_ok_and(|group| group.is_some());
    }
    let file = read(&case.place.root, &case.path("/etc/group")).unwrap_or_default();
    let lines = file.split(|&byte| byte == b'\n');
    lines
        .filter_map(|line| line.split(|&byte| byte == b':').next())
        .any(|group| group == name.as_bytes())
}
