//! The datagrams of a socket.

use std::io::IoSliceMut;
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::socket::{MsgFlags, SockaddrStorage, recvmsg};

use crate::connection::poll_timeout;

/// The length and the sender of the next datagram of an internet socket. `None` if there is none until
/// `deadline`.
///
/// # Errors
///
/// Those of poll(2) and recvmsg(2).
pub(crate) fn receive(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    flags: MsgFlags,
    deadline: Instant,
) -> nix::Result<Option<(usize, SocketAddr)>> {
    loop {
        let mut ready = [PollFd::new(socket, PollFlags::POLLIN)];
        match poll(&mut ready, poll_timeout(Some(deadline))) {
            Ok(0) if Instant::now() >= deadline => return Ok(None),
            Ok(0) | Err(Errno::EINTR) => continue,
            Ok(_) => {}
            Err(errno) => return Err(errno),
        }
        let mut buffers = [IoSliceMut::new(buffer)];
        let flags = flags | MsgFlags::MSG_DONTWAIT;
        let message = recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut buffers, None, flags);
        match message.map(|message| (message.bytes, message.address)) {
            Ok((length, from)) => return Ok(from.and_then(internet).map(|from| (length, from))),
            // One with a wrong checksum was ready, and is dropped.
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// The address and port of an internet socket.
fn internet(address: SockaddrStorage) -> Option<SocketAddr> {
    let v4 = || Some(SocketAddrV4::from(*address.as_sockaddr_in()?).into());
    let v6 = || Some(SocketAddrV6::from(*address.as_sockaddr_in6()?).into());
    v4().or_else(v6)
}
