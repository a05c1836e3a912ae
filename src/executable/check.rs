//! The checks, in the order in which the kernel makes them.

use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::{FsFlags, statvfs};

use super::elf::{self, Elf};
use super::run_as::{RunAs, Want};
use super::shebang::{self, Shebang};
use crate::hint::{Hint, ShellCommand};
use crate::log::Plain;
use crate::root::{Stop, Way, below, open_file, walk};

/// Where systemd looks for a program that is named without a path, and `env` in a service.
pub(crate) const PATH: [&str; 6] = [
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
];
/// Directories that are hidden from a service together with homes.
const HOMES: [&str; 3] = ["/home", "/root", "/run"];
/// Directories of temporary files, which a service may have empty ones of.
const TEMPORARY: [&str; 3] = ["/tmp", "/var/tmp", "/dev/shm"];
/// The kernel follows interpreters that are scripts themselves this deep.
const MAX_DEPTH: usize = 4;

/// What the service's sandbox lets it see of the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Visibility {
    /// Homes are hidden; a program in one is made visible by a bind mount.
    pub homes_hidden: bool,
    /// The system's temporary files are hidden.
    pub tmp_hidden: bool,
    /// Only system calls of the machine's own architecture are allowed.
    pub native_only: bool,
}

/// A program that the user can execute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Executable {
    /// The file in a hidden home that needs a bind mount.
    pub bind: Option<PathBuf>,
}

/// Why a program cannot be executed. Its Display is the problem alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotExecutable {
    /// The problem, beginning with the file or directory that has it.
    pub problem: String,
    /// The file or directory does not exist.
    pub missing: bool,
    /// How to fix it.
    pub hint: Hint,
}

impl fmt::Display for NotExecutable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Plain(&self.problem).fmt(f)
    }
}

impl std::error::Error for NotExecutable {}

fn failed<T>(problem: impl Into<String>, hint: impl Into<String>) -> Result<T, NotExecutable> {
    failed_with(problem, Hint::new(hint))
}

fn failed_with<T>(problem: impl Into<String>, hint: Hint) -> Result<T, NotExecutable> {
    Err(NotExecutable {
        problem: problem.into(),
        missing: false,
        hint,
    })
}

/// Checks that a user can execute a program of the system below `root`.
///
/// # Errors
///
/// The first problem.
pub fn check(
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
    check.program(program, 0)
}

struct Check<'a> {
    root: &'a Path,
    user: &'a RunAs,
    visible: Visibility,
}

