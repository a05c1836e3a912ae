//! The last words to a client that is not waited for.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{MsgFlags, Shutdown, recv, shutdown};

use crate::connection::send_now;

/// How often such a client is read, to throw away what it has sent.
const SCRAPS: usize = 16;

/// Tells a client why it is not served; how many bytes that took.
pub fn farewell(socket: &OwnedFd, words: &[u8]) -> u64 {
    let fd = socket.as_raw_fd();
    let sent = match words {
        [] => 0,
        _ => send_now(socket, words).unwrap_or(0),
    };
    let _ = shutdown(fd, Shutdown::Write);
    // What it has sent already would reset the connection, and the words with it. One that goes
    // on sending must not hold the others up.
    let mut scrap = [0; 4096];
    for _ in 0..SCRAPS {
        match recv(fd, &mut scrap, MsgFlags::MSG_DONTWAIT) {
            Ok(1..) => {}
            _ => break,
        }
    }
    sent as u64
}
