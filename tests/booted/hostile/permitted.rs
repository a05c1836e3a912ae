//! What a hostile program can do at each level, as each kind of service and as each user.

use nix::libc;

use super::{ADDRESS, attached, has_signal_scopes, program, with_user};
use crate::machine::{Machine, Release};

on_both_releases!(
    every_probe_succeeds_for_root_without_a_sandbox,
    a_strict_sandbox_permits_almost_nothing,
    standard_and_off_permit_what_the_user_may,
    privileged_permits_what_servers_need,
    a_service_of_a_user_permits_what_the_manual_says,
);

/// Prints what it can do, one line each. SYS_ names are replaced by the numbers of this architecture. A container
/// cannot load modules, set the clock or read the kernel's log at all: the line of capabilities covers these.
const PROBES: &str = r#"#!/bin/bash
exec 2>/dev/null
can() { if "${@:2}" >/dev/null; then echo "$1: yes"; else echo "$1: no"; fi; }
call() { can "$1" perl -e "my @a = ($2); exit(syscall(shift @a, @a) < 0)"; }
sock() { perl -e 'exit !socket(my $s, $ARGV[0], $ARGV[1], $ARGV[2])' "$@"; }
as_ann() { setpriv --reuid ann --regid ann --clear-groups "$@"; }
daemon=$(cat /etc/daemon.pid)
echo "capabilities: $(grep ^CapEff: /proc/self/status | cut -f 2)"
can 'read /etc/shadow' cat /etc/shadow
can 'read a letter in a home' cat /home/ann/letter
can 'see a home' test -d /home/ann
can 'see running services' test -e /run/systemd/private
can 'see a device' test -e /dev/console -o -e /dev/net -o -e /dev/kmsg
can 'see PID 1' test -d /proc/1
can 'see a daemon' test -d "/proc/$daemon"
can 'read the environment of a daemon' cat "/proc/$daemon/environ"
can 'write to the memory of a daemon' perl -e 'exit !open(my $m, "+<", $ARGV[0])' "/proc/$daemon/mem"
can 'signal PID 1' kill -0 1
can 'signal a daemon' kill -0 "$daemon"
can 'change a limit of a daemon' prlimit --pid "$daemon" --rss=unlimited:unlimited
can 'change the I/O priority of a daemon' ionice --class 3 --pid "$daemon"
call 'trace a daemon' "SYS_ptrace, 0x4206, $daemon, 0, 0"
can 'become ann' as_ann true
can 'as ann, see a daemon' as_ann test -d "/proc/$daemon"
can 'as ann, write to the memory of a daemon' as_ann perl -e 'exit !open(my $m, "+<", $ARGV[0])' "/proc/$daemon/mem"
can 'as ann, signal a daemon' as_ann bash -c "kill -0 $daemon"
places='/ /etc /usr/local/bin /boot /var/lib /var/log /var/log/journal /var/mail /srv /tmp /var/tmp /dev /dev/shm
    /dev/mqueue /dev/hugepages /run /run/lock /run/user /run/sshd /home /home/ann /root /mnt/open /sys/fs/cgroup'
for folder in $places; do
    touch "$folder/mine" && { echo "write in $folder: yes"; rm -f "$folder/mine"; }
done
can 'write to its own control group' bash -c '
    echo 0 >"/sys/fs/cgroup/$(cut -d: -f3- /proc/self/cgroup | tail -n 1)/cgroup.procs"'
can 'change a kernel parameter' bash -c 'p=/proc/sys/net/ipv4/tcp_fin_timeout; v=$(cat $p) && echo "$v" >$p'
can 'become root by a setuid program' test "$(/usr/local/bin/who-am-i -u)" = 0 -a "$(id -u)" != 0
can 'make a namespace' unshare --user true
can 'mount' unshare --mount mount -t tmpfs none /mnt
for folder in /tmp /mnt/open /home/ann; do
    (cp /bin/true $folder/suid && chmod 4755 $folder/suid) && echo "chmod u+s in $folder: yes"
    mknod $folder/null c 1 3 && echo "make a device in $folder: yes"
    rm -f $folder/suid $folder/null
