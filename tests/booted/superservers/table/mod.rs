//! The packages that ship or register a service for xinetd or inetd, and what a client sees of it.

mod openbsd;
mod second;
mod xinetd;

pub use self::openbsd::OPENBSD;
pub use self::second::{INETUTILS, OPENBSD_SECOND, OPENBSD_THIRD, PURE_FTPD};
pub use self::xinetd::{XINETD, XINETD_SECOND};
use super::group::{Group, Service};
use super::probe::{Ask, Sees};
use crate::machine::Release::{self, Bookworm, Trixie};

/// Packages that a release does not have.
pub const ABSENT: [(&str, Release); 9] = [
    ("bidentd", Trixie),
    ("firebird4.0-server", Bookworm),
    ("ftpd-ssl", Trixie),
    ("lava-dispatcher", Trixie),
    ("p10cfgd", Trixie),
    ("rsh-redone-server", Trixie),
    ("rsh-server", Trixie),
    ("sendfile", Trixie),
    ("sn", Trixie),
];

pub const GROUPS: [&Group; 9] = [
    &OPENBSD,
    &OPENBSD_SECOND,
    &OPENBSD_THIRD,
    &INETUTILS,
    &XINETD,
    &XINETD_SECOND,
    &PURE_FTPD[0],
    &PURE_FTPD[1],
    &PURE_FTPD[2],
];

const fn service(
    package: &'static str,
    (name, port): (&'static str, u16),
    program: &'static str,
    ask: Ask,
    sees: Sees,
) -> Service {
    Service {
        package,
        name,
        port,
        program,
        ask,
        sees,
        release: None,
    }
}
