//! `sockunit status`: the connections of a system that runs.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::machine::{CELEBS, Machine, Release};
use crate::support::{Mode, PATIENCE, PROMPT, expect, rest, wait_for, wait_until};

on_both_releases!(
    a_connection_is_shown_with_its_peer_bytes_process_and_unit,
    what_the_caller_may_not_see_is_unknown_and_said,
    the_services_of_a_user_are_shown_to_the_user,
    a_local_client_is_shown_with_its_user_and_process,
    only_connections_to_the_address_of_the_service_are_its_own,
    hundreds_of_connections_are_shown_and_every_line_fits,
    sources_with_a_penalty_are_shown_and_no_program_can_forge_one,
);

mod services_of_the_package {
    use super::*;
    on_both_releases_in_both_modes!(the_connections_of_celebs_are_shown);
}

fn status(machine: &Machine, arguments: &str) -> Value {
    let printed = machine.run(&format!("sockunit status --json {arguments}"));
    serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}"))
}

/// Connects, and waits until the program has echoed a line.
fn echoed(machine: &Machine, address: &str) -> TcpStream {
    let mut stream = machine.connect(address);
    stream.write_all(b"12345\n").unwrap();
    stream.read_exact(&mut [0; 6]).unwrap();
    stream
}

/// The peer as the status has it.
fn peer(stream: &TcpStream) -> Value {
    let local = stream.local_addr().unwrap();
    json!({"address": local.ip().to_string(), "port": local.port()})
}

/// No line is wider than 80 columns, unless it is one word.
#[track_caller]
fn expect_80_columns(text: &str) {
    for line in text.lines() {
        let fits = line.chars().count() <= 80 || !line.trim().contains(' ');
        assert!(fits, "{line}");
    }
}

/// The columns of the row that begins with this cell.
#[track_caller]
fn row(text: &str, first: &str) -> Vec<String> {
    let mut rows = text.lines().map(|line| line.split_whitespace());
    let row = rows.find(|row| row.clone().next() == Some(first));
    let row = row.unwrap_or_else(|| panic!("{first}: {text}"));
    row.map(str::to_owned).collect()
}

fn a_connection_is_shown_with_its_peer_bytes_process_and_unit(release: Release) {
    let machine = Machine::installed(release);
    for (option, kind) in [("", "per-connection"), ("--shared", "shared")] {
        machine.run(&format!("sockunit add {option} greeter 4000 -- /bin/cat"));
        wait_for("the first connection has ended", || {
            status(&machine, "greeter")["connections"] == 0
        });
        for address in ["127.0.0.1:4000", "[::1]:4000"] {
            let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
            let stream = echoed(&machine, address);
            let shown = status(&machine, "greeter");
            assert_eq!(shown["kind"], kind);
            assert_eq!(shown["state"], "active");
            assert_eq!(shown["listen"], json!(["127.0.0.1:4000", "[::1]:4000"]));
            assert_eq!(shown["connections"], 1, "{shown}");
            let open = &shown["open"][0];
            assert_eq!(open["peer"], peer(&stream));
            assert_eq!((&open["received"], &open["sent"]), (&json!(6), &json!(6)));
            let pid = &open["pid"];
            let unit = open["unit"].as_str().unwrap();
            match kind {
                "shared" => {
                    assert_eq!(unit, "greeter.service");
                    assert_eq!(machine.run(&format!("cat /proc/{pid}/comm")), "cat");
                }
                _ => {
                    assert_eq!(machine.instances("greeter"), [unit]);
                    assert_eq!(machine.property(unit, "MainPID"), pid.to_string());
                }
            }
            let since: jiff::Timestamp = open["since"].as_str().unwrap().parse().unwrap();
            let since = since.as_second() - i64::try_from(started.as_secs()).unwrap();
            assert!((-1..60).contains(&since), "{shown}");

            let text = machine.run("sockunit status greeter");
            let address = stream.local_addr().unwrap().to_string();
            let row = row(&text, &address);
            assert_eq!(row[3..], [pid.to_string(), "6".into(), "6".into()]);
            assert!(text.contains("    connections: 1 now"), "{text}");
            expect_80_columns(&text);
            drop(stream);
            wait_for("the connection has ended", || {
                let shown = status(&machine, "greeter");
                shown["connections"] == 0 && shown["open"] == json!([])
            });
        }
        // systemd counts what it accepts: the first connection of add, and these.
        let all = status(&machine, "");
        let greeter = all
            .as_array()
            .unwrap()
            .iter()
            .find(|s| s["name"] == "greeter");
        let counted = match kind {
            "shared" => [Value::Null, Value::Null],
            _ => [json!(3), json!(0)],
        };
        let greeter = greeter.unwrap();
        assert_eq!(
            [&greeter["accepted"], &greeter["refused"]],
            [&counted[0], &counted[1]]
        );
        let text = machine.run("sockunit status");
        let heads = ["NAME", "STATE", "NOW", "ACCEPTED", "REFUSED", "SINCE"];
        assert_eq!(row(&text, "NAME"), heads);
        expect_80_columns(&text);
        machine.run("sockunit remove greeter");
    }
    let output = machine.output("sockunit status greeter");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "sockunit: cannot show the status: there is no greeter.socket in any unit directory\n\
         hint: this shows the names\n    sockunit list\n"
    );
}

