//! What a program can do in the sandbox of hello@.service: an ordinary program all it needs, a hostile program almost
//! nothing.

use std::io::Write;

use nix::libc;

use crate::lifecycle::attach;
use crate::machine::{CELEBS, HELLO, Machine, Release};
use crate::support::{PROMPT, expect, rest, wait_for};

on_both_releases!(
    shell_and_perl_programs_work_in_the_sandbox,
    only_the_program_itself_is_visible_in_its_home,
    a_hostile_program_can_read_and_write_nothing,
    a_hostile_program_cannot_read_other_sessions,
    a_hostile_program_is_limited,
    no_process_survives_its_connection,
);

const PROGRAM: &str = "/usr/local/bin/program";

/// Attaches a script in place of hello.
fn attach_script(machine: &Machine, script: &str) {
    machine.write(PROGRAM, script);
    machine.run(&format!("chmod 755 {PROGRAM}"));
    attach(machine, "hello", PROGRAM);
}

#[track_caller]
fn answer(machine: &Machine, sent: &str) -> String {
    String::from_utf8(machine.converse(HELLO, sent.as_bytes())).unwrap()
}

fn shell_and_perl_programs_work_in_the_sandbox(release: Release) {
    let machine = Machine::serving(release);

    attach_script(
        &machine,
        r#"#!/bin/bash
set -euo pipefail
year=$(TZ=UTC0 date -d @0 +%Y)
while read -r line; do
    case $line in
    sum) printf '3\n1\n2\n' | sort -n | paste -sd+ | { read -r sum; echo "$((sum))"; } ;;
    here) cat <<<"here, in $year" ;;
    both) diff <(echo one) <(echo two) >/dev/null || echo differ ;;
    wait) sleep 0.01 & wait; echo waited ;;
    *) printf 'what is %q?\n' "$line"; echo "asked $line" >&2 ;;
    esac
done
"#,
    );
    assert_eq!(
        answer(&machine, "sum\nhere\nboth\nwait\na b\n"),
        "6\nhere, in 1970\ndiffer\nwaited\nwhat is a\\ b?\n"
    );
    machine.journal_until("-t hello -o cat", "standard error of the program", |text| {
        text.lines().any(|line| line == "asked a b")
    });

    attach_script(
        &machine,
        r#"#!/usr/bin/perl
use strict;
use warnings;
use POSIX qw(strftime);
use Socket qw(sockaddr_in);
$| = 1;
my ($port) = sockaddr_in(getpeername(STDIN));
print "you are at the port that you know\n" if $port == $ENV{REMOTE_PORT};
print strftime("%Y\n", gmtime(0));
while (my $line = <STDIN>) {
    my $upper = `echo \U$line`;
    print scalar reverse($line =~ s/\n//r), " $upper";
}
"#,
    );
    assert_eq!(
        answer(&machine, "linus\n"),
        "you are at the port that you know\n1970\nsunil LINUS\n"
    );

    attach_script(
        &machine,
        "#!/bin/sh\nprintf 'Hello World:'\nLC_ALL=C exec date\n",
    );
    assert!(answer(&machine, "").starts_with("Hello World:"));
    machine.expect_nothing_left_of("hello");
}

/// Runs in place of hello, and prints what it found, one line each. Perl calls the kernel where no command does; SYS_
/// names are replaced by the numbers of this architecture.
const PROBES: &str = r#"#!/bin/bash
exec 2>/dev/null
can() { if "${@:2}" >/dev/null; then echo "$1: yes"; else echo "$1: no"; fi; }
call() { perl -e 'my ($n, @a) = map { 0 + $_ } @ARGV; print syscall($n, @a) < 0 ? "no: $!" : "yes"' "$@"; }

echo "user: $(id -un) $(id -Gn)"
grep -E '^(CapInh|CapPrm|CapEff|CapBnd|CapAmb|NoNewPrivs|Seccomp):' /proc/self/status | tr '\t' ' '
can 'read /etc/shadow' cat /etc/shadow
can 'read a home' ls /home/ann/letter
can 'read /root' ls /root/letter
echo "homes: $(find /home /root /run/user -mindepth 1 | tr '\n' ' ')"
echo "writable folders: $(find / -path /proc -prune -o -type d -writable -print | tr '\n' ' ')"
echo "writable files: $(find / -path /proc -prune -o -type f -writable ! -name memory.pressure -print | tr '\n' ' ')"
for folder in / /tmp /var/tmp /dev/shm /dev/mqueue /run/lock /etc /var/lib; do
    can "write in $folder" touch "$folder/mine"
