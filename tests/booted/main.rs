//! The package on booted Debian systems: Debian 12 with systemd 252 and Debian 13 with systemd 257.
//!
//! Needs root. `tests/run` calls it; by hand:
//!
//!     cargo test --features booted --test booted -- session
//!
//! A test is a function that takes a `Release` and is listed once in the `on_both_releases!` of its file. It runs as
//! `FILE::bookworm::NAME` and `FILE::trixie::NAME`, each time on a fresh machine.
//! SOCKUNIT_DEB is the path of the package to test; without it, `packaging/build-deb` builds one.

#![forbid(unsafe_code)]

/// Defines a test per release for each function listed. Clippy reports a function that is not listed as dead code.
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

/// Defines a test per release and mode for each function listed. The functions take a `Release` and a `Mode`, and run
/// as `FILE::per_connection::bookworm::NAME` and so on.
macro_rules! on_both_releases_in_both_modes {
    ($($name:ident),+ $(,)?) => {
        mod per_connection {
            on_both_releases_in_both_modes!(@releases PerConnection $($name)+);
        }
        mod shared {
            on_both_releases_in_both_modes!(@releases Shared $($name)+);
        }
    };
    (@releases $mode:ident $($name:ident)+) => {
        mod bookworm {
            use crate::machine::Release;
            use crate::support::Mode;
            $(#[test] fn $name() { super::super::$name(Release::Bookworm, Mode::$mode) })+
        }
        mod trixie {
            use crate::machine::Release;
            use crate::support::Mode;
            $(#[test] fn $name() { super::super::$name(Release::Trixie, Mode::$mode) })+
        }
    };
}

mod attach;
mod attached;
mod attack;
#[path = "../support/attack.rs"]
mod attacker;
mod changes;
mod check;
mod client;
mod cluster;
mod connect;
mod deb;
mod doctor;
mod faults;
mod flood;
mod hostile;
mod import;
mod journal;
mod lifecycle;
mod machine;
mod options;
mod package;
mod proxy;
mod real;
mod reference;
mod sandbox;
mod serve;
mod session;
mod shared;
mod status;
#[cfg(feature = "superservers")]
mod superservers;
#[path = "../support/mod.rs"]
mod support;
mod sweep;
mod terminal;
mod units;
mod xinetd;
