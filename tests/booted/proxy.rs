//! Services behind a real HAProxy, which sends the PROXY protocol.

use std::io::Write;
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::process::Child;

use crate::machine::{Machine, Release};
use crate::support::{expect, rest, wait_for};

on_both_releases!(
    haproxy_passes_the_address_of_its_client_in_every_version_and_kind,
    health_checks_of_haproxy_keep_a_service_up_and_are_not_logged,
    hello_and_celebs_log_the_client_of_haproxy,
    an_agent_takes_a_service_out_of_haproxy_and_back,
    stunnel_in_front_of_an_af_unix_socket_passes_the_address_of_its_client,
    a_client_that_floods_through_haproxy_does_not_keep_others_out,
);

const KINDS: [&str; 2] = ["", "--shared"];
const CLIENT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);

/// A running HAProxy. Dropping it ends it.
struct Haproxy<'m> {
    machine: &'m Machine,
    process: Child,
}

impl Haproxy<'_> {
    /// Starts it with listeners, each a port and the options of its only server.
    fn start<'m>(machine: &'m Machine, listeners: &[(u16, &str)]) -> Haproxy<'m> {
        let mut configuration = String::from(
            "global\n log stdout format raw local0\ndefaults\n mode tcp\n log global\n timeout connect 10s\n timeout queue 100ms\n \
             timeout client 1m\n timeout server 1m\n timeout check 10s\n",
        );
        for (port, server) in listeners {
            configuration += &format!(
                "listen port{port}\n bind 127.0.0.1:{port}\n bind [::1]:{port}\n server one {server}\n"
            );
        }
        machine.write("/etc/haproxy/haproxy.cfg", &configuration);
        let process =
            machine.spawn("exec haproxy -db -f /etc/haproxy/haproxy.cfg >/root/haproxy.log 2>&1");
        let last = listeners.last().unwrap().0;
        wait_for("HAProxy listens", || {
            !machine
                .run(&format!("ss --no-header -tln 'sport = :{last}'"))
                .is_empty()
        });
        Haproxy { machine, process }
    }

    fn log(&self) -> String {
        self.machine.run("cat /root/haproxy.log")
    }
}

impl Drop for Haproxy<'_> {
    fn drop(&mut self) {
        let _ = self.machine.output("pkill -x haproxy");
        let _ = self.process.wait();
    }
}

fn haproxy_passes_the_address_of_its_client_in_every_version_and_kind(release: Release) {
    let machine = Machine::installed(release);
    let haproxy = Haproxy::start(
        &machine,
        &[
            (4081, "127.0.0.1:4000 send-proxy"),
            (4082, "127.0.0.1:4000 send-proxy-v2"),
            (4083, "127.0.0.1:4000 send-proxy-v2-ssl"),
            (
                4084,
                "127.0.0.1:4000 send-proxy-v2 proxy-v2-options crc32c,unique-id",
            ),
            (4085, "[::1]:4000 send-proxy-v2"),
            (4086, "unix@/run/who.sock send-proxy-v2"),
        ],
    );
    for kind in KINDS {
        machine.run(&format!(
            "sockunit add {kind} --accept-proxy 127.0.0.1 --accept-proxy ::1 --accept-proxy unix \\
                 --listen 127.0.0.1 --listen ::1 --listen /run/who.sock \\
                 who 4000 -- sh -c 'echo \"$REMOTE_ADDR $PROXY_ADDR\"; cat'"
        ));
        for port in 4081..=4086 {
            let proxy = match port {
                4085 => "::1",
                4086 => "",
                _ => "127.0.0.1",
            };
            let mut client = machine.connect_from(CLIENT, &format!("127.0.0.1:{port}"));
            // The program speaks first, and the bytes of the client follow the header.
            expect(&mut client, &format!("127.0.0.9 {proxy}\n"));
            expect_status(&machine, &client, proxy);
            client.write_all(b"some text").unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            assert_eq!(rest(client), "some text");
            let mut client = machine.connect(&format!("[::1]:{port}"));
            expect(&mut client, &format!("::1 {proxy}\n"));
            client.shutdown(Shutdown::Write).unwrap();
            assert_eq!(rest(client), "");
        }
        let journal = machine.journal_until("-t who -o cat", "12 ends", |journal| {
            journal.matches("exited 0").count() >= 13
        });
        assert_eq!(journal.matches("127.0.0.9:").count(), 6, "{journal}");
        assert_eq!(
            journal.matches(", 9 bytes received, ").count(),
            // The kernel does not count the bytes of AF_UNIX sockets.
            5,
            "{journal}"
        );
        // A peer that is not a proxy, or that sends no header, is refused.
        let mut direct = machine.connect("127.0.0.1:4000");
        direct.write_all(b"hello\n").unwrap();
        assert_eq!(rest(direct), "");
        let other = machine.connect_from(CLIENT, "127.0.0.1:4000");
        assert_eq!(rest(other), "Your address may not use this service\n");
        machine
            .run("sockunit remove who && journalctl --quiet --rotate --vacuum-time=1s 2>/dev/null");
    }
    drop(haproxy);
}

