//! What a client sees: a real telnet, at a terminal and at pipes, and a raw socket, over IPv4 and IPv6.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::machine::{Machine, Mode, PATIENCE, Release, wait_until};

on_both_releases_in_both_modes!(
    hello_greets_telnet_with_the_time,
    hello_sends_one_line_and_closes,
    hello_tells_the_time_in_the_system_time_zone,
    celebs_talks_with_telnet_at_a_terminal,
    celebs_talks_with_telnet_at_pipes,
    celebs_ends_at_ctrl_c_in_telnet,
    celebs_answers_every_kind_of_name,
    celebs_waits_for_each_line_and_keeps_conversations_apart,
    celebs_waits_no_longer_for_a_line_that_comes_byte_by_byte,
    a_localhost_name_finds_both_services,
);

const LOOPBACKS: [&str; 2] = ["127.0.0.1", "::1"];
const PROMPT: &str = "Please type Linux celebs name below:\n";

fn hello_greets_telnet_with_the_time(release: Release, mode: Mode) {
    let machine = Machine::serving_in(release, mode);
    for host in LOOPBACKS {
        for start in [Client::telnet_at_pipes, Client::telnet_at_a_terminal] {
            let shown = start(&machine, host, "3333").ended();
            assert!(
                shown.contains(&format!("Connected to {host}.\n")),
                "{shown}"
            );
            let greetings: Vec<&str> = shown
                .lines()
                .filter(|line| line.starts_with("Hello World:"))
                .collect();
            assert_eq!(greetings.len(), 1, "{shown}");
            assert!(
                shown.contains("Connection closed by foreign host."),
                "{shown}"
            );
        }
    }
    machine.expect_nothing_left_of("hello");
}

fn hello_sends_one_line_and_closes(release: Release, mode: Mode) {
    let machine = Machine::serving_in(release, mode);
    for address in ["127.0.0.1:3333", "[::1]:3333"] {
        assert_eq!(greeting(&machine, address), "Hello World:now\n");
        // What a client sends is not waited for, and nothing comes back for it.
        let mut stream = machine.connect(address);
        let mut received = String::new();
        stream.read_to_string(&mut received).unwrap();
        assert!(
            received.starts_with("Hello World:") && received.ends_with('\n'),
            "{received:?}"
        );
        assert_eq!(received.matches('\n').count(), 1, "{received:?}");
    }
}

fn hello_tells_the_time_in_the_system_time_zone(release: Release, mode: Mode) {
    let machine = Machine::serving_in(release, mode);
    for zone in ["America/New_York", "Asia/Kolkata", "Etc/UTC"] {
        machine.run(&format!("ln -sf /usr/share/zoneinfo/{zone} /etc/localtime"));
        let told = || greeting(&machine, "127.0.0.1:3333");
        match mode {
            Mode::Single => assert_eq!(told(), "Hello World:now\n", "{zone}"),
            // It looks for the zone once a second.
            Mode::Shared => wait_until(zone, || told() == "Hello World:now\n"),
        }
    }
    // A time zone that only the unit has comes from a drop-in, as for any other service.
    let unit = mode.unit("hello");
    machine.write(
        &format!("/etc/systemd/system/{unit}.d/zone.conf"),
        "[Service]\nEnvironment=TZ=Asia/Tokyo\n",
    );
    machine.run("systemctl daemon-reload && systemctl restart hello.socket");
    let received = String::from_utf8(machine.converse("127.0.0.1:3333", b"")).unwrap();
    assert!(received.contains(" JST "), "{received:?}");
}

/// hello's answer, with the time replaced by `now` where it is what `date` says at that moment.
fn greeting(machine: &Machine, address: &str) -> String {
    let date = || machine.run("LC_ALL=C date");
    let mut before = date();
    loop {
        let received = String::from_utf8(machine.converse(address, b"")).unwrap();
        let after = date();
        if before == after {
            return received.replace(&after, "now");
        }
        // The second changed in between: once more.
        before = after;
    }
}

