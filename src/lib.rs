//! systemd socket-activated services that talk on standard input and output.
//!
//! Data goes one way: arguments, then what the process was handed, then the dialog, then the log.
//! The programs ([`hello`], [`celebs`], [`tool`]) stand on shared floors that know none of them:
//! [`program`] (how a service program starts and ends), [`connection`] (the peer and its bytes),
//! [`log`] (records and where they go), [`clock`] (the time as `date` prints it), [`services`]
//! (the file /etc/services), [`units`] (unit files on disk) and [`manager`] (systemd as it runs).
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod attach;
pub mod celebs;
pub mod clock;
pub mod conflicts;
pub mod connect;
pub(crate) mod connection;
pub mod doctor;
pub mod executable;
pub mod hello;
pub(crate) mod log;
pub mod root;
pub(crate) mod server;
pub mod services;
pub(crate) mod session;
pub mod shell;
pub(crate) mod startup;
pub mod systemd;
pub mod tool;
#[cfg(test)]
#[path = "../tests/tree.rs"]
mod tree;
