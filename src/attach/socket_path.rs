//! The directories of an AF_UNIX socket.
//!
//! Whenever the socket starts or stops, systemd makes missing directories, removes the file, and gives a new one to
//! `SocketUser=` with chown(2), which follows a link. It does so by the path, as root: somebody who can change a
//! directory on the way could have it remove and give away other files.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::Uid;

use super::listen::{Endpoint, endpoints};
use super::{Attachment, Error};
use crate::log::Plain;
use crate::root::{FileStatus, others_write, trace};
use crate::systemd::{Place, Scope, runtime};

/// Checks that nobody else can change what the paths of a service lead to.
pub(super) fn check(place: &Place, attachment: &Attachment) -> Result<(), Error> {
    for endpoint in endpoints(attachment) {
        let Endpoint::Local(path) = endpoint else {
            continue;
        };
        let parent = Path::new(&path).parent().unwrap_or(Path::new("/"));
        let Some(directory) = changeable(place, parent) else {
            continue;
        };
        let name = &attachment.name;
        let other = match place.scope {
            Scope::System => format!("/run/{name}.sock"),
            Scope::User => runtime().join(format!("{name}.sock")).display().to_string(),
        };
        return Err(Error::invalid(
            format!(
                "--listen {}: another user can change the directory {}",
                Plain(&path),
                Plain(&directory)
            ),
            format!("name a path that nobody else can change, such as {other}"),
        ));
    }
    Ok(())
}

/// The first directory on the way to a directory, or that directory, that another user can change.
fn changeable(place: &Place, directory: &Path) -> Option<String> {
    let (mut passed, end) = match trace(&place.root, directory) {
        Ok(traced) => {
            let end = (traced.real().to_owned(), traced.status);
            (traced.directories, Some(end))
        }
        // systemd makes the rest.
        Err(error) => (error.directories, None),
    };
    // In a sticky directory, such as /tmp, others cannot replace the socket, but they can make a directory before
    // systemd does.
    let ends_sticky = |stat: &FileStatus| stat.mode() & 0o1000 != 0 && is_own(place, stat.uid());
    passed.extend(end.filter(|(_, stat)| !ends_sticky(stat)));
    passed.retain(|(_, stat)| is_changeable(place, stat));
    let (path, _) = passed.into_iter().next()?;
    Some(path.display().to_string())
}

fn is_changeable(place: &Place, stat: &FileStatus) -> bool {
    !is_own(place, stat.uid()) || others_write(stat)
}

/// Whether it is the user of the service manager, or root. An unpacked system can be the caller's.
fn is_own(place: &Place, uid: u32) -> bool {
    let is_caller = uid == Uid::effective().as_raw();
    uid == 0 || is_caller && (place.scope == Scope::User || !place.live())
}
