//! Decides which connections are accepted: limits, access times, allow and deny lists.

mod access_times;
mod load_limit;
mod network;
mod penalty;
mod rate_limit;
mod refusal;
mod source;
mod source_rate;
mod source_table;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;

pub(crate) use self::access_times::TimeRange;
pub(crate) use self::load_limit::load;
pub(crate) use self::network::Network;
pub(crate) use self::penalty::Penalty;
pub(crate) use self::rate_limit::Rate;
pub(crate) use self::refusal::{Refusal, RefusalMessage, RefusalMessages};
pub(crate) use self::source::SourcePrefix;

use self::access_times::AccessTimes;
use self::load_limit::LoadLimit;
use self::penalty::Penalties;
use self::rate_limit::RateLimiter;
use self::source::Source;
use self::source_rate::SourceRateLimiter;
use super::options::{Options, SharedLimits, WhenFull};
use crate::connection::Peer;

/// Limits and rules that are not set by default.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    /// The rate limit.
    pub rate: Option<Rate>,
    /// The shortest time without connections once the rate limit is reached.
    pub rate_pause: Duration,
    /// The highest load average at which connections are accepted.
    pub max_load: Option<f64>,
    /// When connections are accepted; at any time if empty.
    pub access_times: Vec<TimeRange>,
    /// The networks that may connect; all if empty.
    pub allow: Vec<Network>,
    /// The networks that may not connect, even if allowed.
    pub deny: Vec<Network>,
    /// The messages for refused clients.
    pub messages: RefusalMessages,
}

/// Counts connections, in total and per source, and compares them with the limits.
#[derive(Debug)]
pub(crate) struct Admission {
    max: u32,
    source_prefix: SourcePrefix,
    max_per_source: Option<u32>,
    source_rate: Option<SourceRateLimiter>,
    penalties: Option<Penalties>,
    when_full: WhenFull,
    open: u32,
    sources: HashMap<Source, u32>,
    /// Connections whose client is not known, by proxy.
    pending: HashMap<Source, u32>,
    rate: Option<RateLimiter>,
    load: Option<LoadLimit>,
    access_times: AccessTimes,
    allow: Vec<Network>,
    deny: Vec<Network>,
    messages: RefusalMessages,
}

impl Admission {
    pub(crate) fn new(options: &Options, limits: Limits) -> Admission {
        Admission {
            max: options.max_connections,
            source_prefix: options.shared.source_prefix,
            max_per_source: options.per_source,
            source_rate: options.shared.rate_per_source.map(SourceRateLimiter::new),
            penalties: options.shared.penalty.map(Penalties::new),
            when_full: options.shared.when_full,
            open: 0,
            sources: HashMap::new(),
            pending: HashMap::new(),
            rate: limits
                .rate
                .map(|rate| RateLimiter::new(rate, limits.rate_pause)),
            load: limits.max_load.map(LoadLimit::new),
            access_times: AccessTimes::new(limits.access_times),
            allow: limits.allow,
            deny: limits.deny,
            messages: limits.messages,
        }
    }

    /// For what does not stay open, such as datagrams: see [`Admission::admit_event`].
    pub(crate) fn of_events(limits: Limits, shared: SharedLimits) -> Admission {
        let options = Options {
            shared,
            ..Options::default()
        };
        Admission::new(&options, limits)
    }

    /// Returns whether to call accept(2). If not, new connections wait in the backlog.
    pub(crate) fn may_accept(&mut self, now: Instant) -> bool {
        self.when_full == WhenFull::Refuse
            || (self.open < self.max && self.temporary_limit(now).is_none())
    }

    /// When [`Admission::may_accept`] may change to true even if no connection ends.
    pub(crate) fn may_accept_at(&mut self, now: Instant) -> Option<Instant> {
        match self.when_full {
            WhenFull::Refuse => None,
            WhenFull::Wait => self.temporary_limit(now).map(|(until, _)| until),
        }
    }

    /// The limit that applies to all new connections until some time.
    fn temporary_limit(&mut self, now: Instant) -> Option<(Instant, Refusal)> {
        let rate = self.rate.as_ref().and_then(|rate| rate.limited_until(now));
        if let Some(until) = rate {
            return Some((until, Refusal::Rate));
        }
        let load = self.load.as_mut().and_then(|load| load.exceeded_until(now));
        load.map(|until| (until, Refusal::Load))
    }

