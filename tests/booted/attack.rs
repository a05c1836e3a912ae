//! Clients that attack: floods, slow clients and bad input, at small size. `packaging/bench attack` has the whole size.

use std::time::Duration;

use crate::attacker::{Attack, attack};
use crate::machine::{CELEBS, Machine, Release};
use crate::support::Mode;

on_both_releases!(attacks_harm_no_client_of_another_source);

fn attacks_harm_no_client_of_another_source(release: Release) {
    let machine = Machine::installed(release);
    machine.switch(&["celebs"], Mode::Shared);
    machine.run(
        "sockunit add each 4001 -- /usr/libexec/sockunit/celebs
         sockunit add --shared all 4002 -- /usr/libexec/sockunit/celebs",
    );
    for (service, address) in [
        ("celebs", CELEBS),
        ("each", "127.0.0.1:4001"),
        ("all", "127.0.0.1:4002"),
    ] {
        for kind in Attack::ALL {
            let count = match (service, kind.holds()) {
                ("each", false) => 20,
                _ => 100,
            };
            let outcome = machine.in_network(|| attack(kind, address.parse().unwrap(), count, 4));
            let what = format!("{service}, {}: {outcome:?}", kind.name());
            assert_eq!(outcome.connections, count, "{what}");
            assert_eq!((outcome.lost, outcome.others_lost), (0, 0), "{what}");
            assert!(outcome.next < Duration::from_secs(10), "{what}");
        }
        let socket = format!("{service}.socket");
        assert_eq!(machine.property(&socket, "ActiveState"), "active");
    }
    machine.expect_nothing_left_of("each");
}
