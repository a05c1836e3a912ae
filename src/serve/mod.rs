//! One process that serves many connections, from listening sockets that it was handed or opened.

mod accept;
mod admission;
mod client;
mod listener;
mod manager;
mod options;
mod records;
mod server;

pub use listener::{ListenError, Listener};
pub use manager::nothing_to_serve;
pub use options::{Options, WhenFull};
pub use server::run;
