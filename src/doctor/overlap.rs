//! Two addresses of one socket unit that cannot both be bound.

use std::net::IpAddr;

use super::Problem;
use super::address::{Address, line};
use super::subject::Subject;
use crate::hint::Hint;
use crate::systemd::ListenDirective;

/// Checks for two lines of the unit that cannot both be bound.
///
/// # Errors
///
/// The first two.
pub(super) fn check(
    subject: &Subject<'_>,
    streams: &[(&ListenDirective<'_>, Address)],
) -> Result<(), Problem> {
    if subject.socket.flag("Socket", "ReusePort") == Some(true) {
        return Ok(());
    }
    let only_v6 = subject.only_v6();
    for (index, (listen, address)) in streams.iter().enumerate() {
        for (earlier, other) in &streams[..index] {
            let clash = match (address, other) {
                (Address::Tcp(a), Address::Tcp(b)) => {
                    a.port() == b.port() && overlap(a.ip(), b.ip(), only_v6)
                }
                (a, b) => a == b,
            };
            if !clash {
                continue;
            }
            let unit = &subject.socket.name;
            let port = listen
                .port()
                .map_or(listen.value.text.to_string(), |port| format!("port {port}"));
            let problem = Problem::new(
                format!("{unit} listens on {port} twice, and the first socket keeps the second from it"),
                "put an empty ListenStream= before the later line, which removes all earlier addresses",
            )
            .evidence([line(earlier), line(listen)]);
            let value = listen.value;
            let fixer = subject.fixer();
            if every_family(address, other) {
                let problem = Problem {
                    hint: Hint::new(
                        "have the IPv6 socket accept IPv6 alone, or remove the line with 0.0.0.0",
                    ),
                    ..problem
                };
                let problem =
                    problem.explanation("An IPv6 socket on :: accepts IPv4 connections too.");
                return Err(fixer.by_drop_in(problem, unit, "Socket", &["BindIPv6Only=ipv6-only"]));
            }
            return Err(fixer.by_reset(problem, "ListenStream", value.line, value.path));
        }
    }
    Ok(())
}

/// Whether the addresses are all those of IPv6 and all those of IPv4.
fn every_family(a: &Address, b: &Address) -> bool {
    let (Address::Tcp(a), Address::Tcp(b)) = (a, b) else {
        return false;
    };
    a.ip().is_unspecified() && b.ip().is_unspecified() && a.is_ipv4() != b.is_ipv4()
}

/// Whether two sockets cannot both have these addresses with one port. With `only_v6`, IPv6 addresses
/// accept no IPv4 connections.
pub(super) fn overlap(a: IpAddr, b: IpAddr, only_v6: bool) -> bool {
    let covers = |wide: IpAddr, other: IpAddr| match wide {
        IpAddr::V4(wide) => wide.is_unspecified() && other.is_ipv4(),
        // It accepts IPv4 connections too.
        IpAddr::V6(wide) => wide.is_unspecified() && (other.is_ipv6() || !only_v6),
    };
    a == b || covers(a, b) || covers(b, a)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unspecified_address_overlaps_with_all_of_its_family() {
        let ip = |text: &str| text.parse().unwrap();
        for (a, b, only_v6, clash) in [
            ("::", "127.0.0.1", false, true),
            ("::", "127.0.0.1", true, false),
            ("127.0.0.1", "0.0.0.0", false, true),
            ("0.0.0.0", "::1", false, false),
            ("127.0.0.1", "127.0.0.2", false, false),
            ("::1", "::1", true, true),
        ] {
            assert_eq!(overlap(ip(a), ip(b), only_v6), clash, "{a} {b}");
        }
    }
}
