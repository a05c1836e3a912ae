//! A process that serves one connection.

use std::time::{Duration, Instant};

use anyhow::Context;

use super::stream::{Read, Stream};
use crate::log::{Allowance, Log, Priority};
use crate::session::{Event, Service, Talk};

/// How long a client that has been told the end may take to close its side.
pub const LINGER: Duration = Duration::from_secs(2);

/// Answers are sent together where much is asked at once, in pieces of about this many bytes.
pub const BATCH: usize = 8 * 1024;

/// Exchanges that one connection may have logged singly in a second.
const RECORDS_A_SECOND: u32 = 10;

/// Serves the connection to its end, and leaves its record.
///
/// # Errors
///
/// What stands in the place of the connection is a file, and cannot be read or written.
pub fn serve<S: Service>(
    mut service: S,
    stream: &mut Stream,
    write_timeout: Duration,
    log: &mut Log,
) -> anyhow::Result<()> {
    let now = Instant::now();
    let mut out = Vec::with_capacity(256);
    let begun = service.begin(now, &mut out);
    let mut single = Single {
        stream,
        write_timeout,
        log,
        out,
        allowance: Allowance::new(RECORDS_A_SECOND, now),
    };
    let (end, linger) = match begun {
        None => (single.flush()?.unwrap_or("served"), Duration::ZERO),
        Some(talk) => {
            single.stream.take_urgent_in_place();
            single.log.write(
                Priority::Debug,
                &format!("{} connected", single.stream.peer()),
            );
            let end = single.hold(talk);
            let left_out = single.allowance.rest();
            single.tell_left_out(left_out);
            (end?, LINGER)
        }
    };
    log.notice(&stream.summary(end).to_string());
    stream.close(linger);
    log.tell_lost();
    Ok(())
}

/// Moves bytes between a stream and a conversation.
struct Single<'t, 's> {
    stream: &'t mut Stream<'s>,
    write_timeout: Duration,
    log: &'t mut Log,
    out: Vec<u8>,
    allowance: Allowance,
}

impl Single<'_, '_> {
    /// Holds the conversation, and says how it ended.
    fn hold(&mut self, mut talk: impl Talk) -> anyhow::Result<&'static str> {
        let mut buffer = [0; 4096];
        let mut end = None;
        loop {
            if let Some(lost) = self.flush()? {
                return Ok(lost);
            }
            if let Some(end) = end {
                return Ok(end);
            }
            let read = self
                .stream
                .read(&mut buffer, talk.deadline())
                .context("cannot read from standard input")?;
            end = match read {
                Read::Bytes(n) => self.receive(&mut talk, &buffer[..n])?,
                Read::End => Some(self.end_of_input(&mut talk)),
                Read::TimedOut => Some(talk.time_out(&mut self.out)),
                Read::Gone => return Ok("client gone"),
            };
        }
    }

    /// Feeds received bytes to the conversation; says how it ended where it did.
    fn receive(
        &mut self,
        talk: &mut impl Talk,
        mut input: &[u8],
    ) -> anyhow::Result<Option<&'static str>> {
        let now = Instant::now();
        while !input.is_empty() {
            let (taken, event) = talk.receive(input, now, &mut self.out);
            input = &input[taken..];
            match event {
                Some(Event::Ended(end)) => return Ok(Some(end)),
                Some(Event::Exchange(exchange)) => self.record(exchange, now),
                None => {}
            }
            if self.out.len() >= BATCH {
                let lost = self.flush()?;
                if lost.is_some() {
                    return Ok(lost);
                }
            }
        }
        Ok(None)
    }

    fn end_of_input(&mut self, talk: &mut impl Talk) -> &'static str {
        let now = Instant::now();
        loop {
            match talk.end_of_input(&mut self.out) {
                Event::Ended(end) => return end,
                Event::Exchange(exchange) => self.record(exchange, now),
            }
        }
    }

    /// Sends what is to be said; says how the conversation ended where nobody takes it.
    fn flush(&mut self) -> anyhow::Result<Option<&'static str>> {
        let written = self
            .stream
            .write(&self.out, Instant::now() + self.write_timeout)
            .context("cannot write to standard output")?;
        self.out.clear();
        Ok(written.lost())
    }

    /// One record an exchange, as far as the allowance goes.
    fn record(&mut self, exchange: impl std::fmt::Display, now: Instant) {
        let left_out = self.allowance.due(now);
        self.tell_left_out(left_out);
        if self.allowance.pass(now) {
            self.log
                .notice(&format!("{} {exchange}", self.stream.peer()));
        }
    }

    fn tell_left_out(&mut self, left_out: Option<u64>) {
        if let Some(exchanges) = left_out {
            let peer = self.stream.peer();
            self.log
                .notice(&format!("{peer} went on: {exchanges} more exchanges"));
        }
    }
}
