//! The attributes of one entry.

use std::collections::{BTreeMap, BTreeSet};

use super::address::{self, Parsed};
use super::attribute::{Attribute, Count};
use super::block::{Assignment, Block, Operator};
use super::defaults::Defaults;
use super::note::{Note, NoteKind};
use super::refusal::Refusal;
use super::value::{self, BadValue};
use super::{Pattern, Setting};
use crate::superserver::meant::is_localhost;
use crate::superserver::{Position, System, Word};

/// What services inherit from `defaults` when xinetd reads them: later defaults do not count, and lines of
/// inetd.conf inherit nothing then.
pub(super) const EARLY: [&str; 8] = [
    "log_on_success",
    "log_on_failure",
    "only_from",
    "no_access",
    "passenv",
    "banner",
    "banner_success",
    "banner_fail",
];

/// The attributes that lines of an entry have set.
#[derive(Debug, Default)]
pub(super) struct Settings {
    pub(super) values: BTreeMap<&'static str, Setting>,
    /// The attributes that this entry has set, and not `defaults`.
    specified: BTreeSet<&'static str>,
    pub(super) notes: Vec<Note>,
}

impl Settings {
    pub(super) fn is_specified(&self, attribute: &str) -> bool {
        self.specified.contains(attribute)
    }

    /// Sets an attribute that is good, and that no line has set before.
    pub(super) fn specify(&mut self, attribute: &'static str, setting: Setting) {
        self.values.insert(attribute, setting);
        self.specified.insert(attribute);
    }

    /// Whether one of an attribute's values is this word.
    pub(super) fn has(&self, attribute: &str, word: &str) -> bool {
        let setting = self.values.get(attribute);
        setting.is_some_and(|setting| setting.values.iter().any(|value| value.is(word)))
    }

    pub(super) fn first(&self, attribute: &str) -> Option<&Word> {
        self.values.get(attribute)?.values.first()
    }

    /// Sets an attribute as a line says.
    ///
    /// # Errors
    ///
    /// A value is bad; the values before it are set. A line that xinetd ignores has a note instead.
    pub(super) fn assign(
        &mut self,
        line: &Assignment,
        attribute: Attribute,
        system: &dyn System,
    ) -> Result<(), BadValue> {
        let Attribute { name, count } = attribute;
        let word = || line.name.clone();
        if !attribute.is_list() && self.is_specified(name) {
            self.note(line, NoteKind::Repeated(word()));
            return Ok(());
        }
        if !attribute.is_list() && line.operator != Operator::Set {
            self.note(line, NoteKind::NoSuchOperator(word()));
            return Ok(());
        }
        let has_comment = line
            .values
            .iter()
            .any(|value| value.bytes.starts_with(b"#"));
        match count {
            Count::Exactly(wanted) if wanted != line.values.len() => {
                let kind = NoteKind::WrongCount {
                    attribute: word(),
                    wanted,
                    found: line.values.len(),
                    comment: has_comment,
                };
                self.note(line, kind);
                return Ok(());
            }
            _ if has_comment => self.note(line, NoteKind::CommentIsValue(word())),
            _ => {}
        }
        let checked = value::check(name, line.operator, &line.values, system);
        let good = match &checked {
            Ok(()) => line.values.len(),
            Err(bad) => bad.index,
        };
        self.set(line, name, &line.values[..good], system);
        if checked.is_ok() {
            self.specified.insert(name);
        }
        checked
    }

    /// Sets, adds or removes good values.
    fn set(&mut self, line: &Assignment, name: &'static str, values: &[Word], system: &dyn System) {
        let (values, patterns) = match name {
            "only_from" | "no_access" => self.patterns(line, values, system),
            _ => (values.to_vec(), Vec::new()),
        };
        let old = self.values.remove(name);
        let mut setting = old.unwrap_or(Setting {
            values: Vec::new(),
            patterns: Vec::new(),
            position: line.position.clone(),
            inherited: false,
        });
        setting.position = line.position.clone();
        setting.inherited = false;
        match line.operator {
            Operator::Set => {
                setting.values = values;
                setting.patterns = patterns;
            }
            Operator::Add => {
                setting.values.extend(values);
                setting.patterns.extend(patterns);
            }
            Operator::Remove if patterns.is_empty() => {
                let same = |a: &Word, b: &Word| a.bytes.eq_ignore_ascii_case(&b.bytes);
                let removed = |value: &Word| values.iter().any(|gone| same(gone, value));
                setting.values.retain(|value| !removed(value));
            }
            Operator::Remove => {
                let pairs = setting.values.into_iter().zip(setting.patterns);
                let kept = pairs.filter(|(_, pattern)| !patterns.contains(pattern));
                (setting.values, setting.patterns) = kept.unzip();
            }
        }
        self.values.insert(name, setting);
    }

