//! systemd socket-activated services that talk on standard input and output.
//!
//! Data goes one way: arguments, then the sockets that the process was passed, then the session, then the
//! log. The programs are [`hello`], [`celebs`], [`builtin`], [`serve`] and [`tool`], each a `main` that `src/bin`
//! calls. Under them:
//!
//! * `startup`: how a service program starts and ends, and where errors become exit statuses
//! * `session`: a service's protocol without I/O; `server`: many connections in one process;
//!   `connection`: one connection; `connect`: the client; `proxy_protocol`: the header of a proxy
//! * `attach`: add, remove, list and status; `doctor`: why a service does not work; `conflicts`: what uses a name
//!   or a port; `executable`: may this user execute this file?
//! * `superserver`: the configuration of xinetd and inetd; `import`: units for its services
//! * `systemd`: unit files, systemctl, journalctl, sd_notify; `services`: the file /etc/services
//! * `log`: log entries and their sinks; `clock`: time and durations; `root`: files below a root
//!   directory; `process_stat`: /proc/PID/stat; `bind`: whether an address is free; `hint`: commands to paste;
//!   `usage`: hints for usage errors; `sys`: the few system calls that need unsafe code
//! * `fuzzing`: what the fuzz targets run
#![deny(unsafe_code)]
#![warn(missing_docs, unreachable_pub)]

#[forbid(unsafe_code)]
mod attach;
#[forbid(unsafe_code)]
mod bind;
#[forbid(unsafe_code)]
pub mod builtin;
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
#[cfg(any(test, feature = "fuzzing"))]
#[forbid(unsafe_code)]
pub mod fuzzing;
#[forbid(unsafe_code)]
pub mod hello;
#[forbid(unsafe_code)]
mod hint;
#[forbid(unsafe_code)]
mod import;
#[forbid(unsafe_code)]
mod interrupts;
#[forbid(unsafe_code)]
mod log;
#[forbid(unsafe_code)]
mod process_stat;
#[forbid(unsafe_code)]
mod proxy_protocol;
#[forbid(unsafe_code)]
mod root;
#[forbid(unsafe_code)]
pub mod serve;
#[forbid(unsafe_code)]
mod server;
#[forbid(unsafe_code)]
mod services;
#[forbid(unsafe_code)]
mod session;
#[forbid(unsafe_code)]
mod startup;
#[forbid(unsafe_code)]
mod superserver;
#[allow(unsafe_code)]
mod sys;
#[forbid(unsafe_code)]
mod systemd;
#[forbid(unsafe_code)]
pub mod tool;
#[forbid(unsafe_code)]
mod usage;

/// The services that the package ships. Everything else that lists them is tested against this list.
pub const SHIPPED: [&str; 2] = ["celebs", "hello"];

#[cfg(test)]
#[forbid(unsafe_code)]
#[allow(unreachable_pub)]
#[path = "../tests/support/tree.rs"]
mod tree;
