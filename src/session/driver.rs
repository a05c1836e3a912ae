//! Runs a session for a caller that does the input and output.

use std::time::{Duration, Instant};

use super::{Event, Service, Session, SessionEnd};

/// The output buffer size at which a session pauses until the output is sent, in bytes.
const MAX_OUTPUT: usize = 8 * 1024;

/// The output buffer of an idle session, in bytes.
const IDLE_OUTPUT: usize = 512;

/// A session with its buffers, deadlines and counters. It does no input or output itself: the
/// caller asks for [`Driver::want`], does that, and repeats until [`Want::Close`].
#[derive(Debug)]
pub(crate) struct Driver<S> {
    /// `None` if the service had nothing to do after its first output.
    session: Option<Box<S>>,
    end: Option<SessionEnd>,
    /// Received bytes that the session has not processed, because its output was not sent.
    pending: Vec<u8>,
    /// How many bytes of `pending` are processed.
    processed: usize,
    input_ended: bool,
    output: Vec<u8>,
    /// How many bytes of `output` are sent.
    flushed: usize,
    write_timeout: Duration,
    write_deadline: Option<Instant>,
    received: u64,
    sent: u64,
}

/// What the caller has to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Want {
    /// Send [`Driver::output`], and call [`Driver::on_sent`].
    Write,
    /// Read, and call [`Driver::receive`] or [`Driver::end_input`]; after this time, call
    /// [`Driver::on_timer`].
    Read(Instant),
    /// Call [`Driver::resume`].
    Resume,
    /// Close the connection: the session ended like this, and all output is sent.
    Close(SessionEnd),
}

impl<S: Session> Driver<S> {
    /// Starts a session. A client may take `write_timeout` to read pending output.
    pub(crate) fn start(
        service: &mut impl Service<Session = S>,
        write_timeout: Duration,
        now: Instant,
    ) -> Driver<S> {
        let mut output = Vec::new();
        let session = service.start(now, &mut output).map(Box::new);
        Driver {
            end: session.is_none().then_some(SessionEnd::Served),
            session,
            pending: Vec::new(),
            processed: 0,
            input_ended: false,
            output,
            flushed: 0,
            write_timeout,
            write_deadline: None,
            received: 0,
            sent: 0,
        }
    }

    /// What the caller has to do next.
    pub(crate) fn want(&self) -> Want {
        if self.flushed < self.output.len() {
            return Want::Write;
        }
        match (&self.session, self.end) {
            (_, Some(end)) => Want::Close(end),
            (None, None) => Want::Close(SessionEnd::Served),
            (Some(_), None) if self.input_ended || !self.pending.is_empty() => Want::Resume,
            (Some(session), None) => Want::Read(session.deadline()),
        }
    }

    /// The output that is not sent yet.
    pub(crate) fn output(&self) -> &[u8] {
        &self.output[self.flushed..]
    }

    /// Takes note that the client accepted this many bytes of [`Driver::output`].
    pub(crate) fn on_sent(&mut self, bytes: usize) {
        self.flushed += bytes;
        self.sent += bytes as u64;
        if self.flushed >= self.output.len() {
            self.write_deadline = None;
            self.flushed = 0;
            self.output.clear();
            self.output.shrink_to(IDLE_OUTPUT);
        }
    }

    /// When the pending output has to be sent. Called when the output cannot be sent at once; then
    /// [`Driver::on_timer`] has to be called at this time.
    pub(crate) fn write_deadline(&mut self, now: Instant) -> Instant {
        *self.write_deadline.get_or_insert(now + self.write_timeout)
    }

