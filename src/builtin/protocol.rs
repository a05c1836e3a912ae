//! What the services send: bytes, with the clock passed in.

use clap::ValueEnum;
use jiff::{Timestamp, Zoned};

use super::Edition;

/// A built-in service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BuiltIn {
    /// Send back what arrives (RFC 862)
    Echo,
    /// Discard what arrives (RFC 863)
    Discard,
    /// Send lines of 72 characters (RFC 864)
    Chargen,
    /// Send the time as text (RFC 867)
    Daytime,
    /// Send the seconds since 1900 as a number of 32 bits (RFC 868)
    Time,
}

impl BuiltIn {
    /// The name in /etc/services.
    pub(crate) fn name(self) -> &'static str {
        match self {
            BuiltIn::Echo => "echo",
            BuiltIn::Discard => "discard",
            BuiltIn::Chargen => "chargen",
            BuiltIn::Daytime => "daytime",
            BuiltIn::Time => "time",
        }
    }
}

/// The seconds from 1900 to 1970.
const EPOCH: i64 = 2_208_988_800;

/// The time as daytime sends it: `23 JAN 2001 13:33:55 EST` or `Tue Jan 23 13:33:55 2001`.
pub(super) fn daytime(edition: Edition, now: &Zoned) -> Vec<u8> {
    let format = match edition {
        Edition::Xinetd => "%d %^b %Y %H:%M:%S %Z\r\n",
        Edition::Inetd => "%a %b %e %H:%M:%S %Y\r\n",
    };
    now.strftime(format).to_string().into_bytes()
}

/// The length of what daytime sends in a zone with a name of three letters.
pub(crate) fn daytime_length(edition: Edition) -> usize {
    daytime(
        edition,
        &Timestamp::UNIX_EPOCH.to_zoned(jiff::tz::TimeZone::UTC),
    )
    .len()
}

/// The time as time sends it.
pub(super) fn time(now: Timestamp) -> [u8; 4] {
    // The number begins again in 2036.
    ((now.as_second() + EPOCH) as u32).to_be_bytes()
}

/// The characters of a line of chargen.
const LINE: usize = 72;
const LINE_END: &[u8] = b"\r\n";
/// After so many lines, the lines begin again.
const LINES: usize = 95;
/// The most that xinetd's chargen sends in a datagram.
const MAX_DATAGRAM: usize = 1024;

/// The lines of chargen, each of which begins one character later than the one before it.
#[derive(Debug)]
pub(super) struct Pattern {
    edition: Edition,
    /// The number of the next line.
    next: usize,
}

impl Pattern {
    pub(super) fn new(edition: Edition) -> Pattern {
        Pattern { edition, next: 0 }
    }

    /// Appends the next line, with this many characters.
    fn line(&mut self, length: usize, text: &mut Vec<u8>) {
        // xinetd leaves out the blank and the tilde, but not their lines.
        let characters: Vec<u8> = match self.edition {
            Edition::Xinetd => (b'!'..=b'}').collect(),
            Edition::Inetd => (b' '..=b'~').collect(),
        };
        let from = characters.iter().cycle().skip(self.next);
        text.extend(from.take(length));
        text.extend(LINE_END);
        self.next = (self.next + 1) % LINES;
    }

    /// All lines, once.
    pub(super) fn all(&mut self) -> Vec<u8> {
        let mut text = Vec::with_capacity(LINES * (LINE + LINE_END.len()));
        for _ in 0..LINES {
            self.line(LINE, &mut text);
        }
        text
    }

