//! The journal's stream on standard error: a line a record, with its priority in front.

use std::ffi::OsString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::sys::socket::{MsgFlags, send};
use nix::sys::stat::fstat;

use super::Priority;

/// Whether `stderr` is the stream that systemd names in JOURNAL_STREAM, as `DEVICE:INODE`.
///
/// The variable alone says little: whatever a service starts inherits it, with another standard
/// error.
pub fn is_stream(stderr: BorrowedFd<'_>, journal_stream: Option<OsString>) -> bool {
    let Some(named) = journal_stream else {
        return false;
    };
    fstat(stderr).is_ok_and(|stat| named == format!("{}:{}", stat.st_dev, stat.st_ino).as_str())
}

/// Writes records to the stream without ever waiting for it.
#[derive(Debug, Default)]
pub struct Stream {
    /// The end of a record of which the stream took only the beginning.
    unsent: Vec<u8>,
}

impl Stream {
    /// Whether the stream took the record.
    pub fn put(&mut self, stderr: impl AsFd, priority: Priority, text: &str) -> bool {
        let stderr = stderr.as_fd();
        if !self.unsent.is_empty() {
            let Some(taken) = send_now(stderr, &self.unsent) else {
                return false;
            };
            self.unsent.drain(..taken);
            if !self.unsent.is_empty() {
                return false;
            }
        }
        let record = format!("<{}>{text}\n", priority as u8).into_bytes();
        match send_now(stderr, &record) {
            Some(taken) => {
                self.unsent.extend_from_slice(&record[taken..]);
                true
            }
            None => false,
        }
    }
}

/// How many bytes the stream took; `None` where it took nothing.
fn send_now(stderr: BorrowedFd<'_>, bytes: &[u8]) -> Option<usize> {
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    send(stderr.as_raw_fd(), bytes, flags).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    #[test]
    fn only_the_very_stream_that_is_named_counts() {
        let (stderr, other) = UnixStream::pair().unwrap();
        let stat = fstat(&stderr).unwrap();
        let name = OsString::from(format!("{}:{}", stat.st_dev, stat.st_ino));
        assert!(is_stream(stderr.as_fd(), Some(name.clone())));
        assert!(!is_stream(other.as_fd(), Some(name)));
        assert!(!is_stream(stderr.as_fd(), Some("9:1:".into())));
        assert!(!is_stream(stderr.as_fd(), None));
    }

    #[test]
    fn a_record_is_a_line_with_its_priority() {
        let (stderr, mut journal) = UnixStream::pair().unwrap();
        let mut stream = Stream::default();
        assert!(stream.put(&stderr, Priority::Notice, "served"));
        assert!(stream.put(&stderr, Priority::Error, "broken"));
        drop(stderr);
        let mut text = String::new();
        journal.read_to_string(&mut text).unwrap();
        assert_eq!(text, "<5>served\n<3>broken\n");
    }

    #[test]
    fn a_journal_that_does_not_read_delays_nothing_and_gets_whole_lines_later() {
        let (stderr, mut journal) = UnixStream::pair().unwrap();
        let mut stream = Stream::default();
        let text = "x".repeat(1000);
        let taken = (0..)
            .take_while(|_| stream.put(&stderr, Priority::Notice, &text))
            .count();
        assert!(taken > 0);
        // It reads again: what it took are whole records, the one that was cut among them.
        journal.set_nonblocking(true).unwrap();
        let mut bytes = Vec::new();
        let _ = journal.read_to_end(&mut bytes);
        assert!(stream.put(&stderr, Priority::Notice, "last"));
        let _ = journal.read_to_end(&mut bytes);
        let lines: Vec<_> = bytes.split_inclusive(|&byte| byte == b'\n').collect();
        assert_eq!(lines.len(), taken + 1);
        assert!(
            lines[..taken]
                .iter()
                .all(|line| line.len() == "<5>".len() + 1000 + 1)
        );
        assert_eq!(lines[taken], b"<5>last\n");
    }
}
