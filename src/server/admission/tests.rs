use std::num::NonZeroU32;

use super::*;
use crate::server::{ProxyOptions, SharedLimits};

fn options(max: u32, per_source: Option<u32>, when_full: WhenFull) -> Options {
    Options {
        listen: Vec::new(),
        proxy: ProxyOptions::default(),
        max_connections: max,
        per_source,
        shared: SharedLimits {
            when_full,
            ..SharedLimits::default()
        },
        exit_idle_time: None,
        stop_timeout: Duration::ZERO,
    }
}

fn admission(max: u32, per_source: Option<u32>, when_full: WhenFull) -> Admission {
    Admission::new(&options(max, per_source, when_full), Limits::default())
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
fn a_connection_that_ended_is_no_longer_counted() {
    let now = Instant::now();
    let mut admission = admission(100, Some(2), WhenFull::Wait);
    for _ in 0..1000 {
        assert_eq!(admission.admit(peer("192.0.2.1:1"), now), Ok(()));
        admission.release(peer("192.0.2.1:1"));
    }
    assert_eq!((admission.open(), admission.sources.len()), (0, 0));
}

#[test]
fn at_the_concurrency_limit_clients_wait_or_are_refused() {
    let now = Instant::now();
    for (when_full, accepts) in [(WhenFull::Wait, false), (WhenFull::Refuse, true)] {
        let mut admission = admission(1, None, when_full);
        assert!(admission.may_accept(now));
        assert_eq!(admission.admit(peer("192.0.2.1:1"), now), Ok(()));
        assert_eq!(admission.may_accept(now), accepts);
        assert_eq!(
            admission.admit(peer("192.0.2.2:1"), now),
            Err(Refusal::Full)
        );
        admission.release(peer("192.0.2.1:1"));
        assert!(admission.may_accept(now));
    }
}

#[test]
fn connections_without_a_header_of_one_proxy_leave_half_of_the_limit_to_others() {
    let now = Instant::now();
    let mut admission = admission(5, Some(1), WhenFull::Wait);
    // Two proxies in one IPv6 network are not one.
    let (proxy, other) = (peer("[2001:db8::1]:1"), peer("[2001:db8::2]:1"));
    for _ in 0..3 {
        assert_eq!(admission.reserve(proxy), Ok(()));
    }
    assert_eq!(admission.reserve(proxy), Err(Refusal::Full));
    assert!(admission.may_accept(now));
    for address in ["192.0.2.1:1", "192.0.2.2:1"] {
        assert_eq!(admission.reserve(other), Ok(()));
        admission.unreserve(other);
        assert_eq!(admission.admit(peer(address), now), Ok(()));
    }
    assert_eq!(admission.reserve(other), Err(Refusal::Full));
    admission.unreserve(proxy);
    assert_eq!(admission.reserve(proxy), Ok(()));
    for _ in 0..3 {
        admission.unreserve(proxy);
    }
    assert!(admission.pending.is_empty());
}

#[test]
fn at_the_rate_limit_clients_wait_or_are_refused() {
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
            Err(Refusal::Rate)
        );
        let waits = when_full == WhenFull::Wait;
        assert_eq!(admission.may_accept(start), !waits);
        assert_eq!(admission.may_accept_at(start), waits.then_some(later));
        assert!(admission.may_accept(later));
        assert_eq!(admission.admit(peer("192.0.2.1:1"), later), Ok(()));
    }
}

#[test]
fn at_the_load_limit_clients_wait_or_are_refused() {
    // A quiet machine has a load of 0.00, so that only a negative limit is always exceeded.
    let mut admission = limited(WhenFull::Refuse, Limits::default());
    admission.load = Some(LoadLimit::new(-1.0));
    let now = Instant::now();
    assert_eq!(
        admission.admit(peer("192.0.2.1:1"), now),
        Err(Refusal::Load)
    );
    admission.when_full = WhenFull::Wait;
    assert!(!admission.may_accept(now) && admission.may_accept_at(now) > Some(now));
}

