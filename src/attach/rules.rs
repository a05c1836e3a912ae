//! The checks of the rules for connections.

use super::{Attachment, Error, Kind};
use crate::executable::{self, NotExecutable, RunAs, Visibility};
use crate::log::Plain;
use crate::server::{MAX_BANNER, Refusal};
use crate::systemd::Place;

/// Checks the rules for connections, and returns them as arguments.
pub(super) fn check(attachment: &Attachment) -> Result<Vec<String>, Error> {
    let rules = &attachment.rules;
    let mut messages = rules.message.iter();
    let message = messages.find(|own| own.reason().is_some_and(Refusal::needs_all_connections));
    let mut shared = attachment.shared.arguments().into_iter();
    let of_all = if rules.rate.is_some() {
        Some("--rate".to_owned())
    } else if let Some(option) = shared.next() {
        Some(option)
    } else {
        message.map(|message| format!("--message {}", Plain(&message.to_string())))
    };
    if let Some(option) = of_all.filter(|_| attachment.kind == Kind::PerConnection) {
        return Err(Error::invalid(
            format!(
                "{option} works only with --shared: otherwise systemd starts a separate process for each connection"
            ),
            "add --shared, which serves all connections from one process",
        ));
    }
    if attachment.per_source.is_some() && attachment.sees_proxies_alone() {
        return Err(Error::invalid(
            "--per-source with --accept-proxy: systemd counts the connections of each proxy, not of its clients",
            "add --shared, which serves all connections from one process: it knows the clients",
        ));
    }
    rules.arguments().ok_or_else(|| {
        Error::invalid(
            "the path of a banner is not valid UTF-8, which systemd does not accept",
            "rename the file",
        )
    })
}

/// Checks that `sockunit serve` can read the files that it sends.
pub(super) fn check_banners(
    place: &Place,
    attachment: &Attachment,
    user: &RunAs,
    visible: Visibility,
) -> Result<(), Error> {
    let rules = &attachment.rules;
    for (option, paths) in [
        ("--banner", &rules.banner),
        ("--refused-banner", &rules.refused_banner),
    ] {
        let mut length = 0;
        for path in paths {
            let checked = executable::check_readable(&place.root, path, user, visible);
            length += checked.map_err(|error| NotExecutable {
                problem: format!("{option} {}", error.problem),
                ..error
            })?;
            if length > MAX_BANNER as u64 {
                let path = path.display().to_string();
                return Err(Error::invalid(
                    format!("{option} {}: has {length} bytes", Plain(&path)),
                    format!("a banner has at most {MAX_BANNER} bytes"),
                ));
            }
        }
    }
    Ok(())
}