    /// Decides on a connection, and counts it if it is admitted.
    ///
    /// # Errors
    ///
    /// The reason to refuse it.
    pub(crate) fn admit(&mut self, peer: Peer, now: Instant) -> Result<(), Refusal> {
        let source = self.source_prefix.source(peer);
        let penalties = self.penalties.as_mut();
        if penalties.is_some_and(|penalties| penalties.refuse(source, now)) {
            return Err(Refusal::Penalty);
        }
        if !self.permits(peer) {
            return Err(Refusal::Address);
        }
        if !self.access_times.contain(Timestamp::now()) {
            return Err(Refusal::AccessTimes);
        }
        if self.open >= self.max {
            return Err(Refusal::Full);
        }
        if let Some((_, reason)) = self.temporary_limit(now) {
            return Err(reason);
        }
        let count = self.sources.get(&source).copied().unwrap_or(0);
        if self.max_per_source.is_some_and(|max| count >= max) {
            return Err(Refusal::Source);
        }
        if let Some(rate) = &mut self.source_rate {
            if !rate.admit(source, now) {
                return Err(Refusal::SourceRate);
            }
        }
        // Without a limit, connections are not counted by source.
        if self.max_per_source.is_some() {
            self.sources.insert(source, count + 1);
        }
        if let Some(rate) = &mut self.rate {
            rate.count(now);
        }
        self.open += 1;
        Ok(())
    }

    /// Returns whether the allow and deny lists permit this peer.
    fn permits(&self, peer: Peer) -> bool {
        match peer {
            Peer::Tcp(address) => {
                let listed =
                    |networks: &[Network]| networks.iter().any(|net| net.contains(address.ip()));
                !listed(&self.deny) && (self.allow.is_empty() || listed(&self.allow))
            }
            // A client that resets its connection at once has no address any more, but what it sent can still be read.
            Peer::Unknown => self.allow.is_empty() && self.deny.is_empty(),
            // Local clients have no address.
            Peer::Unix { .. } | Peer::CommandLine => true,
        }
    }

    /// Decides on something that does not stay open, such as a datagram, and counts it toward the rates.
    ///
    /// # Errors
    ///
    /// The reason to refuse it.
    pub(crate) fn admit_event(&mut self, peer: Peer, now: Instant) -> Result<(), Refusal> {
        self.admit(peer, now)?;
        self.release(peer);
        Ok(())
    }

    /// Counts a connection whose client is not known yet, or that has none: a check of the proxy. One proxy may have half of all connections in this state, so
    /// that it cannot keep out the clients of others.
    ///
    /// # Errors
    ///
    /// The concurrency limit is reached, or the proxy has its half.
    pub(crate) fn reserve(&mut self, proxy: Peer) -> Result<(), Refusal> {
        let proxy = SourcePrefix::WHOLE.source(proxy);
        let count = self.pending.get(&proxy).copied().unwrap_or(0);
        if self.open >= self.max || count >= self.max.div_ceil(2) {
            return Err(Refusal::Full);
        }
        self.pending.insert(proxy, count + 1);
        self.open += 1;
        Ok(())
    }

    /// Takes back [`Admission::reserve`].
    pub(crate) fn unreserve(&mut self, proxy: Peer) {
        self.open -= 1;
        uncount(&mut self.pending, SourcePrefix::WHOLE.source(proxy));
    }

    /// A source exceeded a limit of its own. Returns the penalty if one begins.
    pub(crate) fn penalise(&mut self, peer: Peer, now: Instant) -> Option<Penalty> {
        let source = self.source_prefix.source(peer);
        self.penalties.as_mut()?.begin(source, now)
    }

    /// The message for a client that is refused.
    pub(crate) fn message(&self, reason: Refusal) -> Vec<u8> {
        self.messages.text(reason)
    }

    /// An admitted connection has ended.
    pub(crate) fn release(&mut self, peer: Peer) {
        self.open -= 1;
        if self.max_per_source.is_none() {
            return;
        }
        uncount(&mut self.sources, self.source_prefix.source(peer));
    }

    /// Until when the rate limits and penalties matter. After that, a new process would accept the same
    /// connections as this one.
    pub(crate) fn limits_until(&self, now: Instant) -> Option<Instant> {
        let rate = self.rate.as_ref().and_then(|rate| rate.counts_until(now));
        let source_rate = self.source_rate.as_ref();
        let source_rate = source_rate.and_then(SourceRateLimiter::counts_until);
        let penalties = self.penalties.as_ref().and_then(Penalties::count_until);
        let all = [rate, source_rate, penalties].into_iter().flatten();
        all.filter(|until| now < *until).max()
    }

    /// The number of open connections.
    pub(crate) fn open(&self) -> u32 {
        self.open
    }
}

/// Counts a connection of a source less, and forgets the source with the last one.
fn uncount(sources: &mut HashMap<Source, u32>, source: Source) {
    if let Some(count) = sources.get_mut(&source) {
        *count -= 1;
        if *count == 0 {
            sources.remove(&source);
        }
    }
}

#[cfg(test)]
mod tests;
