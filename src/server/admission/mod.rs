//! Who may come in.

mod hours;
mod load;
mod range;
mod rate;
mod source;
mod words;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;

pub use self::hours::Span;
pub use self::load::load;
pub use self::range::Range;
pub use self::rate::Rate;
pub use self::words::{Message, Reason, Words};

use self::hours::Hours;
use self::load::Load;
use self::rate::Meter;
use self::source::Source;
use super::options::{Options, WhenFull};
use crate::connection::Peer;

/// Limits that are not set by default.
#[derive(Debug, Default)]
pub struct Limits {
    /// How many may come in how much time.
    pub rate: Option<Rate>,
    /// How long nobody may come once that is reached; if longer than that time.
    pub rate_pause: Duration,
    /// The load average up to which somebody may come.
    pub max_load: Option<f64>,
    /// When somebody may come; always where there is none.
    pub access_times: Vec<Span>,
    /// Who may come; everyone where there is none.
    pub allow: Vec<Range>,
    /// Who may not come, allowed or not.
    pub deny: Vec<Range>,
    /// What refused clients are told.
    pub words: Words,
}

/// Counts connections, altogether and by where they come from, and knows the limits.
#[derive(Debug)]
pub struct Admission {
    most: usize,
    most_per_source: Option<u32>,
    when_full: WhenFull,
    current: usize,
    sources: HashMap<Source, u32>,
    meter: Option<Meter>,
    load: Option<Load>,
    hours: Hours,
    allow: Vec<Range>,
    deny: Vec<Range>,
    words: Words,
}

impl Admission {
    /// The limits that the user has set.
    pub fn new(options: &Options, limits: Limits) -> Admission {
        Admission {
            most: options.max_connections as usize,
            most_per_source: options.per_source,
            when_full: options.when_full,
            current: 0,
            sources: HashMap::new(),
            meter: limits.rate.map(|rate| Meter::new(rate, limits.rate_pause)),
            load: limits.max_load.map(Load::new),
            hours: Hours::new(limits.access_times),
            allow: limits.allow,
            deny: limits.deny,
            words: limits.words,
        }
    }

    /// Whether a connection may be accepted at all; if not, it waits in the listener's queue.
    pub fn open(&mut self, now: Instant) -> bool {
        self.when_full == WhenFull::Refuse
            || (self.current < self.most && self.passing(now).is_none())
    }

    /// When [`Admission::open`] may say otherwise, though nobody has left.
    pub fn opens_at(&mut self, now: Instant) -> Option<Instant> {
        match self.when_full {
            WhenFull::Refuse => None,
            WhenFull::Wait => self.passing(now).map(|(until, _)| until),
        }
    }

    /// What keeps everyone out for now, and until when.
    fn passing(&mut self, now: Instant) -> Option<(Instant, Reason)> {
        let rate = self.meter.as_ref().and_then(|rate| rate.closed_until(now));
        if let Some(until) = rate {
            return Some((until, Reason::Rate));
        }
        let load = self.load.as_mut().and_then(|load| load.over_until(now));
        load.map(|until| (until, Reason::Load))
    }

    /// Decides on a connection, and counts it where it is admitted.
    ///
    /// # Errors
    ///
    /// Why it is not.
    pub fn admit(&mut self, peer: Peer, now: Instant) -> Result<(), Reason> {
        if let Peer::Tcp(address) = peer {
            let within = |ranges: &[Range]| ranges.iter().any(|range| range.contains(address.ip()));
            if within(&self.deny) || !(self.allow.is_empty() || within(&self.allow)) {
                return Err(Reason::Address);
            }
        }
        if !self.hours.open(Timestamp::now()) {
            return Err(Reason::Hours);
        }
        if self.current >= self.most {
            return Err(Reason::Full);
        }
        if let Some((_, reason)) = self.passing(now) {
            return Err(reason);
        }
        // Without a limit there is nothing to count, at any rate of connections.
        if let Some(most) = self.most_per_source {
            let count = self.sources.entry(peer.into()).or_default();
            if *count >= most {
                return Err(Reason::Source);
            }
            *count += 1;
        }
        if let Some(meter) = &mut self.meter {
            meter.count(now);
        }
        self.current += 1;
        Ok(())
    }

    /// What a client is told that is not served.
    pub fn tell(&self, reason: Reason) -> Vec<u8> {
        self.words.tell(reason)
    }

    /// An admitted connection has ended.
    pub fn leave(&mut self, peer: Peer) {
        self.current -= 1;
        if self.most_per_source.is_none() {
            return;
        }
        let source = Source::from(peer);
        if let Some(count) = self.sources.get_mut(&source) {
            *count -= 1;
            if *count == 0 {
                self.sources.remove(&source);
            }
        }
    }

    /// Until when it counts who came before.
    pub fn counts_until(&self, now: Instant) -> Option<Instant> {
        self.meter.as_ref()?.counts_until(now)
    }

