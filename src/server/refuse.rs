//! Closes a connection that is not served.

use std::os::fd::AsFd;
use std::time::Instant;

use crate::connection::{Linger, send_now};

/// Sends a message to a client, without waiting for it, and closes the sending half. Returns how
/// many bytes were sent. The caller closes the socket.
pub(super) fn refuse(socket: &impl AsFd, message: &[u8], now: Instant) -> u64 {
    let sent = match message {
        [] => 0,
        _ => send_now(socket, message).unwrap_or(0),
    };
    // Unread input would reset the connection, and the client could lose the message. Input that
    // arrives later is not waited for.
    Linger::start(socket, now).discard(socket, now);
    sent as u64
}
