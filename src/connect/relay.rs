//! Moves bytes both ways at once, until the server or the user has had enough.

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

use super::cut_off::CutOff;
use super::held::Held;
use super::watch::Watch;
use crate::connection::{TcpInfo, poll_timeout, send_now, write_ready};

/// How the bytes are moved.
#[derive(Debug, Clone, Default)]
pub struct Manner {
    /// End when the server has sent this line.
    pub until: Option<String>,
    /// Send CR LF where the user's line ends in LF alone.
    pub crlf: bool,
    /// End when no byte has moved for this long.
    pub idle_timeout: Option<Duration>,
}

/// A conversation that ended as it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The server closed the connection.
    Closed,
    /// The line came that was waited for.
    Until,
    /// Nobody reads the output any more.
    OutputClosed,
}

/// Shows on `output` what `server` sends, and sends it what comes from `input`, until the server
/// closes. The end of `input` closes only the sending half.
///
/// # Errors
///
/// See [`CutOff`].
pub fn relay(
    server: impl AsFd,
    input: impl AsFd,
    output: impl AsFd,
    manner: &Manner,
) -> Result<Ending, CutOff> {
    let mut relay = Relay {
        server: server.as_fd(),
        input: input.as_fd(),
        output: output.as_fd(),
        way_out: WayOut::of(output.as_fd()),
        manner,
        watch: manner
            .until
            .as_ref()
            .map(|word| Watch::new(word.as_bytes())),
        upward: Held::beside(input.as_fd()),
        downward: Held::beside(output.as_fd()),
        sending: Sending::Open,
        after_return: false,
        received_any: false,
        sent_any: false,
        last: None,
    };
    loop {
        if let Some(result) = relay.step()? {
            return result;
        }
    }
}

/// The sending half of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sending {
    Open,
    /// The user has no more to say.
    InputEnded,
    /// The server knows.
    Closed,
    /// The server takes no more.
    Broken(Errno),
}

struct Relay<'a> {
    server: BorrowedFd<'a>,
    input: BorrowedFd<'a>,
    output: BorrowedFd<'a>,
    way_out: WayOut,
    manner: &'a Manner,
    watch: Option<Watch>,
    upward: Held<'a>,
    downward: Held<'a>,
    sending: Sending,
    /// The last byte sent was a CR, so that a LF needs none.
    after_return: bool,
    received_any: bool,
    sent_any: bool,
    /// How it ended, as soon as the last bytes are shown.
    last: Option<Result<Ending, CutOff>>,
}

/// How much may be written to the output at once, so that it does not block.
#[derive(Debug)]
enum WayOut {
    /// As much as there is: what is no pipe and no terminal takes it.
    Whole,
    /// A pipe, opened once more. That descriptor does not block, and the one that is shared with
    /// the shell stays as it is.
    Pipe(File),
    /// A little, when it is ready.
    Pieces,
}

impl WayOut {
    fn of(output: BorrowedFd<'_>) -> WayOut {
        let kind =
            fstat(output).map(|stat| SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT);
        match kind {
            Ok(SFlag::S_IFREG) => WayOut::Whole,
            Ok(SFlag::S_IFCHR) if !isatty(output).unwrap_or(true) => WayOut::Whole,
            // Fails without /proc, and where the pipe is another user's.
            Ok(SFlag::S_IFIFO) => OpenOptions::new()
                .write(true)
                .custom_flags(OFlag::O_NONBLOCK.bits())
                .open(format!("/proc/self/fd/{}", output.as_raw_fd()))
                .map_or(WayOut::Pieces, WayOut::Pipe),
            _ => WayOut::Pieces,
        }
    }

    /// Whether it can be written to without asking whether it is ready.
    fn never_blocks(&self) -> bool {
        !matches!(self, WayOut::Pieces)
    }

    fn write(&self, output: BorrowedFd<'_>, bytes: &[u8]) -> nix::Result<usize> {
        match self {
            WayOut::Whole => unistd::write(output, bytes),
            WayOut::Pipe(pipe) => unistd::write(pipe, bytes),
            WayOut::Pieces => write_ready(output, bytes),
        }
    }
}

/// The end, if it has come.
type End = Option<Result<Ending, CutOff>>;

