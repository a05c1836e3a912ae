//! The first line of a script, parsed as the kernel parses it.

/// The kernel reads this many bytes of a script.
pub(crate) const READ: usize = 256;

/// The first line of a file that begins with `#!`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shebang {
    /// The interpreter, and the rest of the line, which it gets as one argument.
    Interpreter(String, String),
    /// The line ends in CR LF.
    CarriageReturn,
    /// The line names no interpreter.
    Nothing,
    /// The line is longer than the kernel reads, or not UTF-8.
    Unreadable,
}

/// Parses the first [`READ`] bytes of a file; `None` if it is not a script.
pub(crate) fn read(start: &[u8]) -> Option<Shebang> {
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

/// The program that `env` looks for if it gets this argument; `None` if the argument names none.
pub(crate) fn env_program(argument: &str) -> Option<&str> {
    // The kernel passes one argument, which env splits only with -S.
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
    fn the_line_is_parsed_as_the_kernel_parses_it() {
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
    fn env_takes_the_argument_for_one_name_unless_it_is_to_split_it() {
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
