//! What has been read and is not written yet.

use std::ops::Range;
use std::os::fd::BorrowedFd;

use nix::fcntl::{FcntlArg, fcntl};

/// How much is held for each direction. The side that is faster waits for the other.
const HELD: usize = 64 * 1024;

/// What it begins with: most conversations never need more, and memory is paid for when it is touched.
const FIRST: usize = 4 * 1024;

/// What pipes on the user's side are asked to hold once there is much to move.
const PIPE: i32 = 256 * 1024;

/// Bytes on their way: the part of a buffer that is still to go.
#[derive(Debug)]
pub struct Held<'a> {
    buffer: Vec<u8>,
    /// Where those are in it that are still to go.
    rest: Range<usize>,
    /// Where they come from or go to on the user's side.
    user: BorrowedFd<'a>,
}

impl Held<'_> {
    /// None yet.
    pub fn beside(user: BorrowedFd<'_>) -> Held<'_> {
        Held {
            buffer: vec![0; FIRST],
            rest: 0..0,
            user,
        }
    }

    /// Whether all of them have gone.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Those that are still to go.
    pub fn rest(&self) -> &[u8] {
        &self.buffer[self.rest.clone()]
    }

    /// So many have gone.
    pub fn gone(&mut self, n: usize) {
        self.rest.start += n;
    }

    /// Gives up those behind the first `n` that are still to go.
    pub fn cut(&mut self, n: usize) {
        self.rest.end = self.rest.start + n;
    }

    /// Reads new bytes, when the old ones have gone; more at once than before, where those took half
    /// of the room or more.
    pub fn refill(
        &mut self,
        read: impl FnOnce(&mut [u8]) -> nix::Result<usize>,
    ) -> nix::Result<usize> {
        let room = self.buffer.len();
        if 2 * self.rest.end >= room && room < HELD {
            self.buffer = vec![0; 2 * room];
            if self.buffer.len() == HELD {
                self.widen();
            }
        }
        self.rest = 0..0;
        let n = read(&mut self.buffer)?;
        self.rest = 0..n;
        Ok(n)
    }

    /// A pipe that holds no more than is moved at once has its two sides wait for each other in turn.
    fn widen(&self) {
        // What is no pipe has no such size.
        if fcntl(self.user, FcntlArg::F_GETPIPE_SZ).is_ok_and(|size| size < PIPE) {
            // It stays as it is where the user has too many that were widened.
            let _ = fcntl(self.user, FcntlArg::F_SETPIPE_SZ(PIPE));
        }
    }
}
