//! A lock against other runs of this program.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};
use nix::unistd::Uid;

use crate::systemd;

/// How long another run of this program is waited for.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);
const LOCK_RETRY: Duration = Duration::from_millis(20);

/// A lock against other runs of this program.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: Flock<File>,
}

/// Locks what `name` stands for against other runs of this program by the same user, and waits up to
/// 10 seconds for them.
///
/// Only this user can open the locked file: a process that can open a file can also lock it.
///
/// # Errors
///
/// The lock cannot be made, or another run has it for longer ([`io::ErrorKind::WouldBlock`]).
pub(crate) fn lock(root: &Path, name: &str) -> io::Result<Lock> {
    let directory = match Uid::effective().is_root() {
        true => PathBuf::from("/run"),
        false => systemd::runtime(),
    };
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits())
        .open(directory.join(format!("sockunit-{name}.lock")));
    // Without a directory for such files, as in a build, the tree itself has to do.
    let mut file = match (file, root == Path::new("/")) {
        (Ok(file), _) => file,
        (Err(error), true) => return Err(error),
        (Err(_), false) => File::open(root)?,
    };
    let deadline = Instant::now() + LOCK_TIMEOUT;
    loop {
        file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(file) => return Ok(Lock { _file: file }),
            // flock(2) has no time limit of its own.
            Err((file, Errno::EWOULDBLOCK)) if Instant::now() < deadline => {
                thread::sleep(LOCK_RETRY);
                file
            }
            Err((_, error)) => return Err(error.into()),
        }
    }
}
