//! inetd.conf(5), in the dialects of openbsd-inetd, inetutils-inetd and FreeBSD's inetd.
//!
//! A line is `[ADDRESS:]NAME TYPE PROTOCOL WAIT USER PROGRAM ARGV…`.

use std::fmt;
use std::path::Path;
use std::rc::Rc;

use super::word::{lines, words};
use super::{Position, System, Word};

/// The prefix that update-inetd(8) disables a line with.
pub(super) const DISABLED: &[u8] = b"#<off>#";

/// The program that reads a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// openbsd-inetd, which Debian installs by default.
    #[default]
    OpenBsd,
    /// inetutils-inetd.
    Inetutils,
    FreeBsd,
}

/// The clients of a service by their addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Families {
    V4,
    V6,
    /// Both, each with a socket of its own.
    Each,
    /// Both, with one IPv6 socket.
    Both,
}

/// The content of one file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct File {
    pub(crate) services: Vec<Service>,
    /// The lines that are not services, and why.
    pub(crate) problems: Vec<(Position, Problem)>,
}

/// A service, also one that is disabled or that inetd cannot serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Service {
    /// The position of its first word.
    pub(crate) position: Position,
    /// A name in the services database, or a port.
    pub(crate) name: Word,
    /// The addresses that it listens on; empty for all addresses.
    pub(crate) addresses: Vec<Word>,
    /// `stream`, `dgram` and so on.
    pub(crate) socket_type: Word,
    /// `tcp`, `udp6`, `unix` and so on, without the buffer sizes that may follow after a comma.
    pub(crate) protocol: Word,
    /// `rcvbuf=16k` and so on: what follows the protocol after a comma.
    pub(crate) buffers: Option<Word>,
    pub(crate) families: Families,
    pub(crate) dialect: Dialect,
    /// The versions of an RPC service, such as `1-3`: they follow its name after a slash.
    pub(crate) rpc_versions: Option<Word>,
    /// Whether inetd passes the listening socket to the program, and waits for its end.
    pub(crate) waits: bool,
    pub(crate) limits: Limits,
    pub(crate) user: Word,
    pub(crate) group: Option<Word>,
    /// The class of login.conf(5), which follows the user after a slash.
    pub(crate) login_class: Option<Word>,
    /// The program, or `internal`, and its arguments, `argv[0]` first.
    pub(crate) program: Vec<Word>,
    /// Whether update-inetd(8) disabled it.
    pub(crate) is_disabled: bool,
    /// The port. `None` if inetd does not choose it (RPC), if it has none (unix), or if the services
    /// database does not have the name.
    pub(crate) port: Option<u16>,
}

/// The numbers after `wait` or `nowait`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    /// `.N`: the most starts of the program in a minute, before inetd stops listening for 10 minutes.
    pub(crate) per_minute: Option<u32>,
    /// `/N`: the most instances at once; 0 for no limit.
    pub(crate) instances: Option<u32>,
    /// The second number after a slash: the most connections from an address in a minute.
    pub(crate) per_source_per_minute: Option<u32>,
    /// The third number after a slash: the most instances for an address.
    pub(crate) per_source: Option<u32>,
}

/// Why a line is not a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Problem {
    /// There are not so many fields as a service has.
    TooFewFields(usize),
    /// The field is neither `wait` nor `nowait` with numbers after it.
    BadWait(Word),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::TooFewFields(found) => {
                let fields = if *found == 1 { "field" } else { "fields" };
                write!(f, "{found} {fields}, but a service has 6 or more")
            }
            Problem::BadWait(word) => write!(f, "{word} is neither wait nor nowait"),
        }
    }
}

impl Service {
    pub(crate) fn is_tcp(&self) -> bool {
        self.protocol.bytes.starts_with(b"tcp")
    }

    /// Whether its port cannot be known, because the services database does not have the name.
    pub(crate) fn is_not_listed(&self) -> bool {
        let has_port = self.rpc_versions.is_none() && self.protocol.bytes != b"unix";
        has_port && self.port.is_none()
    }
}

/// Parses a file. `system` knows the ports of names.
pub(crate) fn parse(path: &Rc<Path>, bytes: &[u8], dialect: Dialect, system: &dyn System) -> File {
    let mut file = File::default();
    let mut default_addresses = Vec::new();
    for (number, line) in lines(bytes) {
        let start = line.len() - line.trim_ascii_start().len();
        let (line, column, is_disabled) = match line[start..].strip_prefix(DISABLED) {
            Some(rest) => (rest, start + DISABLED.len() + 1, true),
            None => (&line[start..], start + 1, false),
        };
        let line = line.trim_ascii_end();
        let words = words(line, column);
        let Some(first) = words.first().filter(|word| !word.bytes.starts_with(b"#")) else {
            continue;
        };
        // The default for the lines after it.
        if let ([only], false) = (words.as_slice(), is_disabled) {
            if let Some(addresses) = only.bytes.strip_suffix(b":") {
                default_addresses = list(addresses, only.column);
                continue;
            }
        }
        let position = Position {
            file: Rc::clone(path),
            line: number,
            column: first.column,
        };
        match service(position.clone(), &words, &default_addresses, system) {
            Ok(service) => file.services.push(Service {
                is_disabled,
                families: families(&service.protocol.bytes, dialect),
                dialect,
                ..service
            }),
            // A comment of the administrator can follow the mark.
            Err(_) if is_disabled => {}
            Err(problem) => file.problems.push((position, problem)),
        }
    }
    file
}

