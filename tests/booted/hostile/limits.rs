//! The limits of a hostile program: memory, processes, and the time after its connection.

use std::io::Write;

use nix::libc;

use super::{ADDRESS, ANN, attached, program, sockunit, with_user};
use crate::machine::{Machine, Release};
use crate::support::{expect, line, rest, wait_for};

on_both_releases!(
    memory_and_processes_are_limited,
    no_process_outlives_its_connection,
    a_program_with_an_endless_environment_does_not_harm_status_and_remove,
);

/// The output of systemctl, of the manager that these options of `sockunit add` choose.
fn systemctl(machine: &Machine, options: &str, arguments: &str) -> String {
    match options.contains("--user ") {
        true => machine.run(&format!("su - {ANN} -c 'systemctl --user {arguments}'")),
        false => machine.run(&format!("systemctl {arguments}")),
    }
}

fn memory_and_processes_are_limited(release: Release) {
    let machine = with_user(release);
    // It keeps the connection open while the test reads the properties of the unit, and then tries the limits.
    let script = r#"#!/bin/bash
echo ready
read -r || exit
echo "open files $(ulimit -n), core $(ulimit -c)"
perl -e '
    my $made = 0;
    for (1 .. 100) {
        my $pid = fork;
        last unless defined $pid;
        if ($pid == 0) { close STDIN; close STDOUT; sleep 1000; exit }
        $made++;
    }
    print "made $made\n"' 2>/dev/null
perl -e 'my $memory = "x" x (200 << 20); print "allocated\n"' 2>/dev/null
perl -e 'my $name = "mine"; open(my $file, ">&=", syscall(SYS_memfd_create, $name, 0)) or exit;
    syswrite($file, "x" x (1 << 20)) or exit for 1 .. 200; print "stored\n"' 2>/dev/null
"#;
    let number = libc::SYS_memfd_create.to_string();
    program(&machine, &script.replace("SYS_memfd_create", &number));
    // The kernel enforces a limit if the cgroup has the controller. A machine in a container has only the controllers
    // that its host delegates; without one, the properties are all that can be checked.
    let (tasks, memory) = (
        machine.has_controller("pids"),
        machine.has_controller("memory"),
    );
    let limits = "MemoryMax=134217728\nMemorySwapMax=0\nRuntimeMaxUSec=1d\nTasksMax=32";
    let none = "MemoryMax=infinity\nMemorySwapMax=infinity\nRuntimeMaxUSec=infinity";
    for (options, limits) in [
        ("--sandbox strict", limits),
        ("--sandbox standard", limits),
        ("--sandbox privileged", limits),
        ("--sandbox off", none),
        ("--user --sandbox strict", limits),
        ("--user --sandbox standard", limits),
        ("--user --sandbox off", none),
    ] {
        attached(&machine, options, || {
            let instances = "list-units --all --plain --no-legend hostile@*.service";
            let ended = || systemctl(&machine, options, instances).is_empty();
            wait_for("the first connection has ended", ended);
            let mut stream = machine.connect(ADDRESS);
            expect(&mut stream, "ready\n");
            let properties =
                "show -p TasksMax,MemoryMax,MemorySwapMax,RuntimeMaxUSec hostile@*.service | sort";
            let shown = systemctl(&machine, options, properties);
            assert!(shown.starts_with(limits), "{options}: {shown}");
            if limits != none {
                stream.write_all(b"go\n").unwrap();
                let found = rest(&stream);
                let start = "open files 256, core 0\nmade ";
                assert!(found.starts_with(start), "{options}: {found}");
                let made: usize = found.lines().nth(1).unwrap()[5..].parse().unwrap();
                assert!(!tasks || made < 32, "{options}: {found}");
                for word in ["allocated", "stored"] {
                    assert_eq!(found.contains(word), !memory, "{options}: {found}");
                }
            }
            drop(stream);
            wait_for("the connection has ended", ended);
        });
    }
    for options in ["", "--sandbox privileged", "--user "] {
        let options = format!("{options} --shared --max-connections 8");
        attached(&machine, &options, || {
            let properties =
                "show -p TasksMax,MemoryMax,MemorySwapMax,LimitCORE hostile.service | sort";
            assert_eq!(
                systemctl(&machine, &options, properties),
                "LimitCORE=0\nMemoryMax=1073741824\nMemorySwapMax=0\nTasksMax=48",
                "{options}"
            );
        });
    }
    machine.expect_nothing_left_of("hostile");
}

