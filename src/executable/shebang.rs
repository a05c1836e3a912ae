//! The first line of a script, as the kernel reads it.

/// So many bytes of a file the kernel looks at.
pub const READ: usize = 256;

/// What a file that begins with `#!` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shebang {
    /// This interpreter, handed all that follows as one argument.
    Interpreter(String, String),
    /// The line ends in CR LF.
    CarriageReturn,
    /// The line has no interpreter.
    Nothing,
    /// The line is longer than the kernel reads, or no text.
    Unreadable,
}

/// Reads it from the first [`READ`] bytes of a file; nothing where that is no script.
pub fn read(start: &[u8]) -> Option<Shebang> {
    let line = start.strip_prefix(b"#!")?;
    let line = match line.iter().position(|&byte| byte == b'\n') {
        Some(end) => &line[..end],
        None if start.len() < READ => line,
        None => return Some(Shebang::Unreadable),
    };
    if line.ends_with(b"\r") {
        return Some(Shebang::CarriageReturn);
    }
    let Ok(line) = std::str::from_utf8(line) else {
        return Some(Shebang::Unreadable);
    };
    let blank = [' ', '\t'];
    let line = line.trim_matches(blank);
    let (interpreter, argument) = line.split_once(blank).unwrap_or((line, ""));
    if interpreter.is_empty() {
        return Some(Shebang::Nothing);
    }
    Some(Shebang::Interpreter(
        interpreter.into(),
        argument.trim_start_matches(blank).into(),
    ))
}

/// The program that `env` would look for, handed this argument by the kernel.
pub fn env_program(argument: &str) -> Option<&str> {
    // The kernel hands over one argument, and -S takes it apart; nothing else does.
    let split = argument
        .strip_prefix("-S")
        .or_else(|| argument.strip_prefix("--split-string="));
    let Some(words) = split else {
        let plain = !argument.is_empty() && !argument.starts_with('-');
        return plain.then_some(argument);
    };
    words
        .split_ascii_whitespace()
        .find(|word| !word.starts_with('-') && !word.contains('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interpreter(path: &str, argument: &str) -> Option<Shebang> {
        Some(Shebang::Interpreter(path.into(), argument.into()))
    }

    #[test]
    fn the_line_is_read_as_the_kernel_reads_it() {
        for (line, meant) in [
            ("#!/bin/sh\nx", interpreter("/bin/sh", "")),
            ("#! \t/bin/sh", interpreter("/bin/sh", "")),
            ("#!/bin/sh -e  -u \n", interpreter("/bin/sh", "-e  -u")),
            ("#!/bin/sh\r\n", Some(Shebang::CarriageReturn)),
            ("#!/bin/sh -e\r\nexit\r\n", Some(Shebang::CarriageReturn)),
            ("#!\n", Some(Shebang::Nothing)),
            ("#! \t", Some(Shebang::Nothing)),
            ("echo\n", None),
            ("", None),
        ] {
            assert_eq!(read(line.as_bytes()), meant, "{line:?}");
        }
        let long = format!("#!/{}", "x".repeat(READ));
        assert_eq!(read(&long.as_bytes()[..READ]), Some(Shebang::Unreadable));
        assert_eq!(read(b"#!/\xff\n"), Some(Shebang::Unreadable));
    }

    #[test]
    fn env_takes_one_name_unless_told_to_split() {
        for (argument, program) in [
            ("perl", Some("perl")),
            ("perl -w", Some("perl -w")),
            ("-S perl -w", Some("perl")),
            ("-S LC_ALL=C perl -w", Some("perl")),
            ("-Sperl", Some("perl")),
            ("", None),
            ("-i", None),
        ] {
            assert_eq!(env_program(argument), program, "{argument}");
        }
    }
}
