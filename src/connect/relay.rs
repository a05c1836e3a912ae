//! Moves bytes between a connection and the user, in both directions at once.

use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::socket::{MsgFlags, Shutdown, getsockopt, recv, shutdown, sockopt};
use nix::sys::stat::{SFlag, fstat};
use nix::unistd::{self, isatty};

use super::buffer::Buffer;
use super::line_matcher::LineMatcher;
use super::relay_error::RelayError;
use crate::connection::{TcpInfo, poll_timeout, send_now, write_ready};

#[derive(Debug, Clone, Default)]
pub(crate) struct RelayOptions {
    /// End after the server has sent this line.
    pub(crate) until: Option<String>,
    /// Replace LF by CR LF in what the user types, unless a CR precedes it.
    pub(crate) crlf: bool,
    /// Fail after no byte has moved in either direction for this long.
    pub(crate) idle_timeout: Option<Duration>,
}

/// Writes to `output` what `server` sends, and sends it what is read from `input`, until the server
/// closes the connection, sends the line of [`RelayOptions::until`], or the reader of `output` has
/// gone. The end of `input` shuts down only the sending half of the connection.
///
/// # Errors
///
/// See [`RelayError`].
pub(crate) fn relay(
    server: impl AsFd,
    input: impl AsFd,
    output: impl AsFd,
    options: &RelayOptions,
) -> Result<(), RelayError> {
    let mut relay = Relay {
        server: server.as_fd(),
        input: input.as_fd(),
        output: output.as_fd(),
        output_mode: OutputMode::of(output.as_fd()),
        options,
        until: options
            .until
            .as_ref()
            .map(|word| LineMatcher::new(word.as_bytes())),
        to_server: Buffer::new(input.as_fd()),
        to_output: Buffer::new(output.as_fd()),
        sending: Sending::Open,
        after_cr: false,
        received_any: false,
        sent_any: false,
        end: None,
    };
    loop {
        if let Some(result) = relay.step()? {
            return result;
        }
    }
}

/// The state of the sending half of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sending {
    Open,
    /// Input has ended; the bytes read from it may still wait in the buffer.
    InputEnded,
    /// Everything was sent, and the sending half is shut down.
    Closed,
    /// Sending failed.
    Broken(Errno),
}

struct Relay<'a> {
    server: BorrowedFd<'a>,
    input: BorrowedFd<'a>,
    output: BorrowedFd<'a>,
    output_mode: OutputMode,
    options: &'a RelayOptions,
    until: Option<LineMatcher>,
    to_server: Buffer<'a>,
    to_output: Buffer<'a>,
    sending: Sending,
    /// Whether the last byte read from input was a CR, so that a LF needs none.
    after_cr: bool,
    received_any: bool,
    sent_any: bool,
    /// The result of the relay, to be returned once the last bytes are written to output.
    end: Option<Result<(), RelayError>>,
}

/// How to write to the output without blocking.
#[derive(Debug)]
enum OutputMode {
    /// Any number of bytes at any time: regular files, and devices other than terminals.
    Whole,
    /// Any number of bytes at any time, to the pipe as it was opened again with O_NONBLOCK. The
    /// original file description is shared with the shell, and stays as it is.
    Pipe(File),
    /// A limited number of bytes when poll(2) reports that the output is ready.
    WhenReady,
}

impl OutputMode {
    fn of(output: BorrowedFd<'_>) -> OutputMode {
        let kind =
            fstat(output).map(|stat| SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT);
        match kind {
            Ok(SFlag::S_IFREG) => OutputMode::Whole,
            Ok(SFlag::S_IFCHR) if !isatty(output).unwrap_or(true) => OutputMode::Whole,
            // Fails without /proc, and if the pipe belongs to another user.
            Ok(SFlag::S_IFIFO) => OpenOptions::new()
                .write(true)
                .custom_flags(OFlag::O_NONBLOCK.bits())
                .open(format!("/proc/self/fd/{}", output.as_raw_fd()))
                .map_or(OutputMode::WhenReady, OutputMode::Pipe),
            _ => OutputMode::WhenReady,
        }
    }

    /// Whether a write needs no poll(2) before it.
    fn never_blocks(&self) -> bool {
        !matches!(self, OutputMode::WhenReady)
    }

