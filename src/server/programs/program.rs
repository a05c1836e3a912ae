//! The program that is started for each connection.

use std::env;
use std::ffi::{CString, OsStr, OsString};
use std::fmt;
use std::fs;
use std::io;
use std::os::fd::RawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawn};
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{AccessFlags, Pid, access};

/// What this process was told about itself, and what says who is connected, which a program is told
/// anew.
const NOT_HANDED_ON: [&[u8]; 5] = [
    b"LISTEN_",
    b"NOTIFY_SOCKET",
    b"WATCHDOG_",
    b"REMOTE_",
    b"FDSTORE",
];

/// A program with its arguments and all else that is the same for each connection.
#[derive(Debug)]
pub struct Program {
    path: CString,
    arguments: Vec<CString>,
    environment: Vec<CString>,
    attributes: PosixSpawnAttr,
    /// Descriptors that this process was started with and that are nobody's business.
    strangers: Vec<RawFd>,
}

/// Why a program cannot be started at all. Its Display is the sentence for the user.
#[derive(Debug)]
pub enum Unfit {
    /// No folder of PATH has it.
    NotFound(OsString),
    /// It is not there, or may not be run.
    Unusable(PathBuf, io::Error),
    /// It is no file.
    NoFile(PathBuf),
    /// A name or an argument has a zero byte in it.
    ZeroByte,
    /// The system has no memory to spare.
    System(Errno),
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unfit::NotFound(name) => write!(
                f,
                "there is no program {} in the folders of PATH; name it by its full path",
                name.to_string_lossy()
            ),
            Unfit::Unusable(path, error) => {
                write!(f, "cannot run {}: {error}", path.display())?;
                match error.kind() {
                    io::ErrorKind::PermissionDenied => f.write_str(
                        "; make it executable (chmod +x), and see that the user of this service \
                         may pass the folders above it",
                    ),
                    _ => Ok(()),
                }
            }
            Unfit::NoFile(path) => write!(f, "cannot run {}: it is no file", path.display()),
            Unfit::ZeroByte => f.write_str("an argument has a zero byte in it"),
            Unfit::System(errno) => write!(f, "cannot prepare to start programs: {errno}"),
        }
    }
}

impl std::error::Error for Unfit {}

impl Program {
    /// The program of this name or path, with its arguments, looked up once and for all.
    ///
    /// # Errors
    ///
    /// It is not there, or may not be run.
    pub fn find(command: &[OsString]) -> Result<Program, Unfit> {
        let name = command.first().map_or(OsStr::new(""), OsString::as_os_str);
        let path = locate(name)?;
        let c_string = |text: &OsStr| CString::new(text.as_bytes()).map_err(|_| Unfit::ZeroByte);
        Ok(Program {
            path: c_string(path.as_os_str())?,
            arguments: command
                .iter()
                .map(|argument| c_string(argument))
                .collect::<Result<_, _>>()?,
            environment: environment(),
            attributes: attributes().map_err(Unfit::System)?,
            strangers: strangers(),
        })
    }

    /// Starts it with this connection as standard input and output, in a process group of its own,
    /// with every signal as it is by default. `about` is added to its environment.
    ///
    /// # Errors
    ///
    /// Those of posix_spawn(3).
    pub fn start(&self, connection: RawFd, about: &[CString]) -> nix::Result<Pid> {
        let mut actions = PosixSpawnFileActions::init()?;
        actions.add_dup2(connection, 0)?;
        actions.add_dup2(connection, 1)?;
        for fd in &self.strangers {
            actions.add_close(*fd)?;
        }
        let environment: Vec<&CString> = self.environment.iter().chain(about).collect();
        posix_spawn(
            self.path.as_c_str(),
            &actions,
            &self.attributes,
            &self.arguments,
            &environment,
        )
    }
}

/// Finds a program as a shell does: in the folders of PATH, or by its path.
fn locate(name: &OsStr) -> Result<PathBuf, Unfit> {
    if name.as_bytes().contains(&b'/') {
        let path = PathBuf::from(name);
        return match usable(&path) {
            Ok(()) => Ok(path),
            Err(unfit) => Err(unfit),
        };
    }
    let folders = env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    env::split_paths(&folders)
        .map(|folder| folder.join(name))
        .find(|path| !name.is_empty() && usable(path).is_ok())
        .ok_or_else(|| Unfit::NotFound(name.into()))
}

fn usable(path: &Path) -> Result<(), Unfit> {
    let unusable = |error| Unfit::Unusable(path.into(), error);
    if !fs::metadata(path).map_err(unusable)?.is_file() {
        return Err(Unfit::NoFile(path.into()));
    }
    access(path, AccessFlags::X_OK).map_err(|errno| unusable(errno.into()))
}

/// What a program inherits.
fn environment() -> Vec<CString> {
    env::vars_os()
        .filter(|(name, _)| {
            let name = name.as_bytes();
            !NOT_HANDED_ON.iter().any(|prefix| name.starts_with(prefix))
        })
        .filter_map(|(name, value)| assignment(name.as_bytes(), value.as_bytes()))
        .collect()
}

/// `NAME=VALUE`; nothing where there is a zero byte in it, which an environment cannot have.
pub fn assignment(name: &[u8], value: &[u8]) -> Option<CString> {
    CString::new([name, b"=", value].concat()).ok()
}

/// A process group of its own, no signal blocked or ignored. SIGPIPE as well, which this process
/// and services of systemd ignore: programs for an inetd expect to be ended by it.
fn attributes() -> nix::Result<PosixSpawnAttr> {
    let mut attributes = PosixSpawnAttr::init()?;
    attributes.set_flags(
        PosixSpawnFlags::POSIX_SPAWN_SETPGROUP
            | PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK
            | PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF,
    )?;
    attributes.set_pgroup(Pid::from_raw(0))?;
    attributes.set_sigmask(&SigSet::empty())?;
    let mut all = SigSet::all();
    all.remove(Signal::SIGKILL);
    all.remove(Signal::SIGSTOP);
    attributes.set_sigdefault(&all)?;
    Ok(attributes)
}

/// Descriptors that would stay open in a program. Those that this process opens itself would not.
fn strangers() -> Vec<RawFd> {
    let Ok(entries) = fs::read_dir("/proc/self/fdinfo") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let fd: RawFd = entry.file_name().to_str()?.parse().ok()?;
            let info = fs::read_to_string(entry.path()).ok()?;
            let flags = info.lines().find_map(|line| line.strip_prefix("flags:"))?;
            let flags = i32::from_str_radix(flags.trim(), 8).ok()?;
            (fd > 2 && flags & nix::libc::O_CLOEXEC == 0).then_some(fd)
        })
        .collect()
}

/// The name of a program without its folders.
pub fn file_name(command: &[OsString]) -> String {
    let path = command.first().map(Path::new);
    let name = path.and_then(Path::file_name).unwrap_or_default();
    OsString::from_vec(name.as_bytes().to_vec())
        .to_string_lossy()
        .into_owned()
}