fn no_process_outlives_its_connection(release: Release) {
    let machine = with_user(release);
    // Daemons in sessions of their own that ignore SIGTERM, SIGHUP and SIGINT and do not hold the connection; and chains
    // of processes that exit as soon as they have forked the next one. They become another user if they can. The second
    // chain lowers the limit on file locks, by which serve knows processes, where that is permitted.
    program(
        &machine,
        r#"#!/bin/bash
exec 3>&1 </dev/null >/dev/null 2>&1
as_ann='setpriv --reuid ann --regid ann --clear-groups'
$as_ann true || as_ann=
setsid bash -c 'trap "" TERM HUP INT; exec -a outlives-1 sleep 1000' 3>&- &
setsid $as_ann bash -c 'trap "" TERM HUP INT; exec -a outlives-2 sleep 1000' 3>&- &
chain='$SIG{TERM} = "IGNORE"; $0 = "outlives-".shift; setpgrp; while (1) { exit if fork }'
$as_ann perl -e "$chain" 3 3>&- &
(ulimit -x 5; exec $as_ann perl -e "$chain" 4) 3>&- &
# As another user they are hidden.
until pgrep -f ^outlives-1; do :; done
for daemon in 2 3 4; do until $as_ann pgrep -f ^outlives-$daemon; do :; done; done
echo started >&3
"#,
    );
    let levels = ["strict", "standard", "privileged", "off"];
    let of_system = levels.map(|level| format!("--sandbox {level}"));
    let of_user = ["strict", "standard", "off"].map(|level| format!("--user --sandbox {level}"));
    let options: Vec<_> = of_system.into_iter().chain(of_user).collect();
    // All at once, because most of the time is that between SIGTERM and SIGKILL.
    let both = options
        .iter()
        .flat_map(|options| ["", "--shared"].map(|kind| (options, kind)));
    for (port, (options, kind)) in (4000..).zip(both) {
        let command = "/usr/local/bin/hostile";
        let service = format!("hostile-{port} {port} -- {command}");
        sockunit(&machine, &format!("add {options} {kind} {service}"));
        let printed = machine.converse(&format!("127.0.0.1:{port}"), b"");
        assert_eq!(printed, b"started\n", "{options} {kind}");
    }
    wait_for("all processes are killed", || {
        // One look may miss a process that is just being forked.
        (0..5).all(|_| machine.pgrep("-f ^outlives").is_empty())
    });
    machine.expect_nothing_left_of("hostile-*");
}

fn a_program_with_an_endless_environment_does_not_harm_status_and_remove(release: Release) {
    let machine = Machine::serving(release);
    // struct prctl_mm_map: all of its addresses in a mapping of 1 TiB that has no memory, and no new executable file.
    let endless = r#"#!/usr/bin/perl
my $start = syscall(SYS_mmap, 0, 1 << 40, 1, 0x4022, -1, 0);
my $map = pack("Q12LL", $start, $start + 1, ($start) x 8, $start + (1 << 40) - 1, 0, 0, 0xffffffff);
syscall(SYS_prctl, 35, 14, $map, 104, 0) == 0 or die "prctl: $!";
syswrite(STDOUT, "$$\n");
sysread(STDIN, my $until_the_client_closes, 1);
"#;
    let endless = endless
        .replace("SYS_mmap", &libc::SYS_mmap.to_string())
        .replace("SYS_prctl", &libc::SYS_prctl.to_string());
    program(&machine, &endless);
    for kind in ["", "--shared"] {
        machine.run(&format!(
            "sockunit add {kind} hostile 4000 -- /usr/local/bin/hostile"
        ));
        let mut stream = machine.connect(ADDRESS);
        let pid = line(&mut stream);
        let read = format!("head -c 1G /proc/{pid}/environ | wc -c");
        assert_eq!(machine.run(&read), "1073741824");
        for command in ["status hostile", "list", "remove hostile"] {
            // Without a limit of its own, it would read for more than a second of processor time.
            machine.run(&format!(
                "ulimit -v 8000000; ulimit -t 1; sockunit {command}"
            ));
        }
    }
}
