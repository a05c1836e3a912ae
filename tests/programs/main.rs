//! The built programs, on pipes, sockets and directory trees that the tests create. Needs no root and no systemd.
#![forbid(unsafe_code)]

/// Defines two tests for each function named: one for a process for each connection, one for a process that serves all
/// connections. They run as `FILE::per_connection::NAME` and `FILE::shared::NAME`.
macro_rules! in_both_modes {
    ($($name:ident),+ $(,)?) => {
        mod per_connection {
            $(#[test] fn $name() { super::$name($crate::support::Mode::PerConnection) })+
        }
        mod shared {
            $(#[test] fn $name() { super::$name($crate::support::Mode::Shared) })+
        }
    };
}

mod attach;
mod builtin;
mod celebs;
mod check;
mod client;
mod command_line;
mod completions;
mod connect;
mod contributing;
mod doctor;
mod hello;
mod import;
mod log;
mod manual;
mod notices;
mod serve;
mod services;
mod serving;
mod shared;
mod shipped;
#[path = "../support/mod.rs"]
mod support;
mod sweep;
mod tool;
#[path = "../support/tree.rs"]
mod tree;