impl Relay<'_> {
    /// Waits until something can move, and moves it.
    fn step(&mut self) -> Result<End, CutOff> {
        if self.downward.is_empty() && self.last.is_some() {
            return Ok(self.last.take());
        }
        if self.sending == Sending::InputEnded && self.upward.is_empty() {
            self.sending = Sending::Closed;
            // Fails where the server is gone, which reading tells.
            let _ = shutdown(self.server.as_raw_fd(), Shutdown::Write);
        }
        let [server, input, output] = self.wait()?;
        if !output.is_empty() {
            // Asked for nothing, this is an error: the reader has left.
            if self.downward.is_empty() || !self.show()? {
                return Ok(Some(Ok(Ending::OutputClosed)));
            }
        }
        // Before anything is sent: what a server that has closed already would answer to it is a
        // reset, which hides whether it had taken what was sent before.
        if !server.is_empty() && self.downward.is_empty() && self.last.is_none() {
            self.receive();
            if !self.downward.is_empty() && self.way_out.never_blocks() && !self.show()? {
                return Ok(Some(Ok(Ending::OutputClosed)));
            }
        }
        if !input.is_empty() {
            self.take_input()?;
        }
        if !self.upward.is_empty() {
            self.send();
        }
        Ok(None)
    }

    /// Waits until one of server, input and output is ready for what is wanted of it, and says what
    /// each is ready for.
    fn wait(&self) -> Result<[PollFlags; 3], CutOff> {
        let when = |condition, flags| if condition { flags } else { PollFlags::empty() };
        let receiving = self.last.is_none() && self.downward.is_empty();
        let reading = self.sending == Sending::Open && self.upward.is_empty();
        let server =
            when(receiving, PollFlags::POLLIN) | when(!self.upward.is_empty(), PollFlags::POLLOUT);
        let output = when(!self.downward.is_empty(), PollFlags::POLLOUT);
        // An end that has come is told again and again, so that nobody is asked of whom nothing is
        // wanted; but the output always, because its end is the end.
        let mut fds = vec![PollFd::new(self.output, output)];
        if !server.is_empty() {
            fds.push(PollFd::new(self.server, server));
        }
        if reading {
            fds.push(PollFd::new(self.input, PollFlags::POLLIN));
        }
        let deadline = self
            .manner
            .idle_timeout
            .map(|timeout| Instant::now() + timeout);
        loop {
            match poll(&mut fds, poll_timeout(deadline)) {
                Ok(0) => {
                    let silent = self.manner.idle_timeout;
                    if let Some(timeout) = silent.filter(|_| deadline <= Some(Instant::now())) {
                        return Err(CutOff::Silence(timeout));
                    }
                }
                Ok(_) => break,
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(CutOff::Input(errno.into())),
            }
        }
        let ready = |index: usize| {
            fds.get(index)
                .and_then(PollFd::revents)
                .unwrap_or(PollFlags::empty())
        };
        let asked = usize::from(!server.is_empty());
        let server = when(asked == 1, ready(1));
        Ok([server, when(reading, ready(1 + asked)), ready(0)])
    }

    /// Whether somebody still reads the output.
    fn show(&mut self) -> Result<bool, CutOff> {
        match self.way_out.write(self.output, self.downward.rest()) {
            Ok(n) => self.downward.gone(n),
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(Errno::EPIPE) => return Ok(false),
            Err(errno) => return Err(CutOff::Output(errno.into())),
        }
        Ok(true)
    }

    fn take_input(&mut self) -> Result<(), CutOff> {
        let Relay {
            input,
            after_return,
            manner,
            ..
        } = self;
        let taken = self.upward.refill(|room| {
            if !manner.crlf {
                return unistd::read(*input, room);
            }
            // Half, because every byte may become two.
            let mut typed = vec![0; room.len() / 2];
            let n = unistd::read(*input, &mut typed)?;
            Ok(with_returns(&typed[..n], after_return, room))
        });
        match taken {
            // EIO is what a terminal says that was hung up.
            Ok(0) | Err(Errno::EIO) => self.sending = Sending::InputEnded,
            Ok(_) | Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(errno) => return Err(CutOff::Input(errno.into())),
        }
        Ok(())
    }

    fn send(&mut self) {
        match send_now(self.server, self.upward.rest()) {
            Ok(n) => {
                self.upward.gone(n);
                self.sent_any = true;
            }
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            // It takes no more, but may have said something before that is still to be read.
            Err(errno) => {
                self.upward.cut(0);
                self.sending = Sending::Broken(errno);
            }
        }
    }

    fn receive(&mut self) {
        let server = self.server.as_raw_fd();
        let received = self
            .downward
            .refill(|room| recv(server, room, MsgFlags::MSG_DONTWAIT));
        match received {
            Ok(0) => self.last = Some(self.closed()),
            Ok(_) => {
                self.received_any = true;
                let watch = self.watch.as_mut();
                if let Some(end) = watch.and_then(|watch| watch.find(self.downward.rest())) {
                    self.downward.cut(end);
                    self.last = Some(Ok(Ending::Until));
                }
            }
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(errno) => self.last = Some(Err(self.cut_off(errno))),
        }
    }

    /// What it means that the server closed the connection.
    fn closed(&self) -> Result<Ending, CutOff> {
        if let Sending::Broken(errno) = self.sending {
            return Err(self.cut_off(errno));
        }
        // A server that took all there was and has nothing to say is one that only listens. One that
        // closed before the end of it came answers with a reset, which may be still on its way: so
        // this is asked for before the reset is.
        let all_taken = self.sent_any
            && self.sending == Sending::Closed
            && TcpInfo::of(&self.server).is_none_or(|info| info.closed);
        // A reset that came right behind is not told by reading.
        if let Ok(error @ 1..) = getsockopt(&self.server, sockopt::SocketError) {
            return Err(self.cut_off(Errno::from_raw(error)));
        }
        if !self.received_any && !all_taken {
            return Err(CutOff::Refused);
        }
        match (&self.watch, &self.manner.until) {
            (Some(watch), Some(word)) if !watch.at_word() => Err(CutOff::Before(word.clone())),
            _ => Ok(Ending::Closed),
        }
    }

    fn cut_off(&self, errno: Errno) -> CutOff {
        if self.received_any {
            CutOff::Reset(errno)
        } else {
            CutOff::Refused
        }
    }
}

/// Puts `typed` into `room`, which has twice as much of it, with a CR before each LF that has none, and
/// says how much that is.
fn with_returns(typed: &[u8], after_return: &mut bool, room: &mut [u8]) -> usize {
    let mut length = 0;
    let mut put = |byte| {
        room[length] = byte;
        length += 1;
    };
    for &byte in typed {
        if byte == b'\n' && !*after_return {
            put(b'\r');
        }
        *after_return = byte == b'\r';
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
    fn a_server_that_closes_while_bytes_are_on_their_way_has_refused() {
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
            let ended = relay(&client, &input, &output, &Manner::default());
            assert!(
                matches!(ended, Err(CutOff::Refused)),
                "round {round}: {ended:?}"
            );
        }
        server.join().unwrap();
    }
}
