//! Built-in services under the real xinetd and inetd, and as the units that `sockunit import` writes.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, UdpSocket};
use std::time::{Duration, Instant};

use super::connected;
use crate::machine::{Machine, Release};
use crate::support::{PATIENCE, wait_for, wait_until};

on_both_releases!(built_in_services_send_the_same_bytes_and_survive_bursts);

const SERVICES: [(&str, u16); 5] = [
    ("echo", 7),
    ("discard", 9),
    ("daytime", 13),
    ("chargen", 19),
    ("time", 37),
];

/// The files of xinetd and inetd.
fn files() -> (String, String) {
    let mut xinetd = "defaults\n{\n\tcps = 0 0\n}\n".to_owned();
    let mut inetd = String::new();
    for (name, _) in SERVICES {
        for (kind, wait) in [("stream", "no"), ("dgram", "yes")] {
            xinetd += &format!(
                "service {name}\n{{\n\ttype = INTERNAL\n\tid = {name}-{kind}\n\tsocket_type = {kind}\n\
                 \twait = {wait}\n\tuser = root\n\tno_access = 127.0.0.9\n}}\n"
            );
        }
        inetd += &format!(
            "{name} stream tcp nowait root internal\n{name} dgram udp wait root internal\n"
        );
    }
    (xinetd, inetd)
}

