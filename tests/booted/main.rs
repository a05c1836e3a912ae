//! The package on booted Debian systems: Debian 12 with systemd 252 and Debian 13 with systemd 257.
//!
//! Needs root. `tests/run` calls it; by hand:
//!
//!     cargo test --features booted --test booted -- conversation
//!
//! Each test is a function that takes a `Release`, and is named once in its file's `on_both_releases!`. It runs as
//! `FILE::bookworm::NAME` and `FILE::trixie::NAME`, each time on a fresh machine of its own.
//! SOCKUNIT_DEB names the package to test; without it `packaging/build-deb` builds one.

#![forbid(unsafe_code)]

/// Makes a test per release of each function named. One that is not named is dead code, and clippy says so.
macro_rules! on_both_releases {
    ($($name:ident),+ $(,)?) => {
        mod bookworm {
            $(#[test] fn $name() { super::$name($crate::machine::Release::Bookworm) })+
        }
        mod trixie {
            $(#[test] fn $name() { super::$name($crate::machine::Release::Trixie) })+
        }
    };
}

/// The same, once with a unit for each connection and once with one process for all: of functions that take a
/// `Release` and a `Mode`. They run as `FILE::single::bookworm::NAME` and so on.
macro_rules! on_both_releases_in_both_modes {
    ($($name:ident),+ $(,)?) => {
        mod single {
            on_both_releases_in_both_modes!(@releases Single $($name)+);
        }
        mod shared {
            on_both_releases_in_both_modes!(@releases Shared $($name)+);
        }
    };
    (@releases $mode:ident $($name:ident)+) => {
        mod bookworm {
            use crate::machine::{Mode, Release};
            $(#[test] fn $name() { super::super::$name(Release::Bookworm, Mode::$mode) })+
        }
        mod trixie {
            use crate::machine::{Mode, Release};
            $(#[test] fn $name() { super::super::$name(Release::Trixie, Mode::$mode) })+
        }
    };
}

mod attach;
mod check;
mod client;
mod connect;
mod conversation;
mod deb;
mod doctor;
mod hostile;
mod journal;
mod lifecycle;
mod machine;
mod package;
mod reference;
mod sandbox;
mod serve;
mod shared;
mod sweep;
mod units;