    /// Passes a part of the received bytes to the session, and returns the exchange that follows.
    /// The caller repeats this until it returns `None`. The driver keeps what the session cannot
    /// process yet.
    pub(crate) fn receive(&mut self, input: &mut &[u8], now: Instant) -> Option<S::Exchange<'_>> {
        if input.is_empty() || self.end.is_some() {
            return None;
        }
        if self.output.len() >= MAX_OUTPUT {
            self.pending.extend_from_slice(input);
            *input = &[];
            return None;
        }
        let session = self.session.as_mut()?;
        let (processed, event) = session.receive(input, now, &mut self.output);
        *input = &input[processed..];
        exchange(event, &mut self.end)
    }

    /// Takes note that this many bytes were received.
    pub(crate) fn on_received(&mut self, bytes: usize) {
        self.received += bytes as u64;
    }

    /// Takes note that the client closed its sending half.
    pub(crate) fn end_input(&mut self) {
        self.input_ended = true;
    }

    /// Processes a part of what is kept, or the end of input, and returns the exchange that
    /// follows. The caller repeats this until it returns `None`.
    pub(crate) fn resume(&mut self, now: Instant) -> Option<S::Exchange<'_>> {
        if self.end.is_some() || self.output.len() >= MAX_OUTPUT {
            return None;
        }
        let session = self.session.as_mut()?;
        if self.processed < self.pending.len() {
            let input = &self.pending[self.processed..];
            let (processed, event) = session.receive(input, now, &mut self.output);
            self.processed += processed;
            if self.processed == self.pending.len() {
                // Its memory is not needed for most sessions.
                self.pending = Vec::new();
                self.processed = 0;
            }
            return exchange(event, &mut self.end);
        }
        if !self.input_ended {
            return None;
        }
        exchange(Some(session.end_of_input(&mut self.output)), &mut self.end)
    }

    /// Ends the session if one of its deadlines has passed.
    pub(crate) fn on_timer(&mut self, now: Instant) {
        if self.write_deadline.is_some_and(|deadline| deadline <= now) {
            return self.fail(SessionEnd::WriteTimedOut);
        }
        match &mut self.session {
            Some(session) if self.end.is_none() && session.deadline() <= now => {
                session.time_out(&mut self.output);
                self.end = Some(SessionEnd::TimedOut);
            }
            _ => {}
        }
    }

    /// Ends the session because the service stops.
    pub(crate) fn shut_down(&mut self) {
        if let (Some(session), None) = (&mut self.session, self.end) {
            session.shut_down(&mut self.output);
            self.end = Some(SessionEnd::ServiceStopped);
        }
    }

    /// Ends the session because the connection failed: nothing more is sent or received.
    pub(crate) fn fail(&mut self, end: SessionEnd) {
        self.end = Some(end);
        self.input_ended = true;
        self.write_deadline = None;
        self.flushed = 0;
        self.output = Vec::new();
    }

    /// Returns whether the service reads input.
    pub(crate) fn has_session(&self) -> bool {
        self.session.is_some()
    }

    /// Returns whether the client will send nothing more.
    pub(crate) fn input_ended(&self) -> bool {
        self.input_ended
    }

    /// Bytes received, and bytes sent.
    pub(crate) fn traffic(&self) -> (u64, u64) {
        (self.received, self.sent)
    }
}