/// A client of a datagram service.
fn client(machine: &Machine, own: &str, server: &str) -> UdpSocket {
    let socket = machine.in_network(|| UdpSocket::bind(own).unwrap());
    socket.connect(server).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

fn receive(client: &UdpSocket) -> Vec<u8> {
    let mut datagram = [0; 2000];
    let length = client.recv(&mut datagram).unwrap();
    datagram[..length].to_vec()
}

/// Whether nothing has arrived.
fn has_nothing(client: &UdpSocket) -> bool {
    client.set_nonblocking(true).unwrap();
    client.recv(&mut [0]).is_err()
}

/// What a client reads, the same at any time.
fn timeless(name: &str, bytes: &[u8]) -> String {
    match name {
        "daytime" => {
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            text.replace(|c: char| c.is_ascii_digit(), "9")
        }
        "time" => {
            let now = jiff::Timestamp::now().as_second() + 2_208_988_800;
            let sent = u32::from_be_bytes(bytes.try_into().unwrap());
            assert!((now - i64::from(sent)).abs() < 60, "{sent} at {now}");
            "the time".into()
        }
        _ => String::from_utf8_lossy(bytes).into(),
    }
}

/// What clients see, over TCP and UDP.
fn seen(machine: &Machine, host: &str) -> BTreeMap<String, String> {
    let mut seen = BTreeMap::new();
    for (name, port) in SERVICES {
        let address = format!("{host}:{port}");
        let mut client = connected(machine, &address).unwrap();
        let mut bytes = vec![0; 20_000];
        match name {
            "chargen" => client.read_exact(&mut bytes).unwrap(),
            _ => {
                bytes.clear();
                // xinetd loses the answer of those that do not read what the client sends.
                if name == "echo" || name == "discard" {
                    client.write_all(b"one\r\n\0two").unwrap();
                }
                client.shutdown(Shutdown::Write).unwrap();
                client.read_to_end(&mut bytes).unwrap();
            }
        }
        seen.insert(format!("{name} over TCP"), timeless(name, &bytes));
    }
    for (name, port) in SERVICES.iter().filter(|(name, _)| *name != "discard") {
        let own = if host == "127.0.0.1" {
            "127.0.0.1:0"
        } else {
            "0.0.0.0:0"
        };
        let client = client(machine, own, &format!("{host}:{port}"));
        client.send(&[b'x'; 1100]).unwrap();
        seen.insert(
            format!("{name} over UDP"),
            timeless(name, &receive(&client)),
        );
    }
    seen
}

fn built_in_services_send_the_same_bytes_and_survive_bursts(release: Release) {
    let machine = Machine::installed(release);
    let (xinetd, inetd) = files();
    machine.write("/etc/xinetd.conf", &xinetd);
    machine.run("rm -f /etc/inetd.conf; systemctl restart xinetd.service");
    wait_for("xinetd serves", || {
        connected(&machine, "127.0.0.1:37").is_some()
    });
    let under_xinetd = seen(&machine, "127.0.0.1");
    let report = machine.run("sockunit import --apply --disable-old");
    assert_eq!(report.matches("started, now and").count(), 10, "{report}");
    let complaints = machine.output(
        "systemd-analyze verify --man=no /etc/systemd/system/*-stream.* /etc/systemd/system/*-dgram.* 2>&1",
    );
    assert_eq!(String::from_utf8_lossy(&complaints.stdout), "");
    assert_eq!(seen(&machine, "127.0.0.1"), under_xinetd);
    assert!(
        under_xinetd["daytime over UDP"].starts_with("99 "),
        "{under_xinetd:?}"
    );
    assert_eq!(under_xinetd["chargen over UDP"].len(), 1024);

    short_datagrams_and_servers_get_no_answer(&machine);
    no_datagram_is_lost_while_the_program_exits(&machine);
    a_burst_is_answered_and_ends(&machine);

    machine.run("sockunit import --revert; systemctl stop xinetd.service");
    // Without this, xinetd of Debian 12 would read inetd.conf.
    machine.write("/etc/default/xinetd", "INETD_COMPAT=No\n");
    // inetd answers no datagram from a loopback address.
    machine.write("/etc/inetd.conf", &inetd);
    // By the script of Debian 12, xinetd would read the file.
    machine.write("/etc/default/xinetd", "INETD_COMPAT=No\n");
    machine.run(
        "ip address add 192.0.2.1/32 dev lo
         systemd-run --quiet --unit=old /opt/openbsd-inetd/usr/sbin/inetd -i /etc/inetd.conf",
    );
    wait_for("inetd serves", || {
        connected(&machine, "192.0.2.1:37").is_some()
    });
    let under_inetd = seen(&machine, "192.0.2.1");
    machine.run(
        "systemctl stop old.service
         sockunit import --output /root/units /etc/inetd.conf
         cp /root/units/* /etc/systemd/system; systemctl daemon-reload
         cd /root/units; systemctl start *.socket",
    );
    assert_eq!(seen(&machine, "192.0.2.1"), under_inetd);
    assert_eq!(
        under_inetd["daytime over TCP"].len(),
        "Tue Jan 23 13:33:55 2001\r\n".len()
    );
    let failed =
        machine.run("systemctl list-units --failed --plain --no-legend '*.socket' '*-udp.*'");
    assert_eq!(failed, "");
}

/// The differences that the report declares.
fn short_datagrams_and_servers_get_no_answer(machine: &Machine) {
    for (name, port, silent, answered) in [
        ("echo", 7, None, 30),
        ("chargen", 19, None, 30),
        ("daytime", 13, Some(25), 26),
        ("time", 37, Some(0), 4),
    ] {
        let server = format!("127.0.0.1:{port}");
        let other = client(machine, "127.0.0.1:777", &server);
        let denied = client(machine, "127.0.0.9:0", &server);
        let client = client(machine, "127.0.0.1:0", &server);
        other.send(&[b'x'; 100]).unwrap();
        denied.send(&[b'x'; 100]).unwrap();
        if let Some(length) = silent {
            client.send(&vec![b'x'; length]).unwrap();
        }
        client.send(&vec![b'x'; answered]).unwrap();
        // Datagrams are answered one after the other.
        assert_eq!(receive(&client).len(), answered, "{name}");
        assert!(
            [&other, &denied, &client].into_iter().all(has_nothing),
            "{name}"
        );
    }
}

/// How often the program of the datagram service echo has exited because nothing arrived.
fn exits(machine: &Machine) -> usize {
    let journal = machine.journal("-t echo-dgram -o cat");
    journal.matches("received, ").count()
}

fn no_datagram_is_lost_while_the_program_exits(machine: &Machine) {
    machine.write(
        "/etc/systemd/system/echo-dgram.service.d/idle.conf",
        "[Service]\nExecStart=\nExecStart=/usr/libexec/sockunit/builtin --idle-timeout 1ms echo\n",
    );
    machine.run("systemctl daemon-reload; systemctl restart echo-dgram.service");
    let client = client(machine, "127.0.0.1:0", "127.0.0.1:7");
    for number in 0..60u64 {
        let datagram = number.to_string();
        client.send(datagram.as_bytes()).unwrap();
        assert_eq!(receive(&client), datagram.as_bytes());
        // The next one comes while the program waits, exits, or has exited.
        std::thread::sleep(Duration::from_micros(number * 100));
    }
    let exits = exits(machine);
    assert!(exits > 10, "{exits}");
}

fn a_burst_is_answered_and_ends(machine: &Machine) {
    let before = exits(machine);
    let client = client(machine, "127.0.0.1:0", "127.0.0.1:7");
    let mut answers = 0;
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            for _ in 0..1000 {
                client.send(b"burst").unwrap();
            }
        });
        // The kernel drops what does not fit into the buffers.
        let deadline = Instant::now() + PATIENCE;
        let timeout = Duration::from_millis(200);
        client.set_read_timeout(Some(timeout)).unwrap();
        wait_until("a datagram after the burst is answered", deadline, || {
            if sender.is_finished() {
                client.send(b"end").unwrap();
            }
            let mut datagram = [0; 10];
            while let Ok(length) = client.recv(&mut datagram) {
                match &datagram[..length] {
                    b"burst" => answers += 1,
                    b"end" => return Some(()),
                    other => panic!("{other:?}"),
                }
            }
            None
        });
    });
    assert!((100..=1000).contains(&answers), "{answers}");
    wait_for("the program exits", || {
        machine.property("echo-dgram.service", "ActiveState") == "inactive"
    });
    assert_eq!(
        machine.property("echo-dgram.socket", "SubState"),
        "listening"
    );
    assert_eq!(machine.property("echo-dgram.service", "NRestarts"), "0");
    let starts = exits(machine) - before;
    assert!((1..100).contains(&starts), "{starts}");
}
