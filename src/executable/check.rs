//! The checks, in the order in which the kernel makes them.

use std::fmt;
use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::{FsFlags, statvfs};

use super::run_as::{Access, RunAs};
use crate::hint::{Hint, ShellCommand};
use crate::log::{Plain, reason};
use crate::root::{FileStatus, OwnPath, Trace, TraceError, below, open_file, trace};

/// Where systemd looks for a program that is named without a path, and `env` in a service.
pub(crate) const PATH: [&str; 6] = [
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
];
/// The path of a program that is named without one, as a service of the system below `root` finds it.
pub(crate) fn find_in_path(root: &Path, program: &str) -> Option<PathBuf> {
    let mut paths = PATH
        .iter()
        .map(|directory| Path::new(directory).join(program));
    paths.find(|path| trace(root, path).is_ok_and(|traced| traced.status.is_file()))
}

/// Directories that are hidden from a service together with homes.
pub(super) const HOMES: [&str; 3] = ["/home", "/root", "/run"];
/// Directories of temporary files, which a service may have empty ones of.
pub(super) const TEMPORARY: [&str; 3] = ["/tmp", "/var/tmp", "/dev/shm"];

/// What the service's sandbox lets it see of the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Visibility {
    /// Homes are hidden; a program in one is made visible by a bind mount.
    pub homes_hidden: bool,
    /// The system's temporary files are hidden.
    pub tmp_hidden: bool,
    /// Only system calls of the machine's own architecture are allowed.
    pub native_only: bool,
}

/// A program that the user can execute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Executable {
    /// The file in a hidden home that needs a bind mount.
    pub bind: Option<PathBuf>,
}

/// Why a program cannot be executed. Its Display is the problem alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NotExecutable {
    /// The problem, beginning with the file or directory that has it.
    pub problem: String,
    /// The file or directory does not exist.
    pub missing: bool,
    /// The caller may not look.
    pub denied: bool,
    /// How to fix it.
    pub hint: Hint,
}

impl fmt::Display for NotExecutable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Plain(&self.problem).fmt(f)
    }
}

impl std::error::Error for NotExecutable {}

pub(super) fn failed<T>(
    problem: impl Into<String>,
    hint: impl Into<String>,
) -> Result<T, NotExecutable> {
    failed_with(problem, Hint::new(hint))
}

pub(super) fn failed_with<T>(problem: impl Into<String>, hint: Hint) -> Result<T, NotExecutable> {
    Err(NotExecutable {
        problem: problem.into(),
        missing: false,
        denied: false,
        hint,
    })
}

/// Checks that a user can execute a program of the system below `root`.
///
/// # Errors
///
/// The first problem.
pub(crate) fn check(
    root: &Path,
    program: &Path,
    user: &RunAs,
    visible: Visibility,
) -> Result<Executable, NotExecutable> {
    let check = Check {
        root,
        user,
        visible,
    };
    check.program(program, Chain::default())
}

pub(super) struct Check<'a> {
    pub(super) root: &'a Path,
    pub(super) user: &'a RunAs,
    pub(super) visible: Visibility,
}

/// The scripts whose interpreter is checked.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Chain {
    /// How many they are.
    pub(super) depth: usize,
    /// Others can change one, and so choose the file that is checked.
    pub(super) is_open: bool,
}

