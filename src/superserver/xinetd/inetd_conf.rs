//! inetd.conf as xinetd reads it with `-inetd_compat`, which is stricter than inetd: the names of services
//! and not their ports or addresses, the protocols in /etc/protocols, `USER.GROUP`, no number after `nowait`.

use std::path::Path;
use std::rc::Rc;

use super::block::{File, Item, Operator};
use super::entry::{Draft, Settings};
use super::note::{Note, NoteKind};
use super::refusal::Refusal;
use super::{Setting, value};
use crate::superserver::inetd::{DISABLED, split};
use crate::superserver::word::{is_space, lines, words};
use crate::superserver::{Position, System, Word};

/// The built-in services whose id is not their name.
const OTHER_IDS: [&str; 4] = ["time", "daytime", "chargen", "echo"];

/// A line of inetd.conf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// The position of its first word.
    position: Position,
    name: Word,
    socket_type: Word,
    protocol: Word,
    wait: Word,
    user: Word,
    program: Word,
    /// The arguments, `argv[0]` first.
    arguments: Vec<Word>,
    /// Whether update-inetd(8) disabled it.
    is_disabled: bool,
}

/// Parses /etc/inetd.conf.
pub(crate) fn parse(path: &Rc<Path>, bytes: &[u8]) -> File {
    let mut file = File::default();
    for (number, line) in lines(bytes) {
        let start = line.iter().take_while(|byte| is_space(**byte)).count();
        let off = line[start..].strip_prefix(DISABLED);
        let words = match off {
            Some(rest) => words(rest, start + DISABLED.len() + 1),
            None => words(line, 1),
        };
        let is_disabled = off.is_some();
        let Some(first) = words.first().filter(|word| !word.bytes.starts_with(b"#")) else {
            continue;
        };
        let position = Position {
            file: Rc::clone(path),
            line: number,
            column: first.column,
        };
        match words.as_slice() {
            [
                name,
                socket_type,
                protocol,
                wait,
                user,
                program,
                arguments @ ..,
            ] => {
                file.items.push(Item::InetdLine(Line {
                    position,
                    name: name.clone(),
                    socket_type: socket_type.clone(),
                    protocol: protocol.clone(),
                    wait: wait.clone(),
                    user: user.clone(),
                    program: program.clone(),
                    arguments: arguments.to_vec(),
                    is_disabled,
                }));
            }
            // A comment of the administrator can follow the mark.
            _ if is_disabled || start == line.len() => {}
            _ => {
                let kind = NoteKind::TooFewFields(words.len());
                file.notes.push(Note { position, kind });
            }
        }
    }
    file
}

/// The service of a line.
pub(super) fn draft(line: &Line, system: &dyn System) -> Draft {
    let (name, versions) = split(&line.name, b'/');
    let mut reader = Reader {
        line,
        settings: Settings::default(),
        refusal: line.is_disabled.then_some(Refusal::Off),
    };
    reader.socket_type(system);
    reader.protocol(versions, system);
    reader.wait();
    reader.user(system);
    reader.program(&name);
    Draft {
        name,
        position: line.position.clone(),
        settings: reader.settings,
        dropped: reader.refusal,
        marked: None,
        is_inetd_line: true,
    }
}

struct Reader<'a> {
    line: &'a Line,
    settings: Settings,
    /// Why xinetd drops the line.
    refusal: Option<Refusal>,
}

impl Reader<'_> {
    fn socket_type(&mut self, system: &dyn System) {
        let word = &self.line.socket_type;
        let words = vec![word.clone()];
        if let Err(bad) = value::check("socket_type", Operator::Set, &words, system) {
            self.drop(word, "socket_type", bad.why);
        }
        self.set("socket_type", words);
    }

    fn protocol(&mut self, versions: Option<Word>, system: &dyn System) {
        let protocol = &self.line.protocol;
        let is_rpc = protocol.bytes.windows(3).any(|part| part == b"rpc");
        let name = match (is_rpc, versions) {
            (false, _) => protocol.clone(),
            (true, Some(versions)) => {
                self.set("type", vec![own(protocol, "RPC")]);
                self.set("rpc_version", vec![versions]);
                split(protocol, b'/').1.unwrap_or_else(|| protocol.clone())
            }
            (true, None) => {
                let why = "an RPC service has its versions after its name: NAME/VERSION";
                return self.drop(protocol, "protocol", why.into());
            }
        };
        if system.protocol(&name.bytes).is_none() {
            let why = format!("{name} is not in /etc/protocols");
            self.drop(protocol, "protocol", why);
        }
        self.set("protocol", vec![name]);
    }

    /// Whatever is not `wait` counts as `nowait`.
    fn wait(&mut self) {
        let wait = &self.line.wait;
        let value = if wait.is("wait") { "yes" } else { "no" };
        if !wait.is("wait") && !wait.is("nowait") {
            self.note(wait, NoteKind::TakenForNowait(wait.clone()));
        }
        self.set("wait", vec![own(wait, value)]);
    }

    fn user(&mut self, system: &dyn System) {
        let word = &self.line.user;
        self.set("groups", vec![own(word, "yes")]);
        let (user, group) = split(word, b'.');
        if let Some(group) = group {
            if !system.has_group(&group.bytes) {
                self.drop(word, "group", format!("there is no group {group}"));
            }
            self.set("group", vec![group]);
        }
        if !system.has_user(&user.bytes) {
            self.drop(word, "user", format!("there is no user {user}"));
        }
        self.set("user", vec![user]);
    }

    fn program(&mut self, name: &Word) {
        let program = &self.line.program;
        if !program.is("internal") {
            let flags = ["REUSE", "NOLIBWRAP", "NAMEINARGS"];
            self.set("server", vec![program.clone()]);
            self.set("server_args", self.line.arguments.clone());
            self.set("flags", flags.map(|flag| own(program, flag)).to_vec());
            return;
        }
        self.set("type", vec![own(program, "INTERNAL")]);
        if name.is("discard") {
            let refusal = Refusal::NotBuiltIn(name.clone());
            self.refusal.get_or_insert(refusal);
        }
        if OTHER_IDS.iter().any(|known| name.is(known)) {
            // For TCP too.
            self.set("id", vec![own(name, &format!("{name}-dgram"))]);
        }
    }

    fn set(&mut self, attribute: &'static str, values: Vec<Word>) {
        let position = self.position(values.first());
        let setting = Setting {
            values,
            patterns: Vec::new(),
            position,
            inherited: false,
        };
        self.settings.specify(attribute, setting);
    }

    /// Drops the line, unless a field before has dropped it.
    fn drop(&mut self, word: &Word, attribute: &str, why: String) {
        let attribute = own(word, attribute);
        let kind = NoteKind::BadValue {
            attribute: attribute.clone(),
            why: why.clone(),
        };
        self.note(word, kind);
        let line = self.line.position.line;
        self.refusal.get_or_insert(Refusal::BadValue {
            attribute,
            line,
            why,
        });
    }

    fn note(&mut self, word: &Word, kind: NoteKind) {
        let position = self.position(Some(word));
        self.settings.notes.push(Note { position, kind });
    }

    fn position(&self, word: Option<&Word>) -> Position {
        let position = self.line.position.clone();
        Position {
            column: word.map_or(position.column, |word| word.column),
            ..position
        }
    }
}

/// A value that the file does not have in this form.
fn own(at: &Word, text: &str) -> Word {
    Word {
        bytes: text.into(),
        column: at.column,
    }
}
