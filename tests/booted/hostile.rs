//! A hostile program at each sandbox level, as a per-connection and as a shared service: what the manual says of each
//! level.

use std::io::{Read, Write};
use std::net::TcpStream;

use nix::libc;

use crate::machine::{Machine, Release};
use crate::support::{expect, rest, wait_for};

on_both_releases!(
    a_strict_sandbox_permits_almost_nothing,
    standard_and_off_permit_what_the_user_may,
    a_strict_user_service_cannot_read_the_files_of_the_user,
    memory_and_processes_are_limited,
    no_process_outlives_its_connection,
    connections_of_a_service_are_isolated_from_each_other,
    a_program_with_an_endless_environment_does_not_harm_status_and_remove,
);

const ADDRESS: &str = "127.0.0.1:4000";

/// Prints what it can do, one line each. SYS_ names are replaced by the numbers of this architecture.
const PROBES: &str = r#"#!/bin/bash
exec 2>/dev/null
can() { if "${@:2}" >/dev/null; then echo "$1: yes"; else echo "$1: no"; fi; }
echo "capabilities: $(grep ^CapEff: /proc/self/status | cut -f 2)"
can 'read /etc/shadow' cat /etc/shadow
can 'read a letter in a home' cat /home/ann/letter
can 'see a home' test -d /home/ann
can 'see running services' test -e /run/systemd/private
can 'see a device' test -e /dev/console -o -e /dev/net -o -e /dev/kmsg
can 'see PID 1' test -d /proc/1
can 'read the environment of a daemon' cat "/proc/$(cat /etc/daemon.pid)/environ"
can 'signal a daemon' kill -0 "$(cat /etc/daemon.pid)"
places='/ /etc /var/lib /tmp /var/tmp /dev /dev/shm /dev/mqueue /run /run/lock /run/user /home /mnt/open /sys/fs/cgroup'
for folder in $places; do
    touch "$folder/mine" && { echo "write in $folder: yes"; rm -f "$folder/mine"; }
done
can 'write to its own control group' bash -c 'echo 0 >/sys/fs/cgroup/$(cut -d: -f3 /proc/self/cgroup | tail -n 1)/cgroup.procs'
can 'become root by a setuid program' test "$(/usr/local/bin/who-am-i -u)" = 0
can 'make a namespace' unshare --user true
can 'mount' mount -t tmpfs none /mnt
can 'chmod u+s' bash -c 'cp /bin/true /mnt/open/suid && chmod 4755 /mnt/open/suid'
can 'connect to celebs' bash -c ': </dev/tcp/127.0.0.1/3334'
for family in 1 2 10 16 17; do # AF_UNIX, INET, INET6, NETLINK, PACKET
    perl -e 'exit !(socket(my $s, $ARGV[0], 2, 0) || socket(my $t, $ARGV[0], 3, 0))' "$family" \
        && echo "socket of family $family: yes"
done
can 'io_uring' perl -e 'exit(syscall(SYS_io_uring_setup, 1, "\0" x 120) < 0)'
can 'leave shared memory behind' perl -e 'exit(!defined shmget(0, 4096, 01666))'
can 'make an inotify instance' perl -e 'exit(syscall(SYS_inotify_init1, 0) < 0)'
can 'open a terminal' perl -e 'exit !open(my $t, "+<", "/dev/ptmx")'
can 'make 2000 timers' perl -e 'my $id = "\0" x 8; for (1 .. 2000) { exit 1 if syscall(SYS_timer_create, 1, 0, $id) < 0 }'
echo done
"#;

/// A machine with the files and processes that the hostile program looks for.
fn prepared(release: Release) -> Machine {
    let machine = Machine::serving(release);
    machine.run(
        "useradd --create-home ann
         useradd --system fixed
         echo secret >/home/ann/letter
         chmod -R a+rX /home/ann
         cp /usr/bin/id /usr/local/bin/who-am-i
         chmod 4755 /usr/local/bin/who-am-i
         mkdir /mnt/open
         mount -t tmpfs -o mode=1777 none /mnt/open
         su ann -c 'test \"$(/usr/local/bin/who-am-i -u)\" = 0'
         su ann -c 'sleep 1000 >/dev/null 2>&1 & echo $!' >/etc/daemon.pid",
    );
    let mut probes = PROBES.to_owned();
    for (name, number) in [
        ("SYS_io_uring_setup", libc::SYS_io_uring_setup),
        ("SYS_inotify_init1", libc::SYS_inotify_init1),
        ("SYS_timer_create", libc::SYS_timer_create),
    ] {
        probes = probes.replace(name, &number.to_string());
    }
    program(&machine, &probes);
    machine
}

fn program(machine: &Machine, text: &str) {
    machine.write("/usr/local/bin/hostile", text);
    machine.run("chmod 755 /usr/local/bin/hostile");
}

/// Attaches the program, and returns what it can do.
fn found(machine: &Machine, options: &str) -> Vec<String> {
    machine.run(&format!(
        "sockunit add {options} hostile 4000 -- /usr/local/bin/hostile"
    ));
    let found = permitted(machine);
    machine.run("sockunit remove hostile");
    found
}

