//! Errors of a shared service.

use std::fmt;
use std::io;
use std::path::PathBuf;

use nix::errno::Errno;

use super::MAX_BANNER;
use super::listener::ListenError;
use super::programs::ProgramError;
use crate::connection::StdioError;
use crate::hint::Hint;
use crate::log::reason;

/// A shared service cannot be set up, or failed.
#[derive(Debug)]
pub(crate) enum Error {
    /// A listening socket cannot be used or opened.
    Listen(ListenError),
    /// Standard input is a socket that cannot be served.
    Stdio(StdioError),
    /// Standard input and output cannot be replaced.
    StandardStreams(io::Error),
    /// There is neither a listening socket nor a connection on standard input.
    NoListener,
    /// The program cannot be executed.
    Program(ProgramError),
    /// With `--wait`, standard input is neither a listening socket nor a UDP socket.
    NothingToWaitFor,
    /// With `--wait`, there are access lists for a listening socket.
    ListsOfListener,
    /// With `--wait`, there is a rate of each source for a listening socket.
    SourcesOfListener,
    /// With `--wait`, waiting failed.
    Wait(io::Error),
    /// A banner cannot be read.
    Banner(PathBuf, io::Error),
    /// With this banner, all of them have more than [`MAX_BANNER`] bytes.
    BannerTooLong(PathBuf),
    /// The means to start programs cannot be set up.
    SetUp(SetUpError),
    /// The event loop failed.
    EventLoop(EventLoopError),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Listen(error) => error.fmt(f),
            Error::NoListener => f.write_str(
                "nothing to serve: there is neither a listening socket nor a connection on standard input",
            ),
            Error::Stdio(error) => error.fmt(f),
            Error::StandardStreams(error) => {
                write!(
                    f,
                    "cannot open /dev/null as standard input: {}",
                    reason(error)
                )
            }
            Error::Program(error) => error.fmt(f),
            Error::NothingToWaitFor => f.write_str(
                "nothing to wait for: standard input is neither a listening socket nor a UDP socket",
            ),
            Error::ListsOfListener => f.write_str(
                "cannot apply --allow and --deny to a listening socket with --wait: the program \
                 accepts the connections",
            ),
            Error::SourcesOfListener => f.write_str(
                "cannot apply --rate-per-source to a listening socket with --wait: the program \
                 accepts the connections",
            ),
            Error::Wait(error) => write!(
                f,
                "cannot wait for connections or datagrams: {}",
                reason(error)
            ),
            Error::Banner(path, error) => {
                write!(
                    f,
                    "cannot read the banner: {}: {}",
                    path.display(),
                    reason(error)
                )
            }
            Error::BannerTooLong(path) => write!(
                f,
                "cannot send the banner: {}: all banners together have more than {MAX_BANNER} \
                 bytes",
                path.display()
            ),
            Error::SetUp(error) => error.fmt(f),
            Error::EventLoop(error) => error.fmt(f),
        }
    }
}

impl Error {
    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<Hint> {
        match self {
            Error::Listen(error) => error.hint(),
            Error::Stdio(error) => Some(error.hint().into()),
            Error::Program(error) => error.hint().map(Hint::from),
            Error::NoListener => Some(Hint::new(
                "name an address with --listen, or have systemd pass a listening socket (Accept=no in the .socket \
                 unit) or a connection as standard input (Accept=yes, with StandardInput=socket in the template unit)",
            )),
            Error::NothingToWaitFor => Some(Hint::new(
                "set StandardInput=socket in the service unit, and Accept=no in the .socket unit",
            )),
            _ => None,
        }
    }
}

impl std::error::Error for Error {}

impl From<ListenError> for Error {
    fn from(error: ListenError) -> Error {
        Error::Listen(error)
    }
}

impl From<ProgramError> for Error {
    fn from(error: ProgramError) -> Error {
        Error::Program(error)
    }
}

impl From<SetUpError> for Error {
    fn from(error: SetUpError) -> Error {
        Error::SetUp(error)
    }
}

impl From<EventLoopError> for Error {
    fn from(error: EventLoopError) -> Error {
        Error::EventLoop(error)
    }
}

/// The event loop failed.
#[derive(Debug)]
pub(crate) enum EventLoopError {
    /// A file descriptor that the loop needs cannot be opened.
    SetUp(io::Error),
    /// Waiting for events failed.
    Poll(io::Error),
}

impl fmt::Display for EventLoopError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EventLoopError::SetUp(error) => {
                write!(f, "cannot set up the event loop: {}", reason(error))
            }
            EventLoopError::Poll(error) => write!(f, "cannot wait for events: {}", reason(error)),
        }
    }
}

impl std::error::Error for EventLoopError {}

/// The means to start programs cannot be set up.
#[derive(Debug)]
pub(crate) enum SetUpError {
    /// This process cannot become a subreaper.
    Subreaper(Errno),
    /// The waker of the event loop cannot be made.
    Waker(io::Error),
    /// The pipe for the standard error of the program cannot be made.
    ErrorOutput(io::Error),
}

impl fmt::Display for SetUpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SetUpError::Subreaper(errno) => {
                write!(
                    f,
                    "cannot adopt orphaned processes: {}",
                    reason(&(*errno).into())
                )
            }
            SetUpError::ErrorOutput(error) => {
                write!(
                    f,
                    "cannot make a pipe for standard error: {}",
                    reason(error)
                )
            }
            SetUpError::Waker(error) => {
                write!(f, "cannot set up the event loop: {}", reason(error))
            }
        }
    }
}

impl std::error::Error for SetUpError {}
