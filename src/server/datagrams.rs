//! The datagrams of a socket.

use std::io::IoSliceMut;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, RecvMsg, SockaddrStorage, recvmsg, setsockopt, sockopt,
};

use crate::connection::poll_timeout;

/// What is known about a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Datagram {
    /// The number of bytes that were received.
    pub(crate) length: usize,
    pub(crate) from: SocketAddr,
    /// Whether it was sent to a broadcast or multicast address; true if the control messages did not fit, and false
    /// without [`tell_destinations`].
    pub(crate) is_for_many: bool,
}

/// A buffer for the control messages of a datagram. There may be more of them than this process has asked for: systemd
/// keeps the socket, and with it the options that an earlier program has set.
pub(crate) fn control_buffer() -> Vec<u8> {
    vec![0; 16 * 1024]
}

/// Has the kernel tell to which address a datagram was sent.
///
/// # Errors
///
/// See setsockopt(2).
pub(crate) fn tell_destinations(socket: BorrowedFd<'_>) -> nix::Result<()> {
    setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
    match setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true) {
        // It is an IPv4 socket.
        Err(Errno::ENOPROTOOPT) => Ok(()),
        result => result,
    }
}

/// The next datagram of an internet socket. `None` if there is none until `deadline`. Without room for control messages in
/// `control`, it is not known whether it is for many.
///
/// # Errors
///
/// Those of poll(2) and recvmsg(2).
pub(crate) fn receive(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    control: &mut [u8],
    flags: MsgFlags,
    deadline: Instant,
) -> nix::Result<Option<Datagram>> {
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
        let fd = socket.as_raw_fd();
        match recvmsg::<SockaddrStorage>(fd, &mut buffers, Some(&mut *control), flags) {
            Ok(message) => {
                let is_for_many = is_for_many(&message);
                let from = message.address.and_then(internet);
                return Ok(from.map(|from| Datagram {
                    length: message.bytes,
                    from,
                    is_for_many,
                }));
            }
            // One with a wrong checksum was ready, and is dropped.
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Whether a datagram was sent to an address that several hosts have.
fn is_for_many(message: &RecvMsg<'_, '_, SockaddrStorage>) -> bool {
    let is_for_many = |control| match control {
        // The second address is the one of this host at which it arrived. It is 0 if that was before
        // `tell_destinations`.
        ControlMessageOwned::Ipv4PacketInfo(info) => {
            ![0, info.ipi_addr.s_addr].contains(&info.ipi_spec_dst.s_addr)
        }
        ControlMessageOwned::Ipv6PacketInfo(info) => {
            Ipv6Addr::from(info.ipi6_addr.s6_addr).is_multicast()
        }
        _ => false,
    };
    // An error means that they were truncated.
    message.cmsgs().map_or(true, |mut all| all.any(is_for_many))
}

/// The address and port of an internet socket.
fn internet(address: SockaddrStorage) -> Option<SocketAddr> {
    let v4 = || Some(SocketAddrV4::from(*address.as_sockaddr_in()?).into());
    let v6 = || Some(SocketAddrV6::from(*address.as_sockaddr_in6()?).into());
    v4().or_else(v6)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    #[test]
    fn a_datagram_whose_control_messages_do_not_fit_may_be_for_many() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        tell_destinations(server.as_fd()).unwrap();
        for (mut control, is_for_many) in [(control_buffer(), false), (vec![0; 16], true)] {
            client
                .send_to(b"one", server.local_addr().unwrap())
                .unwrap();
            let deadline = Instant::now();
            let flags = MsgFlags::empty();
            let datagram = receive(server.as_fd(), &mut [0; 10], &mut control, flags, deadline);
            let expected = Datagram {
                length: 3,
                from: client.local_addr().unwrap(),
                is_for_many,
            };
            assert_eq!(datagram, Ok(Some(expected)));
        }
    }
}
