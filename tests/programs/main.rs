//! The built programs at pipes and sockets of the tests' own. Needs no root and no systemd.
#![forbid(unsafe_code)]

/// Makes two tests of each function named: one with a process for each connection, one with a
/// process that serves all.
macro_rules! in_both_modes {
    ($($name:ident),+ $(,)?) => {
        mod single {
            $(#[test] fn $name() { super::$name($crate::serving::Mode::Single) })+
        }
        mod shared {
            $(#[test] fn $name() { super::$name($crate::serving::Mode::Shared) })+
        }
    };
}

mod attach;
mod celebs;
mod check;
mod client;
mod command_line;
mod completions;
mod connect;
mod contributing;
mod doctor;
mod hello;
mod log;
mod manual;
mod notices;
mod serve;
mod services;
mod serving;
mod shared;
mod sweep;
mod tool;
#[path = "../tree.rs"]
mod tree;
