//! xinetd.conf(5), as xinetd 2.3.15 reads it.
//!
//! [`parse`] takes the bytes of one file, and [`evaluate`] the entries of all files in the order in
//! which xinetd reads them.

mod address;
mod attribute;
mod block;
mod check;
mod defaults;
mod entry;
mod inetd_conf;
mod lines;
mod note;
mod refusal;
mod socket;
mod value;

use std::collections::BTreeMap;

pub(crate) use address::{Pattern, numeric_address};
pub(crate) use block::{Assignment, Block, Item, Operator};
pub(crate) use inetd_conf::parse as parse_inetd_conf;
pub(crate) use lines::parse;
pub(crate) use note::{Note, NoteKind};
pub(crate) use refusal::Refusal;
pub(crate) use socket::{Address, Socket};

use super::{Position, System, Word};
use defaults::Defaults;
use entry::Draft;

/// What xinetd makes of its files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Configuration {
    /// The services in the order in which xinetd reads them, also those that it does not serve.
    pub(crate) services: Vec<Service>,
    /// Notes about lines outside of services.
    pub(crate) notes: Vec<Note>,
}

/// A service of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Service {
    pub(crate) name: Word,
    /// The id, which distinguishes services of one name.
    pub(crate) id: Word,
    /// The position of its keyword.
    pub(crate) position: Position,
    /// Why xinetd does not serve it; `None` if it does.
    pub(crate) refusal: Option<Refusal>,
    /// The attributes with the values that count, by their names in lower case; `interface` is `bind`.
    pub(crate) settings: BTreeMap<&'static str, Setting>,
    /// The socket that xinetd opens, or would open for a service that it does not serve.
    pub(crate) socket: Socket,
    /// Lines that xinetd reads in another way than they look.
    pub(crate) notes: Vec<Note>,
    /// Whether it is a line of inetd.conf, which xinetd reads with `-inetd_compat`.
    pub(crate) is_inetd_line: bool,
}

/// The values of an attribute that count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) values: Vec<Word>,
    /// What each of the values of an access list matches; empty for other attributes.
    pub(crate) patterns: Vec<Pattern>,
    /// The position of the attribute in the last line that counts.
    pub(crate) position: Position,
    /// Whether it comes from `defaults`.
    pub(crate) inherited: bool,
}

impl Service {
    /// Whether it is for TCP, as far as it says; a service that does not say it counts as one for TCP.
    pub(crate) fn is_tcp(&self) -> bool {
        self.socket.is_tcp()
    }

    pub(crate) fn setting(&self, attribute: &str) -> Option<&Setting> {
        self.settings.get(attribute)
    }
}

/// Evaluates the entries of all files, in the order in which xinetd reads them.
pub(crate) fn evaluate<'a>(
    items: impl IntoIterator<Item = &'a Item>,
    system: &dyn System,
) -> Configuration {
    let mut defaults = Defaults::default();
    let mut drafts: Vec<Draft> = Vec::new();
    for item in items {
        match item {
            Item::Service(block) => drafts.push(Draft::read(block, &defaults, system)),
            Item::Defaults(block) => defaults.read(block, !drafts.is_empty(), system),
            Item::InetdLine(line) => drafts.push(inetd_conf::draft(line, system)),
            Item::Include(..) | Item::IncludeDir(..) => {}
        }
    }
    let is_served = |draft: &Draft| draft.is_inetd_line && draft.dropped.is_none();
    if drafts.iter().any(is_served) {
        defaults.note_inetd();
    }
    let services = check::services(drafts, &defaults, system);
    Configuration {
        services,
        notes: defaults.notes,
    }
}
