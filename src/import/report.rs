//! What becomes of the attributes of a service.

use crate::superserver::Position;

/// What becomes of an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It has the same effect.
    Kept,
    /// It has nearly the same effect.
    Otherwise,
    /// It has no effect any more.
    Lost,
}

/// An attribute and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The attribute as it is written, or what it is about.
    pub(crate) attribute: String,
    /// `None` for a default.
    pub(crate) position: Option<Position>,
    pub(crate) fate: Fate,
    /// How it is kept, or why it is not and what to do.
    pub(crate) text: String,
}

/// Why a service has no units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Obstacle {
    pub(crate) why: String,
    /// What to do.
    pub(crate) hint: Option<String>,
}

/// What becomes of a service.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) entries: Vec<Entry>,
    pub(crate) obstacles: Vec<Obstacle>,
    /// Its program does not serve it either.
    pub(crate) is_unserved: bool,
}

impl Report {
    pub(crate) fn obstacle(&mut self, why: impl Into<String>, hint: Option<&str>) {
        self.obstacles.push(Obstacle {
            why: why.into(),
            hint: hint.map(str::to_owned),
        });
    }

    pub(crate) fn add(
        &mut self,
        fate: Fate,
        attribute: impl Into<String>,
        position: Option<&Position>,
        text: impl Into<String>,
    ) {
        self.entries.push(Entry {
            attribute: attribute.into(),
            position: position.cloned(),
            fate,
            text: text.into(),
        });
    }
}