fn the_connections_of_celebs_are_shown(release: Release, mode: Mode) {
    let machine = Machine::serving_in(release, mode);
    let mut streams = [machine.connect(CELEBS), machine.connect("[::1]:3334")];
    for stream in &mut streams {
        expect(stream, PROMPT);
        stream.write_all(b"linus\n").unwrap();
        expect(stream, &format!(":linus, \ntorvalds\n{PROMPT}"));
    }
    let shown = status(&machine, "celebs");
    assert_eq!(shown["connections"], 2, "{shown}");
    let open = shown["open"].as_array().unwrap();
    for stream in &streams {
        let connection = open.iter().find(|open| open["peer"] == peer(stream));
        let connection = connection.unwrap_or_else(|| panic!("{shown}"));
        assert_eq!(connection["received"], 6);
        assert_eq!(connection["sent"], 18 + 2 * PROMPT.len());
        let pid = &connection["pid"];
        assert_eq!(machine.run(&format!("cat /proc/{pid}/comm")), "celebs");
        // One process does not say when it has accepted which connection.
        assert_eq!(connection["since"].is_null(), mode == Mode::Shared);
    }
    assert_eq!(row(&machine.run("sockunit list"), "celebs")[5], "2");
    // A connection goes on, and is shown, when the socket does not listen any more.
    if mode == Mode::PerConnection {
        machine.run("systemctl stop celebs.socket");
        let shown = status(&machine, "celebs");
        assert_eq!(shown["state"], "inactive");
        assert_eq!(shown["since"], Value::Null);
        assert_eq!(shown["open"].as_array().unwrap().len(), 2, "{shown}");
    }
}

fn what_the_caller_may_not_see_is_unknown_and_said(release: Release) {
    let machine = Machine::installed(release);
    machine.run("useradd you");
    for option in ["", "--shared"] {
        machine.run(&format!("sockunit add {option} greeter 4000 -- /bin/cat"));
        let stream = echoed(&machine, "127.0.0.1:4000");
        let printed = machine.run("su you -c 'sockunit status --json greeter'");
        let shown: Value = serde_json::from_str(&printed).unwrap();
        let open = &shown["open"][0];
        assert_eq!(open["peer"], peer(&stream), "{shown}");
        assert_eq!(open["received"], 6);
        for unknown in ["pid", "unit", "since"] {
            assert_eq!(open[unknown], Value::Null, "{shown}");
        }
        let text = machine.run("su you -c 'sockunit status greeter'");
        assert!(
            text.contains("are not visible to your user; use sudo"),
            "{text}"
        );
        let listed = machine.run("su you -c 'sockunit list'");
        assert_eq!(row(&listed, "greeter")[5], "1");
        machine.run("sockunit remove greeter");
    }
}