done
can 'set the host name' hostname "$(hostname)"
can 'listen on a low port' perl -MSocket -e '
    socket(my $s, AF_INET, SOCK_STREAM, 0); exit !bind($s, sockaddr_in(9, INADDR_LOOPBACK))'
can 'connect to celebs' bash -c ': </dev/tcp/127.0.0.1/3334'
can 'connect to an abstract socket' perl -MSocket -e '
    socket(my $s, AF_UNIX, SOCK_STREAM, 0); exit !connect($s, pack_sockaddr_un("\0daemon"))'
for family in 1 2 10 16 17; do # AF_UNIX, INET, INET6, NETLINK, PACKET
    if sock "$family" 2 0 || sock "$family" 3 0; then echo "socket of family $family: yes"; fi
done
can 'open a raw socket' sock 2 3 1
call 'io_uring' 'SYS_io_uring_setup, 1, "\0" x 120'
can 'leave shared memory behind' perl -e 'exit(!defined shmget(0, 4096, 01666))'
call 'make a message queue' 'SYS_mq_open, "mine", 0102, 0600, 0'; rm -f /dev/mqueue/mine
call 'add a key' 'SYS_add_key, "user", "mine", "mine", 4, -4'
call 'make an inotify instance' 'SYS_inotify_init1, 0'
call 'make a fanotify instance' 'SYS_fanotify_init, 0x200, 0'
call 'count events' 'SYS_perf_event_open, pack("LLx32Qx64", 1, 112, 0x60), 0, -1, -1, 0'
call 'handle page faults' 'SYS_userfaultfd, 1'
call 'make memory without a file' 'SYS_memfd_create, "mine", 0'
call 'make an event descriptor' 'SYS_eventfd2, 0, 0'
can 'lock a file' perl -e 'open(my $f, "<", "/etc/services"); exit !flock($f, 6)'
can 'open a terminal' perl -e 'exit !open(my $t, "+<", "/dev/ptmx")'
can 'make 2000 timers' perl -e '
    my $id = "\0" x 8; for (1 .. 2000) { exit 1 if syscall(SYS_timer_create, 1, 0, $id) < 0 }'
echo done
"#;

/// The system calls that the probes name.
const CALLS: [(&str, libc::c_long); 11] = [
    ("SYS_add_key", libc::SYS_add_key),
    ("SYS_eventfd2", libc::SYS_eventfd2),
    ("SYS_fanotify_init", libc::SYS_fanotify_init),
    ("SYS_inotify_init1", libc::SYS_inotify_init1),
    ("SYS_io_uring_setup", libc::SYS_io_uring_setup),
    ("SYS_memfd_create", libc::SYS_memfd_create),
    ("SYS_mq_open", libc::SYS_mq_open),
    ("SYS_perf_event_open", libc::SYS_perf_event_open),
    ("SYS_ptrace", libc::SYS_ptrace),
    ("SYS_timer_create", libc::SYS_timer_create),
    ("SYS_userfaultfd", libc::SYS_userfaultfd),
];

/// A machine with the files and processes that the hostile program looks for.
fn prepared(release: Release) -> Machine {
    let machine = with_user(release);
    machine.run(
        "useradd --system fixed
         echo secret >/home/ann/letter
         chmod -R a+rX /home/ann
         cp /usr/bin/id /usr/local/bin/who-am-i
         chmod 4755 /usr/local/bin/who-am-i
         mkdir -p /mnt/open /run/sshd
         mount -t tmpfs -o mode=1777 none /mnt/open
         su ann -c 'test \"$(/usr/local/bin/who-am-i -u)\" = 0'
         su ann -c 'socat ABSTRACT-LISTEN:daemon,fork /dev/null >/dev/null 2>&1 & echo $!' >/etc/daemon.pid
         until ss --listening --unix | grep -q @daemon; do :; done",
    );
    let mut probes = PROBES.to_owned();
    for (name, number) in CALLS {
        probes = probes.replace(name, &number.to_string());
    }
    program(&machine, &probes);
    machine
}

