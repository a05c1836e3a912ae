//! Whether an address can be bound.

use std::net::SocketAddr;
use std::os::fd::AsRawFd;

use nix::sys::socket::{
    self, AddressFamily, SockFlag, SockType, SockaddrStorage, setsockopt, sockopt,
};

/// Binds an address to a socket that is closed at once, and never listens. With `only_v6`, an IPv6 address
/// is for IPv6 alone.
///
/// # Errors
///
/// See socket(2) and bind(2); EADDRINUSE if another socket has the address.
pub(crate) fn attempt(address: SocketAddr, only_v6: bool, kind: SockType) -> nix::Result<()> {
    // For datagrams it would share the address.
    bound(address, only_v6, kind, kind == SockType::Stream)
}

/// Whether a datagram socket can share an address with those that have it: all of them have SO_REUSEADDR, as
/// xinetd, inetd and systemd set it. The newest socket receives the datagrams then.
pub(crate) fn can_share(address: SocketAddr, only_v6: bool) -> bool {
    bound(address, only_v6, SockType::Datagram, true).is_ok()
}

fn bound(address: SocketAddr, only_v6: bool, kind: SockType, share: bool) -> nix::Result<()> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::Inet,
        SocketAddr::V6(_) => AddressFamily::Inet6,
    };
    let socket = socket::socket(family, kind, SockFlag::SOCK_CLOEXEC, None)?;
    if share {
        let _ = setsockopt(&socket, sockopt::ReuseAddr, &true);
    }
    if address.is_ipv6() {
        let _ = setsockopt(&socket, sockopt::Ipv6V6Only, &only_v6);
    }
    socket::bind(socket.as_raw_fd(), &SockaddrStorage::from(address))
}