fn celebs_talks_with_telnet_at_a_terminal(release: Release, mode: Mode) {
    let machine = Machine::serving_in(release, mode);
    for host in LOOPBACKS {
        let mut telnet = Client::telnet_at_a_terminal(&machine, host, "3334");
        for (name, answer) in [
            ("linus", "torvalds"),
            ("richard", "stallman"),
            ("maddog", "hall"),
            ("alan", "Unknown celeb"),
        ] {
            telnet.expect("Please type Linux celebs name below:");
            telnet.say(&format!("{name}\n"));
            telnet.expect(&format!(":{name}, "));
            telnet.expect(answer);
        }
        telnet.expect("Please type Linux celebs name below:");
        telnet.say("quit\n");
        let shown = telnet.ended();
        // The terminal echoes what is typed; between that and the answers is nothing else.
        assert!(
            shown.contains(&format!(
                "{PROMPT}linus\n:linus, \ntorvalds\n{PROMPT}richard\n:richard, \nstallman\n\
                 {PROMPT}maddog\n:maddog, \nhall\n{PROMPT}alan\n:alan, \nUnknown celeb\n\
                 {PROMPT}quit\n:quit, \n\nFinished\nConnection closed by foreign host.\n"
            )),
            "{shown}"
        );
    }
    machine.expect_nothing_left_of("celebs");
}

fn celebs_talks_with_telnet_at_pipes(release: Release, mode: Mode) {
    let machine = Machine::serving_in(release, mode);
    for host in LOOPBACKS {
        let mut telnet = Client::telnet_at_pipes(&machine, host, "3334");
        telnet.expect(PROMPT);
        telnet.say("linus\n");
        telnet.expect(":linus, \ntorvalds\n");
        telnet.expect(PROMPT);
        telnet.say("quit\n");
        let shown = telnet.ended();
        let dialog = format!("{PROMPT}:linus, \ntorvalds\n{PROMPT}:quit, \n\nFinished\n");
        assert!(shown.contains(&dialog), "{shown}");
    }
}

fn celebs_ends_at_ctrl_c_in_telnet(release: Release, mode: Mode) {
    let machine = Machine::serving_in(release, mode);
    let mut telnet = Client::telnet_at_a_terminal(&machine, "localhost", "3334");
    telnet.expect("Please type Linux celebs name below:");
    telnet.say("linus\n");
    telnet.expect("torvalds");
    telnet.expect("Please type Linux celebs name below:");
    // Telnet sends an interrupt and a question (DO TIMING-MARK), and shows nothing until it is answered, which no
    // service on a plain port does: so the last words are sent, as on a raw socket, but a person does not see them.
    telnet.say("\x03");
    let shown = telnet.ended();
    assert!(
        shown.contains("Connection closed by foreign host."),
        "{shown}"
    );
    machine.journal_until("-t celebs -o cat", "that it was interrupted", |text| {
        text.contains(" interrupted: ")
    });
    machine.expect_nothing_left_of("celebs");
}

fn celebs_answers_every_kind_of_name(release: Release, mode: Mode) {
    let machine = Machine::serving_in(release, mode);
    let long = "x".repeat(1024);
    let too_long = "x".repeat(1025);
    let cases: Vec<(Vec<u8>, Vec<u8>)> = [
        ("richard\n", "P:richard, \nstallman\nP\nFinished\n"),
        ("linus\r\n", "P:linus, \ntorvalds\nP\nFinished\n"),
        ("maddog\n", "P:maddog, \nhall\nP\nFinished\n"),
        ("Linus\n", "P:Linus, \nUnknown celeb\nP\nFinished\n"),
        ("\n\r\n", "P:, \nUnknown celeb\nP:, \nUnknown celeb\nP\nFinished\n"),
        ("  linus \t\n", "P:linus, \ntorvalds\nP\nFinished\n"),
        (" linus  b.\ttorvalds\n", "P:linus b. torvalds, \nUnknown celeb\nP\nFinished\n"),
        ("quit\n", "P:quit, \n\nFinished\n"),
        ("queen of hearts\nlinus\n", "P:queen of hearts, \n\nFinished\n"),
        ("*\n", "P:*, \nUnknown celeb\nP\nFinished\n"),
        ("-n\n", "P:-n, \nUnknown celeb\nP\nFinished\n"),
        ("a\\nb\n", "P:a\\nb, \nUnknown celeb\nP\nFinished\n"),
        ("$HOME `id` %s\n", "P:$HOME `id` %s, \nUnknown celeb\nP\nFinished\n"),
        ("", "P\nFinished\n"),
        ("linus", "P:linus, \ntorvalds\nP\nFinished\n"),
        ("\x04\n", "P\nFinished\n"),
    ]
    .iter()
    .map(|(sent, received)| (sent.as_bytes().to_vec(), received.replace('P', PROMPT).into_bytes()))
    .chain([
        (format!("{long}\n").into(), format!("{PROMPT}:{long}, \nUnknown celeb\n{PROMPT}\nFinished\n").into()),
        (
            format!("{too_long}\nlinus\n").into(),
            format!(
                "{PROMPT}Name too long: the limit is 1024 bytes\n{PROMPT}:linus, \ntorvalds\n{PROMPT}\nFinished\n"
            )
            .into(),
        ),
        (b"\xff\xfb\x01linus\n\xff\xf4".to_vec(), format!("{PROMPT}:linus, \ntorvalds\n{PROMPT}\nFinished\n").into()),
        (
            b"Andr\xe9 \xc3(\n".to_vec(),
            [PROMPT.as_bytes(), b":Andr\xe9 \xc3(, \nUnknown celeb\n", PROMPT.as_bytes(), b"\nFinished\n"].concat(),
        ),
    ])
    .collect();
    for (sent, expected) in &cases {
        for address in ["127.0.0.1:3334", "[::1]:3334"] {
            let received = machine.converse(address, sent);
            assert_eq!(
                String::from_utf8_lossy(&received),
                String::from_utf8_lossy(expected),
                "sent to {address}: {:?}",
                String::from_utf8_lossy(sent)
            );
            assert_eq!(&received, expected);
        }
    }
    machine.expect_nothing_left_of("celebs");
}

