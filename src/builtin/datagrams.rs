//! The datagrams of a socket.

use std::net::UdpSocket;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Instant;

use anyhow::Context;
use jiff::Timestamp;
use nix::sys::socket::{MsgFlags, SockaddrStorage, sendto};

use super::answer::Answers;
use super::options::Options;
use crate::clock;
use crate::connection::Peer;
use crate::log::{Count, Log};
use crate::server::admission::Admission;
use crate::server::datagrams::{Datagram, control_buffer, receive, tell_destinations};

/// The longest datagram.
const MAX: usize = 64 * 1024;

/// Answers datagrams until none arrived for the idle timeout. systemd keeps the socket, so that the next
/// one starts the program again, even if it arrives while the program exits.
pub(super) fn serve(socket: BorrowedFd<'_>, options: Options, log: &mut Log) -> anyhow::Result<()> {
    let own = socket.try_clone_to_owned().map(UdpSocket::from);
    let own = own.and_then(|socket| socket.local_addr());
    let port = own.context("cannot read the address of the socket")?.port();
    tell_destinations(socket).context("cannot set up the socket")?;
    let mut answers = Answers::new(options.built_in, options.edition, port);
    let (limits, shared) = options.rules.limits();
    let mut admission = Admission::of_events(limits, shared);
    let mut buffer = vec![0; MAX];
    let mut control = control_buffer();
    let (mut received, mut answered) = (0u64, 0u64);
    let mut now = Instant::now();
    loop {
        let limits = admission.limits_until(now).into_iter();
        let exit_at = limits.fold(now + options.idle_timeout, Instant::max);
        let flags = MsgFlags::empty();
        let next = receive(socket, &mut buffer, &mut control, flags, exit_at);
        let next = next.context("cannot receive a datagram")?;
        let Some(Datagram {
            length,
            from,
            is_for_many,
        }) = next
        else {
            break;
        };
        now = Instant::now();
        received += 1;
        // One datagram to many hosts would have an answer of each.
        if is_for_many || admission.admit_event(Peer::tcp(from), now).is_err() {
            continue;
        }
        let time = || Timestamp::now().to_zoned(clock::local_zone());
        if let Some(answer) = answers.to(&buffer[..length], from.port(), time) {
            // What the kernel does not take at once is lost, as datagrams may be.
            let to = SockaddrStorage::from(from);
            let sent = sendto(socket.as_raw_fd(), &answer, &to, MsgFlags::MSG_DONTWAIT);
            answered += u64::from(sent.is_ok());
        }
    }
    let datagrams = Count(received, "datagram");
    log.notice(&format!("{datagrams} received, {answered} answered"));
    Ok(())
}
