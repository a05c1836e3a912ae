//! A process that serves one connection.

use std::time::{Duration, Instant};

use super::stream::{Read, Stream, StreamError, Written};
use super::{LINGER, Peer, Summary};
use crate::log::{Count, Log, Priority, Throttle};
use crate::session::{Driver, Service, Session, SessionEnd, Want};

/// Log entries per second for exchanges; the others are summed up in one entry per second.
const ENTRIES_PER_SECOND: u32 = 10;

/// Serves the connection until the session ends, and logs how it ended.
///
/// # Errors
///
/// The stream is not a connection, and reading or writing it failed.
pub(crate) fn serve<S: Service>(
    mut service: S,
    stream: Stream<'_>,
    peer: Peer,
    write_timeout: Duration,
    log: &mut Log,
) -> Result<(), StreamError> {
    let start = Instant::now();
    let mut driver = Driver::start(&mut service, write_timeout, start);
    if driver.has_session() {
        stream.receive_urgent_inline();
        log.write(Priority::Info, &format!("{peer} connected"));
    }
    let mut exchanges = ExchangeLog {
        peer,
        log,
        throttle: Throttle::new(ENTRIES_PER_SECOND, start),
    };
    let end = run(&mut driver, stream, &mut exchanges);
    exchanges.finish();
    let summary = Summary {
        peer,
        end: end?,
        pid: None,
        traffic: Some(driver.traffic().into()),
        duration: start.elapsed(),
    };
    log.notice(&summary.to_string());
    if driver.input_ended() {
        stream.close_sending_half();
    } else {
        stream.close(match driver.has_session() {
            true => LINGER,
            false => Duration::ZERO,
        });
    }
    log.report_dropped();
    Ok(())
}

/// Moves bytes between the stream and the session until the session ends.
fn run<S: Session>(
    driver: &mut Driver<S>,
    stream: Stream<'_>,
    exchanges: &mut ExchangeLog<'_>,
) -> Result<SessionEnd, StreamError> {
    let mut buffer = [0; 4096];
    loop {
        match driver.want() {
            Want::Write => {
                let deadline = driver.write_deadline(Instant::now());
                match stream.write(driver.output(), deadline)? {
                    Written::Bytes(n) => driver.on_sent(n),
                    Written::TimedOut => driver.fail(SessionEnd::WriteTimedOut),
                    Written::Gone => driver.fail(SessionEnd::ClientGone),
                }
            }
            Want::Read(deadline) => match stream.read(&mut buffer, deadline)? {
                Read::Bytes(n) => {
                    let (mut input, now) = (&buffer[..n], Instant::now());
                    driver.on_received(n);
                    while let Some(exchange) = driver.receive(&mut input, now) {
                        exchanges.write(exchange, now);
                    }
                }
                Read::End => driver.end_input(),
                Read::TimedOut => driver.on_timer(Instant::now()),
                Read::Gone => driver.fail(SessionEnd::ClientGone),
            },
            Want::Resume => {
                let now = Instant::now();
                while let Some(exchange) = driver.resume(now) {
                    exchanges.write(exchange, now);
                }
            }
            Want::Close(end) => return Ok(end),
        }
    }
}

/// Logs the exchanges of the connection.
struct ExchangeLog<'l> {
    peer: Peer,
    log: &'l mut Log,
    throttle: Throttle,
}

impl ExchangeLog<'_> {
    fn write(&mut self, exchange: impl std::fmt::Display, now: Instant) {
        let suppressed = self.throttle.take_due(now);
        self.sum_up(suppressed);
        if self.throttle.admit(now) {
            self.log.notice(&format!("{} {exchange}", self.peer));
        }
    }

    fn finish(mut self) {
        let suppressed = self.throttle.take();
        self.sum_up(suppressed);
    }

    fn sum_up(&mut self, suppressed: Option<u64>) {
        if let Some(exchanges) = suppressed {
            let exchanges = Count(exchanges, "more exchange");
            self.log
                .notice(&format!("{}: {exchanges} not logged singly", self.peer));
        }
    }
}
