//! The sockets of the network namespace, from the kernel (sock_diag(7)). No privilege is needed.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket,
};

use super::{TcpInfo, Traffic};

/// A TCP connection that belongs to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TcpConnection {
    /// The local address.
    pub local: SocketAddr,
    /// The remote address.
    pub remote: SocketAddr,
    /// The inode number of the socket.
    pub inode: u64,
    /// The bytes in both directions; `None` if the kernel is older than 4.19.
    pub traffic: Option<Traffic>,
}

/// An AF_UNIX socket that belongs to a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnixSocket {
    /// Its name: a path, or NUL and an abstract name; empty if it has none. The end of a connection that was accepted
    /// has the name of the listener.
    pub name: Vec<u8>,
    /// The inode number of the socket.
    pub inode: u64,
    /// The inode number of the peer's socket, unless the peer has closed it.
    pub peer: Option<u64>,
    /// The user who created the socket.
    pub uid: Option<u32>,
}

/// TCP states with data to come or to send, as the kernel numbers them: ESTABLISHED, FIN_WAIT1,
/// FIN_WAIT2, CLOSE_WAIT, LAST_ACK, CLOSING.
const OPEN: u32 = 1 << 1 | 1 << 4 | 1 << 5 | 1 << 8 | 1 << 9 | 1 << 11;
/// The states of AF_UNIX sockets have the same numbers: ESTABLISHED, LISTEN.
const UNIX_CONNECTED: u32 = 1 << 1;
const UNIX_LISTENING: u32 = 1 << 10;
/// Requests struct tcp_info.
const INET_DIAG_INFO: u16 = 2;
const INET_DIAG_MSG: usize = 72;
const INET_DIAG_SOCKID: usize = 48;

const UNIX_DIAG_NAME: u16 = 0;
const UNIX_DIAG_PEER: u16 = 2;
const UNIX_DIAG_UID: u16 = 7;
const UNIX_DIAG_MSG: usize = 16;
/// Requests the three.
const UDIAG_SHOW: u32 = 1 << 0 | 1 << 2 | 1 << 6;

/// The type of a request, and of each socket in the answer.
const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// The header of a netlink message (netlink(7)).
const HEADER: usize = 16;
/// The kernel sends at most 32 KiB at once.
const BUFFER: usize = 64 * 1024;

/// All TCP connections.
///
/// # Errors
///
/// The kernel has no sock_diag, or no memory.
pub(crate) fn tcp() -> io::Result<Vec<TcpConnection>> {
    let mut all = Vec::new();
    for family in [libc::AF_INET, libc::AF_INET6] {
        // struct inet_diag_req_v2
        let mut request = vec![family as u8, libc::IPPROTO_TCP as u8];
        request.extend([1 << (INET_DIAG_INFO - 1), 0]);
        request.extend(OPEN.to_ne_bytes());
        request.extend([0; INET_DIAG_SOCKID]);
        dump(&request, |socket| all.extend(TcpConnection::parse(socket)))?;
    }
    Ok(all)
}

/// All connected AF_UNIX stream sockets.
///
/// # Errors
///
/// As for [`tcp`].
pub(crate) fn unix_connections() -> io::Result<Vec<UnixSocket>> {
    let mut all = Vec::new();
    unix(UNIX_CONNECTED, |socket| {
        let is_stream = socket.get(1).map(|kind| i32::from(*kind)) == Some(libc::SOCK_STREAM);
        all.extend(UnixSocket::parse(socket).filter(|_| is_stream));
    })?;
    Ok(all)
}

/// All AF_UNIX sockets that listen.
///
/// /proc/net/unix has them too, but also the line ends in their names, and so lines of anybody's choice.
///
/// # Errors
///
/// As for [`tcp`].
pub(crate) fn unix_listeners() -> io::Result<Vec<UnixSocket>> {
    let mut all = Vec::new();
    unix(UNIX_LISTENING, |socket| {
        all.extend(UnixSocket::parse(socket))
    })?;
    Ok(all)
}

/// Passes each AF_UNIX socket in one of the states on.
fn unix(states: u32, each: impl FnMut(&[u8])) -> io::Result<()> {
    // struct unix_diag_req
    let mut request = vec![libc::AF_UNIX as u8, 0, 0, 0];
    request.extend(states.to_ne_bytes());
    request.extend(0u32.to_ne_bytes());
    request.extend(UDIAG_SHOW.to_ne_bytes());
    request.extend([0; 8]);
    dump(&request, each)
}