fn celebs_waits_for_each_line_and_keeps_conversations_apart(release: Release, mode: Mode) {
    let machine = Machine::serving_in(release, mode);
    let mut clients: Vec<_> = (0..20).map(|_| machine.connect("127.0.0.1:3334")).collect();
    for client in &mut clients {
        expect(client, PROMPT);
    }
    let instances = match mode {
        Mode::Single => clients.len(),
        Mode::Shared => 0,
    };
    assert_eq!(machine.instances("celebs").len(), instances);
    // The line comes in two pieces: half a name is no name.
    for client in &mut clients {
        client.write_all(b"lin").unwrap();
    }
    for (number, client) in clients.iter_mut().enumerate() {
        client
            .write_all(format!("us {number}\n").as_bytes())
            .unwrap();
        expect(
            client,
            &format!(":linus {number}, \nUnknown celeb\n{PROMPT}"),
        );
    }
    for client in &mut clients {
        client.shutdown(Shutdown::Write).unwrap();
        let mut rest = String::new();
        client.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "\nFinished\n");
    }
    machine.expect_nothing_left_of("celebs");
}

fn celebs_waits_no_longer_for_a_line_that_comes_byte_by_byte(release: Release, mode: Mode) {
    let machine = Machine::serving_in(release, mode);
    machine.celebs_with(mode, "--idle-timeout 1s");
    let mut stream = machine.connect("127.0.0.1:3334");
    expect(&mut stream, PROMPT);
    // Between two bytes is far less than a second; it must not count for a line.
    let pace = Duration::from_millis(100);
    stream.set_read_timeout(Some(pace)).unwrap();
    let begun = Instant::now();
    let mut first = [0];
    let told = loop {
        let _ = stream.write_all(b"x");
        match stream.read(&mut first) {
            Ok(_) => break first,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => panic!("{error} after {:?}", begun.elapsed()),
        }
        assert!(begun.elapsed() < PATIENCE, "it goes on and on");
    };
    assert_eq!(&told, b"T");
    expect(&mut stream, "imed out\n\nFinished\n");
    machine.journal_until("-t celebs -o cat", "that it timed out", |text| {
        text.contains(" timed out: ")
    });
}

fn a_localhost_name_finds_both_services(release: Release, mode: Mode) {
    let machine = Machine::serving_in(release, mode);
    // By the names in /etc/services that the package added, as the tutorial does.
    let shown = Client::telnet_at_pipes(&machine, "localhost", "hello").ended();
    assert!(shown.contains("\nHello World:"), "{shown}");
    let mut telnet = Client::telnet_at_pipes(&machine, "localhost", "celebs");
    telnet.expect(PROMPT);
    telnet.say("quit\n");
    assert!(telnet.ended().contains(":quit, \n\nFinished\n"));
}

/// Reads as many bytes as a text has, and compares.
#[track_caller]
pub fn expect(stream: &mut impl Read, text: &str) {
    let mut received = vec![0; text.len()];
    stream
        .read_exact(&mut received)
        .unwrap_or_else(|e| panic!("{e} while waiting for {text:?}"));
    assert_eq!(String::from_utf8_lossy(&received), text);
}