fn the_services_of_a_user_are_shown_to_the_user(release: Release) {
    let machine = Machine::installed(release);
    machine.run("useradd --create-home you && systemctl start user@$(id -u you).service");
    let you = |command: &str| machine.run(&format!("su - you -c '{command}'"));
    for option in ["", "--shared"] {
        you(&format!(
            "sockunit add --user {option} greeter 4000 -- /bin/cat"
        ));
        let stream = echoed(&machine, "127.0.0.1:4000");
        let printed = you("sockunit status --user --json greeter");
        let shown: Value = serde_json::from_str(&printed).unwrap();
        let open = &shown["open"][0];
        assert_eq!(open["peer"], peer(&stream), "{shown}");
        assert!(open["pid"].is_u64() && open["since"].is_string(), "{shown}");
        let unit = open["unit"].as_str().unwrap();
        assert!(
            unit.starts_with("greeter") && unit.ends_with(".service"),
            "{unit}"
        );
        let text = you("sockunit status --user");
        assert_eq!(row(&text, "greeter")[1..3], ["active", "1"]);
        you("sockunit remove --user greeter");
    }
    // A user without a service manager is told.
    machine.run("useradd other");
    let output = machine.output("setpriv --reuid=other --clear-groups sockunit status --user");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().starts_with(
        "sockunit: cannot show the status: your user has no service manager here\nhint: log in"
    ));
}

fn a_local_client_is_shown_with_its_user_and_process(release: Release) {
    let machine = Machine::installed(release);
    machine.run("useradd you");
    for mode in [Mode::PerConnection, Mode::Shared] {
        for address in ["/run/celebs.socket", "@celebs"] {
            machine.switch(&["celebs"], mode);
            machine.write(
                "/etc/systemd/system/celebs.socket.d/local.conf",
                &format!("[Socket]\nListenStream=\nListenStream={address}\nSocketMode=0666\n"),
            );
            machine.run("systemctl daemon-reload && systemctl restart celebs.socket");
            let to = match address.strip_prefix('@') {
                Some(name) => format!("ABSTRACT-CONNECT:{name}"),
                None => format!("UNIX-CONNECT:{address}"),
            };
            let mut client = machine.spawn(&format!("exec setpriv --reuid=you socat - {to}"));
            expect(client.stdout.as_mut().unwrap(), PROMPT);
            let shown = status(&machine, "celebs");
            assert_eq!(shown["open"].as_array().unwrap().len(), 1, "{shown}");
            let open = &shown["open"][0];
            let uid: u64 = machine.run("id -u you").parse().unwrap();
            let pid: u64 = machine.pgrep("-x socat").parse().unwrap();
            assert_eq!(open["peer"], json!({"uid": uid, "pid": pid}));
            assert_eq!(open["received"], Value::Null);
            let server = &open["pid"];
            assert_eq!(machine.run(&format!("cat /proc/{server}/comm")), "celebs");
            let text = machine.run("sockunit status celebs");
            assert!(text.contains(&format!("\nuid {uid} pid {pid}  ")), "{text}");
            drop(client.stdin.take());
            client.wait().unwrap();
        }
    }
}