fn service(
    position: Position,
    words: &[Word],
    default_addresses: &[Word],
    system: &dyn System,
) -> Result<Service, Problem> {
    let [first, socket_type, protocol, wait, user, program @ ..] = words else {
        return Err(Problem::TooFewFields(words.len()));
    };
    if program.is_empty() {
        return Err(Problem::TooFewFields(words.len()));
    }
    let (waits, limits) = wait_field(&wait.bytes).ok_or_else(|| Problem::BadWait(wait.clone()))?;
    let colon = first.bytes.iter().rposition(|byte| *byte == b':');
    let (addresses, name) = match colon {
        Some(colon) => (
            list(&first.bytes[..colon], first.column),
            part(first, colon + 1),
        ),
        None => (default_addresses.to_vec(), first.clone()),
    };
    let rpc = protocol.bytes.strip_prefix(b"rpc/");
    let (name, rpc_versions) = match split(&name, b'/') {
        (name, versions @ Some(_)) if rpc.is_some() => (name, versions),
        _ => (name, None),
    };
    let (protocol, buffers) = match rpc {
        Some(_) => (part(protocol, b"rpc/".len()), None),
        None => split(protocol, b','),
    };
    let (user, login_class) = split(user, b'/');
    let (user, group) = match split(&user, b':') {
        (_, None) => split(&user, b'.'),
        with_group => with_group,
    };
    let text = std::str::from_utf8(&name.bytes).unwrap_or_default();
    let base = if protocol.bytes.starts_with(b"tcp") {
        &b"tcp"[..]
    } else {
        b"udp"
    };
    let number = text.parse().ok();
    let port = match rpc_versions.is_some() || protocol.bytes == b"unix" {
        true => None,
        false => number.or_else(|| system.port(&name.bytes, base)),
    };
    Ok(Service {
        position,
        name,
        addresses,
        socket_type: socket_type.clone(),
        protocol,
        buffers,
        families: Families::Each,
        dialect: Dialect::default(),
        rpc_versions,
        waits,
        limits,
        user,
        group,
        login_class,
        program: program.to_vec(),
        is_disabled: false,
        port,
    })
}

/// The families of the socket of `tcp`, `udp6` and so on.
fn families(protocol: &[u8], dialect: Dialect) -> Families {
    let end = protocol.iter().position(u8::is_ascii_digit);
    let suffix = end.map_or(&b""[..], |end| &protocol[end..]);
    match (suffix, dialect) {
        (b"", Dialect::OpenBsd) => Families::Each,
        (b"6", Dialect::Inetutils) | (b"46", Dialect::OpenBsd | Dialect::FreeBsd) => Families::Both,
        (b"6", _) | (b"6only", Dialect::Inetutils) => Families::V6,
        _ => Families::V4,
    }
}

/// `wait` or `nowait`, with `.N` or `/N/N/N` after it.
fn wait_field(word: &[u8]) -> Option<(bool, Limits)> {
    let text = std::str::from_utf8(word).ok()?;
    let end = text.find(['.', '/']).unwrap_or(text.len());
    let (word, numbers) = text.split_at(end);
    let waits = match word {
        "wait" => true,
        "nowait" => false,
        _ => return None,
    };
    let mut limits = Limits::default();
    if let Some(number) = numbers.strip_prefix('.') {
        limits.per_minute = Some(number.parse().ok()?);
    } else if let Some(numbers) = numbers.strip_prefix('/') {
        let numbers: Option<Vec<u32>> = numbers.split('/').map(|n| n.parse().ok()).collect();
        let mut numbers = numbers?.into_iter();
        limits.instances = numbers.next();
        limits.per_source_per_minute = numbers.next();
        limits.per_source = numbers.next();
    }
    Some((waits, limits))
}

/// The addresses of a comma-separated list; empty if one of them is `*`.
fn list(text: &[u8], column: usize) -> Vec<Word> {
    let mut addresses = Vec::new();
    let mut start = 0;
    for address in text.split(|byte| *byte == b',') {
        addresses.push(Word {
            bytes: address.to_vec(),
            column: column + start,
        });
        start += address.len() + 1;
    }
    match addresses.iter().any(|address| address.bytes == b"*") {
        true => Vec::new(),
        false => addresses,
    }
}

/// The word from a byte on.
fn part(word: &Word, from: usize) -> Word {
    Word {
        bytes: word.bytes[from..].to_vec(),
        column: word.column + from,
    }
}

