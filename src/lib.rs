//! systemd socket-activated services that talk on standard input and output.
//!
//! Data goes one way: arguments, then what the process was handed, then the dialog, then the log.
//! The programs ([`hello`], [`celebs`], [`tool`]) stand on shared floors that know none of them:
//! [`program`] (how a service program starts and ends), [`connection`] (the peer and its bytes),
//! [`log`] (records and where they go), [`clock`] (the time as `date` prints it), [`services`]
//! (the file /etc/services), [`units`] (unit files on disk) and [`manager`] (systemd as it runs).
#![deny(unsafe_code)]
#![warn(missing_docs)]

#[forbid(unsafe_code)]
mod attach;
#[forbid(unsafe_code)]
pub mod celebs;
#[forbid(unsafe_code)]
mod clock;
#[forbid(unsafe_code)]
mod conflicts;
#[forbid(unsafe_code)]
mod connect;
#[forbid(unsafe_code)]
mod connection;
#[forbid(unsafe_code)]
mod doctor;
#[forbid(unsafe_code)]
mod executable;
#[forbid(unsafe_code)]
pub mod hello;
#[forbid(unsafe_code)]
mod hint;
#[forbid(unsafe_code)]
mod log;
#[forbid(unsafe_code)]
mod root;
#[forbid(unsafe_code)]
mod server;
#[forbid(unsafe_code)]
mod services;
#[forbid(unsafe_code)]
mod session;
#[forbid(unsafe_code)]
mod startup;
#[allow(unsafe_code)]
mod sys;
#[forbid(unsafe_code)]
mod systemd;
#[forbid(unsafe_code)]
pub mod tool;
#[cfg(test)]
#[forbid(unsafe_code)]
#[path = "../tests/support/tree.rs"]
mod tree;