done
can 'become root by a setuid program' test "$(/usr/local/bin/who-am-i -u)" = 0
can 'su' su -c true
can 'mount' mount -t tmpfs none /mnt
can 'make a namespace' unshare --user true
can 'signal PID 1' kill -0 1
can 'signal a daemon of another user' kill -0 "$(cat /etc/daemon.pid)"
can 'read the environment of PID 1' cat /proc/1/environ
can 'connect to celebs' bash -c ': </dev/tcp/127.0.0.1/3334'
for family in 1 2 10 16 17 40; do # AF_UNIX, INET, INET6, NETLINK, PACKET, VSOCK
    echo "socket $family: $(perl -e 'print socket(my $s, shift, 2, 0) ? "yes" : "no: $!"' "$family")"
done
echo "io_uring_setup: $(call SYS_io_uring_setup 1 0)"
echo "shmget: $(call SYS_shmget 0 4096 950)"
echo "semget: $(call SYS_semget 0 1 950)"
echo "msgget: $(call SYS_msgget 0 950)"
echo "add_key: $(call SYS_add_key 0 0 0 0 0)"
echo "userfaultfd: $(call SYS_userfaultfd 1)"
echo "ptrace: $(call SYS_ptrace 0 0 0 0)"
echo "chmod u+s: $(perl -e 'print chmod(04755, "/dev/stdin") ? "yes" : "no"')"
echo done
"#;

fn only_the_program_itself_is_visible_in_its_home(release: Release) {
    let machine = Machine::serving(release);
    machine.run("useradd --create-home you && chmod 700 /home/you");
    machine.write("/home/you/secret", "secret\n");
    machine.program(
        "/home/you/program",
        "#!/bin/sh\necho from home\nls /home/you\n",
    );
    machine.write(
        "/etc/systemd/system/hello@.service.d/override.conf",
        "[Service]\nExecStart=\nExecStart=-/home/you/program\nBindReadOnlyPaths=/home/you/program\n",
    );
    machine.run("systemctl daemon-reload && systemctl restart hello.socket");
    assert_eq!(answer(&machine, ""), "from home\nprogram\n");
}

fn a_hostile_program_can_read_and_write_nothing(release: Release) {
    let machine = Machine::serving(release);
    machine.run(
        "useradd --create-home ann
         echo secret >/home/ann/letter
         cp /home/ann/letter /root/letter
         chmod -R a+rX /home/ann /root
         cp /usr/bin/id /usr/local/bin/who-am-i
         chmod 4755 /usr/local/bin/who-am-i
         su ann -c 'test \"$(/usr/local/bin/who-am-i -u)\" = 0'
         su ann -c 'sleep 1000 >/dev/null 2>&1 & echo $!' >/etc/daemon.pid",
    );
    let mut script = PROBES.to_owned();
    for (name, number) in [
        ("SYS_io_uring_setup", libc::SYS_io_uring_setup),
        ("SYS_shmget", libc::SYS_shmget),
        ("SYS_semget", libc::SYS_semget),
        ("SYS_msgget", libc::SYS_msgget),
        ("SYS_add_key", libc::SYS_add_key),
        ("SYS_userfaultfd", libc::SYS_userfaultfd),
        ("SYS_ptrace", libc::SYS_ptrace),
    ] {
        script = script.replace(name, &number.to_string());
    }
    attach_script(&machine, &script);
    let found = answer(&machine, "");

    let expected = [
        "user: _sockunit _sockunit",
        "CapInh: 0000000000000000",
        "CapPrm: 0000000000000000",
        "CapEff: 0000000000000000",
        "CapBnd: 0000000000000000",
        "CapAmb: 0000000000000000",
        "NoNewPrivs: 1",
        "Seccomp: 2",
        "read /etc/shadow: no",
        "read a home: no",
        "read /root: no",
        "homes: ",
        // A file there is a message queue, and LimitMSGQUEUE= is 0.
        "writable folders: /dev/mqueue ",
        // Without the memory.pressure of the unit itself, which systemd 257 makes writable; it holds no data.
        "writable files: ",
        "write in /: no",
        "write in /tmp: no",
        "write in /var/tmp: no",
        "write in /dev/shm: no",
        "write in /dev/mqueue: no",
        "write in /run/lock: no",
        "write in /etc: no",
        "write in /var/lib: no",
        "become root by a setuid program: no",
        "su: no",
        "mount: no",
        "make a namespace: no",
        "signal PID 1: no",
        "signal a daemon of another user: no",
        "read the environment of PID 1: no",
        "connect to celebs: no",
        "socket 1: no: Address family not supported by protocol",
        "socket 2: no: Address family not supported by protocol",
        "socket 10: no: Address family not supported by protocol",
        "socket 16: no: Address family not supported by protocol",
        "socket 17: no: Address family not supported by protocol",
        "socket 40: no: Address family not supported by protocol",
        "io_uring_setup: no: Operation not permitted",
        "shmget: no: Operation not permitted",
        "semget: no: Operation not permitted",
        "msgget: no: Operation not permitted",
        "add_key: no: Operation not permitted",
        "userfaultfd: no: Operation not permitted",
        "ptrace: no: Operation not permitted",
        "chmod u+s: no",
        "done",
    ];
    let found: Vec<&str> = found.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(found, expected);
}