/// The parts of a word before and after the first separator.
pub(super) fn split(word: &Word, separator: u8) -> (Word, Option<Word>) {
    let Some(at) = word.bytes.iter().position(|byte| *byte == separator) else {
        return (word.clone(), None);
    };
    let before = Word {
        bytes: word.bytes[..at].to_vec(),
        column: word.column,
    };
    (before, Some(part(word, at + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::superserver::fixed_system::FixedSystem;
    use proptest::prelude::*;

    const TEXT: &str = "\
#:INTERNAL: Internal services
#discard stream tcp nowait root internal
http stream tcp nowait nobody /usr/bin/hello hello
#<off># 3334\tstream\ttcp6,rcvbuf=16k\tnowait.40\tnobody:users\t/usr/bin/celebs\tcelebs -x
127.0.0.1,[::1]:telnet stream tcp nowait root internal
192.0.2.1:
time dgram udp wait root internal
*:echo stream tcp nowait/10/5/2 ann.users/daemon internal
too short
rstatd/1-3 dgram rpc/udp wait root /usr/sbin/rpc.rstatd rpc.rstatd
a stream tcp never root /bin/a
#<off># a comment
no-such-name stream tcp nowait root /bin/a
";

    fn parsed(text: &[u8]) -> File {
        let path = Rc::from(Path::new("/etc/inetd.conf"));
        parse(&path, text, Dialect::OpenBsd, &FixedSystem)
    }

    #[test]
    fn services_have_their_addresses_ports_and_positions() {
        let file = parsed(TEXT.as_bytes());
        let services = &file.services;
        let shown = |s: &Service| {
            let position = (s.position.line, s.position.column);
            (s.name.to_string(), position, s.port)
        };
        assert_eq!(
            services.iter().map(shown).collect::<Vec<_>>(),
            [
                ("http".into(), (3, 1), Some(80)),
                ("3334".into(), (4, 9), Some(3334)),
                ("telnet".into(), (5, 1), Some(23)),
                ("time".into(), (7, 1), Some(37)),
                ("echo".into(), (8, 1), Some(7)),
                ("rstatd".into(), (10, 1), None),
                ("no-such-name".into(), (13, 1), None),
            ]
        );
        let words = |words: &[Word]| words.iter().map(Word::to_string).collect::<Vec<_>>();
        assert_eq!(words(&services[0].program), ["/usr/bin/hello", "hello"]);
        assert_eq!(words(&services[2].addresses), ["127.0.0.1", "[::1]"]);
        assert_eq!(words(&services[3].addresses), ["192.0.2.1"]);
        assert!(services[4].addresses.is_empty());
        assert!(services[0].is_tcp() && !services[3].is_tcp());
        assert!(services[1].is_disabled && !services[0].is_disabled);
        assert!(services[6].is_not_listed() && !services[5].is_not_listed());
        let problems = file.problems.iter();
        let problems: Vec<_> = problems.map(|(at, why)| format!("{at}: {why}")).collect();
        assert_eq!(
            problems,
            [
                "/etc/inetd.conf:9:1: 2 fields, but a service has 6 or more",
                "/etc/inetd.conf:11:1: never is neither wait nor nowait",
            ]
        );
    }

    #[test]
    fn fields_of_every_dialect_are_split() {
        let services = parsed(TEXT.as_bytes()).services;
        let celebs = &services[1];
        assert_eq!(celebs.protocol.to_string(), "tcp6");
        let buffers = celebs.buffers.as_ref().unwrap();
        assert_eq!(buffers.to_string(), "rcvbuf=16k");
        assert_eq!((celebs.waits, celebs.limits.per_minute), (false, Some(40)));
        let group = celebs.group.as_ref().unwrap();
        assert_eq!((celebs.user.is("nobody"), group.is("users")), (true, true));
        let echo = &services[4];
        assert_eq!(
            echo.limits,
            Limits {
                per_minute: None,
                instances: Some(10),
                per_source_per_minute: Some(5),
                per_source: Some(2),
            }
        );
        assert_eq!(echo.user.to_string(), "ann");
        assert_eq!(echo.login_class.as_ref().unwrap().to_string(), "daemon");
        assert_eq!(echo.group.as_ref().unwrap().to_string(), "users");
        let rstatd = &services[5];
        assert_eq!(rstatd.rpc_versions.as_ref().unwrap().to_string(), "1-3");
        assert_eq!(rstatd.protocol.to_string(), "udp");
    }

    #[test]
    fn each_inetd_has_other_families_for_a_protocol() {
        use Dialect as D;
        use Families as F;
        for (protocol, expected) in [
            ("tcp", [F::Each, F::V4, F::V4]),
            ("udp4", [F::V4, F::V4, F::V4]),
            ("tcp6", [F::V6, F::Both, F::V6]),
            ("udp46", [F::Both, F::V4, F::Both]),
            ("tcp6only", [F::V4, F::V6, F::V4]),
        ] {
            let dialects = [D::OpenBsd, D::Inetutils, D::FreeBsd];
            let found = dialects.map(|dialect| families(protocol.as_bytes(), dialect));
            assert_eq!(found, expected, "{protocol}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_parsed(bytes: Vec<u8>) {
            parsed(&bytes);
        }

        #[test]
        fn any_fields_can_be_parsed(
            text in "(#<off>#|#|:|,|\\*|é|a|1|/|\\.| |\t|\n|tcp|wait|nowait){0,60}",
        ) {
            parsed(text.as_bytes());
        }
    }
}
