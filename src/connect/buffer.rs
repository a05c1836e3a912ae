//! The buffer of one direction of a relay.

use std::ops::Range;
use std::os::fd::BorrowedFd;

use nix::fcntl::{FcntlArg, fcntl};

/// The size of a full-grown buffer, in bytes. A side that is faster than the other waits once the
/// buffer is full.
const FULL_SIZE: usize = 64 * 1024;

/// The size of a new buffer, in bytes. Most sessions never need more, and the kernel supplies memory
/// when it is first written.
const FIRST_SIZE: usize = 4 * 1024;

/// The capacity that pipes on the user's side are set to once the buffer is full-grown, in bytes.
const PIPE_SIZE: i32 = 256 * 1024;

/// Bytes that were read and not written yet.
#[derive(Debug)]
pub(super) struct Buffer<'a> {
    bytes: Vec<u8>,
    /// The part of `bytes` that was not written yet.
    unwritten: Range<usize>,
    /// The file that the bytes come from or go to on the user's side.
    user: BorrowedFd<'a>,
}

impl Buffer<'_> {
    /// An empty buffer. `user` is the file that the bytes come from or go to on the user's side.
    pub(super) fn new(user: BorrowedFd<'_>) -> Buffer<'_> {
        Buffer {
            bytes: vec![0; FIRST_SIZE],
            unwritten: 0..0,
            user,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.unwritten.is_empty()
    }

    pub(super) fn unwritten(&self) -> &[u8] {
        &self.bytes[self.unwritten.clone()]
    }

    /// Removes the first `n` bytes, which were written.
    pub(super) fn consume(&mut self, n: usize) {
        self.unwritten.start += n;
    }

    /// Discards all but the first `n` bytes.
    pub(super) fn truncate(&mut self, n: usize) {
        self.unwritten.end = self.unwritten.start + n;
    }

    /// Replaces the bytes, all of which were written, by those that `read` puts into the buffer. If
    /// the last ones filled half of the buffer or more, it doubles in size first, up to
    /// [`FULL_SIZE`].
    pub(super) fn refill(
        &mut self,
        read: impl FnOnce(&mut [u8]) -> nix::Result<usize>,
    ) -> nix::Result<usize> {
        let size = self.bytes.len();
        if 2 * self.unwritten.end >= size && size < FULL_SIZE {
            self.bytes = vec![0; 2 * size];
            if self.bytes.len() == FULL_SIZE {
                self.enlarge_pipe();
            }
        }
        self.unwritten = 0..0;
        let n = read(&mut self.bytes)?;
        self.unwritten = 0..n;
        Ok(n)
    }

    /// Enlarges a pipe: if it holds no more than one buffer, its two sides run in turns and wait for
    /// each other.
    fn enlarge_pipe(&self) {
        // Fails if the file is not a pipe.
        if fcntl(self.user, FcntlArg::F_GETPIPE_SZ).is_ok_and(|size| size < PIPE_SIZE) {
            // Fails if the user's pipes exceed pipe-user-pages-soft (pipe(7)); it only costs speed.
            let _ = fcntl(self.user, FcntlArg::F_SETPIPE_SZ(PIPE_SIZE));
        }
    }
}
