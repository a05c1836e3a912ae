//! A TCP and AF_UNIX client for the command line.
//!
//! It moves bytes in both directions at once: it shows what the server sends as soon as it arrives
//! and sends what the user types, so that a silent server does not block a user, nor the other way
//! round.

mod buffer;
mod conversation;
mod dial;
mod dial_error;
pub(crate) mod line_matcher;
mod relay;
mod relay_error;

pub(crate) use conversation::{Conversation, First, Then};
pub(crate) use dial::{Target, dial};
pub(crate) use dial_error::DialError;
pub(crate) use relay::{RelayOptions, relay};
