//! The protocol.

use std::time::{Duration, Instant};

use super::input::{Input, MAX_NAME, NameReader};
use crate::log::escape;
use crate::session::{Event, Service, Session, SessionEnd};

const PROMPT: &[u8] = b"Please type Linux celebs name below:\n";

/// Which of the two original servers the output follows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Edition {
    /// Repeat a name as ":NAME, "
    #[default]
    Shell,
    /// Repeat a name as ":perlversion:NAME,"
    Perl,
}

impl Edition {
    fn echo(self, name: &[u8], output: &mut Vec<u8>) {
        let (before, after): (&[u8], &[u8]) = match self {
            Edition::Shell => (b":", b", \n"),
            Edition::Perl => (b":perlversion:", b",\n"),
        };
        output.extend_from_slice(before);
        output.extend_from_slice(name);
        output.extend_from_slice(after);
    }

    fn closing(self) -> &'static [u8] {
        match self {
            Edition::Shell => b"\nFinished\n",
            Edition::Perl => b"The log is in the journal: journalctl -t celebs\nFinished\n",
        }
    }
}

/// The answer to a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The surname.
    Celeb(&'static str),
    /// An unknown name.
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
            Answer::TooLong => write!(f, "Name too long: the limit is {MAX_NAME} bytes"),
        }
    }
}

/// A name and its answer. The name is empty if it was too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exchange<'a> {
    /// The name as received, without the removed blanks.
    pub name: &'a [u8],
    /// The answer.
    pub answer: Answer,
}

impl std::fmt::Display for Exchange<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.answer {
            Answer::TooLong => write!(f, "asked a name of more than {MAX_NAME} bytes"),
            answer => write!(f, "asked {}, answered \"{answer}\"", escape(self.name)),
        }
    }
}

/// The service.
#[derive(Debug, Clone)]
pub(crate) struct Celebs {
    pub edition: Edition,
    /// A session ends if the client sends no complete line for this long.
    pub idle_timeout: Duration,
}

impl Service for Celebs {
    type Session = CelebsSession;

    fn start(&mut self, now: Instant, output: &mut Vec<u8>) -> Option<CelebsSession> {
        output.extend_from_slice(PROMPT);
        Some(CelebsSession {
            edition: self.edition,
            idle_timeout: self.idle_timeout,
            names: NameReader::default(),
            deadline: now + self.idle_timeout,
        })
    }
}

/// A session.
#[derive(Debug, Clone)]
pub(crate) struct CelebsSession {
    edition: Edition,
    idle_timeout: Duration,
    names: NameReader,
    deadline: Instant,
}

impl Session for CelebsSession {
    type Exchange<'a> = Exchange<'a>;

    /// Only a complete line moves the deadline: single bytes do not count as activity.
    fn deadline(&self) -> Instant {
        self.deadline
    }

    fn receive(
        &mut self,
        input: &[u8],
        now: Instant,
        output: &mut Vec<u8>,
    ) -> (usize, Option<Event<Exchange<'_>>>) {
        let (processed, found) = self.names.read(input);
        let event = found.map(|found| {
            self.deadline = now + self.idle_timeout;
            respond(self.edition, found, output)
        });
        (processed, event)
    }

    /// Answers a last line without a line end first.
    fn end_of_input(&mut self, output: &mut Vec<u8>) -> Event<Exchange<'_>> {
        match self.names.finish() {
            Some(found) => respond(self.edition, found, output),
            None => Event::Ended(end(self.edition, SessionEnd::EndOfInput, output)),
        }
    }

    fn time_out(&mut self, output: &mut Vec<u8>) {
        output.extend_from_slice(b"Timed out\n");
        output.extend_from_slice(self.edition.closing());
    }

    fn shut_down(&mut self, output: &mut Vec<u8>) {
        output.extend_from_slice(self.edition.closing());
    }
}

fn respond<'a>(edition: Edition, input: Input<'a>, output: &mut Vec<u8>) -> Event<Exchange<'a>> {
    let (name, answer) = match input {
        Input::Interrupt => return Event::Ended(end(edition, SessionEnd::Interrupted, output)),
        Input::TooLong => (&[][..], Answer::TooLong),
        Input::Name(name) => {
            edition.echo(name, output);
            if name.starts_with(b"q") {
                return Event::Ended(end(edition, SessionEnd::Quit, output));
            }
            (name, Answer::to(name))
        }
    };
    output.extend_from_slice(answer.to_string().as_bytes());
    output.push(b'\n');
    output.extend_from_slice(PROMPT);
    Event::Exchange(Exchange { name, answer })
}