    fn write(&self, output: BorrowedFd<'_>, bytes: &[u8]) -> nix::Result<usize> {
        match self {
            OutputMode::Whole => unistd::write(output, bytes),
            OutputMode::Pipe(pipe) => unistd::write(pipe, bytes),
            OutputMode::WhenReady => write_ready(output, bytes),
        }
    }
}

/// The result of the relay, or `None` while it goes on.
type End = Option<Result<(), RelayError>>;

impl Relay<'_> {
    /// Waits until bytes can move in one of the directions, and moves them.
    fn step(&mut self) -> Result<End, RelayError> {
        if self.to_output.is_empty() && self.end.is_some() {
            return Ok(self.end.take());
        }
        if self.sending == Sending::InputEnded && self.to_server.is_empty() {
            self.sending = Sending::Closed;
            // Fails if the server has gone; then receiving reports it.
            let _ = shutdown(self.server.as_raw_fd(), Shutdown::Write);
        }
        let [server, input, output] = self.wait()?;
        if !output.is_empty() {
            // Without requested events poll(2) reports only errors: the reader has gone.
            if self.to_output.is_empty() || !self.write_output()? {
                return Ok(Some(Ok(())));
            }
        }
        // Receive before sending: a server that has closed the connection answers new data with a
        // reset, which hides whether it had received all that was sent before.
        if !server.is_empty() && self.to_output.is_empty() && self.end.is_none() {
            self.receive();
            if !self.to_output.is_empty()
                && self.output_mode.never_blocks()
                && !self.write_output()?
            {
                return Ok(Some(Ok(())));
            }
        }
        if !input.is_empty() {
            self.read_input()?;
        }
        if !self.to_server.is_empty() {
            self.send();
        }
        Ok(None)
    }

    /// Waits until the server, the input or the output is ready, and returns the events of each, in
    /// this order.
    fn wait(&self) -> Result<[PollFlags; 3], RelayError> {
        let when = |condition, flags| if condition { flags } else { PollFlags::empty() };
        let receiving = self.end.is_none() && self.to_output.is_empty();
        let reading = self.sending == Sending::Open && self.to_server.is_empty();
        let server = when(receiving, PollFlags::POLLIN)
            | when(!self.to_server.is_empty(), PollFlags::POLLOUT);
        let output = when(!self.to_output.is_empty(), PollFlags::POLLOUT);
        // poll(2) reports a hangup whether it is requested or not. So server and input are left out
        // while nothing is expected of them, or the loop would spin. The output always stays in,
        // because the relay ends when its reader has gone.
        let mut fds = vec![PollFd::new(self.output, output)];
        if !server.is_empty() {
            fds.push(PollFd::new(self.server, server));
        }
        if reading {
            fds.push(PollFd::new(self.input, PollFlags::POLLIN));
        }
        let deadline = self
            .options
            .idle_timeout
            .map(|timeout| Instant::now() + timeout);
        loop {
            match poll(&mut fds, poll_timeout(deadline)) {
                Ok(0) => {
                    let timeout = self.options.idle_timeout;
                    if let Some(timeout) = timeout.filter(|_| deadline <= Some(Instant::now())) {
                        return Err(RelayError::IdleTimeout(timeout));
                    }
                }
                Ok(_) => break,
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(RelayError::Input(errno.into())),
            }
        }
        let ready = |index: usize| {
            fds.get(index)
                .and_then(PollFd::revents)
                .unwrap_or(PollFlags::empty())
        };
        let servers = usize::from(!server.is_empty());
        let server = when(servers == 1, ready(1));
        Ok([server, when(reading, ready(1 + servers)), ready(0)])
    }

    /// Writes to the output. False if its reader has gone.
    fn write_output(&mut self) -> Result<bool, RelayError> {
        match self
            .output_mode
            .write(self.output, self.to_output.unwritten())
        {
            Ok(n) => self.to_output.consume(n),
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(Errno::EPIPE) => return Ok(false),
            Err(errno) => return Err(RelayError::Output(errno.into())),
        }
        Ok(true)
    }

    fn read_input(&mut self) -> Result<(), RelayError> {
        let Relay {
            input,
            after_cr,
            options,
            ..
        } = self;
        let read = self.to_server.refill(|buffer| {
            if !options.crlf {
                return unistd::read(*input, buffer);
            }
            // Half of the buffer, because every byte may become two.
            let mut typed = vec![0; buffer.len() / 2];
            let n = unistd::read(*input, &mut typed)?;
            Ok(copy_with_cr(&typed[..n], after_cr, buffer))
        });
        match read {
            // A terminal that was hung up returns EIO.
            Ok(0) | Err(Errno::EIO) => self.sending = Sending::InputEnded,
            Ok(_) | Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(errno) => return Err(RelayError::Input(errno.into())),
        }
        Ok(())
    }

    fn send(&mut self) {
        match send_now(self.server, self.to_server.unwritten()) {
            Ok(n) => {
                self.to_server.consume(n);
                self.sent_any = true;
            }
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            // What the server sent before is still to be received.
            Err(errno) => {
                self.to_server.truncate(0);
                self.sending = Sending::Broken(errno);
            }
        }
    }

    fn receive(&mut self) {
        let server = self.server.as_raw_fd();
        let received = self
            .to_output
            .refill(|buffer| recv(server, buffer, MsgFlags::MSG_DONTWAIT));
        match received {
            Ok(0) => self.end = Some(self.closed()),
            Ok(_) => {
                self.received_any = true;
                let until = self.until.as_mut();
                if let Some(end) = until.and_then(|until| until.find(self.to_output.unwritten())) {
                    self.to_output.truncate(end);
                    self.end = Some(Ok(()));
                }
            }
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(errno) => self.end = Some(Err(self.failed(errno))),
        }
    }

    /// The result of the relay after the server has closed the connection.
    fn closed(&self) -> Result<(), RelayError> {
        if let Sending::Broken(errno) = self.sending {
            return Err(self.failed(errno));
        }
        // A server may send nothing at all, if it has received everything up to the end of input. If
        // it closed the connection earlier, it answers the rest with a reset, which may still be
        // under way. So the kernel is asked for this state before it is asked for the reset.
        let all_received = self.sent_any
            && self.sending == Sending::Closed
            && TcpInfo::of(&self.server).is_none_or(|info| info.closed);
        // recv(2) does not report a reset that arrived right behind the end of the stream.
        if let Ok(error @ 1..) = getsockopt(&self.server, sockopt::SocketError) {
            return Err(self.failed(Errno::from_raw(error)));
        }
        if !self.received_any && !all_received {
            return Err(RelayError::ClosedAtOnce);
        }
        match (&self.until, &self.options.until) {
            (Some(until), Some(word)) if !until.at_match() => {
                Err(RelayError::ClosedBefore(word.clone()))
            }
            _ => Ok(()),
        }
    }

    fn failed(&self, errno: Errno) -> RelayError {
        if self.received_any {
            RelayError::Lost(errno)
        } else {
            RelayError::ClosedAtOnce
        }
    }
}

