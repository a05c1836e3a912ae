//! The datagrams of a socket.

use std::io::IoSliceMut;
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Instant;

use anyhow::Context;
use jiff::Timestamp;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::socket::{MsgFlags, SockaddrStorage, getsockname, recvmsg, sendto};

use super::answer::Answers;
use super::options::{Options, Rules};
use crate::clock;
use crate::connection::{Peer, poll_timeout};
use crate::log::{Count, Log};
use crate::server::admission::Admission;
use crate::server::{self, SharedLimits, WhenFull};

/// The longest datagram.
const MAX: usize = 64 * 1024;

/// Answers datagrams until none arrived for the idle timeout. systemd keeps the socket, so that the next
/// one starts the program again, even if it arrives while the program exits.
pub(super) fn serve(socket: BorrowedFd<'_>, options: Options, log: &mut Log) -> anyhow::Result<()> {
    let own = getsockname::<SockaddrStorage>(socket.as_raw_fd());
    let own = own.context("cannot read the address of the socket")?;
    let port = internet(&own).map_or(0, |own| own.port());
    let mut answers = Answers::new(options.built_in, options.edition, port);
    let mut admission = admission(options.rules);
    let mut buffer = vec![0; MAX];
    let (mut received, mut answered) = (0u64, 0u64);
    let mut now = Instant::now();
    loop {
        let limits = admission.limits_until(now).into_iter();
        let exit_at = limits.fold(now + options.idle_timeout, Instant::max);
        let next = receive(socket, &mut buffer, exit_at);
        let Some((length, from)) = next.context("cannot receive a datagram")? else {
            break;
        };
        now = Instant::now();
        received += 1;
        let Some(sender) = internet(&from).filter(|from| admits(&mut admission, *from, now)) else {
            continue;
        };
        let time = || Timestamp::now().to_zoned(clock::local_zone());
        if let Some(answer) = answers.to(&buffer[..length], sender.port(), time) {
            // What the kernel does not take at once is lost, as datagrams may be.
            let sent = sendto(socket.as_raw_fd(), &answer, &from, MsgFlags::MSG_DONTWAIT);
            answered += u64::from(sent.is_ok());
        }
    }
    let datagrams = Count(received, "datagram");
    log.notice(&format!("{datagrams} received, {answered} answered"));
    Ok(())
}

/// The rules, and no limit on what is open at once: an answer takes no time.
fn admission(rules: Rules) -> Admission {
    let options = server::Options {
        shared: SharedLimits {
            when_full: WhenFull::Refuse,
            ..SharedLimits::default()
        },
        ..server::Options::default()
    };
    Admission::new(&options, rules.into())
}

/// Whether the rules admit a datagram.
fn admits(admission: &mut Admission, from: SocketAddr, now: Instant) -> bool {
    let peer = Peer::tcp(from);
    let admitted = admission.admit(peer, now).is_ok();
    if admitted {
        admission.release(peer);
    }
    admitted
}

/// The length and the sender of the next datagram. `None` if there is none until `deadline`.
fn receive(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    deadline: Instant,
) -> nix::Result<Option<(usize, SockaddrStorage)>> {
    loop {
        let mut ready = [PollFd::new(socket, PollFlags::POLLIN)];
        match poll(&mut ready, poll_timeout(Some(deadline))) {
            Ok(0) if Instant::now() >= deadline => return Ok(None),
            Ok(0) | Err(Errno::EINTR) => continue,
            Ok(_) => {}
            Err(errno) => return Err(errno),
        }
        let mut buffers = [IoSliceMut::new(buffer)];
        let flags = MsgFlags::MSG_DONTWAIT;
        let message = recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut buffers, None, flags);
        match message.map(|message| (message.bytes, message.address)) {
            Ok((length, Some(from))) => return Ok(Some((length, from))),
            // One with a wrong checksum was ready, and is dropped.
            Ok((_, None)) | Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// The address and port of an internet socket.
fn internet(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address
        .as_sockaddr_in()
        .map(|v4| SocketAddrV4::from(*v4).into());
    let v6 = || {
        address
            .as_sockaddr_in6()
            .map(|v6| SocketAddrV6::from(*v6).into())
    };
    v4.or_else(v6)
}
