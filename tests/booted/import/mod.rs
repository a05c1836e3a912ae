//! The same configuration under the real xinetd and as the units that `sockunit import` writes: clients and programs see
//! the same.

mod built_in;
mod failures;
mod inetd;
mod real;

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::machine::{Machine, Release, repository};
use crate::support::{PATIENCE, wait_for, wait_until};

on_both_releases!(
    imported_services_serve_as_xinetd_does,
    ports_pass_over_and_back_while_clients_connect,
    the_commands_of_the_readme_move_services_and_take_them_back,
);

/// What a program sees of itself. What systemd sets for each process is left out, USER of xinetd under systemd 257 too.
const SHOW: &str = "#!/bin/sh
exec 2>&1
tr '\\0' '|' </proc/$$/cmdline
echo
id
umask
nice
pwd
for limit in t s d v; do ulimit -$limit; done
[ \"$1\" != files ] || ulimit -n
env -u INVOCATION_ID -u JOURNAL_STREAM -u SYSTEMD_EXEC_PID -u MEMORY_PRESSURE_WATCH -u MEMORY_PRESSURE_WRITE \\
    -u PWD -u OLDPWD -u SHLVL -u _ -u REMOTE_ADDR -u REMOTE_PORT -u USER env | sort
";

/// Reads all, and then answers: a client that half-closes gets the answer.
const COUNT: &str = "#!/bin/sh\nwc -c\n";

/// Answers one datagram, and exits.
const DATAGRAMS: &str = "#!/usr/bin/perl
use Socket;
my $from = recv(STDIN, my $data, 1000, 0) or die;
my $type = unpack 'i', getsockopt(STDIN, SOL_SOCKET, SO_TYPE);
send(STDOUT, \"$data @ARGV $type $< \" . (defined $ENV{LISTEN_FDS} ? 1 : 0), 0, $from);
";

/// Accepts two connections, and exits.
const ACCEPTS: &str = "#!/usr/bin/perl
for (1 .. 2) {
    accept(my $client, STDIN) or die;
    printf $client \"%d %d %d\\n\", $_, $<, getpriority(0, 0);
}
";

/// What xinetd reads.
const XINETD: &str = include_str!("xinetd.conf");

/// Sources of clients, in and out of the lists.
const SOURCES: [[u8; 4]; 14] = [
    [127, 0, 0, 1],
    [127, 0, 0, 2],
    [127, 0, 0, 15],
    [127, 0, 0, 16],
    [127, 0, 0, 200],
    [127, 0, 1, 1],
    [127, 0, 1, 127],
    [127, 0, 1, 128],
    [127, 0, 2, 1],
    [127, 9, 1, 0],
    [127, 9, 3, 1],
    [127, 0, 7, 0],
    [127, 0, 7, 1],
    [127, 200, 0, 1],
];

/// Sources of clients in a network namespace of their own, in and out of the lists of `networks`.
const DISTANT: [&str; 11] = [
    "2001:db8:1::1",
    "2001:db8:1::9",
    "2001:db8:1:5::1",
    "2001:db8:1:6::1",
    "2001:db8:2::7",
    "2001:db8:2::8",
    "2001:db8:3::1",
    "192.0.2.7",
    "192.0.2.9",
    "192.0.2.130",
    "198.51.100.3",
];

/// What a client reads after it has sent bytes and closed its sending half.
fn answer(client: Option<TcpStream>, sent: &[u8]) -> String {
    let Some(mut client) = client else {
        return "refused".into();
    };
    let _ = client.write_all(sent);
    let _ = client.shutdown(Shutdown::Write);
    let mut received = Vec::new();
    match client.read_to_end(&mut received) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("{error}"),
        _ => String::from_utf8_lossy(&received).replace("::ffff:", ""),
    }
}

fn connected(machine: &Machine, address: &str) -> Option<TcpStream> {
    let address: SocketAddr = address.parse().unwrap();
    let client = machine.in_network(|| TcpStream::connect(address)).ok()?;
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    Some(client)
}

/// The answer to a datagram. One that arrives while the program exits is lost, under xinetd too.
fn datagram(machine: &Machine, own: &str, address: &str) -> String {
    let socket = machine.in_network(|| UdpSocket::bind(own).unwrap());
    let short = Duration::from_millis(500);
    socket.set_read_timeout(Some(short)).unwrap();
    let deadline = Instant::now() + PATIENCE;
    let mut answer = [0; 100];
    let (length, from) = wait_until("a datagram is answered", deadline, || {
        socket.send_to(b"ping", address).unwrap();
        socket.recv_from(&mut answer).ok()
    });
    assert_eq!(from.to_string(), address);
    String::from_utf8_lossy(&answer[..length]).into()
}

/// The answer to a datagram of a source that may not send any, once one of another source has been answered.
fn refused_datagram(machine: &Machine, own: &str, address: &str) -> String {
    let socket = machine.in_network(|| UdpSocket::bind(own).unwrap());
    socket.send_to(b"ping", address).unwrap();
    let mut text = datagram(machine, "127.0.0.1:0", address);
    socket.set_nonblocking(true).unwrap();
    let mut answer = [0; 100];
    match socket.recv(&mut answer) {
        Ok(length) => text += &String::from_utf8_lossy(&answer[..length]),
        Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
    }
    text
}

/// What a client reads that keeps its sending half open.
fn whole(machine: &Machine, address: &str) -> String {
    let mut received = String::new();
    match connected(machine, address) {
        Some(mut client) => client.read_to_string(&mut received).unwrap(),
        None => return "refused".into(),
    };
    received.replace("::ffff:", "")
}

/// What all clients see.
fn seen(machine: &Machine) -> BTreeMap<String, String> {
    let mut seen = BTreeMap::new();
    for port in 4001..=4009 {
        for host in ["127.0.0.1", "[::1]"] {
            let address = format!("{host}:{port}");
            // xinetd loses the answer of a program that does not read what the client has sent.
            let sent = if port < 4005 { &b""[..] } else { b"12345" };
            let answer = answer(connected(machine, &address), sent);
            seen.insert(address, answer);
        }
    }
    for host in ["127.0.0.1", "[::1]"] {
        for number in 1..=3 {
            let answer = datagram(machine, &format!("{host}:0"), &format!("{host}:4010"));
            seen.insert(format!("{host}:4010 {number}"), answer);
        }
        for number in 1..=4 {
            let answer = whole(machine, &format!("{host}:4011"));
            seen.insert(format!("{host}:4011 {number}"), answer);
        }
        for port in [4012, 4013] {
            let address = format!("{host}:{port}");
            let answer = whole(machine, &address);
            seen.insert(address, answer);
        }
    }
    let reply = refused_datagram(machine, "127.0.0.2:4000", "127.0.0.1:4015");
    seen.insert("4015 from 127.0.0.2".into(), reply);
    for source in SOURCES {
        let source = Ipv4Addr::from(source);
        let client = machine.connect_from(source, "127.0.0.1:4006");
        seen.insert(
            format!("4006 from {source}"),
            answer(Some(client), b"12345"),
        );
    }
    for source in DISTANT {
        let server = match source.contains(':') {
            true => "2001:db8::1",
            false => "192.0.2.1",
        };
        let server = SocketAddr::new(server.parse().unwrap(), 4014);
        let client = machine.connect_beside("beside", source.parse().unwrap(), server);
        let answer = answer(Some(client), b"12345");
        seen.insert(format!("4014 from {source}"), answer);
    }
    seen
}

/// Makes a network namespace with the sources of `DISTANT`.
fn add_distant_sources(machine: &Machine) {
    let mut script = "ip netns add beside
         ip link add cable type veth peer name cable netns beside
         ip link set cable up; ip -n beside link set cable up
         ip address add 192.0.2.1/24 dev cable; ip address add 2001:db8::1/32 dev cable nodad
         ip -n beside route add 192.0.2.1 dev cable\n"
        .to_owned();
    for source in DISTANT {
        script += &match source.contains(':') {
            true => format!("ip -n beside address add {source}/32 dev cable nodad\n"),
            false => format!(
                "ip -n beside address add {source}/32 dev cable; ip route replace {source} dev cable\n"
            ),
        };
    }
    machine.run(&script);
}

/// A machine with the programs of the services.
fn with_programs(release: Release) -> Machine {
    let machine = Machine::installed(release);
    for (name, text) in [
        ("show", SHOW),
        ("count", COUNT),
        ("datagrams", DATAGRAMS),
        ("accepts", ACCEPTS),
    ] {
        machine.program(&format!("/usr/local/bin/{name}"), text);
    }
    machine
}

/// A machine in which xinetd serves.
fn with_xinetd(release: Release) -> Machine {
    let machine = with_programs(release);
    for name in ["banner", "welcome", "sorry"] {
        machine.write(&format!("/etc/{name}"), &format!("{name}\n"));
    }
    add_distant_sources(&machine);
    machine.write("/etc/xinetd.conf", XINETD);
    machine.run("rm -f /etc/inetd.conf; systemctl restart xinetd.service");
    wait_for("xinetd serves", || {
        connected(&machine, "127.0.0.1:4009").is_some()
    });
    machine
}

fn imported_services_serve_as_xinetd_does(release: Release) {
    let machine = with_xinetd(release);
    let under_xinetd = seen(&machine);
    machine.run("systemctl stop xinetd.service");
    wait_for("xinetd has ended", || {
        connected(&machine, "127.0.0.1:4001").is_none()
    });

    let report = machine.run("sockunit import --output /root/units");
    assert!(!report.contains("not written"), "{report}");
    let complaints = machine.output("systemd-analyze verify --man=no /root/units/* 2>&1");
    assert_eq!(String::from_utf8_lossy(&complaints.stdout), "");
    machine.run(
        "cp /root/units/* /etc/systemd/system; systemctl daemon-reload
         cd /root/units; systemctl start $(ls *.socket | grep -v off)",
    );
    let imported = seen(&machine);
    for (client, answer) in &under_xinetd {
        assert_eq!(imported.get(client), Some(answer), "{client}");
    }
    // The test has compared something.
    assert!(
        under_xinetd["[::1]:4005"].starts_with("5"),
        "{under_xinetd:?}"
    );
    assert_eq!(under_xinetd["4006 from 127.0.0.1"], "banner\nwelcome\n5\n");
    assert_eq!(under_xinetd["4006 from 127.0.0.2"], "banner\nsorry\n");
    let served = under_xinetd
        .iter()
        .filter(|(client, answer)| client.starts_with("4006") && answer.ends_with("welcome\n5\n"));
    assert_eq!(under_xinetd["127.0.0.1:4010 3"], "ping a b 2 1 0");
    assert_eq!(under_xinetd["4015 from 127.0.0.2"], "ping c 2 1 0");
    let log = machine.run("journalctl --sync; journalctl --output cat -t senders");
    let entry = "1 datagram refused, the last from 127.0.0.2:4000: address not allowed";
    assert!(log.contains(entry), "{log}");
    assert_eq!(under_xinetd["[::1]:4011 2"], "2 1 3\n");
    assert!(
        under_xinetd["127.0.0.1:4012"].contains("back"),
        "{under_xinetd:?}"
    );
    assert_eq!(under_xinetd["[::1]:4013"], "");
    assert_eq!(served.count(), 7, "{under_xinetd:?}");
    let distant = under_xinetd
        .iter()
        .filter(|(client, answer)| client.starts_with("4014") && answer.as_str() == "5\n");
    assert_eq!(distant.count(), 5, "{under_xinetd:?}");
}

/// Connects until `stop` is set, and waits a second after each refused connection. Returns how many connections were
/// refused, and how many were served.
fn clients(machine: &Machine, address: &str, stop: &AtomicBool) -> (u32, u32) {
    let (mut refused, mut served) = (0, 0);
    while !stop.load(Ordering::Relaxed) {
        match answer(connected(machine, address), b"12345").as_str() {
            "5\n" => served += 1,
            _ => {
                refused += 1;
                std::thread::sleep(Duration::from_secs(1));
            }
        }
    }
    (refused, served)
}

fn ports_pass_over_and_back_while_clients_connect(release: Release) {
    let machine = with_xinetd(release);
    let xinetd = machine.run("cat /etc/xinetd.conf");
    let before = seen(&machine);
    let stop = AtomicBool::new(false);
    let (refused, served) = std::thread::scope(|scope| {
        let clients = scope.spawn(|| clients(&machine, "127.0.0.1:4005", &stop));
        let report = machine.run("sockunit import --apply --disable-old");
        stop.store(true, Ordering::Relaxed);
        assert_eq!(
            report.matches("started, now and at every boot: ").count(),
            14,
            "{report}"
        );
        assert!(report.contains("\nwritten: off\n"), "{report}");
        clients.join().unwrap()
    });
    assert!(
        refused <= 1 && served > 0,
        "{refused} refused, {served} served"
    );
    let imported = seen(&machine);
    for (client, answer) in &before {
        assert_eq!(imported.get(client), Some(answer), "{client}");
    }
    let sockets = machine.run("ss -Hlnptu | grep ':40[01]' | grep -c xinetd || true");
    assert_eq!(sockets, "0");
    let again = machine.run("sockunit import --apply --disable-old");
    assert_eq!(again.matches("\nunchanged: ").count(), 15, "{again}");

    let list = machine.run("sockunit list");
    assert!(
        list.contains("listens: [::]:4010 (UDP)\n") && list.contains("redirected-too"),
        "{list}"
    );
    for name in [
        "count",
        "datagrams",
        "senders",
        "accepts",
        "redirected",
        "limited",
    ] {
        let status = machine.run(&format!("sockunit status {name}"));
        assert!(status.contains(name), "{status}");
        let doctor = machine.output(&format!("sockunit doctor {name}"));
        let text = String::from_utf8_lossy(&doctor.stdout);
        assert!(!text.contains("problem: "), "{name}: {text}");
    }
    machine.run("sockunit remove accepts");
    assert!(connected(&machine, "127.0.0.1:4011").is_none());

    let report = machine.run("sockunit import --revert");
    assert_eq!(report.matches("removed: ").count(), 14, "{report}");
    assert_eq!(machine.run("cat /etc/xinetd.conf"), xinetd);
    wait_for("xinetd serves again", || {
        connected(&machine, "127.0.0.1:4009").is_some()
    });
    assert_eq!(seen(&machine), before);
    assert_eq!(
        machine.run("ls /etc/systemd/system | grep -c 40 || true"),
        "0"
    );
}

fn the_commands_of_the_readme_move_services_and_take_them_back(release: Release) {
    let readme = std::fs::read_to_string(repository().join("README.md")).unwrap();
    let section = readme
        .split("\n## ")
        .find(|text| text.starts_with("Moving from xinetd\n"));
    let commands = section
        .unwrap()
        .lines()
        .filter_map(|line| line.strip_prefix("    "));
    let machine = with_xinetd(release);
    let mut texts = Vec::new();
    for command in commands {
        texts.push(machine.run(command.strip_prefix("sudo ").unwrap_or(command)));
    }
    let [report, applied, list, reverted] = &texts[..] else {
        panic!("{texts:?}");
    };
    assert!(report.contains("==> show.socket <=="), "{report}");
    assert!(
        applied.contains("started, now and at every boot: show\n"),
        "{applied}"
    );
    assert!(list.contains("show "), "{list}");
    assert!(reverted.contains("removed: show\n"), "{reverted}");
    wait_for("xinetd serves again", || {
        connected(&machine, "127.0.0.1:4009").is_some()
    });
}
