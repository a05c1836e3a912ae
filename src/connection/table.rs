//! The kernel's tables of TCP sockets, /proc/net/tcp and /proc/net/tcp6.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// A TCP socket of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    /// The local address.
    pub local: SocketAddr,
    /// The remote address; unspecified with port 0 if there is none.
    pub remote: SocketAddr,
    /// The inode number; 0 if no process has the socket any more.
    pub inode: u64,
    /// For a listening socket: the number of connections in the backlog.
    pub waiting: u32,
    state: u8,
}

/// TCP states, as the kernel numbers them.
const TIME_WAIT: u8 = 6;
const CLOSE: u8 = 7;
const LISTEN: u8 = 10;

impl Row {
    /// Returns whether it is a listening socket.
    pub(crate) fn listens(&self) -> bool {
        self.state == LISTEN
    }

    /// Returns whether it is a connection that belongs to a process.
    pub(crate) fn is_open(&self) -> bool {
        ![TIME_WAIT, CLOSE, LISTEN].contains(&self.state) && self.inode != 0
    }

    /// Parses a table.
    pub(crate) fn parse_all(table: &[u8]) -> Vec<Row> {
        let table = String::from_utf8_lossy(table);
        table.lines().filter_map(Row::parse).collect()
    }

    /// Parses a line. `None` for the first line, which has the names of the columns.
    fn parse(line: &str) -> Option<Row> {
        let fields: Vec<_> = line.split_ascii_whitespace().collect();
        Some(Row {
            local: address(fields.get(1)?)?,
            remote: address(fields.get(2)?)?,
            state: u8::from_str_radix(fields.get(3)?, 16).ok()?,
            inode: fields.get(9)?.parse().ok()?,
            waiting: u32::from_str_radix(fields.get(4)?.split_once(':')?.1, 16).ok()?,
        })
    }
}

fn address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    // Words of four bytes in host byte order.
    let mut bytes = Vec::new();
    for word in address.as_bytes().chunks(8) {
        let word = std::str::from_utf8(word).ok()?;
        bytes.extend(u32::from_str_radix(word, 16).ok()?.to_ne_bytes());
    }
    let ip = match <[u8; 4]>::try_from(bytes.as_slice()) {
        Ok(v4) => IpAddr::from(Ipv4Addr::from(v4)),
        Err(_) => IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?)),
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

/// Reads all TCP sockets of the network namespace.
///
/// # Errors
///
/// A table cannot be read; the path is returned too. A kernel without IPv6 has no second table, which
/// is not an error.
pub(crate) fn read() -> Result<Vec<Row>, (PathBuf, io::Error)> {
    let mut rows = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        match fs::read(table) {
            Ok(text) => rows.extend(Row::parse_all(&text)),
            // A kernel without IPv6.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err((Path::new(table).into(), error)),
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn a_kernel_table_is_parsed() {
        let text = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:0D05 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12345 1 0 100 0 0 10 0
   1: 0100007F:0D05 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 12346 1 0 20 4 30 10 -1
   0: 00000000000000000000000001000000:0D05 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 99 1 0 100 0 0 10 0
";
        let rows = Row::parse_all(text.as_bytes());
        assert_eq!(rows.len(), 3);
        assert_eq!(rows[0].local, "127.0.0.1:3333".parse().unwrap());
        assert!(rows[0].listens() && !rows[0].is_open());
        assert_eq!(rows[0].inode, 12345);
        assert_eq!(rows[1].remote, "127.0.0.1:40000".parse().unwrap());
        assert!(rows[1].is_open() && !rows[1].listens());
        assert_eq!(rows[2].local, "[::1]:3333".parse().unwrap());
    }

    proptest! {
        #[test]
        fn any_line_can_be_parsed(line in "([0-9A-F:]{0,34} ){0,12}") {
            Row::parse(&line);
        }
    }
}
