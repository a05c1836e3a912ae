//! The conversation.

use std::time::{Duration, Instant};

use super::name::{Found, LIMIT, Reader};
use crate::log::escape;
use crate::session::{self, Event, Talk};

const PROMPT: &[u8] = b"Please type Linux celebs name below:\n";

/// Whose words are spoken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Edition {
    /// The shell script's.
    #[default]
    Shell,
    /// The Perl server's.
    Perl,
}

impl Edition {
    fn echo(self, name: &[u8], out: &mut Vec<u8>) {
        let (before, after): (&[u8], &[u8]) = match self {
            Edition::Shell => (b":", b", \n"),
            Edition::Perl => (b":perlversion:", b",\n"),
        };
        out.extend_from_slice(before);
        out.extend_from_slice(name);
        out.extend_from_slice(after);
    }

    fn last_words(self) -> &'static [u8] {
        match self {
            Edition::Shell => b"\nFinished\n",
            Edition::Perl => b"The log is in the journal: journalctl -t celebs\nFinished\n",
        }
    }
}

/// What a name was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The surname.
    Celeb(&'static str),
    /// Nobody we know.
    Unknown,
    /// The name was longer than [`LIMIT`] bytes.
    TooLong,
}

impl Answer {
    fn to(name: &[u8]) -> Answer {
        match name {
            b"richard" => Answer::Celeb("stallman"),
            b"linus" => Answer::Celeb("torvalds"),
            b"maddog" => Answer::Celeb("hall"),
            _ => Answer::Unknown,
        }
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Answer::Celeb(surname) => f.write_str(surname),
            Answer::Unknown => f.write_str("Unknown celeb"),
            Answer::TooLong => write!(f, "Name too long: the limit is {LIMIT} bytes"),
        }
    }
}

/// A name that was asked, and its answer. The name is empty where it was too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exchange<'a> {
    /// As it came, but for the blanks that were dropped.
    pub name: &'a [u8],
    /// What it was answered.
    pub answer: Answer,
}

impl std::fmt::Display for Exchange<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.answer {
            Answer::TooLong => write!(f, "asked a name of more than {LIMIT} bytes"),
            answer => write!(f, "asked {}, answered \"{answer}\"", escape(self.name)),
        }
    }
}

/// The service.
#[derive(Debug, Clone)]
pub struct Service {
    /// Whose words are spoken.
    pub edition: Edition,
    /// How long a client may type no name.
    pub idle_timeout: Duration,
}

impl session::Service for Service {
    type Talk = Conversation;

    fn begin(&mut self, now: Instant, out: &mut Vec<u8>) -> Option<Conversation> {
        out.extend_from_slice(PROMPT);
        Some(Conversation {
            edition: self.edition,
            idle_timeout: self.idle_timeout,
            names: Reader::default(),
            deadline: now + self.idle_timeout,
        })
    }
}

/// One conversation.
#[derive(Debug, Clone)]
pub struct Conversation {
    edition: Edition,
    idle_timeout: Duration,
    names: Reader,
    deadline: Instant,
}

impl Talk for Conversation {
    type Exchange<'a> = Exchange<'a>;

    /// Only a whole line moves it: a client that sends a byte now and then says nothing.
    fn deadline(&self) -> Instant {
        self.deadline
    }

    fn receive(
        &mut self,
        input: &[u8],
        now: Instant,
        out: &mut Vec<u8>,
    ) -> (usize, Option<Event<Exchange<'_>>>) {
        let (taken, found) = self.names.read(input);
        let event = found.map(|found| {
            self.deadline = now + self.idle_timeout;
            respond(self.edition, found, out)
        });
        (taken, event)
    }

