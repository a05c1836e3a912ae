//! Files of xinetd as their authors meant them, where xinetd reads something else.

use super::xinetd::{Assignment, Block, Item, NoteKind, Operator, Refusal};
use super::{Position, Word};

/// How files are read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Reading {
    /// As xinetd reads them.
    #[default]
    AsXinetd,
    /// A word that begins with `#` begins a comment, a mask in dots and /128 are masks, localhost stands
    /// for 127.0.0.1 and ::1, and a service with a port needs no entry in the services database.
    AsMeant,
}

/// Whether [`Reading::AsMeant`] takes another meaning of the line.
pub(crate) fn differs(note: &NoteKind) -> bool {
    match note {
        NoteKind::WrongCount { comment, .. } => *comment,
        NoteKind::CommentIsValue(_) | NoteKind::LocalhostByName => true,
        NoteKind::AddressMismatch(word, _) => prefix(word).is_some(),
        _ => false,
    }
}

/// Whether [`Reading::AsMeant`] may serve the service.
pub(crate) fn serves(refusal: &Refusal) -> bool {
    match refusal {
        Refusal::OtherPort { .. } => true,
        Refusal::NotListed { has_port, .. } => *has_port,
        _ => false,
    }
}

/// The entry as its author meant it.
pub(super) fn meant(item: Item) -> Item {
    match item {
        Item::Service(block) => Item::Service(unlisted(plain(block))),
        Item::Defaults(block) => Item::Defaults(plain(block)),
        item => item,
    }
}

/// Removes comments after values, and replaces masks that xinetd does not read as such.
fn plain(mut block: Block) -> Block {
    for line in &mut block.assignments {
        let mut values = line.values.iter();
        let comment = values.position(|word| word.bytes.starts_with(b"#"));
        line.values.truncate(comment.unwrap_or(line.values.len()));
        if line.name.is("only_from") || line.name.is("no_access") {
            let words = std::mem::take(&mut line.values);
            line.values = words.into_iter().flat_map(addresses).collect();
        }
    }
    block
}

/// Whether a word of an access list stands for the addresses of the system itself.
pub(super) fn is_localhost(word: &Word) -> bool {
    word.bytes == b"localhost"
}

/// The addresses that a word of an access list stands for.
fn addresses(word: Word) -> Vec<Word> {
    let bytes = match prefix(&word) {
        Some(bytes) => vec![bytes],
        None if is_localhost(&word) => vec![b"127.0.0.1".to_vec(), b"::1".to_vec()],
        None => return vec![word],
    };
    let column = word.column;
    let words = bytes.into_iter().map(|bytes| Word { bytes, column });
    words.collect()
}

/// `ADDRESS/BITS` for an address with a mask in dots, and an IPv6 address alone instead of with /128.
fn prefix(word: &Word) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(&word.bytes).ok()?;
    let (address, mask) = text.split_once('/')?;
    if mask == "128" && address.parse::<std::net::Ipv6Addr>().is_ok() {
        return Some(address.into());
    }
    let mask: std::net::Ipv4Addr = mask.parse().ok()?;
    let bits = mask.to_bits().leading_ones();
    let is_prefix = mask.to_bits().count_ones() == bits;
    is_prefix.then(|| format!("{address}/{bits}").into_bytes())
}

/// Has a service with a port need no entry in the services database.
fn unlisted(mut block: Block) -> Block {
    let find = |name| block.assignments.iter().position(|line| line.name.is(name));
    if find("port").is_none() {
        return block;
    }
    let word = |text: &str| Word {
        bytes: text.into(),
        column: 1,
    };
    match find("type") {
        Some(at) => {
            let values = &mut block.assignments[at].values;
            if !values.iter().any(|value| value.is("UNLISTED")) {
                values.push(word("UNLISTED"));
            }
        }
        None => {
            let position = Position {
                column: 1,
                ..block.position.clone()
            };
            let line = Assignment {
                position,
                name: word("type"),
                operator: Operator::Set,
                values: vec![word("UNLISTED")],
            };
            block.assignments.insert(0, line);
        }
    }
    block
}
