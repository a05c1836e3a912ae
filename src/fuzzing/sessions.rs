//! What clients and servers send.

use std::time::{Duration, Instant};

use super::byte;
use crate::celebs::input::{Input, MAX_NAME, NameReader};
use crate::celebs::session::{Celebs, Edition};
use crate::connect::line_matcher::LineMatcher;
use crate::hello::Hello;
use crate::proxy_protocol::{Client, Decoder, HeaderError};
use crate::session::{Driver, Service, Session, SessionEnd, Want};

const IDLE_TIMEOUT: Duration = Duration::from_secs(100);
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// More than a session has of output that is not sent: its limit, and one answer.
const MAX_OUTPUT: usize = 16 * 1024;

#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Name(Vec<u8>),
    TooLong,
    Interrupt,
}

/// The names in a stream that arrives in pieces.
fn read_names<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<Seen> {
    let see = |found: Input<'_>| match found {
        Input::Name(name) => Seen::Name(name.to_vec()),
        Input::TooLong => Seen::TooLong,
        Input::Interrupt => Seen::Interrupt,
    };
    let mut reader = NameReader::default();
    let mut seen = Vec::new();
    for mut piece in pieces {
        while !piece.is_empty() {
            let (taken, found) = reader.read(piece);
            assert!(taken > 0 && taken <= piece.len());
            seen.extend(found.map(see));
            piece = &piece[taken..];
        }
    }
    seen.extend(reader.finish().map(see));
    seen
}

/// Names are normalized and bounded, and do not depend on the pieces in which the input arrives.
pub fn names(mut data: &[u8]) {
    let size = usize::from(byte(&mut data)).max(1);
    let seen = read_names([data].into_iter());
    assert_eq!(seen, read_names(data.chunks(size)));
    assert_eq!(seen, read_names(data.chunks(1)));
    for name in seen {
        if let Seen::Name(name) = name {
            assert!(name.len() <= MAX_NAME);
            assert!(!name.starts_with(b" ") && !name.ends_with(b" "));
            assert!(!name.windows(2).any(|pair| pair == b"  "));
            assert!(!name.contains(&b'\t') && !name.contains(&b'\n'));
        }
    }
}

/// Finding a line does not depend on the pieces in which the stream arrives.
pub fn lines(mut data: &[u8]) {
    let size = usize::from(byte(&mut data)).max(1);
    let (word, stream) = data.split_at(data.len().min(usize::from(byte(&mut data)) % 8));
    let found = LineMatcher::new(word).find(stream);
    let mut matcher = LineMatcher::new(word);
    let mut before = 0;
    let in_pieces = stream.chunks(size).find_map(|piece| {
        let found = matcher.find(piece).map(|at| before + at);
        before += piece.len();
        found
    });
    assert_eq!(found, in_pieces);
    if let Some(end) = found {
        assert!(stream[..end].ends_with(b"\n"));
    }
}

/// The client by the header at the start of a stream that arrives in pieces, and the bytes of the header.
fn client(stream: &[u8], size: usize) -> Result<(Option<Client>, usize), HeaderError> {
    let mut decoder = Decoder::default();
    let (mut consumed, mut arrived) = (0, 0);
    loop {
        let progress = decoder.advance(&stream[consumed..arrived])?;
        consumed += progress.consumed;
        assert!(consumed <= arrived);
        if progress.client.is_some() || arrived == stream.len() && progress.consumed == 0 {
            return Ok((progress.client, consumed));
        }
        arrived = (arrived + size).min(stream.len());
    }
}

/// The header of a proxy does not depend on the pieces in which it arrives.
pub fn proxy_headers(mut data: &[u8]) {
    let size = usize::from(byte(&mut data)).max(1);
    let whole = client(data, data.len().max(1));
    assert_eq!(whole, client(data, size));
    assert_eq!(whole, client(data, 1));
}