/// What the attached program prints.
fn printed(machine: &Machine, options: &str) -> Vec<String> {
    let printed = attached(machine, options, || machine.converse(ADDRESS, b""));
    let printed = String::from_utf8(printed).unwrap();
    printed.lines().map(str::to_owned).collect()
}

/// What the attached program can do. The lines end with `yes`, apart from the first and the last.
fn found(machine: &Machine, options: &str) -> Vec<String> {
    let mut found = printed(machine, options);
    found.retain(|line| !line.ends_with(": no"));
    assert_eq!(found.pop().as_deref(), Some("done"), "{options}: {found:?}");
    let lines = found.iter();
    lines
        .map(|line| line.strip_suffix(": yes").unwrap_or(line).to_owned())
        .collect()
}

/// Asserts that the program can do this and nothing else. `signals` is what it can do as well if the kernel cannot keep
/// processes from sending signals and from connecting to abstract sockets.
#[track_caller]
fn expect_permitted(machine: &Machine, options: &str, permitted: &[&str], signals: &[&str]) {
    let mut expected = permitted.to_vec();
    if !has_signal_scopes() {
        expected.extend(signals);
    }
    expected.retain(|act| !forbidden_by_settings(act));
    let mut found = found(machine, options);
    expected.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, expected, "{options}");
}

/// Whether settings of the kernel, which is that of this machine, forbid it to others than root.
fn forbidden_by_settings(act: &str) -> bool {
    let (file, permitted) = match act {
        "count events" => ("perf_event_paranoid", 2),
        "io_uring" => ("io_uring_disabled", 0),
        _ => return false,
    };
    // Linux 6.1 lacks the second one.
    let setting = std::fs::read_to_string(format!("/proc/sys/kernel/{file}")).unwrap_or_default();
    setting.trim().parse().unwrap_or(0) > permitted
}

const NONE: &str = "capabilities: 0000000000000000";

/// Their memory counts for the limits of the unit, and they end with the program.
const HARMLESS: [&str; 3] = [
    "make memory without a file",
    "make an event descriptor",
    "lock a file",
];

fn every_probe_succeeds_for_root_without_a_sandbox(release: Release) {
    let machine = prepared(release);
    // Only others become root by a setuid program, and a container's root may not change the limits of others.
    let of_user = found(&machine, "--user --sandbox off");
    let options = "--shared --sandbox off --user-name root";
    let mut failed = printed(&machine, options);
    failed.retain(|line| line.ends_with(": no"));
    failed.retain(|line| !of_user.contains(&line.replace(": no", "")));
    assert_eq!(failed, [""; 0]);
}

fn a_strict_sandbox_permits_almost_nothing(release: Release) {
    let machine = prepared(release);
    let permitted = [&[NONE, "socket of family 1"][..], &HARMLESS].concat();
    for kind in ["", "--shared"] {
        for user in ["", "--user-name fixed"] {
            expect_permitted(&machine, &format!("{kind} {user}"), &permitted, &[]);
        }
    }
}

/// What every user may do with `standard` and `off`, which hide no files.
const USUAL: [&str; 25] = [
    "read a letter in a home",
    "see a home",
    "see running services",
    "see a device",
    "see PID 1",
    "see a daemon",
    "write in /tmp",
    "write in /var/tmp",
    "write in /dev/shm",
    "write in /dev/mqueue",
    "connect to celebs",
    "socket of family 1",
    "socket of family 2",
    "socket of family 10",
    "socket of family 16",
    "leave shared memory behind",
    "make a message queue",
    "add a key",
    "make an inotify instance",
    "make a fanotify instance",
    "count events",
    "handle page faults",
    "open a terminal",
    "make 2000 timers",
    NONE,
];
/// For a dynamic user the system is read-only, and /tmp is private.
const OF_FIXED_USER: [&str; 2] = ["write in /run/lock", "write in /mnt/open"];
/// What only `off` permits.
const OF_OFF: [&str; 3] = [
    "make a namespace",
    "io_uring",
    "connect to an abstract socket",
];
/// What `off` permits to a user that is not dynamic.
const GAINED: [&str; 3] = [
    "become root by a setuid program",
    "chmod u+s in /tmp",
    "chmod u+s in /mnt/open",
];

