//! What `sockunit add` promises of every program, in both kinds: the bytes, the log, and that nothing is left.

use std::io::{Read, Write};
use std::net::Shutdown;

use crate::machine::{Machine, Release};
use crate::support::{expect, reset, rest, wait_for};

on_both_releases!(
    haproxy_never_takes_a_health_check_for_down,
    what_a_program_sends_to_syslog_is_in_the_journal_at_every_priority_and_level,
    a_program_that_streams_to_a_client_who_has_left_is_stopped,
    large_answers_and_inputs_are_complete,
    prompts_of_programs_that_buffer_their_output_arrive_when_the_client_half_closes,
    a_program_that_cannot_be_executed_any_more_leaves_an_error_entry_with_its_user,
);

const KINDS: [&str; 2] = ["", "--shared"];
const ADDRESS: &str = "127.0.0.1:4000";

/// Adds a service `job` on port 4000 with this shell script as its program.
fn add(machine: &Machine, options: &str, script: &str) {
    machine.program("/usr/local/bin/job", &format!("#!/bin/sh\n{script}\n"));
    machine.run(&format!("sockunit add {options} job 4000 -- job"));
}

/// Waits until the service has logged the end of this many connections; returns the entries.
fn ended(machine: &Machine, count: usize) -> String {
    machine.journal_until("-t job -o cat", &format!("{count} ends"), |journal| {
        journal.matches(" bytes sent, ").count() >= count
    })
}

/// Removes the service, after which none of its processes is left, and forgets its log.
fn remove(machine: &Machine) {
    wait_for("no process of the program is left", || {
        machine.pgrep("-f '^/bin/sh /usr/local/bin/job'").is_empty()
            && machine.instances("job").is_empty()
    });
    machine.run("sockunit remove job && journalctl --quiet --rotate --vacuum-time=1s 2>/dev/null");
}

fn haproxy_never_takes_a_health_check_for_down(release: Release) {
    let machine = Machine::installed(release);
    machine.write(
        "/etc/haproxy/haproxy.cfg",
        "global\n log stdout format raw local0\n\
         defaults\n mode http\n timeout connect 5s\n timeout client 5s\n timeout server 5s\n timeout check 5s\n\
         frontend web\n bind 127.0.0.1:4080\n default_backend database\n\
         backend database\n option httpchk OPTIONS /\n server one 127.0.0.1:4000 check inter 20ms fall 1 rise 1\n",
    );
    for kind in KINDS {
        // As database health checks do, it answers without reading the request.
        add(
            &machine,
            kind,
            "printf 'HTTP/1.0 200 OK\\r\\nContent-Length: 3\\r\\n\\r\\nup\\n'",
        );
        let mut haproxy =
            machine.spawn("exec haproxy -db -f /etc/haproxy/haproxy.cfg >/root/haproxy.log 2>&1");
        ended(&machine, 101);
        machine.run("pkill -x haproxy");
        haproxy.wait().unwrap();
        let log = machine.run("cat /root/haproxy.log");
        assert!(!log.contains("DOWN"), "{log}");
        remove(&machine);
    }
}

