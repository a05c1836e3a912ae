//! Runs a command for its answer: in limited time, and with a limit on what is read of it.
//!
//! Programs and clients choose much of what such commands print, and a service that answers them may be
//! stopped.

use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::log::reason;

/// How long a question may take that is answered at once on a system in order.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// How much is read at once, in bytes.
const CHUNK: usize = 64 << 10;

/// How long a command may take, and how much of what it prints is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// `None` for a command that waits for something, such as for a service to stop.
    pub(crate) time: Option<Duration>,
    /// The most bytes of standard output, and of standard error.
    pub(crate) bytes: usize,
}

/// What a command printed, and how it ended.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    /// Standard output had more bytes. The command was killed then.
    pub(crate) is_cut: bool,
}

/// There is no answer. The Display follows the name of the command.
#[derive(Debug)]
pub(crate) enum RunError {
    /// It could not be started.
    NotStarted(io::Error),
    /// It was killed, because it took longer than this.
    TimedOut(Duration),
    /// What it printed cannot be read.
    Unreadable(io::Error),
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunError::NotStarted(error) => write!(f, "cannot be run: {}", reason(error)),
            RunError::TimedOut(time) => write!(f, "did not answer within {} s", time.as_secs()),
            RunError::Unreadable(error) => {
                write!(f, "has an output that cannot be read: {}", reason(error))
            }
        }
    }
}

impl std::error::Error for RunError {}

/// Runs a command without standard input.
///
/// # Errors
///
/// See [`RunError`]. A command that fails is not an error.
pub(crate) fn run(command: &mut Command, limits: Limits) -> Result<Answer, RunError> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(RunError::NotStarted)?;
    let read = read(&mut child, limits);
    if !matches!(read, Ok(Outputs { is_cut: false, .. })) {
        // It may have ended already.
        let _ = child.kill();
    }
    // It has closed its outputs, as programs do that end, or was killed.
    let status = child.wait().map_err(RunError::Unreadable);
    let Outputs {
        stdout,
        stderr,
        is_cut,
    } = read?;
    Ok(Answer {
        status: status?,
        stdout,
        stderr,
        is_cut,
    })
}

/// What was read.
#[derive(Default)]
struct Outputs {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    is_cut: bool,
}

/// Reads both outputs to their ends.
fn read(child: &mut Child, limits: Limits) -> Result<Outputs, RunError> {
    let end = limits.time.map(|time| (Instant::now() + time, time));
    let mut stdout = child
        .stdout
        .take()
        .map(|pipe| File::from(OwnedFd::from(pipe)));
    let mut stderr = child
        .stderr
        .take()
        .map(|pipe| File::from(OwnedFd::from(pipe)));
    let mut outputs = Outputs::default();
    while stdout.is_some() || stderr.is_some() {
        let (out, error) = readable(&[&stdout, &stderr], end)?;
        if out && fill(&mut stdout, &mut outputs.stdout, limits.bytes)? {
            outputs.is_cut = true;
            return Ok(outputs);
        }
        if error {
            // The rest of it is read and dropped, so that the command goes on.
            fill(&mut stderr, &mut outputs.stderr, limits.bytes)?;
        }
    }
    Ok(outputs)
}

/// Waits until one of two pipes has something, or has ended.
fn readable(
    pipes: &[&Option<File>; 2],
    end: Option<(Instant, Duration)>,
) -> Result<(bool, bool), RunError> {
    let timeout = match end {
        None => PollTimeout::NONE,
        Some((at, time)) => {
            let left = at.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(RunError::TimedOut(time));
            }
            // A part of a millisecond would be no time, and waited for in a loop.
            PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX)
        }
    };
    let open = pipes.iter().filter_map(|pipe| pipe.as_ref());
    let mut polled: Vec<PollFd<'_>> = open
        .map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::POLLIN))
        .collect();
    match poll(&mut polled, timeout) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(error) => return Err(RunError::Unreadable(error.into())),
    }
    let mut has = polled.iter().map(|pipe| pipe.any().unwrap_or(false));
    let [out, error] = pipes.map(|pipe| pipe.is_some() && has.next().unwrap_or(false));
    Ok((out, error))
}

/// Reads once from a pipe, and closes it at its end. Returns whether there was more than the limit.
fn fill(pipe: &mut Option<File>, bytes: &mut Vec<u8>, limit: usize) -> Result<bool, RunError> {
    let Some(file) = pipe else {
        return Ok(false);
    };
    let mut chunk = vec![0; CHUNK];
    match file.read(&mut chunk) {
        Ok(0) => {
            *pipe = None;
            Ok(false)
        }
        Ok(count) => {
            let room = limit - bytes.len();
            bytes.extend(&chunk[..count.min(room)]);
            Ok(count > room)
        }
        Err(error) if error.kind() == ErrorKind::Interrupted => Ok(false),
        Err(error) => Err(RunError::Unreadable(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        time: Some(PATIENCE),
        bytes: 100_000,
    };

    fn shell(script: &str, limits: Limits) -> Result<Answer, RunError> {
        run(Command::new("sh").args(["-c", script]), limits)
    }

    #[test]
    fn both_outputs_are_read_to_their_ends() {
        let script = "cat; echo out; echo error >&2; head -c 70000 /dev/zero; exit 3";
        let answer = shell(script, LIMITS).unwrap();
        assert_eq!(answer.status.code(), Some(3));
        assert_eq!(
            (&answer.stdout[..4], answer.stdout.len()),
            (&b"out\n"[..], 70004)
        );
        assert_eq!(
            (answer.stderr.as_slice(), answer.is_cut),
            (&b"error\n"[..], false)
        );
        let answer = shell(
            "exec >&- 2>&-; exit 4",
            Limits {
                time: None,
                ..LIMITS
            },
        );
        assert_eq!(answer.unwrap().status.code(), Some(4));
    }

    #[test]
    fn no_more_than_the_limit_is_read_and_the_command_is_killed() {
        let answer = shell("exec yes", LIMITS).unwrap();
        assert!(answer.is_cut && answer.stdout.len() == LIMITS.bytes);
        assert_eq!(answer.status.code(), None);
        // Messages are cut too, and the command goes on.
        let script = "head -c 1000000 /dev/zero >&2; echo done";
        let answer = shell(script, LIMITS).unwrap();
        assert_eq!(
            (answer.stdout.as_slice(), answer.is_cut),
            (&b"done\n"[..], false)
        );
        assert_eq!(answer.stderr.len(), LIMITS.bytes);
        let answer = shell("head -c 100000 /dev/zero", LIMITS).unwrap();
        assert!(answer.status.success() && !answer.is_cut);
    }

    #[test]
    fn a_command_that_does_not_answer_is_killed() {
        let never = Limits {
            time: Some(Duration::ZERO),
            ..LIMITS
        };
        let error = shell("exec tail -f /dev/null", never).unwrap_err();
        assert_eq!(error.to_string(), "did not answer within 0 s");
        let error = run(&mut Command::new("/none"), LIMITS).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot be run: no such file or directory"
        );
    }
}
