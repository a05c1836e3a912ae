//! The program that is started for each connection, prepared once.

use std::env;
use std::ffi::{CString, OsStr, OsString};
use std::fmt;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, Pid, access, geteuid};

use super::isolation::Isolation;
use super::tag::Tag;
use crate::log::reason;
use crate::sys::spawn::{NewProcess, spawn};

/// Prefixes of environment variables that programs do not inherit: those that systemd sets for this
/// process, and those of the client, which are set for each program.
const NOT_INHERITED: [&[u8]; 5] = [
    b"LISTEN_",
    b"NOTIFY_SOCKET",
    b"WATCHDOG_",
    b"REMOTE_",
    b"FDSTORE",
];

/// A program, its arguments, and all else that is the same for each connection.
#[derive(Debug)]
pub(crate) struct ProgramSpec {
    path: CString,
    arguments: Vec<CString>,
    environment: Vec<CString>,
    isolation: Option<Isolation>,
    /// The standard error, unless the program inherits that of this process.
    error_output: Option<OwnedFd>,
    /// File descriptors that this process inherited and that programs would inherit too.
    inherited_fds: Vec<RawFd>,
}

/// A program cannot be executed.
#[derive(Debug)]
pub(crate) enum ProgramError {
    /// No directory in PATH has it.
    NotFound(OsString),
    /// It does not exist, or may not be executed.
    Unusable(PathBuf, io::Error),
    /// It is not a regular file.
    NotAFile(PathBuf),
    /// The path or an argument contains a NUL byte.
    NulByte,
}

impl fmt::Display for ProgramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProgramError::NotFound(name) => write!(
                f,
                "cannot execute: {}: not found in PATH",
                name.to_string_lossy()
            ),
            ProgramError::Unusable(path, error) => {
                write!(
                    f,
                    "cannot execute: {}: {} (user: {})",
                    path.display(),
                    reason(error),
                    user()
                )
            }
            ProgramError::NotAFile(path) => {
                write!(f, "cannot execute: {}: not a regular file", path.display())
            }
            ProgramError::NulByte => f.write_str("cannot execute: an argument contains a NUL byte"),
        }
    }
}

impl ProgramError {
    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        match self {
            ProgramError::NotFound(_) => Some("use its full path"),
            ProgramError::Unusable(_, error) if error.kind() == io::ErrorKind::PermissionDenied => {
                Some(
                    "make it executable (chmod +x), and its directories accessible to the user of this service",
                )
            }
            _ => None,
        }
    }
}

impl std::error::Error for ProgramError {}

impl ProgramSpec {
    /// Finds a program by name (in PATH) or path, and prepares its start.
    ///
    /// # Errors
    ///
    /// It does not exist, or may not be executed.
    pub(crate) fn find(command: &[OsString]) -> Result<ProgramSpec, ProgramError> {
        let name = command.first().map_or(OsStr::new(""), OsString::as_os_str);
        let path = locate(name)?;
        let c_string =
            |text: &OsStr| CString::new(text.as_bytes()).map_err(|_| ProgramError::NulByte);
        Ok(ProgramSpec {
            path: c_string(path.as_os_str())?,
            arguments: command
                .iter()
                .map(|argument| c_string(argument))
                .collect::<Result<_, _>>()?,
            environment: environment(),
            isolation: None,
            error_output: None,
            inherited_fds: inherited_fds(),
        })
    }

    /// Changes the name that the program finds in `argv[0]`.
    ///
    /// # Errors
    ///
    /// It has a NUL byte.
    pub(crate) fn set_name(&mut self, name: &OsStr) -> Result<(), ProgramError> {
        let name = CString::new(name.as_bytes()).map_err(|_| ProgramError::NulByte)?;
        if let Some(first) = self.arguments.first_mut() {
            *first = name;
        }
        Ok(())
    }

    /// Has the program start in a domain of its own for each connection.
    pub(crate) fn isolate(&mut self, isolation: Isolation) {
        self.isolation = Some(isolation);
    }

    /// The path, for messages.
    pub(crate) fn path(&self) -> String {
        self.path.to_string_lossy().into_owned()
    }

    /// Makes this descriptor the standard error of the program.
    pub(crate) fn set_error_output(&mut self, fd: OwnedFd) {
        self.error_output = Some(fd);
        self.environment
            .retain(|variable| !variable.as_bytes().starts_with(b"JOURNAL_STREAM="));
    }

    /// Starts the program with this connection as standard input and output, in its own process
    /// group, with default signal handling: SIGPIPE too, which this process and services of systemd
    /// ignore, but programs written for inetd expect to be killed by. `client` is added to its
    /// environment.
    ///
    /// # Errors
    ///
    /// Those of clone(2), execve(2), landlock_restrict_self(2) and seccomp(2).
    pub(crate) fn start(
        &self,
        connection: RawFd,
        client: &[CString],
        tag: Tag,
    ) -> nix::Result<Pid> {
        let isolation = self.isolation.as_ref();
        spawn(&NewProcess {
            path: &self.path,
            arguments: &self.arguments,
            environment: [&self.environment, client],
            stdio: connection,
            stderr: self.error_output.as_ref().map(OwnedFd::as_raw_fd),
            close: &self.inherited_fds,
            tag: tag.0,
            session: isolation.is_some(),
            ruleset: isolation.and_then(Isolation::ruleset),
            filter: isolation.and_then(Isolation::filter),
        })
    }
}

/// The user of this process, for messages. systemd sets its name.
pub(super) fn user() -> String {
    match (env::var("USER"), env::var_os("INVOCATION_ID")) {
        (Ok(name), Some(_)) => name,
        _ => format!("uid {}", geteuid()),
    }
}

/// Finds a program as a shell does: in the directories of PATH, or by its path.
fn locate(name: &OsStr) -> Result<PathBuf, ProgramError> {
    if name.as_bytes().contains(&b'/') {
        let path = PathBuf::from(name);
        check_executable(&path)?;
        return Ok(path);
    }
    let directories = env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    env::split_paths(&directories)
        .map(|directory| directory.join(name))
        .find(|path| !name.is_empty() && check_executable(path).is_ok())
        .ok_or_else(|| ProgramError::NotFound(name.into()))
}

fn check_executable(path: &Path) -> Result<(), ProgramError> {
    let unusable = |error| ProgramError::Unusable(path.into(), error);
    if !fs::metadata(path).map_err(unusable)?.is_file() {
        return Err(ProgramError::NotAFile(path.into()));
    }
    access(path, AccessFlags::X_OK).map_err(|errno| unusable(errno.into()))
}

/// The environment variables that programs inherit.
fn environment() -> Vec<CString> {
    env::vars_os()
        .filter(|(name, _)| {
            let name = name.as_bytes();
            !NOT_INHERITED.iter().any(|prefix| name.starts_with(prefix))
        })
        .filter_map(|(name, value)| assignment(name.as_bytes(), value.as_bytes()))
        .collect()
}

/// Returns `NAME=VALUE`; `None` if it contains a NUL byte.
pub(super) fn assignment(name: &[u8], value: &[u8]) -> Option<CString> {
    CString::new([name, b"=", value].concat()).ok()
}

/// File descriptors above 2 without FD_CLOEXEC. The descriptors that this process opens have it.
fn inherited_fds() -> Vec<RawFd> {
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

/// The file name of a program.
pub(crate) fn file_name(command: &[OsString]) -> String {
    let path = command.first().map(Path::new);
    let name = path.and_then(Path::file_name).unwrap_or_default();
    OsString::from_vec(name.as_bytes().to_vec())
        .to_string_lossy()
        .into_owned()
}