    /// The lines of a datagram.
    pub(super) fn datagram(&mut self) -> Vec<u8> {
        let max = match self.edition {
            Edition::Xinetd => MAX_DATAGRAM,
            Edition::Inetd => LINE + LINE_END.len(),
        };
        let mut text = Vec::with_capacity(max);
        while text.len() < max {
            let left = max - text.len() - LINE_END.len();
            self.line(left.min(LINE), &mut text);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz::TimeZone;

    fn at(text: &str) -> Zoned {
        let instant: Timestamp = text.parse().unwrap();
        let zone = TimeZone::posix("EST5EDT,M3.2.0,M11.1.0").unwrap();
        instant.to_zoned(zone)
    }

    #[test]
    fn daytime_is_the_text_of_xinetd_or_of_inetd() {
        for (instant, edition, text) in [
            (
                "2001-01-23T18:33:55Z",
                Edition::Xinetd,
                "23 JAN 2001 13:33:55 EST\r\n",
            ),
            (
                "2001-07-02T03:04:05Z",
                Edition::Xinetd,
                "01 JUL 2001 23:04:05 EDT\r\n",
            ),
            (
                "2001-01-23T18:33:55Z",
                Edition::Inetd,
                "Tue Jan 23 13:33:55 2001\r\n",
            ),
            (
                "2001-07-02T13:04:05Z",
                Edition::Inetd,
                "Mon Jul  2 09:04:05 2001\r\n",
            ),
        ] {
            let sent = daytime(edition, &at(instant));
            assert_eq!(String::from_utf8(sent).unwrap(), text);
            assert_eq!(daytime_length(edition), text.len());
        }
    }

    #[test]
    fn time_counts_from_1900_and_begins_again_in_2036() {
        // The examples of RFC 868, and the end.
        for (instant, number) in [
            ("1970-01-01T00:00:00Z", 2_208_988_800),
            ("1976-01-01T00:00:00Z", 2_398_291_200),
            ("1980-01-01T00:00:00Z", 2_524_521_600),
            ("1983-05-01T00:00:00Z", 2_629_584_000),
            ("2036-02-07T06:28:15Z", u32::MAX),
            ("2036-02-07T06:28:16Z", 0),
        ] {
            assert_eq!(
                time(at(instant).timestamp()),
                u32::to_be_bytes(number),
                "{instant}"
            );
        }
    }

    /// The first characters of the lines of a text, all but the last of which are whole.
    fn firsts(text: &[u8]) -> Vec<u8> {
        let lines: Vec<&[u8]> = text.chunks(LINE + 2).collect();
        assert!(lines.iter().all(|line| line.ends_with(b"\r\n")));
        lines.iter().map(|line| line[0]).collect()
    }

    #[test]
    fn lines_rotate_through_the_characters_of_xinetd_or_of_inetd() {
        let inetd = Pattern::new(Edition::Inetd).all();
        assert_eq!(firsts(&inetd), (b' '..=b'~').collect::<Vec<_>>());
        assert!(inetd.starts_with(b" !\"#$%&'()*+,-./0123456789:"));
        let xinetd = Pattern::new(Edition::Xinetd).all();
        // As its lines 94 and 95 show, it begins again one character too late.
        let expected: Vec<u8> = (b'!'..=b'}').chain(*b"!\"").collect();
        assert_eq!(firsts(&xinetd), expected);
        let first =
            b"!\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefgh\r\n";
        assert!(xinetd.starts_with(first));
        assert!(xinetd.ends_with(b"abcdefghi\r\n"));
        for text in [inetd, xinetd] {
            assert_eq!(text.len(), LINES * 74);
        }
    }

    #[test]
    fn datagrams_go_on_where_the_one_before_ended() {
        let mut xinetd = Pattern::new(Edition::Xinetd);
        let (first, second) = (xinetd.datagram(), xinetd.datagram());
        assert_eq!((first.len(), second.len()), (1024, 1024));
        assert!(first.ends_with(b"bcdefghi\r\n"));
        assert!(second.starts_with(b"/0123456789"));
        assert!(second.ends_with(b"rstuvw\r\n"));
        let mut inetd = Pattern::new(Edition::Inetd);
        assert_eq!(inetd.datagram().len(), 74);
        assert!(inetd.datagram().starts_with(b"!\"#"));
    }
}