impl Check<'_> {
    pub(super) fn program(
        &self,
        program: &Path,
        chain: Chain,
    ) -> Result<Executable, NotExecutable> {
        let shown = program.display();
        if !program.is_absolute() {
            return failed(
                format!("{shown} is not an absolute path"),
                "give the absolute path",
            );
        }
        if program.as_os_str().as_encoded_bytes().ends_with(b"/") {
            return failed(
                format!("{shown} ends in a slash, as the path of a directory"),
                "remove the slash",
            );
        }
        let traced =
            trace(self.root, program).map_err(|error| self.stopped(program, error, chain))?;
        let bind = self.hidden(&traced, chain.depth)?;
        // A bind mount needs no access to the homes above it, which are replaced by empty ones.
        let in_home = |directory: &Path| HOMES.iter().any(|home| directory.starts_with(home));
        let directories = traced.directories.iter();
        self.searchable(
            directories.filter(|(path, _)| bind.is_none() || !in_home(path)),
            |path| {
                traced
                    .own_directory(self.root, path)
                    .filter(|_| !chain.is_open)
            },
        )?;
        self.runnable(program, &traced, chain)?;
        self.content(program, &traced, chain)?;
        Ok(Executable { bind })
    }

    /// The file that needs a bind mount, if any.
    fn hidden(&self, traced: &Trace, depth: usize) -> Result<Option<PathBuf>, NotExecutable> {
        let is_in = |list: &[&str], path: &Path| list.iter().any(|dir| path.starts_with(dir));
        let path_in = |list| traced.paths.iter().find(|path| is_in(list, path));
        if self.visible.tmp_hidden {
            if let Some(path) = path_in(&TEMPORARY) {
                return failed(
                    format!(
                        "{} is hidden from the service, which has a /tmp of its own",
                        path.display()
                    ),
                    "copy the program to /usr/local/bin",
                );
            }
        }
        match path_in(&HOMES) {
            Some(path) if self.visible.homes_hidden && depth > 0 => failed(
                format!(
                    "{} is needed to run the program, and home directories are hidden from the service",
                    path.display()
                ),
                "copy it to /usr/local, or use --sandbox standard, which does not hide home directories",
            ),
            found => Ok(found.filter(|_| self.visible.homes_hidden).cloned()),
        }
    }

    pub(super) fn stopped(&self, program: &Path, error: TraceError, chain: Chain) -> NotExecutable {
        let own = |path: &Path| {
            error
                .own_directory(self.root, path)
                .filter(|_| !chain.is_open)
        };
        let searchable = self.searchable(&error.directories, own);
        let TraceError { at, why, .. } = error;
        if let Err(error) = searchable {
            // The same directory may hide from the caller what is in it.
            if why.kind() == io::ErrorKind::PermissionDenied {
                return error;
            }
        }
        let shown = at.display();
        let missing = why.kind() == io::ErrorKind::NotFound;
        let (problem, hint) = match why.kind() {
            io::ErrorKind::NotFound if at == program => (
                format!("{shown} does not exist"),
                "check the spelling of the path",
            ),
            io::ErrorKind::NotFound => (
                format!("{} does not exist: there is no {shown}", program.display()),
                "check the spelling of the path",
            ),
            io::ErrorKind::NotADirectory => (
                format!("{} does not exist: {shown} is a file", program.display()),
                "check the path",
            ),
            io::ErrorKind::PermissionDenied => (
                format!("{shown} cannot be checked: permission denied"),
                "run this as root, or as the owner of the directory",
            ),
            _ => (
                format!("{shown} cannot be followed: {}", reason(&why)),
                "check the path",
            ),
        };
        NotExecutable {
            problem,
            missing,
            denied: why.kind() == io::ErrorKind::PermissionDenied,
            hint: Hint::new(hint),
        }
    }

    /// Checks that the user can pass the directories. `own` has the path of one for a command.
    pub(super) fn searchable<'f>(
        &self,
        directories: impl IntoIterator<Item = &'f (PathBuf, FileStatus)>,
        own: impl Fn(&Path) -> Option<OwnPath>,
    ) -> Result<(), NotExecutable> {
        for (path, stat) in directories {
            if !self.may(Access::Execute, path, stat) {
                let hint = Hint::new("give that user search permission");
                return failed_with(
                    format!(
                        "{} is a directory that {} cannot search",
                        path.display(),
                        self.user
                    ),
                    hint.command(self.chmod(stat, "x", own(path))),
                );
            }
        }
        Ok(())
    }

    pub(super) fn chmod(
        &self,
        stat: &Metadata,
        permissions: &str,
        path: Option<OwnPath>,
    ) -> ShellCommand {
        let mode = format!("{}+{permissions}", self.user.class(stat));
        ShellCommand::new(&["chmod"]).arg(mode).path(path)
    }

    /// The file's path for a command.
    pub(super) fn own(&self, traced: &Trace, chain: Chain) -> Option<OwnPath> {
        traced.own(self.root).filter(|_| !chain.is_open)
    }

    pub(super) fn may(&self, access: Access, path: &Path, stat: &Metadata) -> bool {
        match self.root == Path::new("/") {
            true => self.user.may_here(access, path, stat),
            false => self.user.may(access, stat),
        }
    }

    /// Checks the file's type and permissions.
    fn runnable(&self, program: &Path, traced: &Trace, chain: Chain) -> Result<(), NotExecutable> {
        let shown = program.display();
        if traced.status.is_dir() {
            return failed(format!("{shown} is a directory"), "name a program in it");
        }
        if !traced.status.is_file() {
            return failed(format!("{shown} is not a regular file"), "name a program");
        }
        if !self.may(Access::Execute, traced.real(), &traced.status) {
            let hint = Hint::new("give that user execute permission");
            return failed_with(
                format!("{shown} cannot be executed by {}", self.user),
                hint.command(self.chmod(&traced.status, "rx", self.own(traced, chain))),
            );
        }
        let real = below(self.root, traced.real());
        match statvfs(&real) {
            Ok(stat) if stat.flags().contains(FsFlags::ST_NOEXEC) => failed(
                format!("{shown} is on a file system that is mounted noexec"),
                "copy the program to /usr/local/bin",
            ),
            _ => Ok(()),
        }
    }

    pub(super) fn open(&self, traced: &Trace) -> io::Result<File> {
        open_file(self.root, &below(self.root, traced.real()))
    }
}

impl NotExecutable {
    pub(super) fn of_interpreter(self, script: &Path) -> NotExecutable {
        NotExecutable {
            problem: format!("{}:1: its interpreter: {}", script.display(), self.problem),
            hint: match self.missing {
                true => Hint::new("install it, or correct that line"),
                false => self.hint,
            },
            ..self
        }
    }
}
