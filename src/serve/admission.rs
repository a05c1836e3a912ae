//! Who may come in.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};

use super::options::{Options, WhenFull};
use crate::connection::Peer;

/// What becomes of a client that has connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is served.
    Admitted,
    /// It is told this sentence, and the record this.
    Refused(&'static str, &'static str),
}

/// Counts connections, altogether and by where they come from.
#[derive(Debug)]
pub struct Admission {
    most: usize,
    most_per_source: Option<u32>,
    when_full: WhenFull,
    current: usize,
    sources: HashMap<Source, u32>,
}

/// What counts as one source. A host has a whole /64 network of IPv6 addresses to choose from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Source {
    V4(Ipv4Addr),
    V6(u64),
    User(u32),
    Unknown,
}

impl From<Peer> for Source {
    fn from(peer: Peer) -> Source {
        match peer {
            Peer::Tcp(address) => match address.ip() {
                IpAddr::V4(v4) => Source::V4(v4),
                IpAddr::V6(v6) => Source::V6((v6.to_bits() >> 64) as u64),
            },
            Peer::Unix { uid, .. } => Source::User(uid),
            Peer::Unknown | Peer::CommandLine => Source::Unknown,
        }
    }
}

impl Admission {
    /// The limits that the user has set.
    pub fn new(options: &Options) -> Admission {
        Admission {
            most: options.max_connections as usize,
            most_per_source: options.per_source,
            when_full: options.when_full,
            current: 0,
            sources: HashMap::new(),
        }
    }

    /// Whether a connection may be accepted at all; if not, it waits in the listener's queue.
    pub fn open(&self) -> bool {
        self.current < self.most || self.when_full == WhenFull::Refuse
    }

    /// Decides on a connection, and counts it where it is admitted.
    pub fn admit(&mut self, peer: Peer) -> Verdict {
        if self.current >= self.most {
            return Verdict::Refused(
                "Too many connections; please try again later\n",
                "refused, as all places are taken",
            );
        }
        // Without a limit there is nothing to count, at any rate of connections.
        if let Some(most) = self.most_per_source {
            let count = self.sources.entry(peer.into()).or_default();
            if *count >= most {
                return Verdict::Refused(
                    "Too many connections from your address; please try again later\n",
                    "refused, as its address has too many connections",
                );
            }
            *count += 1;
        }
        self.current += 1;
        Verdict::Admitted
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

    /// How many connections are admitted now.
    pub fn current(&self) -> usize {
        self.current
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn admission(most: u32, per_source: Option<u32>, when_full: WhenFull) -> Admission {
        Admission::new(&Options {
            listen: Vec::new(),
            max_connections: most,
            per_source,
            when_full,
            exit_idle_time: None,
            stop_timeout: Duration::ZERO,
        })
    }

    fn peer(address: &str) -> Peer {
        Peer::Tcp(address.parse().unwrap())
    }

    #[test]
    fn a_source_is_an_ipv4_address_or_an_ipv6_network() {
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
                admission.admit(peer(address)) == Verdict::Admitted,
                admitted,
                "{address}"
            );
        }
    }

    #[test]
    fn who_leaves_makes_room_and_leaves_no_trace() {
        let mut admission = admission(100, Some(2), WhenFull::Wait);
        for _ in 0..1000 {
            assert_eq!(admission.admit(peer("192.0.2.1:1")), Verdict::Admitted);
            admission.leave(peer("192.0.2.1:1"));
        }
        assert_eq!((admission.current(), admission.sources.len()), (0, 0));
    }

    #[test]
    fn when_full_clients_wait_or_are_refused_as_the_user_says() {
        for (when_full, open) in [(WhenFull::Wait, false), (WhenFull::Refuse, true)] {
            let mut admission = admission(1, None, when_full);
            assert!(admission.open());
            assert_eq!(admission.admit(peer("192.0.2.1:1")), Verdict::Admitted);
            assert_eq!(admission.open(), open);
            assert!(matches!(
                admission.admit(peer("192.0.2.2:1")),
                Verdict::Refused(..)
            ));
            admission.leave(peer("192.0.2.1:1"));
            assert!(admission.open());
        }
    }
}