fn standard_and_off_permit_what_the_user_may(release: Release) {
    let machine = prepared(release);
    let usual = [&USUAL[..], &HARMLESS].concat();
    for kind in ["", "--shared"] {
        for (level, more) in [
            ("standard", vec![]),
            ("standard --user-name fixed", OF_FIXED_USER.to_vec()),
            ("off", OF_OFF.to_vec()),
            (
                "off --user-name fixed",
                [&OF_FIXED_USER[..], &OF_OFF, &GAINED].concat(),
            ),
        ] {
            let permitted = [&usual[..], &more].concat();
            let signals: &[&str] = match level.starts_with("off") {
                true => &[],
                false => &["connect to an abstract socket"],
            };
            expect_permitted(
                &machine,
                &format!("{kind} --sandbox {level}"),
                &permitted,
                signals,
            );
        }
    }
}

fn privileged_permits_what_servers_need(release: Release) {
    let machine = prepared(release);
    let permitted = [
        // CAP_CHOWN, DAC_OVERRIDE, FOWNER, KILL, SETGID, SETUID, NET_BIND_SERVICE, SYS_CHROOT and AUDIT_WRITE.
        "capabilities: 00000000200404eb",
        "read /etc/shadow",
        "read a letter in a home",
        "see a home",
        "become ann",
        "write in /var/log",
        "write in /var/mail",
        "write in /srv",
        "write in /tmp",
        "write in /var/tmp",
        "write in /home",
        "write in /home/ann",
        "write in /root",
        "listen on a low port",
        "connect to celebs",
        "socket of family 1",
        "socket of family 2",
        "socket of family 10",
        "socket of family 16",
        "make an inotify instance",
        "open a terminal",
        "make 2000 timers",
    ];
    let permitted = [&permitted[..], &HARMLESS].concat();
    let signals = [
        "signal PID 1",
        "signal a daemon",
        "as ann, signal a daemon",
        "connect to an abstract socket",
    ];
    let all_processes = ["see PID 1", "see a daemon"];
    for (kind, seen) in [("", &[][..]), ("--shared", &all_processes)] {
        let options = format!("{kind} --sandbox privileged");
        expect_permitted(
            &machine,
            &options,
            &[&permitted[..], seen].concat(),
            &signals,
        );
    }
}

fn a_service_of_a_user_permits_what_the_manual_says(release: Release) {
    let machine = prepared(release);
    let strict = [
        &[NONE, "see PID 1", "see a daemon", "socket of family 1"][..],
        &HARMLESS,
    ];
    let own = [
        "write in /home/ann",
        // The user owns the control groups of the user's services.
        "write to its own control group",
    ];
    let standard = [&USUAL[..], &HARMLESS, &OF_FIXED_USER, &own].concat();
    let of_off = [
        "read the environment of a daemon",
        "write to the memory of a daemon",
        "trace a daemon",
        "signal a daemon",
        "change a limit of a daemon",
        "change the I/O priority of a daemon",
        "chmod u+s in /home/ann",
    ];
    let off = [&standard[..], &OF_OFF, &GAINED, &of_off].concat();
    let signals = ["signal a daemon"];
    let more = ["signal a daemon", "connect to an abstract socket"];
    for kind in ["", "--shared"] {
        for (level, permitted, signals) in [
            ("strict", &strict.concat(), &signals[..]),
            ("standard", &standard, &more),
            ("off", &off, &[]),
        ] {
            let options = format!("--user {kind} --sandbox {level}");
            expect_permitted(&machine, &options, permitted, signals);
        }
    }
}
