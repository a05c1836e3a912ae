//! `packaging/cluster`: two servers behind HAProxy, as the README configures them.

use std::process::Command;

use crate::deb::deb;
use crate::machine::{repository, stdout_of};

#[test]
fn no_session_is_refused_or_interrupted_while_two_servers_behind_haproxy_are_upgraded() {
    let output = stdout_of(
        Command::new(repository().join("packaging/cluster"))
            .arg("--deb")
            .arg(deb()),
    );
    assert!(output.contains(": 198.51.100.7:"), "{output}");
    let upgrade = output
        .lines()
        .find(|line| line.ends_with(" 0 refused, 0 interrupted"));
    assert!(upgrade.is_some(), "{output}");
}
