//! The journal's stream on standard error: one line per entry, which starts with its priority.

use std::ffi::OsString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::sys::socket::{MsgFlags, send};
use nix::sys::stat::fstat;

use super::Priority;

/// Returns whether `stderr` is the stream that systemd names in JOURNAL_STREAM (`DEVICE:INODE`).
///
/// The variable alone proves nothing: child processes of a service inherit it, and their standard
/// error may be something else.
pub(super) fn is_stream(stderr: BorrowedFd<'_>, journal_stream: Option<OsString>) -> bool {
    let Some(named) = journal_stream else {
        return false;
    };
    fstat(stderr).is_ok_and(|stat| named == format!("{}:{}", stat.st_dev, stat.st_ino).as_str())
}

/// A writer to the stream that never blocks.
#[derive(Debug, Default)]
pub(super) struct JournalStream {
    /// The rest of an entry that the stream accepted only in part.
    unsent: Vec<u8>,
}

impl JournalStream {
    /// Writes an entry; returns whether the stream accepted it.
    pub(super) fn put(&mut self, stderr: impl AsFd, priority: Priority, message: &str) -> bool {
        let stderr = stderr.as_fd();
        if !self.unsent.is_empty() {
            let Some(sent) = send_now(stderr, &self.unsent) else {
                return false;
            };
            self.unsent.drain(..sent);
            if !self.unsent.is_empty() {
                return false;
            }
        }
        let entry = format!("<{}>{message}\n", priority as u8).into_bytes();
        match send_now(stderr, &entry) {
            Some(sent) => {
                self.unsent.extend_from_slice(&entry[sent..]);
                true
            }
            None => false,
        }
    }
}

/// Returns how many bytes the stream accepted; `None` if it accepted none.
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
    fn only_the_stream_that_the_variable_names_is_the_journal() {
        let (stderr, other) = UnixStream::pair().unwrap();
        let stat = fstat(&stderr).unwrap();
        let name = OsString::from(format!("{}:{}", stat.st_dev, stat.st_ino));
        assert!(is_stream(stderr.as_fd(), Some(name.clone())));
        assert!(!is_stream(other.as_fd(), Some(name)));
        assert!(!is_stream(stderr.as_fd(), Some("9:1:".into())));
        assert!(!is_stream(stderr.as_fd(), None));
    }

    #[test]
    fn an_entry_is_a_line_that_starts_with_its_priority() {
        let (stderr, mut journal) = UnixStream::pair().unwrap();
        let mut stream = JournalStream::default();
        assert!(stream.put(&stderr, Priority::Notice, "served"));
        assert!(stream.put(&stderr, Priority::Error, "broken"));
        drop(stderr);
        let mut text = String::new();
        journal.read_to_string(&mut text).unwrap();
        assert_eq!(text, "<5>served\n<3>broken\n");
    }

    #[test]
    fn a_full_stream_never_blocks_and_receives_whole_lines_later() {
        let (stderr, mut journal) = UnixStream::pair().unwrap();
        let mut stream = JournalStream::default();
        let text = "x".repeat(1000);
        let taken = (0..)
            .take_while(|_| stream.put(&stderr, Priority::Notice, &text))
            .count();
        assert!(taken > 0);
        // journald reads again: all accepted entries arrive whole, the one that was cut too.
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
