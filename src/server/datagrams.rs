//! The datagrams of a socket on standard input, and the rules for their senders.

use std::io::IoSliceMut;
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::socket::{MsgFlags, SockaddrStorage, recvmsg};

use super::admission::{Admission, Limits, Refusal};
use super::options::{Options, SharedLimits, WhenFull};
use crate::connection::{Peer, poll_timeout};
use crate::log::{Count, Log};

/// How long [`wait_for_sender`] waits.
const IDLE_TIME: Duration = Duration::from_secs(60);

/// How often refused datagrams are logged.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// The rules for senders.
#[derive(Debug)]
pub(crate) struct Senders(Admission);

impl Senders {
    pub(crate) fn new(limits: Limits) -> Senders {
        // A datagram is no connection that stays open.
        let options = Options {
            shared: SharedLimits {
                when_full: WhenFull::Refuse,
                ..SharedLimits::default()
            },
            ..Options::default()
        };
        Senders(Admission::new(&options, limits))
    }

    /// Decides on a datagram from this sender.
    ///
    /// # Errors
    ///
    /// The reason to refuse it.
    pub(crate) fn admit(&mut self, from: SocketAddr, now: Instant) -> Result<(), Refusal> {
        let peer = Peer::tcp(from);
        self.0.admit(peer, now)?;
        self.0.release(peer);
        Ok(())
    }

    /// Until when the rate limit matters to a new process.
    pub(crate) fn limits_until(&self, now: Instant) -> Option<Instant> {
        self.0.limits_until(now)
    }
}

/// Waits for a datagram from a sender that the rules admit, and leaves it in the socket. Discards all
/// others. Returns the sender, an IPv4-mapped address as IPv4; `None` if none arrives for a minute: systemd starts the service again for the next one.
///
/// # Errors
///
/// Those of poll(2) and recvmsg(2).
pub(super) fn wait_for_sender(
    socket: BorrowedFd<'_>,
    limits: Limits,
    log: &mut Log,
) -> nix::Result<Option<SocketAddr>> {
    let mut senders = Senders::new(limits);
    let mut now = Instant::now();
    let mut next_entry = now;
    let mut refused = 0;
    loop {
        let next = receive(socket, &mut [], MsgFlags::MSG_PEEK, now + IDLE_TIME)?;
        let Some((_, from)) = next else {
            return Ok(None);
        };
        now = Instant::now();
        let from = SocketAddr::new(from.ip().to_canonical(), from.port());
        let Err(reason) = senders.admit(from, now) else {
            return Ok(Some(from));
        };
        receive(socket, &mut [], MsgFlags::empty(), now)?;
        refused += 1;
        if now >= next_entry {
            let count = Count(refused, "datagram");
            log.notice(&format!("{count} refused, the last from {from}: {reason}"));
            refused = 0;
            next_entry = now + LOG_INTERVAL;
        }
    }
}

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