#[test]
fn a_denied_address_is_refused_even_if_it_is_allowed() {
    let now = Instant::now();
    let networks = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    let mut admission = limited(
        WhenFull::Wait,
        Limits {
            allow: networks(&["192.0.2.0/24", "2001:db8::/32"]),
            deny: networks(&["192.0.2.128/25"]),
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
    // Local clients have no address.
    let local = Peer::Unix { uid: 0, pid: 1 };
    assert_eq!(admission.admit(local, now), Ok(()));
}

#[test]
fn a_peer_whose_address_is_unknown_is_refused_by_every_list() {
    let now = Instant::now();
    let networks = || vec!["192.0.2.0/24".parse().unwrap()];
    let lists = |allow, deny| Limits {
        allow,
        deny,
        ..Limits::default()
    };
    for (limits, verdict) in [
        (lists(networks(), Vec::new()), Err(Refusal::Address)),
        (lists(Vec::new(), networks()), Err(Refusal::Address)),
        (lists(Vec::new(), Vec::new()), Ok(())),
    ] {
        let mut admission = limited(WhenFull::Wait, limits);
        assert_eq!(admission.admit(Peer::Unknown, now), verdict);
    }
}

#[test]
fn a_source_of_events_leaves_a_share_of_the_rate_to_others() {
    let start = Instant::now();
    let rate: Rate = "50".parse().unwrap();
    let limits = Limits {
        rate: Some(rate),
        rate_pause: Duration::from_secs(10),
        ..Limits::default()
    };
    let shared = SharedLimits {
        rate_per_source: rate.divided_by(NonZeroU32::new(3).unwrap()),
        when_full: WhenFull::Refuse,
        ..SharedLimits::default()
    };
    let mut admission = Admission::of_events(limits, shared);
    let mut refused = Vec::new();
    let mut served = 0;
    // One source sends a datagram each millisecond, and others one each 100 ms.
    for milliseconds in 0..60_000 {
        let now = start + Duration::from_millis(milliseconds);
        match admission.admit_event(peer("192.0.2.1:1"), now) {
            Ok(()) => served += 1,
            Err(reason) => refused.push(reason),
        }
        if milliseconds % 100 == 0 {
            let other = format!("198.51.100.{}:1", milliseconds / 100 % 250);
            assert_eq!(admission.admit_event(peer(&other), now), Ok(()), "{now:?}");
        }
    }
    assert!((900..1000).contains(&served), "{served}");
    assert!(refused.iter().all(|reason| *reason == Refusal::SourceRate));
    // Together, the sources have the rate and the pause as before.
    let now = start + Duration::from_secs(120);
    let count = |admission: &mut Admission, sources: std::ops::Range<u8>, now| {
        let mut sources = sources.map(|source| peer(&format!("203.0.113.{source}:1")));
        let mut admitted = 0;
        while sources
            .next()
            .is_some_and(|source| admission.admit_event(source, now).is_ok())
        {
            admitted += 1;
        }
        admitted
    };
    assert_eq!(count(&mut admission, 0..100, now), 50);
    let pause = now + Duration::from_millis(9_999);
    assert_eq!(count(&mut admission, 100..200, pause), 0);
    assert_eq!(
        count(&mut admission, 100..200, now + Duration::from_secs(10)),
        50
    );
}

#[test]
fn a_penalty_refuses_its_source_before_every_other_limit() {
    let now = Instant::now();
    let mut options = options(100, Some(10), WhenFull::Wait);
    options.shared = SharedLimits {
        penalty: Some(Duration::from_secs(5)),
        rate_per_source: Some("2/1min".parse().unwrap()),
        source_prefix: "24,64".parse().unwrap(),
        when_full: WhenFull::Wait,
    };
    let mut admission = Admission::new(&options, Limits::default());
    for address in ["192.0.2.1:1", "192.0.2.2:1"] {
        assert_eq!(admission.admit(peer(address), now), Ok(()));
    }
    let third = peer("192.0.2.3:1");
    assert_eq!(admission.admit(third, now), Err(Refusal::SourceRate));
    assert!(admission.penalise(third, now).is_some());
    let until = now + Duration::from_secs(60);
    assert_eq!(admission.limits_until(now), Some(until));
    assert_eq!(admission.admit(third, now), Err(Refusal::Penalty));
    assert_eq!(admission.admit(peer("192.0.3.1:1"), now), Ok(()));
    let later = now + Duration::from_secs(60);
    assert_eq!(admission.admit(third, later), Ok(()));
}