fn only_connections_to_the_address_of_the_service_are_its_own(release: Release) {
    let machine = Machine::serving(release);
    // The program is itself a client of another service, and listens elsewhere.
    machine.program(
        "/usr/local/bin/relay",
        "#!/bin/sh\n# That of an earlier connection may still listen.\n(until socat TCP-LISTEN:4444,reuseaddr,fork /dev/null; do sleep 0.1; done) &\nexec socat - TCP:127.0.0.1:3334\n",
    );
    for option in ["", "--shared"] {
        machine.run(&format!(
            "sockunit add --sandbox off {option} greeter 4000 -- /usr/local/bin/relay"
        ));
        let mut stream = machine.connect("127.0.0.1:4000");
        expect(&mut stream, PROMPT);
        // The program starts socat and does not wait until it listens.
        let _other = wait_until("socat listens", Instant::now() + PATIENCE, || {
            machine.in_network(|| TcpStream::connect("127.0.0.1:4444").ok())
        });
        wait_for("only the connection of this client is shown", || {
            let shown = status(&machine, "greeter");
            let open = shown["open"].as_array().unwrap();
            open.len() == 1 && open[0]["peer"] == peer(&stream)
        });
        assert_eq!(
            status(&machine, "celebs")["open"].as_array().unwrap().len(),
            1
        );
        machine.run("sockunit remove greeter");
    }
    // Another program has the port of a service that is stopped.
    machine.run("systemctl stop celebs.socket");
    let mut other = machine.spawn("exec socat TCP-LISTEN:3334,bind=127.0.0.1 -");
    wait_for("it listens", || {
        let listening = "ss --no-header --listening --tcp --numeric 'sport = :3334'";
        !machine.run(listening).is_empty()
    });
    let _stream = machine.connect(CELEBS);
    let shown = status(&machine, "celebs");
    assert_eq!(shown["open"], json!([]), "{shown}");
    other.kill().unwrap();
    other.wait().unwrap();
}

fn hundreds_of_connections_are_shown_and_every_line_fits(release: Release) {
    let machine = Machine::installed(release);
    machine.run("sockunit add --shared --per-source 300 --max-connections 300 a.rather-long.name.of-a.service.that_is_still_valid.in-services 4000 -- /bin/cat");
    let streams: Vec<_> = (0..300)
        .map(|_| echoed(&machine, "127.0.0.1:4000"))
        .collect();
    let name = "a.rather-long.name.of-a.service.that_is_still_valid.in-services";
    let shown = status(&machine, name);
    assert_eq!(shown["connections"], 300);
    let peers: Vec<&Value> = shown["open"]
        .as_array()
        .unwrap()
        .iter()
        .map(|open| &open["peer"])
        .collect();
    for stream in &streams {
        assert!(peers.contains(&&peer(stream)));
    }
    for command in ["list", "status", &format!("status {name}")] {
        expect_80_columns(&machine.run(&format!("sockunit {command}")));
    }
}

fn sources_with_a_penalty_are_shown_and_no_program_can_forge_one(release: Release) {
    let machine = Machine::installed(release);
    // A program sends an entry with the same fields.
    machine.program(
        "/usr/local/bin/forge",
        "#!/bin/sh
printf '%s\\n' MESSAGE=x SOCKUNIT_EVENT=penalty SOCKUNIT_SOURCE=192.0.2.1 SOCKUNIT_PENALTY_SEC=600 |
    logger --journald && echo sent
read -r line
",
    );
    machine.run(
        "sockunit add --shared --per-source 1 --penalty 10min greeter 4000 -- /usr/local/bin/forge",
    );
    let source = Ipv4Addr::new(127, 0, 0, 2);
    let mut held = machine.connect_from(source, "127.0.0.1:4000");
    expect(&mut held, "sent\n");
    machine.journal_until("SOCKUNIT_SOURCE=192.0.2.1 -o cat", "the entry", |text| {
        text.starts_with('x')
    });
    assert_eq!(status(&machine, "greeter")["penalties"], json!([]));
    drop(rest(machine.connect_from(source, "127.0.0.1:4000")));
    wait_for("the source is shown", || {
        status(&machine, "greeter")["penalties"][0]["source"] == json!("127.0.0.2")
    });
    let shown = status(&machine, "greeter");
    assert_eq!(shown["penalties"].as_array().unwrap().len(), 1, "{shown}");
    let printed = machine.run("sockunit status greeter");
    assert!(
        printed.contains("penalty: 127.0.0.2 is refused until "),
        "{printed}"
    );
}
