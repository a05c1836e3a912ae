//! The `defaults`.

use super::attribute::Attribute;
use super::block::{Block, Operator};
use super::entry::{EARLY, Settings};
use super::note::{Note, NoteKind};
use super::value::BadValue;
use crate::superserver::{Position, System};

/// What `defaults` have set so far.
#[derive(Debug, Default)]
pub(super) struct Defaults {
    pub(super) settings: Settings,
    /// The bad value that ends xinetd.
    pub(super) fatal: Option<Position>,
    pub(super) notes: Vec<Note>,
}

impl Defaults {
    /// Reads a block, after other services if `is_late`.
    pub(super) fn read(&mut self, block: &Block, is_late: bool, system: &dyn System) {
        for line in &block.assignments {
            let Some(attribute) = Attribute::of_defaults(&line.name) else {
                let kind = NoteKind::NotInDefaults(line.name.clone());
                self.settings.note(line, kind);
                continue;
            };
            let name = attribute.name;
            let mut line = line.clone();
            let is_switch = ["enabled", "disabled"].contains(&name);
            if is_switch && line.operator == Operator::Remove {
                let kind = NoteKind::RemoveAdds(line.name.clone());
                self.settings.note(&line, kind);
            }
            if is_switch || (attribute.is_list() && line.operator == Operator::Set) {
                line.operator = Operator::Add;
            }
            if is_late && EARLY.contains(&name) && is_early_only(name) {
                let kind = NoteKind::DefaultsTooLate(line.name.clone());
                self.settings.note(&line, kind);
            }
            let is_second_log = name == "log_type" && self.settings.values.contains_key(name);
            let set = match is_second_log {
                true => Err(BadValue {
                    index: 0,
                    why: "it was set before".into(),
                }),
                false => self.settings.assign(&line, attribute, system),
            };
            if let Err(BadValue { why, .. }) = set {
                let attribute = line.name.clone();
                self.settings
                    .note(&line, NoteKind::Fatal { attribute, why });
                self.fatal.get_or_insert(line.position.clone());
            }
        }
        self.notes.append(&mut self.settings.notes);
    }

    /// Notes what services in inetd.conf do not inherit.
    pub(super) fn note_inetd(&mut self) {
        for name in EARLY.into_iter().filter(|name| is_early_only(name)) {
            if let Some(setting) = self.settings.values.get(name) {
                let position = setting.position.clone();
                let kind = NoteKind::DefaultsNotForInetd(name);
                self.notes.push(Note { position, kind });
            }
        }
    }
}

/// Whether a service that has not inherited it when xinetd read it does not inherit it at the end.
fn is_early_only(name: &str) -> bool {
    !name.starts_with("log_") && name != "passenv"
}
