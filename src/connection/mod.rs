//! Connections: what standard input and output are, the peer, and how bytes move.

pub(crate) mod diag;
mod header;
mod linger;
mod peer;
mod per_connection;
mod stdio;
mod stream;
mod summary;
pub(crate) mod table;
mod tcp;

pub(crate) use header::{HeaderReceiver, Received};
pub(crate) use linger::{Discarded, LINGER, Linger};
pub(crate) use peer::Peer;
pub(crate) use per_connection::serve;
pub(crate) use stdio::{Stdio, StdioError, is_socket, is_udp_socket};
pub(crate) use stream::{Stream, poll_timeout, send_now, write_ready};
pub(crate) use summary::{Elapsed, Summary, Traffic};
pub(crate) use tcp::TcpInfo;
