//! Clients and programs that write much to the log.

use std::io::Write;
use std::net::{Ipv4Addr, TcpStream, UdpSocket};

use crate::machine::{CELEBS, Machine, Release};
use crate::support::{PROMPT, expect, rest, wait_for};

on_both_releases!(
    a_flood_on_standard_error_suppresses_no_entry_of_a_connection,
    no_byte_on_standard_error_begins_an_entry_of_another_priority,
    starts_for_a_datagram_that_nothing_reads_are_summed_up,
    connections_that_systemd_refuses_are_not_logged,
);

fn a_flood_on_standard_error_suppresses_no_entry_of_a_connection(release: Release) {
    let machine = Machine::serving(release);
    machine.program(
        "/usr/local/bin/flood",
        r#"#!/usr/bin/perl
my $lines = <STDIN>;
print STDERR "line $_\n" for 1 .. $lines;
print "done\n";
"#,
    );
    machine.run("sockunit add --shared flood 4000 -- /usr/local/bin/flood");
    let mut flooding = machine.connect("127.0.0.1:4000");
    flooding.write_all(b"300000\n").unwrap();
    for _ in 0..50 {
        assert_eq!(machine.converse("127.0.0.1:4000", b"1\n"), b"done\n");
    }
    assert_eq!(rest(flooding), "done\n");
    // The connection of `add` too.
    let entries = |text: &str| text.matches(": pid ").count();
    machine.journal_until("-t flood -o cat", "every connection", |text| {
        entries(text) >= 52
    });
    let lines = machine.run("journalctl -t flood -o cat -g '^line ' | wc -l");
    let lines: u32 = lines.trim().parse().unwrap();
    assert!(lines < 300_000, "journald suppressed no entry: {lines}");
}

fn no_byte_on_standard_error_begins_an_entry_of_another_priority(release: Release) {
    let machine = Machine::serving(release);
    machine.program(
        "/usr/local/bin/bytes",
        r#"#!/usr/bin/perl
print STDERR "byte $_" . chr($_) . "<0>forged\n" for 0 .. 255;
print "done\n";
"#,
    );
    for (kind, connections) in [("", 2), ("--shared", 4)] {
        machine.run(&format!(
            "sockunit add {kind} bytes 4000 -- /usr/local/bin/bytes"
        ));
        assert_eq!(machine.converse("127.0.0.1:4000", b""), b"done\n");
        machine.run("sockunit remove bytes");
        // The connection of `add` too.
        machine.journal_until("-t bytes -o cat", "both connections", |text| {
            text.matches(": pid ").count() >= connections
        });
        let forged = machine.journal("-t bytes -o cat -p 3 || :");
        assert_eq!(forged, "", "{kind}");
    }
}

fn starts_for_a_datagram_that_nothing_reads_are_summed_up(release: Release) {
    let machine = Machine::serving(release);
    machine.program(
        "/usr/local/bin/lazy",
        "#!/bin/sh\necho start >>/run/starts\n",
    );
    machine.write(
        "/etc/systemd/system/lazy.socket",
        "[Socket]\nListenDatagram=127.0.0.1:4000\n",
    );
    machine.write(
        "/etc/systemd/system/lazy.service",
        "[Service]
ExecStart=/usr/libexec/sockunit/serve --wait --name lazy -- /usr/local/bin/lazy
StandardInput=socket
StandardOutput=socket
StandardError=journal
",
    );
    machine.run("systemctl daemon-reload; systemctl start lazy.socket");
    let client = machine.in_network(|| UdpSocket::bind("127.0.0.1:0").unwrap());
    client.send_to(b"one", "127.0.0.1:4000").unwrap();
    let starts = || -> u64 {
        let starts = machine.run("cat /run/starts 2>/dev/null | wc -l");
        starts.trim().parse().unwrap()
    };
    wait_for("the program is started again and again", || starts() > 100);
    machine.run("systemctl stop lazy.socket lazy.service");
    let log = machine.journal("-t lazy -o cat");
    let singly = log.matches(": pid ").count() as u64;
    let sums = log.lines().filter_map(|line| {
        let sum = line.strip_prefix("not logged singly: ")?;
        sum.split(' ').next()?.parse::<u64>().ok()
    });
    let starts = starts();
    assert!(singly < starts / 2, "{singly} of {starts}");
    // The last one may have been stopped before it counted itself.
    let logged = singly + sums.sum::<u64>();
    assert!(
        logged == starts || logged == starts + 1,
        "{logged} of {starts}: {log}"
    );
}

fn connections_that_systemd_refuses_are_not_logged(release: Release) {
    let machine = Machine::serving(release);
    let mut held: Vec<TcpStream> = Vec::new();
    for _ in 0..64 {
        held.push(machine.connect(CELEBS));
    }
    held.iter_mut().for_each(|client| expect(client, PROMPT));
    for _ in 0..300 {
        assert_eq!(rest(machine.connect(CELEBS)), "");
    }
    expect(
        &mut machine.connect_from(Ipv4Addr::new(127, 0, 0, 2), CELEBS),
        PROMPT,
    );
    let refused = machine.run("systemctl show --value -p NRefused celebs.socket");
    assert_eq!(refused.trim(), "300");
    let logged = machine.journal("-o cat -u celebs.socket -g dropping || :");
    assert_eq!(logged, "");
}
