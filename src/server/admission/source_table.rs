//! A table of sources in bounded memory.

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use super::source::Source;

/// The greatest number of sources in a table.
const CAPACITY: usize = 65_536;

/// What is known about sources, each until some time.
///
/// If the table is full, the source that would be forgotten first makes room. A source that did more
/// is remembered longer, so that a client cannot have one of its sources forgotten without doing more
/// with 65,536 others, which then are remembered instead.
#[derive(Debug)]
pub(super) struct SourceTable<V> {
    entries: HashMap<Source, (Instant, V)>,
    /// The same sources, by the time at which they are forgotten.
    order: BTreeSet<(Instant, Source)>,
    capacity: usize,
}

impl<V> Default for SourceTable<V> {
    fn default() -> SourceTable<V> {
        SourceTable::with_capacity(CAPACITY)
    }
}

impl<V> SourceTable<V> {
    fn with_capacity(capacity: usize) -> SourceTable<V> {
        SourceTable {
            entries: HashMap::new(),
            order: BTreeSet::new(),
            capacity,
        }
    }

    /// What is known about a source.
    pub(super) fn get_mut(&mut self, source: Source, now: Instant) -> Option<&mut V> {
        let (until, value) = self.entries.get_mut(&source)?;
        (now < *until).then_some(value)
    }

    /// Remembers a value until this time, in place of the source's former one.
    pub(super) fn insert(&mut self, source: Source, value: V, until: Instant, now: Instant) {
        while self.order.first().is_some_and(|(until, _)| *until <= now) {
            self.remove_first();
        }
        if let Some((former, _)) = self.entries.get(&source) {
            self.order.remove(&(*former, source));
        } else if self.entries.len() >= self.capacity {
            if self.order.first().is_some_and(|(first, _)| *first >= until) {
                return;
            }
            self.remove_first();
        }
        self.order.insert((until, source));
        self.entries.insert(source, (until, value));
    }

    /// Until when a source is remembered.
    pub(super) fn until(&self) -> Option<Instant> {
        self.order.last().map(|(until, _)| *until)
    }

    fn remove_first(&mut self) {
        if let Some((_, source)) = self.order.pop_first() {
            self.entries.remove(&source);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_source_is_remembered_until_its_time() {
        let start = Instant::now();
        let mut table = SourceTable::default();
        let source = Source::User(1);
        table.insert(source, 'a', start + SECOND, start);
        table.insert(source, 'b', start + SECOND * 2, start);
        assert_eq!(table.get_mut(source, start + SECOND), Some(&mut 'b'));
        assert_eq!(table.until(), Some(start + SECOND * 2));
        assert_eq!(table.get_mut(source, start + SECOND * 2), None);
        let later = start + SECOND * 3;
        table.insert(Source::User(2), 'c', later + SECOND, later);
        assert_eq!((table.entries.len(), table.order.len()), (1, 1));
    }

    #[test]
    fn a_full_table_forgets_only_who_did_less() {
        let start = Instant::now();
        let mut table = SourceTable::with_capacity(100);
        let worst = Source::User(0);
        table.insert(worst, 0, start + SECOND * 60, start);
        for other in 1..10_000 {
            table.insert(Source::User(other), other, start + SECOND * 10, start);
        }
        assert_eq!((table.entries.len(), table.order.len()), (100, 100));
        assert_eq!(table.get_mut(worst, start), Some(&mut 0));
        let worse = Source::User(10_001);
        table.insert(worse, 1, start + SECOND * 61, start);
        assert_eq!(table.get_mut(worse, start), Some(&mut 1));
        assert_eq!(table.entries.len(), 100);
    }
}