fn a_hostile_program_cannot_read_other_sessions(release: Release) {
    let machine = Machine::serving(release);
    let mut victim = machine.connect(CELEBS);
    expect(&mut victim, PROMPT);
    let instance = machine.instances("celebs").pop().unwrap();
    let pid = machine.property(&instance, "MainPID");
    machine.run(&format!(
        "test \"$(stat -c %U /proc/{pid})\" = _sockunit && grep -q REMOTE_ADDR= /proc/{pid}/environ"
    ));
    // The program runs as the same user. It can send signals, but cannot read the memory, descriptors and environment of
    // the process.
    attach_script(
        &machine,
        &format!(
            "#!/bin/bash
exec 2>/dev/null
test -d /proc/{pid} && echo there
kill -0 {pid} && echo signal
for what in environ maps mem fd/0 cwd/. root/.; do
    if exec 3</proc/{pid}/$what; then echo \"read $what\"; fi
done
echo done
"
        ),
    );
    assert_eq!(answer(&machine, ""), "there\nsignal\ndone\n");
}

fn a_hostile_program_is_limited(release: Release) {
    let machine = Machine::serving(release);
    // It keeps the connection open while the test reads the properties of the unit, and then tries the limits.
    attach_script(
        &machine,
        r#"#!/bin/bash
echo ready
read -r
echo "open files $(ulimit -n), core $(ulimit -c), message queues $(ulimit -q)"
(ulimit -n 65) 2>/dev/null && echo 'more files'
perl -e '
    my $made = 0;
    for (1 .. 100) {
        my $pid = fork;
        last unless defined $pid;
        if ($pid == 0) { sleep 1000; exit }
        $made++;
    }
    print "made $made processes\n"'
"#,
    );
    let mut stream = machine.connect(HELLO);
    expect(&mut stream, "ready\n");
    let instance = machine.instances("hello").pop().unwrap();
    let limits = machine.run(&format!(
        "systemctl show -p TasksMax,MemoryMax,MemorySwapMax,RuntimeMaxUSec '{instance}' | sort"
    ));
    assert_eq!(
        limits,
        "MemoryMax=67108864\nMemorySwapMax=0\nRuntimeMaxUSec=1d\nTasksMax=32"
    );
    stream.write_all(b"go\n").unwrap();
    let found = rest(stream);
    let (limits, made) = found.split_once("made ").unwrap_or((&found, ""));
    assert_eq!(limits, "open files 64, core 0, message queues 0\n");
    let made: usize = made.trim_end_matches(" processes\n").parse().unwrap();
    // The kernel enforces TasksMax= if the cgroup has the controller. A machine in a container has only the controllers
    // that its host delegates; without it, the properties above are all that can be checked.
    if machine.has_controller("pids") {
        assert!(made < 32, "{made} processes");
    }
    // systemd kills every process of the unit.
    machine.expect_nothing_left_of("hello");
    assert_eq!(machine.pgrep("-u _sockunit"), "");
}

fn no_process_survives_its_connection(release: Release) {
    let machine = Machine::serving(release);
    // A daemon in a session of its own that ignores SIGTERM, SIGHUP and SIGINT and does not hold the connection.
    attach_script(
        &machine,
        r#"#!/bin/bash
setsid bash -c 'trap "" TERM HUP INT; while :; do sleep 1000; done' </dev/null >/dev/null 2>&1 &
until pgrep -u _sockunit sleep >/dev/null; do :; done
echo started
"#,
    );
    assert_eq!(answer(&machine, ""), "started\n");
    wait_for("no process of _sockunit is left", || {
        machine.pgrep("-u _sockunit").is_empty()
    });
    machine.expect_nothing_left_of("hello");
    assert_eq!(machine.run("find / -xdev -user _sockunit"), "");
}