    /// The patterns of an access list, each with its word, without the words that xinetd drops.
    fn patterns(
        &mut self,
        line: &Assignment,
        words: &[Word],
        system: &dyn System,
    ) -> (Vec<Word>, Vec<Pattern>) {
        let mut pairs = Vec::new();
        for word in words {
            match address::parse(&word.bytes, system) {
                Parsed::Patterns(patterns) => {
                    if is_localhost(word) {
                        self.note(line, NoteKind::LocalhostByName);
                    }
                    pairs.extend(patterns.into_iter().map(|p| (word.clone(), p)));
                }
                Parsed::Mismatch(pattern, what) => {
                    self.note(line, NoteKind::AddressMismatch(word.clone(), what));
                    pairs.push((word.clone(), pattern));
                }
                Parsed::Dropped => self.note(line, NoteKind::AddressDropped(word.clone())),
                Parsed::Bad(_) => {}
            }
        }
        pairs.into_iter().unzip()
    }

    pub(super) fn note(&mut self, line: &Assignment, kind: NoteKind) {
        let position = line.position.clone();
        self.notes.push(Note { position, kind });
    }

    /// Takes an attribute from the defaults.
    pub(super) fn inherit(&mut self, defaults: &Defaults, attribute: &'static str) {
        if let Some(setting) = defaults.settings.values.get(attribute) {
            let inherited = true;
            let setting = Setting {
                inherited,
                ..setting.clone()
            };
            self.values.insert(attribute, setting);
        }
    }
}

/// A service as xinetd has it after reading its entry.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) name: Word,
    pub(super) position: Position,
    pub(super) settings: Settings,
    /// Why xinetd has dropped the entry while reading it.
    pub(super) dropped: Option<Refusal>,
    /// The bad value because of which xinetd has marked the service as disabled; `enabled` in the
    /// defaults can still enable it.
    pub(super) marked: Option<Refusal>,
    /// Whether it is a line of inetd.conf.
    pub(super) is_inetd_line: bool,
}

impl Draft {
    pub(super) fn read(block: &Block, defaults: &Defaults, system: &dyn System) -> Draft {
        let mut draft = Draft {
            name: block.name.clone(),
            position: block.position.clone(),
            settings: Settings::default(),
            dropped: None,
            marked: None,
            is_inetd_line: false,
        };
        for attribute in EARLY {
            draft.settings.inherit(defaults, attribute);
        }
        let fault = block.fault.as_ref();
        for line in &block.assignments {
            if fault.is_some_and(|fault| fault.position.line < line.position.line) {
                draft.lose(block);
            }
            draft.read_line(line, system);
        }
        draft.lose(block);
        draft
    }

    /// Drops the entry if it has a fault, and was not dropped before.
    fn lose(&mut self, block: &Block) {
        if self.dropped.is_none() {
            self.dropped = block.fault.clone().map(Refusal::Lost);
        }
    }

    fn read_line(&mut self, line: &Assignment, system: &dyn System) {
        let Some(attribute) = Attribute::of_service(&line.name) else {
            let kind = NoteKind::Unknown(line.name.clone());
            self.settings.note(line, kind);
            return;
        };
        let is_set_before = self.settings.is_specified(attribute.name);
        let had_arguments = self.settings.values.contains_key("server_args");
        let set = self.settings.assign(line, attribute, system);
        if let Err(BadValue { why, .. }) = set {
            let attribute = line.name.clone();
            let kind = NoteKind::BadValue {
                attribute: attribute.clone(),
                why: why.clone(),
            };
            self.settings.note(line, kind);
            let line = line.position.line;
            self.marked = Some(Refusal::BadValue {
                attribute,
                line,
                why,
            });
        }
        let is_now_set = self.settings.is_specified(attribute.name) && !is_set_before;
        match attribute.name {
            "disable" => self.disable(line, is_now_set),
            "v6only" if is_now_set && self.settings.has("v6only", "no") => {
                self.settings.note(line, NoteKind::V6OnlyNo);
            }
            "flags" if had_arguments && self.settings.has("flags", "NAMEINARGS") => {
                self.settings.note(line, NoteKind::NameInArgsTooLate);
            }
            _ => {}
        }
    }

    /// Does what a `disable` line does: `yes` drops the entry, `no` clears the mark of a bad value,
    /// and a line that is ignored drops a marked entry.
    fn disable(&mut self, line: &Assignment, is_set: bool) {
        if self.dropped.is_some() {
            return;
        }
        if is_set && self.settings.has("disable", "yes") {
            self.dropped = Some(Refusal::Disable(line.position.clone()));
        } else if is_set {
            if self.marked.take().is_some() {
                self.settings.note(line, NoteKind::EnabledAgain);
            }
        } else {
            self.dropped.clone_from(&self.marked);
        }
    }

    pub(super) fn id(&self) -> &Word {
        self.settings.first("id").unwrap_or(&self.name)
    }
}