/// The status has the client, and through which proxy it came.
#[track_caller]
fn expect_status(machine: &Machine, client: &TcpStream, proxy: &str) {
    let shown = machine.run("sockunit status who");
    let row = shown.split_once(&format!("\n{} ", client.local_addr().unwrap()));
    let below = row
        .and_then(|(_, rest)| rest.lines().nth(1))
        .unwrap_or_default();
    let through = match proxy {
        "" => "through uid ".to_owned(),
        ip if ip.contains(':') => format!("through [{ip}]:"),
        ip => format!("through {ip}:"),
    };
    assert!(below.trim_start().starts_with(&through), "{shown}");
}

fn health_checks_of_haproxy_keep_a_service_up_and_are_not_logged(release: Release) {
    let machine = Machine::installed(release);
    for kind in KINDS {
        machine.run(&format!(
            "sockunit add {kind} --accept-proxy 127.0.0.1 who 4000 -- sh -c 'echo \"$REMOTE_ADDR\"; cat'"
        ));
        let before = machine.journal("-t who -o cat");
        for check in [
            "check inter 20ms fall 1",
            "check check-send-proxy inter 20ms fall 1",
        ] {
            let haproxy = Haproxy::start(
                &machine,
                &[(4082, &format!("127.0.0.1:4000 send-proxy-v2 {check}"))],
            );
            // Several checks pass while these clients are served.
            for _ in 0..20 {
                let mut client = machine.connect_from(CLIENT, "127.0.0.1:4082");
                expect(&mut client, "127.0.0.9\n");
                client.shutdown(Shutdown::Write).unwrap();
                assert_eq!(rest(client), "");
            }
            assert!(!haproxy.log().contains("DOWN"), "{}", haproxy.log());
        }
        let journal = machine.journal_until("-t who -o cat", "40 ends", |journal| {
            journal.matches("127.0.0.9:").count() >= 40
        });
        let direct = |journal: &str| journal.matches("127.0.0.1:").count();
        assert_eq!(direct(&journal), direct(&before), "{journal}");
        machine
            .run("sockunit remove who && journalctl --quiet --rotate --vacuum-time=1s 2>/dev/null");
    }
}

fn hello_and_celebs_log_the_client_of_haproxy(release: Release) {
    let machine = Machine::installed(release);
    let _haproxy = Haproxy::start(
        &machine,
        &[
            (4081, "127.0.0.1:3333 send-proxy"),
            (4082, "127.0.0.1:3334 send-proxy-v2"),
        ],
    );
    for (unit, accept) in [("%@.service", "yes"), ("%.service", "no")] {
        for service in ["hello", "celebs"] {
            let unit = unit.replace('%', service);
            machine.write(
                &format!("/etc/systemd/system/{unit}.d/proxy.conf"),
                &format!(
                    "[Service]\nExecStart=\nExecStart=-/usr/libexec/sockunit/{service} --accept-proxy 127.0.0.1\n"
                ),
            );
            machine.write(
                &format!("/etc/systemd/system/{service}.socket.d/proxy.conf"),
                &format!("[Socket]\nAccept={accept}\n"),
            );
        }
        machine.run("systemctl daemon-reload && systemctl restart hello.socket celebs.socket");
        let client = machine.connect_from(CLIENT, "127.0.0.1:4081");
        assert!(rest(client).starts_with("Hello World:"));
        let mut client = machine.connect_from(CLIENT, "127.0.0.1:4082");
        client.write_all(b"linus\nquit\n").unwrap();
        assert!(rest(client).contains("torvalds"));
        for service in ["hello", "celebs"] {
            machine.journal_until(&format!("-t {service} -o cat"), "the client", |journal| {
                journal.contains("127.0.0.9:")
            });
        }
        machine.run("journalctl --quiet --rotate --vacuum-time=1s 2>/dev/null");
    }
}

fn a_client_that_floods_through_haproxy_does_not_keep_others_out(release: Release) {
    let machine = Machine::installed(release);
    machine.run(
        "sockunit add --shared --accept-proxy 127.0.0.1 --per-source 5 --when-full refuse --max-connections 20 \\
             who 4000 -- sh -c 'echo \"$REMOTE_ADDR\"; cat'",
    );
    let _haproxy = Haproxy::start(&machine, &[(4082, "127.0.0.1:4000 send-proxy-v2")]);
    let mut held = Vec::new();
    for _ in 0..5 {
        let mut client = machine.connect_from(CLIENT, "127.0.0.1:4082");
        expect(&mut client, "127.0.0.9\n");
        held.push(client);
    }
    for _ in 0..50 {
        let refused = machine.connect_from(CLIENT, "127.0.0.1:4082");
        assert_eq!(
            rest(refused),
            "Too many connections from your address; please try again later\n"
        );
    }
    let mut other = machine.connect_from(Ipv4Addr::new(127, 0, 0, 10), "127.0.0.1:4082");
    expect(&mut other, "127.0.0.10\n");
}

