//! What the kernel makes of a program's content: an ELF file, or a script with its interpreter.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::check::{Chain, Check, NotExecutable, PATH, failed, failed_with, find_in_path};
use super::elf::{self, Elf};
use super::run_as::Access;
use super::shebang::{self, Shebang};
use crate::hint::{Hint, ShellCommand};
use crate::log::reason;
use crate::root::{OwnPath, Trace, trace};

/// The kernel follows interpreters that are scripts themselves this deep.
const MAX_DEPTH: usize = 4;

impl Check<'_> {
    /// Checks how the kernel would run the file.
    pub(super) fn content(
        &self,
        program: &Path,
        traced: &Trace,
        chain: Chain,
    ) -> Result<(), NotExecutable> {
        let shown = program.display();
        let mut start = Vec::new();
        let opened = self.open(traced).and_then(|file| {
            (&file).take(shebang::READ as u64).read_to_end(&mut start)?;
            Ok(file)
        });
        let file = match opened {
            Ok(file) => file,
            Err(why) => {
                return Err(NotExecutable {
                    problem: format!("{shown} cannot be read: {}", reason(&why)),
                    missing: false,
                    denied: why.kind() == io::ErrorKind::PermissionDenied,
                    hint: Hint::new("run this as root, or as the program's owner"),
                });
            }
        };
        if start.is_empty() {
            return failed(format!("{shown} is empty"), "write the program");
        }
        if start.starts_with(elf::MAGIC) {
            return self.elf(program, &file, &start, chain.depth);
        }
        let Some(shebang) = shebang::read(&start) else {
            return self.unknown_format(program, &start, self.own(traced, chain));
        };
        // The interpreter opens the script.
        if !self.may(Access::Read, traced.real(), &traced.status) {
            let hint = Hint::new("give that user read permission");
            return failed_with(
                format!("{shown} is a script that {} cannot read", self.user),
                hint.command(self.chmod(&traced.status, "r", self.own(traced, chain))),
            );
        }
        match shebang {
            Shebang::Interpreter(path, argument) => {
                let next = Chain {
                    depth: chain.depth + 1,
                    is_open: self.own(traced, chain).is_none(),
                };
                self.interpreter(program, Path::new(&path), &argument, next)
            }
            Shebang::CarriageReturn => failed_with(
                format!(
                    "{shown}:1: the #! line ends in CR LF, and the CR becomes part of the interpreter's name"
                ),
                sed(
                    "remove the CR characters",
                    "s/\\r$//",
                    self.own(traced, chain),
                ),
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

    fn interpreter(
        &self,
        script: &Path,
        path: &Path,
        argument: &str,
        chain: Chain,
    ) -> Result<(), NotExecutable> {
        let (shown, name) = (script.display(), path.display());
        if !path.is_absolute() {
            return failed(
                format!("{shown}:1: the interpreter {name} is not an absolute path"),
                format!("write #!/usr/bin/env {name}, or the absolute path"),
            );
        }
        if chain.depth > MAX_DEPTH {
            return failed(
                format!("{shown}:1: too many interpreters are scripts themselves"),
                "name an interpreter that is not a script",
            );
        }
        self.program(path, chain)
            .map_err(|error| error.of_interpreter(script))?;
        if path.file_name() == Some("env".as_ref()) {
            return self.by_env(script, argument, chain);
        }
        Ok(())
    }

    /// Checks the program that `env` would find in the service's PATH.
    fn by_env(&self, script: &Path, argument: &str, chain: Chain) -> Result<(), NotExecutable> {
        let shown = script.display();
        let Some(program) = shebang::env_program(argument) else {
            return failed(
                format!("{shown}:1: the #! line names no program for env"),
                "write #!/usr/bin/env PROGRAM",
            );
        };
        if program.contains('/') {
            return self
                .program(Path::new(program), chain)
                .map(drop)
                .map_err(|error| error.of_interpreter(script));
        }
        let found = find_in_path(self.root, program);
        match found {
            Some(path) => self
                .program(&path, chain)
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
            denied: false,
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
        if let Err(error) = trace(self.root, loader) {
            return failed(
                format!(
                    "{shown} needs the dynamic loader {}, and there is no {}",
                    loader.display(),
                    error.at.display()
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
            Ok(Some(loader)) => trace(self.root, Path::new(&loader)).is_err(),
            _ => false,
        }
    }

    /// The architecture of the system below the root: that of its shell.
    fn machine(&self) -> Option<elf::Machine> {
        let traced = trace(self.root, Path::new("/bin/sh")).ok()?;
        let mut start = Vec::new();
        let shell = self.open(&traced).ok()?;
        shell
            .take(elf::HEADER as u64)
            .read_to_end(&mut start)
            .ok()?;
        Some(Elf::read(&start)?.machine)
    }

    /// The error for a file that is neither a script nor an ELF file.
    fn unknown_format(
        &self,
        program: &Path,
        start: &[u8],
        own: Option<OwnPath>,
    ) -> Result<(), NotExecutable> {
        const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
        let shown = program.display();
        if start.starts_with(BYTE_ORDER_MARK) {
            return failed_with(
                format!("{shown}:1: a byte order mark precedes the #!"),
                sed("remove the byte order mark", "1s/^\\xEF\\xBB\\xBF//", own),
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
            sed(
                "if it is a shell script, name the shell",
                "1i #!/bin/sh",
                own,
            ),
        )
    }
}

/// An edit of the program.
fn sed(text: &str, script: &'static str, program: Option<OwnPath>) -> Hint {
    let command = ShellCommand::new(&["sed", "-i"]).literals(&[script]);
    Hint::new(text).command(command.path(program))
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