/// Copies `typed` to `buffer`, which is at least twice as long, inserts a CR before each LF that has
/// none, and returns the number of bytes in `buffer`.
fn copy_with_cr(typed: &[u8], after_cr: &mut bool, buffer: &mut [u8]) -> usize {
    let mut length = 0;
    let mut put = |byte| {
        buffer[length] = byte;
        length += 1;
    };
    for &byte in typed {
        if byte == b'\n' && !*after_cr {
            put(b'\r');
        }
        *after_cr = byte == b'\r';
        put(byte);
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{self, Write};
    use std::net::{TcpListener, TcpStream};
    use std::thread;

    #[test]
    fn a_server_that_closes_while_data_is_in_flight_closed_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        const ROUNDS: usize = 3000;
        let server = thread::spawn(move || {
            for _ in 0..ROUNDS {
                drop(listener.accept());
            }
        });
        let output = File::create("/dev/null").unwrap();
        for round in 0..ROUNDS {
            let (input, mut typed) = io::pipe().unwrap();
            typed.write_all(b"linus\nquit\n").unwrap();
            drop(typed);
            let client = TcpStream::connect(address).unwrap();
            let ended = relay(&client, &input, &output, &RelayOptions::default());
            assert!(
                matches!(ended, Err(RelayError::ClosedAtOnce)),
                "round {round}: {ended:?}"
            );
        }
        server.join().unwrap();
    }
}
