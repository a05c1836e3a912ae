//! Where xinetd reads something else than the author of a file meant.

use std::fmt;

use super::block::Fault;
use crate::superserver::{Position, Word};

/// A line that xinetd reads in another way than it looks. Its Display is a sentence without the
/// position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) position: Position,
    pub(crate) kind: NoteKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoteKind {
    /// A line outside of entries that begins with another word than a keyword.
    StrayLine(Word),
    /// `service`, `include` or `includedir` without a name.
    NameMissing(Word),
    /// Words after the name of a service, a file or a directory.
    WordsDropped(Vec<Word>),
    /// A second `defaults` in a file.
    SecondDefaults,
    /// `defaults` without a lone `{`.
    DefaultsLost,
    /// A fault in a line of `defaults`.
    DefaultsCut(Fault),
    /// `defaults`, `include` or `includedir` among lines that are skipped because of a fault in
    /// another line.
    EntrySkipped(Word, usize),
    /// A bad value in `defaults`.
    Fatal { attribute: Word, why: String },
    /// An attribute that xinetd does not know.
    Unknown(Word),
    /// An attribute that xinetd does not take in `defaults`.
    NotInDefaults(Word),
    /// An attribute that an earlier line has set.
    Repeated(Word),
    /// `+=` or `-=` for an attribute that does not have them.
    NoSuchOperator(Word),
    /// A wrong number of values. `comment` is true if one of them begins with `#`.
    WrongCount {
        attribute: Word,
        wanted: usize,
        found: usize,
        comment: bool,
    },
    /// A value that begins with `#`: with the words after it, it is a part of the value.
    CommentIsValue(Word),
    /// A bad value: it disables the service.
    BadValue { attribute: Word, why: String },
    /// `disable = no` after a bad value.
    EnabledAgain,
    /// `-=` for `enabled` or `disabled`, where it adds.
    RemoveAdds(Word),
    /// An address or name that xinetd drops from an access list.
    AddressDropped(Word),
    /// `a.b.c.d/255.255.255.0`, or an IPv6 address with /128.
    AddressMismatch(Word, &'static str),
    /// `localhost` in an access list.
    LocalhostByName,
    /// `v6only = no`, which xinetd takes for `yes`.
    V6OnlyNo,
    /// `flags = NAMEINARGS` after `server_args`.
    NameInArgsTooLate,
    /// `socket_type = dgram` without `wait = yes`.
    DatagramsWithoutWait,
    /// `type = RPC` with a `port`.
    PortIgnored,
    /// The `defaults` come after a service, which does not have their lists and banners.
    DefaultsTooLate(Word),
    /// `flags = IPv4` and an IPv6 address in `bind`: xinetd listens on all IPv4 addresses.
    BindIgnored,
    /// `only_from` and others in `defaults`, and a service in inetd.conf, which does not have them.
    DefaultsNotForInetd(&'static str),
    /// A word of inetd.conf in the place of `wait` or `nowait`, such as `wait.40`.
    TakenForNowait(Word),
    /// A line of inetd.conf has fewer fields than a service.
    TooFewFields(usize),
    /// A file that is included while it is read.
    Recursion,
    /// An included name that is not an absolute path.
    Relative(Word),
    /// More included files than are read.
    TooManyFiles,
    /// Files include each other deeper than they are read.
    TooDeep(usize),
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use NoteKind as Kind;
        match &self.kind {
            Kind::StrayLine(word) => write!(
                f,
                "{word} is not a keyword: xinetd skips all lines up to the next line with }} alone"
            ),
            Kind::NameMissing(word) => write!(
                f,
                "no name after {word}: xinetd skips all lines up to the next line with }} alone"
            ),
            Kind::WordsDropped(words) => {
                f.write_str("xinetd drops the words after the name:")?;
                words.iter().try_for_each(|word| write!(f, " {word}"))
            }
            Kind::SecondDefaults => f.write_str("xinetd ignores a second defaults in a file"),
            Kind::DefaultsLost => {
                f.write_str("xinetd drops the defaults: the next line is not { alone")
            }
            Kind::DefaultsCut(fault) => {
                write!(f, "xinetd drops the rest of the defaults: {fault}")
            }
            Kind::EntrySkipped(word, line) => {
                write!(f, "xinetd skips this {word} after the fault in line {line}")
            }
            Kind::Fatal { attribute, why } => {
                write!(f, "xinetd does not start: {attribute} in defaults: {why}")
            }
            Kind::Unknown(word) => write!(f, "xinetd does not know {word} and ignores the line"),
            Kind::NotInDefaults(word) => {
                write!(
                    f,
                    "xinetd ignores {word}, which is not an attribute of defaults"
                )
            }
            Kind::Repeated(word) => {
                write!(f, "xinetd ignores the line: {word} was set before")
            }
            Kind::NoSuchOperator(word) => {
                write!(f, "xinetd ignores the line: {word} takes = only")
            }
            Kind::WrongCount {
                attribute,
                wanted,
                found,
                comment,
            } => {
                let why = match comment {
                    true => " (xinetd has no comments after a value)",
                    false => "",
                };
                let values = if *wanted == 1 { "value" } else { "values" };
                write!(
                    f,
                    "xinetd ignores the line: {attribute} takes {wanted} {values}, not {found}{why}"
                )
            }
            Kind::CommentIsValue(word) => {
                write!(f, "xinetd takes the comment for values of {word}")
            }
            Kind::BadValue { attribute, why } => {
                write!(f, "xinetd disables the service: {attribute}: {why}")
            }
            Kind::EnabledAgain => {
                f.write_str("disable = no enables the service again after the bad value before it")
            }
            Kind::RemoveAdds(word) => write!(f, "-= adds to {word}, as = does"),
            Kind::AddressDropped(word) => {
                write!(f, "xinetd drops {word} from the list: it has no address")
            }
            Kind::AddressMismatch(word, what) => write!(f, "xinetd takes {word} for {what}"),
            Kind::LocalhostByName => f.write_str(
                "xinetd compares localhost with the name of the client, which 127.0.0.1 does not \
                 have at an IPv6 socket",
            ),
            Kind::V6OnlyNo => f.write_str("xinetd takes v6only = no for yes"),
            Kind::NameInArgsTooLate => f.write_str(
                "flags = NAMEINARGS after server_args: the program gets none of its arguments",
            ),
            Kind::DatagramsWithoutWait => f.write_str(
                "socket_type = dgram without wait = yes: xinetd 2.3.15.3 of Debian 12 serves it, \
                 and 2.3.15.4 of Debian 13 refuses it",
            ),
            Kind::PortIgnored => f.write_str("xinetd ignores the port of an RPC service"),
            Kind::DefaultsTooLate(word) => write!(
                f,
                "{word} of defaults does not apply to services that xinetd has read before"
            ),
            Kind::BindIgnored => f.write_str(
                "bind has an IPv6 address, and flags has IPv4: xinetd listens on all IPv4 \
                 addresses",
            ),
            Kind::DefaultsNotForInetd(name) => write!(
                f,
                "{name} of defaults does not apply to the services in inetd.conf"
            ),
            Kind::TakenForNowait(word) => write!(f, "xinetd takes {word} for nowait"),
            Kind::TooFewFields(found) => {
                let fields = if *found == 1 { "field" } else { "fields" };
                write!(
                    f,
                    "{found} {fields}, but a service has 6 or more: xinetd may crash on the line"
                )
            }
            Kind::Recursion => f.write_str("the file includes itself"),
            Kind::Relative(word) => write!(
                f,
                "{word} is relative to the working directory of xinetd, taken to be /"
            ),
            Kind::TooManyFiles => f.write_str("not read: too many included files"),
            Kind::TooDeep(limit) => write!(
                f,
                "not read: files include each other more than {limit} deep"
            ),
        }
    }
}
