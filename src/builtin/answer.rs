//! What a datagram is answered. It is never longer than the datagram, and none is for another server.

use jiff::Zoned;

use super::protocol::{Pattern, daytime, time};
use super::{BuiltIn, Edition};

/// Ports below this one are those of servers, which would answer an answer.
const FIRST_CLIENT_PORT: u16 = 1024;

/// The answers of a service.
#[derive(Debug)]
pub(super) struct Answers {
    built_in: BuiltIn,
    edition: Edition,
    /// The port of the service.
    port: u16,
    pattern: Pattern,
}

impl Answers {
    pub(super) fn new(built_in: BuiltIn, edition: Edition, port: u16) -> Answers {
        Answers {
            built_in,
            edition,
            port,
            pattern: Pattern::new(edition),
        }
    }

    /// The answer to a datagram from this port, if there is one.
    ///
    /// chargen's is cut to the length of the datagram. A part of a time would be another time, so that daytime and
    /// time answer nothing if theirs is longer.
    pub(super) fn to(
        &mut self,
        datagram: &[u8],
        from: u16,
        now: impl FnOnce() -> Zoned,
    ) -> Option<Vec<u8>> {
        // The other end may be the same service of another host.
        if from < FIRST_CLIENT_PORT || from == self.port {
            return None;
        }
        let answer = match self.built_in {
            BuiltIn::Echo => datagram.to_vec(),
            BuiltIn::Discard => return None,
            BuiltIn::Chargen => {
                let mut text = self.pattern.datagram();
                text.truncate(datagram.len());
                text
            }
            BuiltIn::Daytime => daytime(self.edition, &now()),
            BuiltIn::Time => time(now().timestamp()).into(),
        };
        (answer.len() <= datagram.len()).then_some(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;
    use jiff::Timestamp;
    use jiff::tz::TimeZone;
    use proptest::prelude::*;

    fn now() -> Zoned {
        Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC)
    }

    fn answer(built_in: BuiltIn, edition: Edition, datagram: &[u8]) -> Option<Vec<u8>> {
        Answers::new(built_in, edition, 7).to(datagram, 1024, now)
    }

    #[test]
    fn each_service_answers_a_datagram_that_is_as_long_as_its_answer() {
        for (built_in, datagram, expected) in [
            (BuiltIn::Echo, &b"\0\xff"[..], Some(&b"\0\xff"[..])),
            (BuiltIn::Echo, b"", Some(b"")),
            (BuiltIn::Discard, b"x", None),
            (BuiltIn::Chargen, b"12345", Some(b"!\"#$%")),
            (BuiltIn::Chargen, b"", Some(b"")),
            (
                BuiltIn::Daytime,
                &[0; 26],
                Some(b"01 JAN 1970 00:00:00 UTC\r\n"),
            ),
            (BuiltIn::Daytime, &[0; 25], None),
            (BuiltIn::Daytime, b"", None),
            (BuiltIn::Time, b"time", Some(b"\x83\xaa\x7e\x80")),
            (BuiltIn::Time, b"now", None),
        ] {
            let answer = answer(built_in, Edition::Xinetd, datagram);
            assert_eq!(answer.as_deref(), expected, "{built_in:?} {datagram:?}");
        }
        let inetd = answer(BuiltIn::Daytime, Edition::Inetd, &[0; 30]);
        assert_eq!(inetd.unwrap(), b"Thu Jan  1 00:00:00 1970\r\n");
    }

    fn built_in() -> impl Strategy<Value = (BuiltIn, Edition)> {
        let built_in = prop::sample::select(BuiltIn::value_variants());
        (built_in, prop::sample::select(Edition::value_variants()))
    }

    proptest! {
        #[test]
        fn an_answer_is_never_longer_than_its_datagram(
            (built_in, edition) in built_in(),
            datagrams in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..1100), 1..4),
            from: u16,
            zone in "[A-Z]{3,30}-1",
        ) {
            let mut answers = Answers::new(built_in, edition, 4000);
            let zone = TimeZone::posix(&zone).unwrap();
            for datagram in datagrams {
                let now = || Timestamp::UNIX_EPOCH.to_zoned(zone.clone());
                let answer = answers.to(&datagram, from, now);
                prop_assert!(answer.is_none_or(|answer| answer.len() <= datagram.len()));
            }
        }

        #[test]
        fn a_server_gets_no_answer(
            (built_in, edition) in built_in(),
            datagram: Vec<u8>,
            from in prop_oneof![0..1024u16, Just(4000)],
        ) {
            let mut answers = Answers::new(built_in, edition, 4000);
            prop_assert_eq!(answers.to(&datagram, from, now), None);
        }
    }
}