impl Check<'_> {
    fn program(&self, program: &Path, depth: usize) -> Result<Executable, NotExecutable> {
        let shown = program.display();
        if !program.is_absolute() {
            return failed(
                format!("{shown} is not an absolute path"),
                "give the path from the root directory on",
            );
        }
        if program.as_os_str().as_encoded_bytes().ends_with(b"/") {
            return failed(
                format!("{shown} ends in a slash, as the path of a directory"),
                "remove the slash",
            );
        }
        let way = walk(self.root, program).map_err(|stop| self.stopped(program, stop))?;
        let bind = self.hidden(&way, depth)?;
        // A bind mount needs no access to the homes above it, which are replaced by empty ones.
        let in_home = |directory: &Path| HOMES.iter().any(|home| directory.starts_with(home));
        let directories = way.directories.iter();
        self.searchable(directories.filter(|(path, _)| bind.is_none() || !in_home(path)))?;
        self.runnable(program, &way)?;
        self.content(program, &way, depth)?;
        Ok(Executable { bind })
    }

    /// The file that needs a bind mount, if any.
    fn hidden(&self, way: &Way, depth: usize) -> Result<Option<PathBuf>, NotExecutable> {
        let is_in = |list: &[&str], path: &Path| list.iter().any(|dir| path.starts_with(dir));
        let station = |list| way.stations.iter().find(|path| is_in(list, path));
        if self.visible.tmp_hidden {
            if let Some(path) = station(&TEMPORARY) {
                return failed(
                    format!(
                        "{} is hidden from the service, which has a /tmp of its own",
                        path.display()
                    ),
                    "copy the program to /usr/local/bin",
                );
            }
        }
        match station(&HOMES) {
            Some(path) if self.visible.homes_hidden && depth > 0 => failed(
                format!(
                    "{} is needed to run the program, and homes are hidden from the service",
                    path.display()
                ),
                "copy it to /usr/local, or use --sandbox standard, which does not hide homes",
            ),
            found => Ok(found.filter(|_| self.visible.homes_hidden).cloned()),
        }
    }

    fn stopped(&self, program: &Path, stop: Stop) -> NotExecutable {
        let Stop {
            at,
            why,
            directories,
            ..
        } = stop;
        if let Err(error) = self.searchable(&directories) {
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
                format!("{shown} cannot be followed: {why}"),
                "check the path",
            ),
        };
        NotExecutable {
            problem,
            missing,
            hint: Hint::new(hint),
        }
    }

    /// Checks that the user can pass the directories.
    fn searchable<'f>(
        &self,
        directories: impl IntoIterator<Item = &'f (PathBuf, Metadata)>,
    ) -> Result<(), NotExecutable> {
        for (path, stat) in directories {
            if !self.may(Want::Execute, path, stat) {
                let hint = Hint::new("give that user search permission");
                return failed_with(
                    format!(
                        "{} is a directory that {} cannot search",
                        path.display(),
                        self.user
                    ),
                    hint.command(self.chmod(stat, "x", path)),
                );
            }
        }
        Ok(())
    }

    fn chmod(&self, stat: &Metadata, permissions: &str, path: &Path) -> ShellCommand {
        let mode = format!("{}+{permissions}", self.user.class(stat));
        ShellCommand::new(&["chmod"])
            .arg(mode)
            .arg(below(self.root, path))
    }

    fn may(&self, want: Want, path: &Path, stat: &Metadata) -> bool {
        match self.root == Path::new("/") {
            true => self.user.may_here(want, path, stat),
            false => self.user.may(want, stat),
        }
    }

    /// Checks the file's type and permissions.
    fn runnable(&self, program: &Path, way: &Way) -> Result<(), NotExecutable> {
        let shown = program.display();
        if way.end.is_dir() {
            return failed(format!("{shown} is a directory"), "name a program in it");
        }
        if !way.end.is_file() {
            return failed(format!("{shown} is not a regular file"), "name a program");
        }
        if !self.may(Want::Execute, way.real(), &way.end) {
            let hint = Hint::new("give that user execute permission");
            return failed_with(
                format!("{shown} cannot be executed by {}", self.user),
                hint.command(self.chmod(&way.end, "rx", program)),
            );
        }
        let real = below(self.root, way.real());
        match statvfs(&real) {
            Ok(stat) if stat.flags().contains(FsFlags::ST_NOEXEC) => failed(
                format!("{shown} is on a file system that is mounted noexec"),
                "copy the program to /usr/local/bin",
            ),
            _ => Ok(()),
        }
    }

    fn open(&self, way: &Way) -> io::Result<File> {
        open_file(self.root, &below(self.root, way.real()))
    }

    /// Checks how the kernel would run the file.
    fn content(&self, program: &Path, way: &Way, depth: usize) -> Result<(), NotExecutable> {
        let shown = program.display();
        let mut start = Vec::new();
        let opened = self.open(way).and_then(|file| {
            (&file).take(shebang::READ as u64).read_to_end(&mut start)?;
            Ok(file)
        });
        let file = match opened {
            Ok(file) => file,
            Err(why) => {
                return failed(
                    format!("{shown} cannot be read: {why}"),
                    "run this as root, or as the program's owner",
                );
            }
        };
        if start.is_empty() {
            return failed(format!("{shown} is empty"), "write the program");
        }
        if start.starts_with(elf::MAGIC) {
            return self.elf(program, &file, &start, depth);
        }
        let Some(shebang) = shebang::read(&start) else {
            return self.unknown_format(program, &start);
        };
        // The interpreter opens the script.
        if !self.may(Want::Read, way.real(), &way.end) {
            let hint = Hint::new("give that user read permission");
            return failed_with(
                format!("{shown} is a script that {} cannot read", self.user),
                hint.command(self.chmod(&way.end, "r", program)),
            );
        }
        match shebang {
            Shebang::Interpreter(path, argument) => {
                self.interpreter(program, Path::new(&path), &argument, depth)
            }
            Shebang::CarriageReturn => failed_with(
                format!(
                    "{shown}:1: the #! line ends in CR LF, and the CR becomes part of the interpreter's name"
                ),
                self.sed("remove the CR characters", "s/\\r$//", program),
            ),
            Shebang::Nothing => failed(
                format!("{shown}:1: the #! line names no interpreter"),
                "write its absolute path, as in #!/bin/sh",
            ),
            Shebang::Unreadable => failed(
                format!(
                    "{shown}:1: the #! line is not UTF-8, or is longer than the {} bytes that the kernel reads",
                    shebang::READ
                ),
                "name the interpreter by a shorter path",
            ),
        }
    }

    /// An edit of the program.
    fn sed(&self, text: &str, script: &'static str, program: &Path) -> Hint {
        let command = ShellCommand::new(&["sed", "-i"]).literals(&[script]);
        Hint::new(text).command(command.arg(below(self.root, program)))
    }

    fn interpreter(
        &self,
        script: &Path,
        path: &Path,
        argument: &str,
        depth: usize,
    ) -> Result<(), NotExecutable> {
        let (shown, name) = (script.display(), path.display());
        if !path.is_absolute() {
            return failed(
                format!("{shown}:1: the interpreter {name} is not an absolute path"),
                format!("write #!/usr/bin/env {name}, or the absolute path"),
            );
        }
        if depth == MAX_DEPTH {
            return failed(
                format!("{shown}:1: too many interpreters are scripts themselves"),
                "name an interpreter that is not a script",
            );
        }
        self.program(path, depth + 1)
            .map_err(|error| error.of_interpreter(script))?;
        if path.file_name() == Some("env".as_ref()) {
            return self.by_env(script, argument, depth);
        }
        Ok(())
    }

    /// Checks the program that `env` would find in the service's PATH.
    fn by_env(&self, script: &Path, argument: &str, depth: usize) -> Result<(), NotExecutable> {
        let shown = script.display();
        let Some(program) = shebang::env_program(argument) else {
            return failed(
                format!("{shown}:1: the #! line names no program for env"),
                "write #!/usr/bin/env PROGRAM",
            );
        };
        if program.contains('/') {
            return self
                .program(Path::new(program), depth + 1)
                .map(drop)
                .map_err(|error| error.of_interpreter(script));
        }
        let found = PATH
            .iter()
            .map(|directory| Path::new(directory).join(program))
            .find(|path| walk(self.root, path).is_ok_and(|way| way.end.is_file()));
        match found {
            Some(path) => self
                .program(&path, depth + 1)
                .map(drop)
                .map_err(|error| error.of_interpreter(script)),
            None if program.contains(' ') => failed(
                format!("{shown}:1: env takes \"{program}\" for the name of one program"),
                format!("write #!/usr/bin/env -S {program}"),
            ),
            None => failed(
                format!(
                    "{shown}:1: env finds no {program} in the PATH of a service ({})",
                    PATH[..4].join(", ")
                ),
                "install it, or name it by its absolute path",
            ),
        }
    }

    fn elf(
        &self,
        program: &Path,
        file: &File,
        start: &[u8],
        depth: usize,
    ) -> Result<(), NotExecutable> {
        let shown = program.display();
        let broken = || NotExecutable {
            problem: format!("{shown} is a damaged or truncated ELF file"),
            missing: false,
            hint: Hint::new("build or copy it again"),
        };
        let elf = Elf::read(start).ok_or_else(broken)?;
        if !elf.executable {
            return failed(
                format!("{shown} is an ELF file, but not a program"),
                "name the program that was linked from it",
            );
        }
        if let Some(own) = self.machine().filter(|own| *own != elf.machine) {
            if self.visible.native_only || self.loader_missing(file, &elf) {
                return failed(
                    format!(
                        "{shown} is built for {}, and this machine is {own}",
                        elf.machine
                    ),
                    "build it for this machine",
                );
            }
        }
        let Some(loader) = loader(file, &elf).map_err(|_| broken())? else {
            return Ok(());
        };
        let loader = Path::new(&loader);
        if let Err(stop) = walk(self.root, loader) {
            return failed(
                format!(
                    "{shown} needs the dynamic loader {}, and there is no {}",
                    loader.display(),
                    stop.at.display()
                ),
                "install the C library that it was linked with, or link it statically",
            );
        }
        if depth > MAX_DEPTH + 1 {
            return Err(broken());
        }
        Ok(())
    }

    fn loader_missing(&self, file: &File, elf: &Elf) -> bool {
        match loader(file, elf) {
            Ok(Some(loader)) => walk(self.root, Path::new(&loader)).is_err(),
            _ => false,
        }
    }

    /// The architecture of the system below the root: that of its shell.
    fn machine(&self) -> Option<elf::Machine> {
        let way = walk(self.root, Path::new("/bin/sh")).ok()?;
        let mut start = Vec::new();
        let shell = self.open(&way).ok()?;
        shell
            .take(elf::HEADER as u64)
            .read_to_end(&mut start)
            .ok()?;
        Some(Elf::read(&start)?.machine)
    }

    /// The error for a file that is neither a script nor an ELF file.
    fn unknown_format(&self, program: &Path, start: &[u8]) -> Result<(), NotExecutable> {
        const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
        let shown = program.display();
        if start.starts_with(BYTE_ORDER_MARK) {
            return failed_with(
                format!("{shown}:1: a byte order mark precedes the #!"),
                self.sed(
                    "remove the byte order mark",
                    "1s/^\\xEF\\xBB\\xBF//",
                    program,
                ),
            );
        }
        if start.contains(&0) {
            return failed(
                format!(
                    "{shown} is neither an ELF file nor a script, and the kernel cannot run it"
                ),
                "name a program",
            );
        }
        failed_with(
            format!(
                "{shown}:1: the first line does not begin with #!, and the kernel cannot run the file without an \
                 interpreter (a shell does)"
            ),
            self.sed(
                "if it is a shell script, name the shell",
                "1i #!/bin/sh",
                program,
            ),
        )
    }
}

impl NotExecutable {
    fn of_interpreter(self, script: &Path) -> NotExecutable {
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

/// The path of the dynamic loader that an ELF file names.
fn loader(file: &File, elf: &Elf) -> io::Result<Option<String>> {
    let (start, length) = elf.table();
    // The kernel accepts no larger table.
    if length > 64 * 1024 {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut table = vec![0; length];
    file.read_exact_at(&mut table, start)?;
    let Some((start, length)) = elf.loader(&table) else {
        return Ok(None);
    };
    // The kernel accepts no longer path.
    let mut path = vec![0; length.min(4096) as usize];
    file.read_exact_at(&mut path, start)?;
    let path = String::from_utf8(path).map_err(|_| io::ErrorKind::InvalidData)?;
    Ok(Some(path.trim_end_matches('\0').into()))
}
