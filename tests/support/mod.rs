//! What tests/programs and tests/booted share: waiting for a condition, and reading from a service.

mod stream;
mod wait;

pub use stream::{PROMPT, expect, line, reset, rest};
pub use wait::{PATIENCE, wait_for, wait_until};

/// How a service's connections are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A process for each connection: `Accept=yes`.
    PerConnection,
    /// One process for all connections, which receives the listening socket: `Accept=no`.
    Shared,
}
