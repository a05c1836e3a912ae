//! Connections: what standard input and output are, the peer, and how bytes move.

pub mod diag;
mod header;
mod linger;
mod peer;
mod per_connection;
mod stdio;
mod stream;
mod summary;
pub mod table;
mod tcp;

pub use header::{HeaderReceiver, Received};
pub use linger::{Discarded, LINGER, Linger};
pub use peer::Peer;
pub use per_connection::serve;
pub use stdio::{Stdio, StdioError, is_socket, is_udp_socket};
pub use stream::{Stream, poll_timeout, send_now, write_ready};
pub use summary::{Elapsed, Summary, Traffic};
pub use tcp::TcpInfo;
