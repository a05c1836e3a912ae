//! A client that needs no sleeps and cannot deadlock: what the server sends is shown the moment it
//! comes, what the user types is sent, and neither waits for the other.

mod cut_off;
mod dial;
mod held;
mod relay;
mod watch;

pub use cut_off::CutOff;
pub use dial::{DialError, Target, dial};
pub use relay::{Ending, Manner, relay};
