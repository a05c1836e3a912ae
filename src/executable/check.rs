//! Whether a program can be started by the user that is to run it, found out before it is tried.

use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::{FsFlags, statvfs};

use super::elf::{self, Elf};
use super::run_as::{RunAs, Want};
use super::shebang::{self, Shebang};
use super::walk::{Stop, Way, below, walk};
use crate::log::Plain;
use crate::shell::quote as shell;

/// Where systemd looks for a program that is named without a path, and so `env` in a service.
pub(crate) const PATH: [&str; 6] = [
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
];
/// What a service does not see where homes are hidden.
const HOMES: [&str; 3] = ["/home", "/root", "/run"];
/// What a service has empty copies of.
const TEMPORARY: [&str; 3] = ["/tmp", "/var/tmp", "/dev/shm"];
/// The kernel follows an interpreter that is itself a script so far.
const DEEPEST: usize = 4;

/// What the service sees of the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Visibility {
    /// Not the homes; a program in one is bound into view alone.
    pub homes_hidden: bool,
    /// Not the system's /tmp.
    pub tmp_hidden: bool,
    /// System calls of the machine's own kind only.
    pub native_only: bool,
}

/// A program that can be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Executable {
    /// The file in a hidden home that has to be bound into view.
    pub bind: Option<PathBuf>,
}

/// Why a program cannot be started. Its Display is one sentence: what is wrong, and what mends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotExecutable {
    /// What is wrong, beginning with the file or directory it is wrong with.
    pub what: String,
    /// What mends it, a command where there is one.
    pub mend: String,
}

impl fmt::Display for NotExecutable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Some of it is what somebody wrote into a file.
        write!(f, "{}; {}", Plain(&self.what), Plain(&self.mend))
    }
}

impl std::error::Error for NotExecutable {}

fn fault<T>(what: impl Into<String>, mend: impl Into<String>) -> Result<T, NotExecutable> {
    Err(NotExecutable {
        what: what.into(),
        mend: mend.into(),
    })
}

/// Checks that a user can start a program on the system below `root`.
///
/// # Errors
///
/// The first thing that is in the way.
pub fn check(
    root: &Path,
    program: &Path,
    runner: &RunAs,
    view: Visibility,
) -> Result<Executable, NotExecutable> {
    Check { root, runner, view }.program(program, 0)
}

struct Check<'a> {
    root: &'a Path,
    runner: &'a RunAs,
    view: Visibility,
}

