//! What the parsers have to know of the system.

use std::net::IpAddr;

/// Answers of the system that the configuration is for.
pub(crate) trait System {
    /// Whether there is a user with this name.
    fn has_user(&self, name: &[u8]) -> bool;

    /// Whether there is a group with this name.
    fn has_group(&self, name: &[u8]) -> bool;

    /// Whether root may execute this file. It is true for a directory, as it is for access(2).
    fn is_executable(&self, path: &[u8]) -> bool;

    /// The number of a protocol by its name or an alias (getprotobyname(3)).
    fn protocol(&self, name: &[u8]) -> Option<u8>;

    /// The port of a service by its name or an alias (getservbyname(3)). Case matters for all three.
    fn port(&self, name: &[u8], protocol: &[u8]) -> Option<u16>;

    /// Whether there is an RPC program with this name (getrpcbyname(3)).
    fn has_rpc_program(&self, name: &[u8]) -> bool;

    /// Whether there is a network with this name, and its address (getnetbyname(3)).
    fn network(&self, name: &[u8]) -> Option<u32>;

    /// The addresses of a host name, empty if it has none; `None` if that cannot be known.
    fn addresses(&self, host: &[u8]) -> Option<Vec<IpAddr>>;
}