impl TcpConnection {
    /// struct inet_diag_msg and its attributes.
    fn parse(message: &[u8]) -> Option<TcpConnection> {
        let address = |port: usize, ip: usize| {
            let port = u16::from_be_bytes(array(message, port)?);
            let ip = match i32::from(*message.first()?) {
                libc::AF_INET => IpAddr::from(Ipv4Addr::from(array::<4>(message, ip)?)),
                _ => IpAddr::from(Ipv6Addr::from(array::<16>(message, ip)?)),
            };
            Some(SocketAddr::new(ip.to_canonical(), port))
        };
        let inode = u32::from_ne_bytes(array(message, 68)?);
        let info = attribute(message.get(INET_DIAG_MSG..)?, INET_DIAG_INFO);
        (inode != 0).then_some(TcpConnection {
            local: address(4, 8)?,
            remote: address(6, 24)?,
            inode: inode.into(),
            traffic: info.and_then(TcpInfo::parse).map(|info| info.traffic()),
        })
    }
}

impl UnixSocket {
    /// struct unix_diag_msg and its attributes.
    fn parse(message: &[u8]) -> Option<UnixSocket> {
        let inode = u32::from_ne_bytes(array(message, 4)?);
        let attributes = message.get(UNIX_DIAG_MSG..)?;
        let number = |kind| attribute(attributes, kind).and_then(|bytes| array(bytes, 0));
        let number = |kind| number(kind).map(u32::from_ne_bytes);
        let name = attribute(attributes, UNIX_DIAG_NAME).unwrap_or_default();
        // The name of a file may or may not end in NUL; an abstract one begins with it.
        let end = name.iter().rposition(|byte| *byte != 0);
        let name = &name[..end.map_or(0, |end| end + 1)];
        (inode != 0).then(|| UnixSocket {
            name: name.to_vec(),
            inode: inode.into(),
            peer: number(UNIX_DIAG_PEER)
                .filter(|peer| *peer != 0)
                .map(u64::from),
            uid: number(UNIX_DIAG_UID),
        })
    }
}

/// Requests all sockets that match, and passes each on.
fn dump(request: &[u8], mut each: impl FnMut(&[u8])) -> io::Result<()> {
    let netlink = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkSockDiag,
    )?;
    let length = (HEADER + request.len()) as u32;
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16;
    let mut message = length.to_ne_bytes().to_vec();
    message.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend([0; 8]);
    message.extend(request);
    send(netlink.as_raw_fd(), &message, MsgFlags::empty())?;
    let mut buffer = vec![0; BUFFER];
    loop {
        let length = match recv(netlink.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
            Err(Errno::EINTR) => continue,
            length => length?,
        };
        if messages(&buffer[..length], &mut each)? {
            return Ok(());
        }
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// Passes each socket in these messages on. Returns whether the answer ends with them.
fn messages(bytes: &[u8], each: &mut dyn FnMut(&[u8])) -> io::Result<bool> {
    let mut rest = bytes;
    while let Some((kind, payload, next)) = message_of(rest) {
        match i32::from(kind) {
            libc::NLMSG_DONE => return Ok(true),
            libc::NLMSG_ERROR => {
                let error = array(payload, 0).map_or(0, i32::from_ne_bytes);
                return Err(io::Error::from_raw_os_error(error.saturating_neg()));
            }
            _ => each(payload),
        }
        rest = next;
    }
    Ok(false)
}

/// The sockets in an answer of the kernel, each read as one of either family.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn parse(bytes: &[u8]) -> (Vec<TcpConnection>, Vec<UnixSocket>) {
    let (mut tcp, mut unix) = (Vec::new(), Vec::new());
    let _ = messages(bytes, &mut |socket| {
        tcp.extend(TcpConnection::parse(socket));
        unix.extend(UnixSocket::parse(socket));
    });
    (tcp, unix)
}

/// The first message: its type and payload, and the messages that follow.
fn message_of(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = u32::from_ne_bytes(array(bytes, 0)?) as usize;
    let kind = u16::from_ne_bytes(array(bytes, 4)?);
    let payload = bytes.get(HEADER..length)?;
    Some((kind, payload, rest(bytes, length)))
}

