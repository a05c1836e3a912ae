//! What the kernel and the service manager say.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::{byte, expect_printable};
use crate::attach::Remote;
use crate::attach::status::client::by_environment;
use crate::conflicts::listening::unit_of;
use crate::connection::diag;
use crate::connection::table::Row;
use crate::process_stat::ProcessStat;
use crate::systemd::journalctl::{self, Entries};
use crate::systemd::{Properties, Scope};

/// The remote end of a connection.
const PROXY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 5)), 47100);

/// The tables of sockets and processes can be read, and their control groups and environments. Programs choose the
/// names in them.
pub fn kernel(data: &[u8]) {
    for row in Row::parse_all(data) {
        assert!(!(row.listens() && row.is_open()));
    }
    ProcessStat::parse(data);
    unit_of(&String::from_utf8_lossy(data));
    let client = by_environment(data, Remote::Tcp(PROXY));
    assert_ne!(client, Some(PROXY));
    let (tcp, unix) = diag::parse(data);
    assert!(tcp.iter().all(|socket| socket.inode != 0));
    assert!(
        unix.iter()
            .all(|socket| socket.inode != 0 && socket.peer != Some(0))
    );
}

/// Properties are those that were asked for, and entries of the journal, whose text clients and
/// programs choose, can be printed.
pub fn systemd(mut data: &[u8]) {
    let asked = ["Id", "Listen", "StatusText", "ExecStart"];
    let asked = &asked[..usize::from(byte(&mut data)) % (asked.len() + 1)];
    let properties = Properties::parse(&String::from_utf8_lossy(data), asked);
    for property in ["Id", "Listen", "StatusText", "ExecStart", "Other"] {
        let is_asked = asked.contains(&property);
        assert!(is_asked || properties.all(property).is_empty());
    }
    properties.stream_addresses();
    let entries = Entries::parse(data, Scope::System);
    entries.quoted().iter().for_each(expect_printable);
    let wanted = ["__REALTIME_TIMESTAMP", "MESSAGE"];
    for values in journalctl::parse_values(data, &wanted) {
        assert_eq!(values.len(), wanted.len());
    }
}