fn what_a_program_sends_to_syslog_is_in_the_journal_at_every_priority_and_level(release: Release) {
    let machine = Machine::installed(release);
    let priorities = [
        "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug",
    ];
    // It waits for the end of its input, because journald finds the unit of a process that has ended only by luck.
    let script = format!(
        "exec perl -MSys::Syslog -e '
            chomp(my $word = <STDIN>);
            openlog(\"told\", \"ndelay\", \"daemon\");
            syslog($_, \"$word $_\") for qw({});
            print STDERR \"$word on standard error\\n\";
            $| = 1;
            print \"done\\n\";
            <STDIN>;'",
        priorities.join(" ")
    );
    for kind in KINDS {
        for level in ["strict", "standard", "off"] {
            add(&machine, &format!("{kind} --sandbox {level}"), &script);
            let word = format!("{level}{}", kind.trim_start_matches('-'));
            let mut client = machine.connect(ADDRESS);
            client.write_all(format!("{word}\n").as_bytes()).unwrap();
            expect(&mut client, "done\n");
            let unit = if kind.is_empty() { "job@*" } else { "job" };
            for (number, priority) in priorities.iter().enumerate() {
                machine.journal_until(
                    &format!("-t told -u '{unit}.service' -p {number}..{number} -o cat"),
                    &format!("{word} at {priority}"),
                    |journal| journal.contains(&format!("{word} {priority}")),
                );
            }
            machine.journal_until("-t job -p 4..5 -o cat", "standard error", |journal| {
                journal.contains(&format!("{word} on standard error"))
            });
            drop(client);
            remove(&machine);
        }
    }
}

fn a_program_that_streams_to_a_client_who_has_left_is_stopped(release: Release) {
    let machine = Machine::installed(release);
    // The second ignores SIGPIPE and never writes again.
    for script in [
        "read go || exit 0; while :; do echo tick; sleep 0.1; done",
        "read go || exit 0; trap '' PIPE; echo tick; sleep infinity",
    ] {
        for kind in KINDS {
            add(&machine, kind, script);
            ended(&machine, 1);
            let mut client = machine.connect(ADDRESS);
            client.write_all(b"go\n").unwrap();
            expect(&mut client, "tick\n");
            reset(client);
            let journal = ended(&machine, 2);
            assert!(journal.contains(" pid "), "{journal}");
            remove(&machine);
        }
    }
}

fn large_answers_and_inputs_are_complete(release: Release) {
    let machine = Machine::installed(release);
    for kind in KINDS {
        // A client that sends nothing.
        add(&machine, kind, "head -c 400000 /dev/zero | tr '\\0' x");
        assert_eq!(rest(machine.connect(ADDRESS)).len(), 400_000);
        remove(&machine);

        // A client whose input is never read.
        add(&machine, kind, "echo answer");
        let mut client = machine.connect(ADDRESS);
        // The service may have closed before all of it is sent.
        let _ = client.write_all(&[b'x'; 200_000]);
        assert_eq!(rest(client), "answer\n");
        remove(&machine);

        // A client that closes its sending half after 30 MB.
        add(&machine, kind, "exec wc -c");
        let mut client = machine.connect(ADDRESS);
        client.write_all(&vec![b'x'; 30_000_000]).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(rest(client), "30000000\n");
        let journal = ended(&machine, 2);
        assert!(
            journal.contains("exited 0: pid ") && journal.contains(", 30000000 bytes received, "),
            "{journal}"
        );
        remove(&machine);
    }
}

fn prompts_of_programs_that_buffer_their_output_arrive_when_the_client_half_closes(
    release: Release,
) {
    let machine = Machine::installed(release);
    let perl = "print \"name? \"; my $n = <STDIN>; print \"hi $n\"";
    let python = "import sys; sys.stdout.write(\"name? \"); n = sys.stdin.readline(); sys.stdout.write(\"hi \" + n)";
    let awk = "BEGIN { printf \"name? \"; getline n; print \"hi \" n }";
    for (program, flushes) in [
        (format!("exec perl -e '{perl}'"), false),
        (format!("exec perl -e '$| = 1; {perl}'"), true),
        (format!("exec python3 -c '{python}'"), false),
        (format!("exec python3 -u -c '{python}'"), true),
        (format!("exec awk '{awk}'"), false),
        ("printf 'name? '; read n; echo hi $n".to_string(), true),
    ] {
        for kind in KINDS {
            add(&machine, kind, &program);
            let mut client = machine.connect(ADDRESS);
            if flushes {
                expect(&mut client, "name? ");
                client.write_all(b"ann\n").unwrap();
                assert_eq!(rest(client), "hi ann\n");
            } else {
                client.write_all(b"ann\n").unwrap();
                client.shutdown(Shutdown::Write).unwrap();
                assert_eq!(rest(client), "name? hi ann\n");
            }
            remove(&machine);
        }
    }
}

fn a_program_that_cannot_be_executed_any_more_leaves_an_error_entry_with_its_user(
    release: Release,
) {
    let machine = Machine::installed(release);
    for kind in KINDS {
        add(&machine, kind, "echo here");
        machine.run("chmod 600 /usr/local/bin/job");
        let mut received = Vec::new();
        let _ = machine.connect(ADDRESS).read_to_end(&mut received);
        machine.journal_until("-t job -p err -o cat", "the error", |journal| {
            journal.contains("cannot execute: /usr/local/bin/job: permission denied")
                && journal.contains("(user: _job)")
        });
        remove(&machine);
    }
}