    /// A last line without a line end is answered first.
    fn end_of_input(&mut self, out: &mut Vec<u8>) -> Event<Exchange<'_>> {
        match self.names.finish() {
            Some(found) => respond(self.edition, found, out),
            None => Event::Ended(end(self.edition, "end of input", out)),
        }
    }

    fn time_out(&mut self, out: &mut Vec<u8>) -> &'static str {
        out.extend_from_slice(b"Timed out\n");
        end(self.edition, "timed out", out)
    }

    fn dismiss(&mut self, out: &mut Vec<u8>) -> &'static str {
        end(self.edition, "dismissed", out)
    }
}

fn respond<'a>(edition: Edition, found: Found<'a>, out: &mut Vec<u8>) -> Event<Exchange<'a>> {
    let (name, answer) = match found {
        Found::Interrupt => return Event::Ended(end(edition, "interrupted", out)),
        Found::TooLong => (&[][..], Answer::TooLong),
        Found::Name(name) => {
            edition.echo(name, out);
            if name.starts_with(b"q") {
                return Event::Ended(end(edition, "quit", out));
            }
            (name, Answer::to(name))
        }
    };
    out.extend_from_slice(answer.to_string().as_bytes());
    out.push(b'\n');
    out.extend_from_slice(PROMPT);
    Event::Exchange(Exchange { name, answer })
}