/// What the attached program can do.
fn permitted(machine: &Machine) -> Vec<String> {
    let printed = String::from_utf8(machine.converse(ADDRESS, b"")).unwrap();
    printed
        .lines()
        .filter(|line| line.ends_with("yes") || line.starts_with("capabilities") || *line == "done")
        .map(str::to_owned)
        .collect()
}

fn a_strict_sandbox_permits_almost_nothing(release: Release) {
    let machine = prepared(release);
    for user in ["", "--user-name fixed"] {
        assert_eq!(
            found(&machine, user),
            found(&machine, &format!("--shared {user}")),
            "{user}"
        );
        assert_eq!(
            found(&machine, user),
            [
                "capabilities: 0000000000000000",
                "socket of family 1: yes",
                "done"
            ],
            "{user}"
        );
    }
}

fn standard_and_off_permit_what_the_user_may(release: Release) {
    let machine = prepared(release);
    let seen = [
        "capabilities: 0000000000000000",
        "read a letter in a home: yes",
        "see a home: yes",
        "see running services: yes",
        "see a device: yes",
        "see PID 1: yes",
        "write in /tmp: yes",
        "write in /var/tmp: yes",
        "write in /dev/shm: yes",
        "write in /dev/mqueue: yes",
    ];
    // For a dynamic user the system is read-only, and /tmp is private.
    let open = ["write in /run/lock: yes", "write in /mnt/open: yes"];
    let gained = "become root by a setuid program: yes";
    let namespace = "make a namespace: yes";
    let marked = "chmod u+s: yes";
    let talks = [
        "connect to celebs: yes",
        "socket of family 1: yes",
        "socket of family 2: yes",
        "socket of family 10: yes",
        "socket of family 16: yes",
        "leave shared memory behind: yes",
        "make an inotify instance: yes",
        "open a terminal: yes",
        "make 2000 timers: yes",
        "done",
    ];
    for kind in ["", "--shared"] {
        for (level, rest) in [
            ("standard", vec![]),
            ("standard --user-name fixed", open.to_vec()),
            ("off", vec![namespace]),
            (
                "off --user-name fixed",
                [&open[..], &[gained, namespace, marked]].concat(),
            ),
        ] {
            let found = found(&machine, &format!("{kind} --sandbox {level}"));
            assert_eq!(found, [&seen[..], &rest, &talks].concat(), "{kind} {level}");
        }
    }
}

fn a_strict_user_service_cannot_read_the_files_of_the_user(release: Release) {
    let machine = prepared(release);
    machine.run("systemctl start user@$(id -u ann).service");
    let ann = |command: &str| machine.run(&format!("su - ann -c '{command}'"));
    for kind in ["", "--shared"] {
        ann(&format!(
            "sockunit add --user {kind} hostile 4000 -- /usr/local/bin/hostile"
        ));
        let found = permitted(&machine);
        ann("sockunit remove --user hostile");
        let mut expected = vec!["capabilities: 0000000000000000", "see PID 1: yes"];
        if !has_signal_scopes() {
            expected.push("signal a daemon: yes");
        }
        expected.extend(["socket of family 1: yes", "done"]);
        assert_eq!(found, expected, "{kind}");
    }
}

fn memory_and_processes_are_limited(release: Release) {
    let machine = Machine::serving(release);
    // It keeps the connection open while the test reads the properties of the unit, and then tries the limits.
    program(
        &machine,
        r#"#!/bin/bash
echo ready
read -r
echo "open files $(ulimit -n), core $(ulimit -c)"
perl -e '
    my $made = 0;
    for (1 .. 2000) {
        my $pid = fork;
        last unless defined $pid;
        if ($pid == 0) { sleep 1000; exit }
        $made++;
    }
    print "made $made\n"' 2>/dev/null
perl -e 'my $memory = "x" x (400 << 20); print "allocated\n"' 2>/dev/null
"#,
    );
    for (sandbox, limits) in [
        (
            "strict",
            "MemoryMax=134217728\nMemorySwapMax=0\nRuntimeMaxUSec=1d\nTasksMax=32",
        ),
        (
            "standard",
            "MemoryMax=134217728\nMemorySwapMax=0\nRuntimeMaxUSec=1d\nTasksMax=32",
        ),
        (
            "off",
            "MemoryMax=infinity\nMemorySwapMax=infinity\nRuntimeMaxUSec=infinity",
        ),
    ] {
        machine.run(&format!(
            "sockunit add --sandbox {sandbox} hostile 4000 -- /usr/local/bin/hostile"
        ));
        wait_for("the first connection has ended", || {
            machine.instances("hostile").is_empty()
        });
        let mut stream = machine.connect(ADDRESS);
        expect(&mut stream, "ready\n");
        let instance = machine.instances("hostile").pop().unwrap();
        let shown = machine.run(&format!(
            "systemctl show -p TasksMax,MemoryMax,MemorySwapMax,RuntimeMaxUSec '{instance}' | sort"
        ));
        assert!(shown.starts_with(limits), "{shown}");
        if sandbox != "off" {
            stream.write_all(b"go\n").unwrap();
            let found = rest(&stream);
            assert!(
                found.starts_with("open files 256, core 0\nmade "),
                "{found}"
            );
            let made: usize = found.lines().nth(1).unwrap()[5..].parse().unwrap();
            // The kernel enforces a limit if the cgroup has the controller. A machine in a container has only the
            // controllers that its host delegates; without one, the properties above are all that can be checked.
            if machine.has_controller("pids") {
                assert!(made < 32, "{found}");
            }
            if machine.has_controller("memory") {
                assert!(!found.contains("allocated"), "{found}");
            }
        }
        drop(stream);
        machine.expect_nothing_left_of("hostile");
        machine.run("sockunit remove hostile");
    }
    machine.run("sockunit add --shared --max-connections 8 hostile 4000 -- /usr/local/bin/hostile");
    let shown = machine
        .run("systemctl show -p TasksMax,MemoryMax,MemorySwapMax,LimitCORE hostile.service | sort");
    assert_eq!(
        shown,
        "LimitCORE=0\nMemoryMax=1073741824\nMemorySwapMax=0\nTasksMax=48"
    );
    machine.run("sockunit remove hostile");
}

