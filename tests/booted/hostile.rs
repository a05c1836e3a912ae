//! A hostile program attached in place of a good one, at each level of the sandbox and in both kinds: what the manual
//! says of each level.

use std::io::{Read, Write};

use crate::conversation::expect;
use crate::machine::{Machine, Release, wait_until};

on_both_releases!(
    a_strict_sandbox_leaves_next_to_nothing,
    a_standard_sandbox_leaves_what_the_user_may,
    a_users_own_strict_sandbox_hides_what_is_the_users,
    what_is_eaten_and_forked_is_bounded,
    nothing_outlives_its_connection,
);

const ADDRESS: &str = "127.0.0.1:4000";

/// Says what it can do, a line each.
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
can 'io_uring' perl -e 'exit(syscall(425, 1, "\0" x 120) < 0)'
can 'leave shared memory behind' perl -e 'exit(syscall(29, 0, 4096, 01666) < 0)'
echo done
"#;

/// A machine with what a hostile program looks for.
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
    program(&machine, PROBES);
    machine
}

fn program(machine: &Machine, text: &str) {
    machine.write("/usr/local/bin/hostile", text);
    machine.run("chmod 755 /usr/local/bin/hostile");
}

/// Attaches the program, and returns what it says.
fn found(machine: &Machine, options: &str) -> Vec<String> {
    machine.run(&format!(
        "sockunit add {options} hostile 4000 -- /usr/local/bin/hostile"
    ));
    let found = told(machine);
    machine.run("sockunit remove hostile");
    found
}

/// What the program says that it can do.
fn told(machine: &Machine) -> Vec<String> {
    let told = String::from_utf8(machine.converse(ADDRESS, b"")).unwrap();
    told.lines()
        .filter(|line| line.ends_with("yes") || line.starts_with("capabilities") || *line == "done")
        .map(str::to_owned)
        .collect()
}

fn a_strict_sandbox_leaves_next_to_nothing(release: Release) {
    let machine = prepared(release);
    for user in ["", "--user-name fixed"] {
        assert_eq!(
            found(&machine, user),
            ["capabilities: 0000000000000000", "done"],
            "{user}"
        );
        assert_eq!(
            found(&machine, &format!("--shared {user}")),
            [
                "capabilities: 0000000000000000",
                "socket of family 1: yes",
                "done"
            ],
            "{user}"
        );
    }
}

fn a_standard_sandbox_leaves_what_the_user_may(release: Release) {
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
    // A user that systemd makes up sees the system read-only, and has a /tmp of its own.
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

fn a_users_own_strict_sandbox_hides_what_is_the_users(release: Release) {
    let machine = prepared(release);
    machine.run("systemctl start user@$(id -u ann).service");
    let ann = |command: &str| machine.run(&format!("su - ann -c '{command}'"));
    for (kind, more) in [("", &[][..]), ("--shared", &["socket of family 1: yes"])] {
        ann(&format!(
            "sockunit add --user {kind} hostile 4000 -- /usr/local/bin/hostile"
        ));
        let found = told(&machine);
        ann("sockunit remove --user hostile");
        let own = [
            "capabilities: 0000000000000000",
            "see PID 1: yes",
            "signal a daemon: yes",
        ];
        assert_eq!(found, [&own[..], more, &["done"]].concat(), "{kind}");
    }
}

fn what_is_eaten_and_forked_is_bounded(release: Release) {
    let machine = Machine::serving(release);
    // It holds the connection, so that the unit can be looked at, and then tries the limits.
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
perl -e 'my $eaten = "x" x (400 << 20); print "ate\n"' 2>/dev/null
"#,
    );
    let controllers = machine.run("cat /sys/fs/cgroup/cgroup.controllers");
    let held_to = |controller: &str| controllers.split_whitespace().any(|c| c == controller);
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
        wait_until("the first connection is gone", || {
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
            let mut found = String::new();
            stream.read_to_string(&mut found).unwrap();
            assert!(
                found.starts_with("open files 256, core 0\nmade "),
                "{found}"
            );
            let made: usize = found.lines().nth(1).unwrap()[5..].parse().unwrap();
            // The kernel holds a unit to its limits where its cgroup has the controller; a machine in a container has
            // those that its host hands down. Where one is missing, the setting above is all that can be judged.
            assert!(made < 32 || !held_to("pids"), "{found}");
            assert!(!found.contains("ate") || !held_to("memory"), "{found}");
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

fn nothing_outlives_its_connection(release: Release) {
    let machine = Machine::serving(release);
    // A daemon of its own session that ignores every polite request and holds no end of the connection.
    program(
        &machine,
        r#"#!/bin/bash
setsid bash -c 'trap "" TERM HUP INT; exec -a outlives sleep 1000' </dev/null >/dev/null 2>&1 &
until pgrep -f ^outlives >/dev/null; do :; done
echo started
"#,
    );
    for kind in ["", "--shared"] {
        for sandbox in ["strict", "standard", "off"] {
            machine.run(&format!(
                "sockunit add {kind} --sandbox {sandbox} hostile 4000 -- /usr/local/bin/hostile"
            ));
            assert_eq!(machine.converse(ADDRESS, b""), b"started\n");
            let left = || machine.run("pgrep -f ^outlives || true");
            if kind.is_empty() {
                wait_until("nothing of it is left", || left().is_empty());
                machine.expect_nothing_left_of("hostile");
            }
            machine.run("sockunit remove hostile");
            assert_eq!(left(), "");
        }
    }
}
