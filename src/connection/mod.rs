//! What a service program was handed on standard input and output, and how its bytes move.

mod handed;
mod single;
mod stream;
pub mod table;
mod tcp;

pub use handed::{Handed, Peer, is_socket};
pub use single::{BATCH, LINGER, serve};
pub use stream::{Stream, Summary, Traffic, poll_timeout, send_now, write_ready};
pub use tcp::TcpInfo;
