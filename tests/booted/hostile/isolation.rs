//! What the connections of one service can do to each other.

use std::io::Write;

use super::{ADDRESS, attached, has_signal_scopes, program, with_user};
use crate::machine::Release;
use crate::support::line;

on_both_releases!(connections_of_a_service_are_isolated_from_each_other);

fn connections_of_a_service_are_isolated_from_each_other(release: Release) {
    let machine = with_user(release);
    program(
        &machine,
        r#"#!/bin/bash
exec 2>/dev/null 3>&1 >/dev/null
echo $$ >&3
while read -r pid; do
    pid=${pid:-$PPID}
    found=
    kill -0 "$pid" && found+=' signal'
    (exec 4<>"/proc/$pid/mem") && found+=' memory'
    (exec 4<"/proc/$pid/environ") && found+=' environment'
    (cd "/proc/$pid/cwd") && found+=' directory'
    prlimit --pid "$pid" --cpu=1:1 && found+=' limit'
    chrt --idle --pid 0 "$pid" && found+=' policy'
    renice --priority 19 --pid "$pid" && found+=' priority'
    taskset --pid 1 "$pid" && found+=' processors'
    ionice --class 3 --pid "$pid" && found+=' input and output'
    renice --priority 19 --user "$(id --user)" && found+=' user'
    (echo 1000 >"/proc/$pid/oom_score_adj") && found+=' end-for-memory'
    for _ in {1..20}; do # It may be changed once in 100 ms.
        (echo 19 >"/proc/$pid/autogroup") && found+=' share-of-time' && break
        sleep 0.01
    done
    [ -d "/proc/$pid" ] && found+=' see'
    echo "can:$found" >&3
done
"#,
    );
    // What only /proc, which shows all processes at some levels, lets a program do to those of its user.
    let in_proc = " end-for-memory share-of-time see";
    for (options, to_other, to_parent) in [
        ("--shared --sandbox strict", "", ""),
        ("--shared --sandbox standard", in_proc, " see"),
        ("--shared --sandbox privileged", in_proc, in_proc),
        ("--sandbox strict", "", ""),
        ("--sandbox standard", in_proc, " see"),
        ("--sandbox privileged", "", ""),
        ("--user --shared --sandbox strict", in_proc, " see"),
        ("--user --shared --sandbox standard", in_proc, " see"),
        ("--user --sandbox strict", in_proc, " see"),
        ("--user --sandbox standard", in_proc, " see"),
    ] {
        attached(&machine, options, || {
            let (mut one, mut other) = (machine.connect(ADDRESS), machine.connect(ADDRESS));
            let (_, pid) = (line(&mut one), line(&mut other));
            let mut can = |process: &str| {
                one.write_all(format!("{process}\n").as_bytes()).unwrap();
                line(&mut one)
            };
            let signal = if has_signal_scopes() { "" } else { " signal" };
            assert_eq!(can(&pid), format!("can:{signal}{to_other}"), "{options}");
            // The parent is sockunit serve.
            let to_parent = format!("can:{signal}{to_parent}");
            assert_eq!(can(""), to_parent, "{options}, parent");
        });
    }
}
