//! The table of open connections, with their timers.

use std::collections::BTreeSet;
use std::time::Instant;

use mio::Token;
use slab::Slab;

use super::handler::Next;

/// Open connections by key.
#[derive(Debug)]
pub(super) struct Connections<C> {
    /// The token of key 0; smaller tokens are those of the listeners.
    first_token: usize,
    entries: Slab<Entry<C>>,
    /// When each connection with a timer has to be woken.
    timers: BTreeSet<(Instant, usize)>,
    /// Connections that returned [`Next::Yield`].
    yielded: Vec<usize>,
}

#[derive(Debug)]
struct Entry<C> {
    connection: C,
    timer: Option<Instant>,
    /// The key is in `yielded`.
    yielded: bool,
}

impl<C> Connections<C> {
    pub(super) fn new(first_token: usize) -> Connections<C> {
        Connections {
            first_token,
            entries: Slab::new(),
            timers: BTreeSet::new(),
            yielded: Vec::new(),
        }
    }

    /// The smallest token that is a connection's.
    pub(super) fn first_token(&self) -> usize {
        self.first_token
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn keys(&self) -> Vec<usize> {
        self.entries.iter().map(|(key, _)| key).collect()
    }

    /// The key of a token; the token must not be a listener's.
    pub(super) fn key(&self, token: Token) -> usize {
        token.0 - self.first_token
    }

    pub(super) fn token(&self, key: usize) -> Token {
        Token(self.first_token + key)
    }

    /// The key that the next [`Connections::insert`] will use.
    pub(super) fn next_key(&self) -> usize {
        self.entries.vacant_key()
    }

    pub(super) fn insert(&mut self, connection: C) {
        self.entries.insert(Entry {
            connection,
            timer: None,
            yielded: false,
        });
    }

    /// The connection with this key. `None` if it has been closed: an event that was already
    /// received may belong to it.
    pub(super) fn get_mut(&mut self, key: usize) -> Option<&mut C> {
        self.entries.get_mut(key).map(|entry| &mut entry.connection)
    }

    /// Stores what a connection waits for. Removes and returns the connection if it has ended.
    pub(super) fn update(&mut self, key: usize, next: Next) -> Option<C> {
        let entry = self.entries.get_mut(key)?;
        let timer = match next {
            Next::Wait(at) => at,
            Next::Yield | Next::Close => None,
        };
        if entry.timer != timer {
            if let Some(old) = entry.timer {
                self.timers.remove(&(old, key));
            }
            if let Some(at) = timer {
                self.timers.insert((at, key));
            }
            entry.timer = timer;
        }
        match next {
            Next::Wait(_) => {}
            // It is resumed once per iteration, however often it yields.
            Next::Yield if entry.yielded => {}
            Next::Yield => {
                entry.yielded = true;
                self.yielded.push(key);
            }
            Next::Close => return Some(self.entries.remove(key).connection),
        }
        None
    }

    /// The keys of the connections that yielded, to be resumed.
    pub(super) fn take_yielded(&mut self) -> Vec<usize> {
        let yielded = std::mem::take(&mut self.yielded);
        for key in &yielded {
            if let Some(entry) = self.entries.get_mut(*key) {
                entry.yielded = false;
            }
        }
        yielded
    }

    /// Returns whether a connection yielded.
    pub(super) fn any_yielded(&self) -> bool {
        !self.yielded.is_empty()
    }

    /// The key of a connection whose timer has expired. Its handler has to set another time.
    pub(super) fn expired(&self, now: Instant) -> Option<usize> {
        let (at, key) = self.timers.first().copied()?;
        (at <= now).then_some(key)
    }

    /// When the first timer expires.
    pub(super) fn next_timer(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_connection_has_one_timer_and_yields_once() {
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        let mut connections = Connections::new(3);
        let key = connections.next_key();
        connections.insert("a");
        assert_eq!(connections.key(connections.token(key)), key);
        connections.update(key, Next::Wait(Some(now)));
        connections.update(key, Next::Wait(Some(later)));
        assert_eq!(connections.expired(now), None);
        assert_eq!(connections.next_timer(), Some(later));
        connections.update(key, Next::Yield);
        connections.update(key, Next::Yield);
        assert_eq!(connections.next_timer(), None);
        assert_eq!(connections.take_yielded(), [key]);
        assert!(!connections.any_yielded());
        assert_eq!(connections.update(key, Next::Close), Some("a"));
        assert!(connections.is_empty() && connections.get_mut(key).is_none());
        assert_eq!(connections.update(key, Next::Yield), None);
    }
}