/// Returns the exchange of an event, or stores how the session ended.
fn exchange<E>(event: Option<Event<E>>, end: &mut Option<SessionEnd>) -> Option<E> {
    match event? {
        Event::Exchange(exchange) => Some(exchange),
        Event::Ended(how) => {
            *end = Some(how);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers each byte with `ANSWER` bytes; `q` ends the session.
    struct Repeat;

    struct Repeater {
        deadline: Instant,
    }

    const ANSWER: usize = 1000;
    const TIMEOUT: Duration = Duration::from_secs(1);

    impl Service for Repeat {
        type Session = Repeater;

        fn start(&mut self, now: Instant, output: &mut Vec<u8>) -> Option<Repeater> {
            output.push(b'>');
            let deadline = now + TIMEOUT;
            Some(Repeater { deadline })
        }
    }

    impl Session for Repeater {
        type Exchange<'a> = char;

        fn deadline(&self) -> Instant {
            self.deadline
        }

        fn receive(
            &mut self,
            input: &[u8],
            _: Instant,
            output: &mut Vec<u8>,
        ) -> (usize, Option<Event<char>>) {
            match input[0] {
                b'q' => (1, Some(Event::Ended(SessionEnd::Quit))),
                byte => {
                    output.extend([byte; ANSWER]);
                    (1, Some(Event::Exchange(byte.into())))
                }
            }
        }

        fn end_of_input(&mut self, output: &mut Vec<u8>) -> Event<char> {
            output.push(b'.');
            Event::Ended(SessionEnd::EndOfInput)
        }

        fn time_out(&mut self, output: &mut Vec<u8>) {
            output.extend(b"late");
        }

        fn shut_down(&mut self, output: &mut Vec<u8>) {
            output.extend(b"bye");
        }
    }

    fn started(now: Instant) -> Driver<Repeater> {
        let mut driver = Driver::start(&mut Repeat, TIMEOUT * 3, now);
        assert_eq!(take(&mut driver), b">");
        driver
    }

    /// Sends all output.
    fn take(driver: &mut Driver<Repeater>) -> Vec<u8> {
        let output = driver.output().to_vec();
        driver.on_sent(output.len());
        output
    }

    /// Receives bytes and returns the exchanges.
    fn receive(driver: &mut Driver<Repeater>, mut input: &[u8], now: Instant) -> String {
        let mut exchanges = String::new();
        while let Some(exchange) = driver.receive(&mut input, now) {
            exchanges.push(exchange);
        }
        assert!(input.is_empty() || matches!(driver.end, Some(SessionEnd::Quit)));
        exchanges
    }

    #[test]
    fn input_is_kept_while_output_is_not_sent() {
        let now = Instant::now();
        let mut driver = started(now);
        assert_eq!(receive(&mut driver, b"abcdefghijklq", now), "abcdefghi");
        assert_eq!(driver.want(), Want::Write);
        assert_eq!(take(&mut driver).len(), 9 * ANSWER);
        assert_eq!(driver.want(), Want::Resume);
        let mut rest = String::new();
        while let Some(exchange) = driver.resume(now) {
            rest.push(exchange);
        }
        assert_eq!(rest, "jkl");
        assert_eq!(take(&mut driver).len(), 3 * ANSWER);
        assert_eq!(driver.want(), Want::Close(SessionEnd::Quit));
    }

    #[test]
    fn the_end_of_input_is_processed_after_the_input() {
        let now = Instant::now();
        let mut driver = started(now);
        assert_eq!(driver.want(), Want::Read(now + TIMEOUT));
        receive(&mut driver, b"a", now);
        driver.end_input();
        take(&mut driver);
        assert_eq!(driver.want(), Want::Resume);
        assert_eq!(driver.resume(now), None);
        assert_eq!(take(&mut driver), b".");
        assert_eq!(driver.want(), Want::Close(SessionEnd::EndOfInput));
    }

    #[test]
    fn a_session_ends_at_its_deadline_and_not_before() {
        let now = Instant::now();
        let mut driver = started(now);
        driver.on_timer(now);
        assert_eq!(driver.want(), Want::Read(now + TIMEOUT));
        driver.on_timer(now + TIMEOUT);
        assert_eq!(take(&mut driver), b"late");
        assert_eq!(driver.want(), Want::Close(SessionEnd::TimedOut));
    }

    #[test]
    fn output_that_is_not_sent_in_time_is_dropped() {
        let now = Instant::now();
        let mut driver = started(now);
        receive(&mut driver, b"a", now);
        let deadline = driver.write_deadline(now);
        assert_eq!(deadline, now + TIMEOUT * 3);
        driver.on_sent(10);
        assert_eq!(driver.write_deadline(now + TIMEOUT), deadline);
        driver.on_timer(deadline);
        assert_eq!(driver.want(), Want::Close(SessionEnd::WriteTimedOut));
        assert_eq!(driver.traffic(), (0, 11));
    }

    #[test]
    fn shutting_down_sends_the_last_output() {
        let mut driver = started(Instant::now());
        driver.shut_down();
        driver.shut_down();
        assert_eq!(take(&mut driver), b"bye");
        assert_eq!(driver.want(), Want::Close(SessionEnd::ServiceStopped));
    }
}