fn end(edition: Edition, why: &'static str, out: &mut Vec<u8>) -> &'static str {
    out.extend_from_slice(edition.last_words());
    why
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn begin(
        edition: Edition,
        idle_timeout: Duration,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Conversation {
        let mut service = Service {
            edition,
            idle_timeout,
        };
        session::Service::begin(&mut service, now, out).unwrap()
    }

    /// The whole conversation with a client that sends these pieces and then closes.
    fn converse_in_pieces<'a>(
        edition: Edition,
        pieces: impl IntoIterator<Item = &'a [u8]>,
    ) -> (Vec<u8>, &'static str) {
        let now = Instant::now();
        let mut out = Vec::new();
        let mut talk = begin(edition, Duration::from_secs(1), now, &mut out);
        for mut piece in pieces {
            while !piece.is_empty() {
                let (taken, event) = talk.receive(piece, now, &mut out);
                if let Some(Event::Ended(end)) = event {
                    return (out, end);
                }
                piece = &piece[taken..];
            }
        }
        loop {
            if let Event::Ended(end) = talk.end_of_input(&mut out) {
                return (out, end);
            }
        }
    }

    fn converse(input: &[u8]) -> (String, &'static str) {
        let (out, end) = converse_in_pieces(Edition::Shell, [input]);
        (String::from_utf8(out).unwrap(), end)
    }

    #[test]
    fn the_three_celebs_are_known_and_quit_ends() {
        let (out, end) = converse(b"richard\nlinus\r\nmaddog\nquit\nlinus\n");
        assert_eq!(
            out,
            "Please type Linux celebs name below:\n:richard, \nstallman\n\
             Please type Linux celebs name below:\n:linus, \ntorvalds\n\
             Please type Linux celebs name below:\n:maddog, \nhall\n\
             Please type Linux celebs name below:\n:quit, \n\nFinished\n"
        );
        assert_eq!(end, "quit");
    }

    #[test]
    fn anything_else_is_unknown_the_empty_line_too() {
        for name in [
            "Linus",
            "linus torvalds",
            "",
            "*",
            "-n",
            "\\n",
            "$HOME",
            "aquit",
        ] {
            let (out, end) = converse(format!("{name}\n").as_bytes());
            assert_eq!(
                out,
                format!(
                    "Please type Linux celebs name below:\n:{name}, \nUnknown celeb\n\
                     Please type Linux celebs name below:\n\nFinished\n"
                )
            );
            assert_eq!(end, "end of input");
        }
    }

    #[test]
    fn anything_that_begins_with_q_ends() {
        for name in ["q", "quit", "qwerty uiop"] {
            let (out, end) = converse(format!("  {name}\n").as_bytes());
            assert!(
                out.ends_with(&format!("below:\n:{name}, \n\nFinished\n")),
                "{out}"
            );
            assert_eq!(end, "quit");
        }
    }

    #[test]
    fn end_of_input_ends_without_an_echo() {
        assert_eq!(
            converse(b""),
            (
                "Please type Linux celebs name below:\n\nFinished\n".into(),
                "end of input"
            )
        );
        let (out, end) = converse(b"linus");
        assert!(
            out.ends_with(":linus, \ntorvalds\nPlease type Linux celebs name below:\n\nFinished\n")
        );
        assert_eq!(end, "end of input");
        let (out, end) = converse(b"quit");
        assert!(out.ends_with(":quit, \n\nFinished\n"));
        assert_eq!(end, "quit");
    }

    #[test]
    fn an_interrupt_ends_without_an_echo() {
        for input in [
            &b"\xff\xf4\xff\xfd\x06"[..],
            b"lin\xff\xf4",
            b"\x04",
            b" \x04\r\n",
        ] {
            assert_eq!(
                converse(input),
                (
                    "Please type Linux celebs name below:\n\nFinished\n".into(),
                    "interrupted"
                )
            );
        }
    }

    #[test]
    fn a_name_too_long_is_told_so_and_the_next_cycle_begins() {
        let mut input = vec![b'q'; LIMIT + 1];
        input.extend(b"\nlinus\n");
        assert_eq!(
            converse(&input).0,
            "Please type Linux celebs name below:\nName too long: the limit is 1024 bytes\n\
             Please type Linux celebs name below:\n:linus, \ntorvalds\n\
             Please type Linux celebs name below:\n\nFinished\n"
        );
    }

    #[test]
    fn bytes_come_back_as_they_came() {
        let (out, _) = converse_in_pieces(Edition::Shell, [&b"\xc3(\x1b[31m\0\xff\xff\n"[..]]);
        assert!(
            out.windows(10)
                .any(|bytes| bytes == b":\xc3(\x1b[31m\0\xff")
        );
    }

    #[test]
    fn the_perl_edition_has_its_own_echo_and_says_where_the_log_is() {
        let (out, end) = converse_in_pieces(Edition::Perl, [&b"linus\nquit\n"[..]]);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "Please type Linux celebs name below:\n:perlversion:linus,\ntorvalds\n\
             Please type Linux celebs name below:\n:perlversion:quit,\n\
             The log is in the journal: journalctl -t celebs\nFinished\n"
        );
        assert_eq!(end, "quit");
    }

    #[test]
    fn only_a_whole_line_moves_the_deadline() {
        let start = Instant::now();
        let later = start + Duration::from_secs(50);
        let mut out = Vec::new();
        let idle = Duration::from_secs(60);
        let mut talk = begin(Edition::Shell, idle, start, &mut out);
        talk.receive(b"lin", later, &mut out);
        assert_eq!(talk.deadline(), start + idle);
        talk.receive(b"us\n", later, &mut out);
        assert_eq!(talk.deadline(), later + idle);
        out.clear();
        assert_eq!(talk.time_out(&mut out), "timed out");
        assert_eq!(out, b"Timed out\n\nFinished\n");
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_conversation(
            input in prop::collection::vec(
                prop_oneof![
                    any::<u8>().prop_map(|byte| vec![byte]),
                    prop::sample::select(vec![
                        &b"linus\n"[..], b"maddog\r\n", b"q", b"\r\n", b"\n", b" ", b"\xff\xf4",
                        b"\xff\xfd\x06", b"\xff\xfa", b"\xff\xf0", b"\x04",
                    ]).prop_map(<[u8]>::to_vec),
                    (0..2usize).prop_map(|more| vec![b'x'; LIMIT + more]),
                ],
                0..40,
            ).prop_map(|parts| parts.concat()),
            chunk in 1usize..40,
        ) {
            let whole = converse_in_pieces(Edition::Shell, [&input[..]]);
            prop_assert_eq!(&whole, &converse_in_pieces(Edition::Shell, input.chunks(chunk)));
            prop_assert!(whole.0.starts_with(PROMPT));
            prop_assert!(whole.0.ends_with(b"\nFinished\n"));
        }
    }
}