fn no_process_outlives_its_connection(release: Release) {
    let machine = Machine::serving(release);
    // A daemon in a session of its own that ignores SIGTERM, SIGHUP and SIGINT and does not hold the connection; and
    // chains of processes that exit as soon as they have forked the next one.
    program(
        &machine,
        r#"#!/bin/bash
setsid bash -c 'trap "" TERM HUP INT; exec -a outlives-1 sleep 1000' </dev/null >/dev/null 2>&1 &
perl -e '$SIG{TERM} = "IGNORE"; $0 = "outlives-2"; for (1 .. 3) { next if fork; setpgrp; while (1) { exit if fork } }' \
    </dev/null >/dev/null 2>&1 &
until pgrep -f ^outlives-1 >/dev/null && pgrep -f ^outlives-2 >/dev/null; do :; done
echo started
"#,
    );
    for kind in ["", "--shared"] {
        for sandbox in ["strict", "standard", "off"] {
            machine.run(&format!(
                "sockunit add {kind} --sandbox {sandbox} hostile 4000 -- /usr/local/bin/hostile"
            ));
            assert_eq!(machine.converse(ADDRESS, b""), b"started\n");
            // One look may miss a process that is just being forked.
            wait_for("all processes are killed", || {
                (0..5).all(|_| machine.pgrep("-f ^outlives").is_empty())
            });
            if kind.is_empty() {
                machine.expect_nothing_left_of("hostile");
            }
            machine.run("sockunit remove hostile");
        }
    }
}

fn connections_of_a_service_are_isolated_from_each_other(release: Release) {
    let machine = Machine::serving(release);
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
    (echo 19 >"/proc/$pid/autogroup") && found+=' share-of-time'
    [ -d "/proc/$pid" ] && found+=' see'
    echo "can:$found" >&3
done
"#,
    );
    for (kind, sandbox) in [
        ("--shared", "strict"),
        ("--shared", "standard"),
        ("", "strict"),
        ("", "standard"),
    ] {
        machine.run(&format!(
            "sockunit add {kind} --sandbox {sandbox} hostile 4000 -- /usr/local/bin/hostile"
        ));
        let (mut one, mut other) = (machine.connect(ADDRESS), machine.connect(ADDRESS));
        let (_, pid) = (read_line(&mut one), read_line(&mut other));
        let mut can = |process: &str| {
            one.write_all(format!("{process}\n").as_bytes()).unwrap();
            read_line(&mut one)
        };
        let signal = if has_signal_scopes() { "" } else { " signal" };
        // At this level, /proc shows all processes.
        let (other_program, parent) = match sandbox {
            "standard" => (" end-for-memory share-of-time see", " see"),
            _ => ("", ""),
        };
        assert_eq!(
            can(&pid),
            format!("can:{signal}{other_program}"),
            "{kind} {sandbox}"
        );
        // The parent is sockunit serve, or systemd.
        let signal = if kind.is_empty() { "" } else { signal };
        assert_eq!(
            can(""),
            format!("can:{signal}{parent}"),
            "{kind} {sandbox}, parent"
        );
        drop((one, other));
        machine.run("sockunit remove hostile");
    }
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
        let pid = read_line(&mut stream);
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

/// Whether the kernel, which is that of this machine, can keep processes from sending signals: from 6.12 on.
fn has_signal_scopes() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(['.', '-']).map_while(|n| n.parse().ok());
    (numbers.next(), numbers.next()) >= (Some(6u32), Some(12u32))
}

fn read_line(stream: &mut TcpStream) -> String {
    let mut line = Vec::new();
    let mut byte = [0];
    while byte != *b"\n" {
        stream.read_exact(&mut byte).unwrap();
        line.push(byte[0]);
    }
    String::from_utf8(line).unwrap().trim_end().to_owned()
}