    /// How many connections are admitted now.
    pub fn current(&self) -> usize {
        self.current
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(most: u32, per_source: Option<u32>, when_full: WhenFull) -> Options {
        Options {
            listen: Vec::new(),
            max_connections: most,
            per_source,
            when_full,
            exit_idle_time: None,
            stop_timeout: Duration::ZERO,
        }
    }

    fn admission(most: u32, per_source: Option<u32>, when_full: WhenFull) -> Admission {
        Admission::new(&options(most, per_source, when_full), Limits::default())
    }

    fn limited(when_full: WhenFull, limits: Limits) -> Admission {
        Admission::new(&options(100, None, when_full), limits)
    }

    fn peer(address: &str) -> Peer {
        Peer::Tcp(address.parse().unwrap())
    }

    #[test]
    fn a_source_is_an_ipv4_address_or_an_ipv6_network() {
        let now = Instant::now();
        let mut admission = admission(100, Some(1), WhenFull::Wait);
        for (address, admitted) in [
            ("192.0.2.1:1", true),
            ("192.0.2.1:2", false),
            ("192.0.2.2:1", true),
            ("[2001:db8::1]:1", true),
            ("[2001:db8::ffff:2]:1", false),
            ("[2001:db8:0:1::1]:1", true),
        ] {
            assert_eq!(
                admission.admit(peer(address), now).is_ok(),
                admitted,
                "{address}"
            );
        }
    }

    #[test]
    fn who_leaves_makes_room_and_leaves_no_trace() {
        let now = Instant::now();
        let mut admission = admission(100, Some(2), WhenFull::Wait);
        for _ in 0..1000 {
            assert_eq!(admission.admit(peer("192.0.2.1:1"), now), Ok(()));
            admission.leave(peer("192.0.2.1:1"));
        }
        assert_eq!((admission.current(), admission.sources.len()), (0, 0));
    }

    #[test]
    fn when_full_clients_wait_or_are_refused_as_the_user_says() {
        let now = Instant::now();
        for (when_full, open) in [(WhenFull::Wait, false), (WhenFull::Refuse, true)] {
            let mut admission = admission(1, None, when_full);
            assert!(admission.open(now));
            assert_eq!(admission.admit(peer("192.0.2.1:1"), now), Ok(()));
            assert_eq!(admission.open(now), open);
            assert_eq!(admission.admit(peer("192.0.2.2:1"), now), Err(Reason::Full));
            admission.leave(peer("192.0.2.1:1"));
            assert!(admission.open(now));
        }
    }

    #[test]
    fn past_the_rate_clients_wait_or_are_refused_as_the_user_says() {
        let start = Instant::now();
        let later = start + Duration::from_secs(10);
        for when_full in [WhenFull::Wait, WhenFull::Refuse] {
            let mut admission = limited(
                when_full,
                Limits {
                    rate: Some("1/10s".parse().unwrap()),
                    ..Limits::default()
                },
            );
            assert_eq!(admission.admit(peer("192.0.2.1:1"), start), Ok(()));
            assert_eq!(
                admission.admit(peer("192.0.2.1:1"), start),
                Err(Reason::Rate)
            );
            let waits = when_full == WhenFull::Wait;
            assert_eq!(admission.open(start), !waits);
            assert_eq!(admission.opens_at(start), waits.then_some(later));
            assert!(admission.open(later));
            assert_eq!(admission.admit(peer("192.0.2.1:1"), later), Ok(()));
        }
    }

    #[test]
    fn a_load_that_every_machine_has_keeps_everyone_out() {
        // A quiet machine has a load of 0.00.
        let mut admission = limited(WhenFull::Refuse, Limits::default());
        admission.load = Some(Load::new(-1.0));
        let now = Instant::now();
        assert_eq!(admission.admit(peer("192.0.2.1:1"), now), Err(Reason::Load));
        admission.when_full = WhenFull::Wait;
        assert!(!admission.open(now) && admission.opens_at(now) > Some(now));
    }

    #[test]
    fn a_denied_address_is_refused_even_where_it_is_allowed() {
        let now = Instant::now();
        let ranges = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        let mut admission = limited(
            WhenFull::Wait,
            Limits {
                allow: ranges(&["192.0.2.0/24", "2001:db8::/32"]),
                deny: ranges(&["192.0.2.128/25"]),
                ..Limits::default()
            },
        );
        for (address, admitted) in [
            ("192.0.2.1:1", true),
            ("192.0.2.200:1", false),
            ("198.51.100.1:1", false),
            ("[2001:db8::1]:1", true),
            ("[2001:db9::1]:1", false),
        ] {
            let verdict = admission.admit(peer(address), now);
            assert_eq!(verdict.is_ok(), admitted, "{address}");
        }
        // Who is on this machine has no address.
        let local = Peer::Unix { uid: 0, pid: 1 };
        assert_eq!(admission.admit(local, now), Ok(()));
    }
}