fn end(edition: Edition, how: SessionEnd, output: &mut Vec<u8>) -> SessionEnd {
    output.extend_from_slice(edition.closing());
    how
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn start(
        edition: Edition,
        idle_timeout: Duration,
        now: Instant,
        output: &mut Vec<u8>,
    ) -> CelebsSession {
        let mut service = Celebs {
            edition,
            idle_timeout,
        };
        service.start(now, output).unwrap()
    }

    /// The session of a client that sends these chunks and then closes its sending half.
    fn converse_in_chunks<'a>(
        edition: Edition,
        chunks: impl IntoIterator<Item = &'a [u8]>,
    ) -> (Vec<u8>, SessionEnd) {
        let now = Instant::now();
        let mut out = Vec::new();
        let mut session = start(edition, Duration::from_secs(1), now, &mut out);
        for mut chunk in chunks {
            while !chunk.is_empty() {
                let (processed, event) = session.receive(chunk, now, &mut out);
                if let Some(Event::Ended(end)) = event {
                    return (out, end);
                }
                chunk = &chunk[processed..];
            }
        }
        loop {
            if let Event::Ended(end) = session.end_of_input(&mut out) {
                return (out, end);
            }
        }
    }

    fn converse(input: &[u8]) -> (String, SessionEnd) {
        let (out, end) = converse_in_chunks(Edition::Shell, [input]);
        (String::from_utf8(out).unwrap(), end)
    }

    #[test]
    fn the_three_names_are_answered_and_quit_ends_the_session() {
        let (out, end) = converse(b"richard\nlinus\r\nmaddog\nquit\nlinus\n");
        assert_eq!(
            out,
            "Please type Linux celebs name below:\n:richard, \nstallman\n\
             Please type Linux celebs name below:\n:linus, \ntorvalds\n\
             Please type Linux celebs name below:\n:maddog, \nhall\n\
             Please type Linux celebs name below:\n:quit, \n\nFinished\n"
        );
        assert_eq!(end, SessionEnd::Quit);
    }

    #[test]
    fn any_other_name_is_unknown_the_empty_line_included() {
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
            assert_eq!(end, SessionEnd::EndOfInput);
        }
    }

    #[test]
    fn a_name_that_begins_with_q_ends_the_session() {
        for name in ["q", "quit", "qwerty uiop"] {
            let (out, end) = converse(format!("  {name}\n").as_bytes());
            assert!(
                out.ends_with(&format!("below:\n:{name}, \n\nFinished\n")),
                "{out}"
            );
            assert_eq!(end, SessionEnd::Quit);
        }
    }

    #[test]
    fn end_of_input_ends_the_session_without_an_echo() {
        assert_eq!(
            converse(b""),
            (
                "Please type Linux celebs name below:\n\nFinished\n".into(),
                SessionEnd::EndOfInput
            )
        );
        let (out, end) = converse(b"linus");
        assert!(
            out.ends_with(":linus, \ntorvalds\nPlease type Linux celebs name below:\n\nFinished\n")
        );
        assert_eq!(end, SessionEnd::EndOfInput);
        let (out, end) = converse(b"quit");
        assert!(out.ends_with(":quit, \n\nFinished\n"));
        assert_eq!(end, SessionEnd::Quit);
    }

    #[test]
    fn an_interrupt_ends_the_session_without_an_echo() {
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
                    SessionEnd::Interrupted
                )
            );
        }
    }

    #[test]
    fn after_a_name_that_is_too_long_the_next_cycle_begins() {
        let mut input = vec![b'q'; MAX_NAME + 1];
        input.extend(b"\nlinus\n");
        assert_eq!(
            converse(&input).0,
            "Please type Linux celebs name below:\nName too long: the limit is 1024 bytes\n\
             Please type Linux celebs name below:\n:linus, \ntorvalds\n\
             Please type Linux celebs name below:\n\nFinished\n"
        );
    }

    #[test]
    fn arbitrary_bytes_are_echoed_unchanged() {
        let (out, _) = converse_in_chunks(Edition::Shell, [&b"\xc3(\x1b[31m\0\xff\xff\n"[..]]);
        assert!(
            out.windows(10)
                .any(|bytes| bytes == b":\xc3(\x1b[31m\0\xff")
        );
    }

    #[test]
    fn the_perl_edition_has_its_own_echo_and_names_the_log() {
        let (out, end) = converse_in_chunks(Edition::Perl, [&b"linus\nquit\n"[..]]);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "Please type Linux celebs name below:\n:perlversion:linus,\ntorvalds\n\
             Please type Linux celebs name below:\n:perlversion:quit,\n\
             The log is in the journal: journalctl -t celebs\nFinished\n"
        );
        assert_eq!(end, SessionEnd::Quit);
    }

    #[test]
    fn only_a_complete_line_moves_the_deadline() {
        let begin = Instant::now();
        let later = begin + Duration::from_secs(50);
        let mut out = Vec::new();
        let idle = Duration::from_secs(60);
        let mut session = start(Edition::Shell, idle, begin, &mut out);
        session.receive(b"lin", later, &mut out);
        assert_eq!(session.deadline(), begin + idle);
        session.receive(b"us\n", later, &mut out);
        assert_eq!(session.deadline(), later + idle);
        out.clear();
        session.time_out(&mut out);
        assert_eq!(out, b"Timed out\n\nFinished\n");
    }

    proptest! {
        #[test]
        fn the_session_does_not_depend_on_the_chunks_of_the_input(
            input in prop::collection::vec(
                prop_oneof![
                    any::<u8>().prop_map(|byte| vec![byte]),
                    prop::sample::select(vec![
                        &b"linus\n"[..], b"maddog\r\n", b"q", b"\r\n", b"\n", b" ", b"\xff\xf4",
                        b"\xff\xfd\x06", b"\xff\xfa", b"\xff\xf0", b"\x04",
                    ]).prop_map(<[u8]>::to_vec),
                    (0..2usize).prop_map(|more| vec![b'x'; MAX_NAME + more]),
                ],
                0..40,
            ).prop_map(|parts| parts.concat()),
            chunk in 1usize..40,
        ) {
            let whole = converse_in_chunks(Edition::Shell, [&input[..]]);
            prop_assert_eq!(&whole, &converse_in_chunks(Edition::Shell, input.chunks(chunk)));
            prop_assert!(whole.0.starts_with(PROMPT));
            prop_assert!(whole.0.ends_with(b"\nFinished\n"));
        }
    }
}