impl Check<'_> {
    fn program(&self, program: &Path, depth: usize) -> Result<Executable, NotExecutable> {
        let shown = program.display();
        if !program.is_absolute() {
            return fault(
                format!("{shown} is not a full path"),
                format!("name the program from the root on: \"$PWD/{shown}\""),
            );
        }
        if program.as_os_str().as_encoded_bytes().ends_with(b"/") {
            return fault(
                format!("{shown} ends in a slash, as the path of a directory does"),
                "take the slash away",
            );
        }
        let way = walk(self.root, program).map_err(|stop| self.stopped(program, stop))?;
        let bind = self.hidden(&way, depth)?;
        // What is bound into view needs no way through the homes, which are empty ones then.
        let in_home = |folder: &Path| HOMES.iter().any(|home| folder.starts_with(home));
        let folders = way.folders.iter();
        self.passable(folders.filter(|(folder, _)| bind.is_none() || !in_home(folder)))?;
        self.runnable(program, &way)?;
        self.content(program, &way, depth)?;
        Ok(Executable { bind })
    }

    /// The file that has to be bound into view, where there is one.
    fn hidden(&self, way: &Way, depth: usize) -> Result<Option<PathBuf>, NotExecutable> {
        let lies_in = |folders: &[&str], path: &Path| folders.iter().any(|f| path.starts_with(f));
        let station = |folders| way.stations.iter().find(|path| lies_in(folders, path));
        if self.view.tmp_hidden {
            if let Some(path) = station(&TEMPORARY) {
                return fault(
                    format!(
                        "{} is out of the service's sight, which sees nothing of the system's \
                         temporary files",
                        path.display()
                    ),
                    "copy the program to /usr/local/bin",
                );
            }
        }
        match station(&HOMES) {
            Some(path) if self.view.homes_hidden && depth > 0 => fault(
                format!(
                    "{} is needed to run the program and lies in a home, and the service sees none",
                    path.display()
                ),
                "copy it to /usr/local, or choose --sandbox standard, which does not hide homes",
            ),
            found => Ok(found.filter(|_| self.view.homes_hidden).cloned()),
        }
    }

    fn stopped(&self, program: &Path, stop: Stop) -> NotExecutable {
        let Stop { at, why, folders } = stop;
        if let Err(fault) = self.passable(&folders) {
            // The directory above may hide what is there from whoever asks.
            if why.kind() == io::ErrorKind::PermissionDenied {
                return fault;
            }
        }
        let shown = at.display();
        let (what, mend) = match why.kind() {
            io::ErrorKind::NotFound if at == program => (
                format!("there is no file {shown}"),
                "check the spelling of its path".into(),
            ),
            io::ErrorKind::NotFound => (
                format!("there is no {shown} on the way to {}", program.display()),
                "check the spelling of the path".into(),
            ),
            io::ErrorKind::NotADirectory => (
                format!("{shown} is a file, and {} goes on", program.display()),
                "check the path".into(),
            ),
            io::ErrorKind::PermissionDenied => (
                format!("{shown} cannot be looked at"),
                "run this as root, or as the owner of the directory".into(),
            ),
            _ => (
                format!("{shown} cannot be followed: {why}"),
                "check the path".into(),
            ),
        };
        NotExecutable { what, mend }
    }

    fn passable<'f>(
        &self,
        folders: impl IntoIterator<Item = &'f (PathBuf, Metadata)>,
    ) -> Result<(), NotExecutable> {
        for (folder, stat) in folders {
            if !self.may(Want::Execute, folder, stat) {
                let (runner, class) = (self.runner, self.runner.class(stat));
                return fault(
                    format!(
                        "{} is a directory that {runner} cannot pass",
                        folder.display()
                    ),
                    format!("chmod {class}+x {} mends that", shell(folder)),
                );
            }
        }
        Ok(())
    }

    /// Whether the user may do it.
    fn may(&self, want: Want, path: &Path, stat: &Metadata) -> bool {
        match self.root == Path::new("/") {
            true => self.runner.may_here(want, path, stat),
            false => self.runner.may(want, stat),
        }
    }

    /// Checks the file's kind and mode.
    fn runnable(&self, program: &Path, way: &Way) -> Result<(), NotExecutable> {
        let shown = program.display();
        if way.end.is_dir() {
            return fault(format!("{shown} is a directory"), "name the program in it");
        }
        if !way.end.is_file() {
            return fault(format!("{shown} is no regular file"), "name a program");
        }
        if !self.may(Want::Execute, way.real(), &way.end) {
            let (runner, class) = (self.runner, self.runner.class(&way.end));
            return fault(
                format!("{shown} cannot be executed by {runner}"),
                format!("chmod {class}+rx {} mends that", shell(program)),
            );
        }
        let real = below(self.root, way.real());
        match statvfs(&real) {
            Ok(stat) if stat.flags().contains(FsFlags::ST_NOEXEC) => fault(
                format!(
                    "{shown} lies on a file system from which nothing may be executed (noexec)"
                ),
                "copy the program to /usr/local/bin",
            ),
            _ => Ok(()),
        }
    }

    /// Checks what the kernel would make of the file.
    fn content(&self, program: &Path, way: &Way, depth: usize) -> Result<(), NotExecutable> {
        let shown = program.display();
        let real = below(self.root, way.real());
        let mut start = Vec::new();
        let opened = File::open(real).and_then(|file| {
            (&file).take(shebang::READ as u64).read_to_end(&mut start)?;
            Ok(file)
        });
        let file = match opened {
            Ok(file) => file,
            Err(why) => {
                return fault(
                    format!("{shown} cannot be read: {why}"),
                    "run this as root, or as the program's owner",
                );
            }
        };
        if start.is_empty() {
            return fault(format!("{shown} is empty"), "write the program into it");
        }
        if start.starts_with(elf::MAGIC) {
            return self.elf(program, &file, &start, depth);
        }
        let Some(shebang) = shebang::read(&start) else {
            return no_program(program, &start);
        };
        // An interpreter opens the script anew.
        if !self.may(Want::Read, way.real(), &way.end) {
            let (runner, class) = (self.runner, self.runner.class(&way.end));
            return fault(
                format!("{shown} is a script that {runner} cannot read"),
                format!("chmod {class}+r {} mends that", shell(program)),
            );
        }
        match shebang {
            Shebang::Interpreter(path, argument) => {
                self.interpreter(program, Path::new(&path), &argument, depth)
            }
            Shebang::CarriageReturn => fault(
                format!(
                    "{shown}:1: the #! line ends in CR LF, so that the interpreter's name ends in a \
                     carriage return and is not found"
                ),
                format!("sed -i 's/\\r$//' {} mends that", shell(program)),
            ),
            Shebang::Nothing => fault(
                format!("{shown}:1: the #! line names no interpreter"),
                "write its full path behind it, as in #!/bin/sh",
            ),
            Shebang::Unreadable => fault(
                format!(
                    "{shown}:1: the #! line is no text, or longer than the {} bytes that the kernel \
                     reads",
                    shebang::READ
                ),
                "name the interpreter by a shorter path",
            ),
        }
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
            return fault(
                format!("{shown}:1: the interpreter {name} is not named by its full path"),
                format!("write #!/usr/bin/env {name}, or the full path"),
            );
        }
        if depth == DEEPEST {
            return fault(
                format!("{shown}:1: too many scripts are each other's interpreters"),
                "name a program that is no script",
            );
        }
        self.program(path, depth + 1)
            .map_err(|fault| fault.of_interpreter(script))?;
        if path.file_name() == Some("env".as_ref()) {
            return self.by_env(script, argument, depth);
        }
        Ok(())
    }

    /// Checks what `env` would find in the service's PATH.
    fn by_env(&self, script: &Path, argument: &str, depth: usize) -> Result<(), NotExecutable> {
        let shown = script.display();
        let Some(program) = shebang::env_program(argument) else {
            return fault(
                format!("{shown}:1: the #! line does not say which program env is to run"),
                "write #!/usr/bin/env PROGRAM",
            );
        };
        if program.contains('/') {
            return self
                .program(Path::new(program), depth + 1)
                .map(drop)
                .map_err(|fault| fault.of_interpreter(script));
        }
        let found = PATH
            .iter()
            .map(|folder| Path::new(folder).join(program))
            .find(|path| walk(self.root, path).is_ok_and(|way| way.end.is_file()));
        match found {
            Some(path) => self
                .program(&path, depth + 1)
                .map(drop)
                .map_err(|fault| fault.of_interpreter(script)),
            None if program.contains(' ') => fault(
                format!("{shown}:1: env takes \"{program}\" for the name of one program"),
                format!("write #!/usr/bin/env -S {program}"),
            ),
            None => fault(
                format!(
                    "{shown}:1: env finds no {program} where a service looks for programs ({})",
                    PATH[..4].join(", ")
                ),
                "install it, or name it by its full path",
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
            what: format!("{shown} is a broken or truncated ELF file"),
            mend: "build or copy it again".into(),
        };
        let elf = Elf::read(start).ok_or_else(broken)?;
        if !elf.executable {
            return fault(
                format!("{shown} is an ELF file, but no program"),
                "name the program that was linked from it",
            );
        }
        if let Some(own) = self.machine().filter(|own| *own != elf.machine) {
            if self.view.native_only || self.loader_missing(file, &elf) {
                return fault(
                    format!("{shown} is built for {}, and this is {own}", elf.machine),
                    "build it for this machine",
                );
            }
        }
        let Some(loader) = loader(file, &elf).map_err(|_| broken())? else {
            return Ok(());
        };
        let loader = Path::new(&loader);
        if let Err(stop) = walk(self.root, loader) {
            return fault(
                format!(
                    "{shown} wants the dynamic loader {}, and there is no {}",
                    loader.display(),
                    stop.at.display()
                ),
                "install the C library that it was linked with, or link it statically",
            );
        }
        if depth > DEEPEST + 1 {
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

    /// The kind of machine that the system below the root is for, told by its shell.
    fn machine(&self) -> Option<elf::Machine> {
        let way = walk(self.root, Path::new("/bin/sh")).ok()?;
        let mut start = Vec::new();
        let shell = File::open(below(self.root, way.real())).ok()?;
        shell
            .take(elf::HEADER as u64)
            .read_to_end(&mut start)
            .ok()?;
        Some(Elf::read(&start)?.machine)
    }
}

impl NotExecutable {
    fn of_interpreter(self, script: &Path) -> NotExecutable {
        let missing = self.what.starts_with("there is no");
        NotExecutable {
            what: format!("{}:1: its interpreter: {}", script.display(), self.what),
            mend: match missing {
                true => "install it, or correct that line".into(),
                false => self.mend,
            },
        }
    }
}

/// The dynamic loader that a program wants.
fn loader(file: &File, elf: &Elf) -> io::Result<Option<String>> {
    let (start, length) = elf.table();
    // The kernel takes no larger table.
    if length > 64 * 1024 {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut table = vec![0; length];
    file.read_exact_at(&mut table, start)?;
    let Some((start, length)) = elf.loader(&table) else {
        return Ok(None);
    };
    // The kernel takes no longer path.
    let mut path = vec![0; length.min(4096) as usize];
    file.read_exact_at(&mut path, start)?;
    let path = String::from_utf8(path).map_err(|_| io::ErrorKind::InvalidData)?;
    Ok(Some(path.trim_end_matches('\0').into()))
}

/// What to say of a file that is neither a script nor an ELF file.
fn no_program(program: &Path, start: &[u8]) -> Result<(), NotExecutable> {
    const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
    let shown = program.display();
    if start.starts_with(BYTE_ORDER_MARK) {
        return fault(
            format!("{shown}:1: a byte order mark stands where #! has to stand"),
            format!(
                "sed -i '1s/^\\xEF\\xBB\\xBF//' {} mends that",
                shell(program)
            ),
        );
    }
    if start.contains(&0) {
        return fault(
            format!(
                "{shown} is neither an ELF file nor a script, so that the kernel cannot run it"
            ),
            "name a program",
        );
    }
    fault(
        format!(
            "{shown}:1: the first line does not begin with #!, so that the kernel does not know what \
             runs it; only a shell would try itself"
        ),
        format!(
            "sed -i '1i #!/bin/sh' {} makes it a shell script",
            shell(program)
        ),
    )
}