/// A session with what a client and the time do to it.
struct Conversation<S: Session> {
    driver: Driver<S>,
    now: Instant,
    output: Vec<u8>,
    /// Received while the session waited for the client to read.
    largest: usize,
}

impl<S: Session> Conversation<S> {
    fn start(service: &mut impl Service<Session = S>, now: Instant) -> Conversation<S> {
        Conversation {
            driver: Driver::start(service, WRITE_TIMEOUT, now),
            now,
            output: Vec::new(),
            largest: 0,
        }
    }

    /// The client reads at most so many bytes.
    fn read(&mut self, most: usize) {
        let output = self.driver.output();
        assert!(output.len() <= MAX_OUTPUT, "{}", output.len());
        let read = output.len().min(most);
        self.output.extend_from_slice(&output[..read]);
        self.driver.on_sent(read);
    }

    /// Does what the session wants, until it wants to read, or output that the client does not take,
    /// or until it has ended. Returns how it has ended.
    fn run(&mut self) -> Option<SessionEnd> {
        loop {
            match self.driver.want() {
                Want::Resume => while self.driver.resume(self.now).is_some() {},
                Want::Close(end) => return Some(end),
                Want::Write => {
                    let _ = self.driver.write_deadline(self.now);
                    return None;
                }
                Want::Read(_) => return None,
            }
        }
    }

    fn receive(&mut self, mut input: &[u8]) {
        self.largest = self.largest.max(input.len());
        self.driver.on_received(input.len());
        while self.driver.receive(&mut input, self.now).is_some() {}
    }
}

/// A session needs bounded memory and ends, whatever the client, the time and the service do; and what
/// it sends does not depend on the pieces in which its input arrives.
pub fn sessions(mut data: &[u8]) {
    let mut celebs = Celebs {
        edition: match byte(&mut data) % 2 {
            0 => Edition::Shell,
            _ => Edition::Perl,
        },
        idle_timeout: IDLE_TIMEOUT,
    };
    let now = Instant::now();
    let mut conversation = Conversation::start(&mut celebs, now);
    let mut input = Vec::new();
    let mut undisturbed = true;
    while !data.is_empty() && conversation.run().is_none() {
        let (what, amount) = (byte(&mut data), usize::from(byte(&mut data)));
        match what % 8 {
            0..=3 => {
                let piece;
                (piece, data) = data.split_at(data.len().min(amount));
                // As in a server, nothing is read while the client does not read.
                conversation.read(usize::MAX);
                if let (None, Want::Read(_)) = (conversation.run(), conversation.driver.want()) {
                    input.extend_from_slice(piece);
                    conversation.receive(piece);
                }
            }
            4 => conversation.read(amount),
            5 => {
                undisturbed = false;
                conversation.now += Duration::from_secs(amount as u64);
                conversation.driver.on_timer(conversation.now);
            }
            6 => {
                undisturbed = false;
                conversation.driver.shut_down();
            }
            _ => {
                undisturbed = false;
                conversation.driver.fail(SessionEnd::ClientGone);
            }
        }
    }
    conversation.driver.end_input();
    let end = (0..10_000).find_map(|_| {
        conversation.read(usize::MAX);
        conversation.run()
    });
    let end = end.expect("a session whose input has ended ends");
    let (received, sent) = conversation.driver.traffic();
    assert!(received as usize >= input.len());
    assert_eq!(sent as usize, conversation.output.len());
    if undisturbed {
        let mut whole = Conversation::start(&mut celebs, now);
        whole.receive(&input);
        whole.driver.end_input();
        let whole_end = (0..10_000).find_map(|_| {
            whole.read(usize::MAX);
            whole.run()
        });
        assert_eq!(whole_end, Some(end));
        assert_eq!(whole.output, conversation.output);
    }
    let mut hello = Conversation::start(&mut Hello::default(), now);
    hello.read(usize::MAX);
    assert_eq!(hello.run(), Some(SessionEnd::Served));
    assert!(hello.output.starts_with(b"Hello World:") && hello.output.ends_with(b"\n"));
}