fn an_agent_takes_a_service_out_of_haproxy_and_back(release: Release) {
    let machine = Machine::installed(release);
    for kind in KINDS {
        machine.run(&format!(
            "sockunit add {kind} --accept-proxy 127.0.0.1 who 4000 -- sh -c 'echo \"$REMOTE_ADDR\"; cat'
             sockunit add {kind} --sandbox standard --user-name _sockunit who-agent 4001 -- sockunit agent who"
        ));
        let answer = |expected: &str| {
            wait_for(&format!("the agent answers {expected}"), || {
                rest(machine.connect("127.0.0.1:4001")) == expected
            });
        };
        answer("up ready\n");
        let haproxy = Haproxy::start(
            &machine,
            &[(
                4082,
                "127.0.0.1:4000 send-proxy-v2 check check-send-proxy inter 200ms agent-check agent-port 4001 agent-inter 200ms",
            )],
        );
        let mut open = machine.connect_from(CLIENT, "127.0.0.1:4082");
        expect(&mut open, "127.0.0.9\n");

        // A connection is open when the time is over; then it ends.
        let waited = machine.output("sockunit drain --timeout 1s who");
        assert_eq!(waited.status.code(), Some(1), "{waited:?}");
        let error = String::from_utf8_lossy(&waited.stderr).into_owned();
        assert!(
            error.contains("cannot drain who: timeout: 1 connection is still open"),
            "{error}"
        );
        answer("up drain\n");
        // A connection made now reaches no server.
        wait_for("HAProxy sends no new connections", || {
            machine.converse("127.0.0.1:4082", b"").is_empty()
        });
        open.write_all(b"still here\n").unwrap();
        expect(&mut open, "still here\n");
        let drain = machine.spawn("sockunit drain who");
        open.shutdown(Shutdown::Write).unwrap();
        assert_eq!(rest(open), "");
        let drained = drain.wait_with_output().unwrap();
        let printed = String::from_utf8_lossy(&drained.stdout).into_owned();
        assert!(printed.ends_with("who: drained\n"), "{printed}");

        machine.run("sockunit resume who");
        answer("up ready\n");
        let served = || machine.converse("127.0.0.1:4082", b"") == b"127.0.0.1\n";
        wait_for("HAProxy sends connections again", served);

        machine.run("systemctl stop who.socket");
        answer("down #who.socket is inactive\n");
        wait_for("HAProxy knows", || haproxy.log().contains("DOWN"));
        machine.run("systemctl start who.socket");
        wait_for("HAProxy sends connections again", served);
        assert_eq!(
            machine.run("sockunit resume who"),
            "unchanged: who was not draining"
        );
        machine.run("sockunit remove who && sockunit remove who-agent");
    }
}

fn stunnel_in_front_of_an_af_unix_socket_passes_the_address_of_its_client(release: Release) {
    let machine = Machine::installed(release);
    machine.run(
        "openssl req -x509 -newkey rsa:2048 -nodes -days 9 -subj /CN=localhost \\
             -keyout /etc/stunnel/key.pem -out /etc/stunnel/cert.pem 2>/dev/null && chmod 600 /etc/stunnel/key.pem",
    );
    // As in the README.
    machine.write(
        "/etc/stunnel/greeter.conf",
        "foreground = yes\nsyslog = no\npid =\nsetuid = stunnel4\nsetgid = stunnel4\n\
         [greeter]\naccept = 4443\nconnect = /run/greeter.sock\nprotocol = proxy\n\
         cert = /etc/stunnel/cert.pem\nkey = /etc/stunnel/key.pem\n",
    );
    for kind in KINDS {
        machine.run(&format!(
            "sockunit add {kind} --listen /run/greeter.sock --group stunnel4 --accept-proxy unix greeter 4000 \\
                 -- sh -c 'echo \"$REMOTE_ADDR\"; cat /etc/stunnel/key.pem; true'
             systemctl start stunnel@greeter"
        ));
        wait_for("stunnel listens", || {
            !machine
                .run("ss --no-header -tln 'sport = :4443'")
                .is_empty()
        });
        let received =
            machine.run("openssl s_client -quiet -connect 127.0.0.1:4443 2>/dev/null </dev/null");
        assert_eq!(received, "127.0.0.1");
        let journal = machine.journal_until("-t greeter -o cat", "the client", |journal| {
            journal.contains("127.0.0.1:")
        });
        assert!(journal.contains("Permission denied"), "{journal}");
        machine.run(
            "sockunit remove greeter && systemctl stop stunnel@greeter
             journalctl --quiet --rotate --vacuum-time=1s 2>/dev/null",
        );
    }
}