/// The value of an attribute.
fn attribute(mut bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let length = usize::from(u16::from_ne_bytes(array(bytes, 0)?));
        let kind = u16::from_ne_bytes(array(bytes, 2)?);
        let value = bytes.get(4..length)?;
        if kind == wanted {
            return Some(value);
        }
        bytes = rest(bytes, length);
    }
}

/// What follows something of this length: messages and attributes are padded to 4 bytes.
fn rest(bytes: &[u8], length: usize) -> &[u8] {
    bytes.get(length.next_multiple_of(4)..).unwrap_or_default()
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};

    use proptest::prelude::*;

    fn inode(socket: &impl AsRawFd) -> u64 {
        let link = fs::read_link(format!("/proc/self/fd/{}", socket.as_raw_fd())).unwrap();
        let link = link.to_str().unwrap();
        link["socket:[".len()..link.len() - 1].parse().unwrap()
    }

    #[test]
    fn a_tcp_connection_has_both_addresses_and_its_bytes() {
        for address in ["127.0.0.1:0", "[::1]:0", "[::]:0"] {
            // A machine without IPv6 has the first alone.
            let Ok(listener) = TcpListener::bind(address) else {
                assert_ne!(address, "127.0.0.1:0");
                continue;
            };
            let port = listener.local_addr().unwrap().port();
            let mut client = match address {
                "[::1]:0" => TcpStream::connect(("::1", port)),
                _ => TcpStream::connect(("127.0.0.1", port)),
            }
            .unwrap();
            let (mut served, _) = listener.accept().unwrap();
            client.write_all(b"12345").unwrap();
            served.read_exact(&mut [0; 5]).unwrap();
            served.write_all(b"123").unwrap();
            let all = tcp().unwrap();
            let found = all.iter().find(|c| c.inode == inode(&served)).unwrap();
            assert_eq!(found.local, client.peer_addr().unwrap());
            assert_eq!(found.remote, client.local_addr().unwrap());
            assert_eq!(found.traffic, Some((5, 3).into()));
            assert!(all.iter().all(|c| c.inode != inode(&listener)));
        }
    }

    #[test]
    fn an_af_unix_connection_has_the_listeners_name_and_the_peers_socket_and_user() {
        let path = std::env::temp_dir().join(format!("sockunit-diag-{}", std::process::id()));
        let _ = fs::remove_file(&path);
        let listener = UnixListener::bind(&path).unwrap();
        let client = UnixStream::connect(&path).unwrap();
        let (served, _) = listener.accept().unwrap();
        let all = unix_connections().unwrap();
        let of = |socket: u64| all.iter().find(|c| c.inode == socket).unwrap();
        let (served, client) = (of(inode(&served)), of(inode(&client)));
        assert_eq!(served.name, path.as_os_str().as_encoded_bytes());
        assert_eq!(served.peer, Some(client.inode));
        assert_eq!(client.peer, Some(served.inode));
        assert_eq!(client.uid, Some(nix::unistd::Uid::effective().as_raw()));
        assert!(all.iter().all(|c| c.inode != inode(&listener)));
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_listener_has_its_own_name_and_none_that_it_pretends() {
        let path = std::env::temp_dir().join(format!("sockunit-listens-{}", std::process::id()));
        let _ = fs::remove_file(&path);
        let listener = UnixListener::bind(&path).unwrap();
        let _client = UnixStream::connect(&path).unwrap();
        // A line of /proc/net/unix.
        let pretended = format!("/run/pretended-{}", std::process::id());
        let name = format!("x\n0: 2 0 00010000 0001 01 5 {pretended}\n");
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let abstract_one = UnixListener::bind_addr(&address).unwrap();
        let all = unix_listeners().unwrap();
        let of = |socket: u64| all.iter().find(|c| c.inode == socket).unwrap();
        assert_eq!(
            of(inode(&listener)).name,
            path.as_os_str().as_encoded_bytes()
        );
        let name = [b"\0", name.as_bytes()].concat();
        assert_eq!(of(inode(&abstract_one)).name, name);
        assert!(all.iter().all(|c| c.name != pretended.as_bytes()));
        let named = all
            .iter()
            .filter(|c| c.name == path.as_os_str().as_encoded_bytes());
        assert_eq!(named.count(), 1);
        fs::remove_file(&path).unwrap();
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_parsed(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            parse(&bytes);
            attribute(&bytes, INET_DIAG_INFO);
            TcpConnection::parse(&bytes);
            UnixSocket::parse(&bytes);
        }
    }
}
