//! Sessions over IPv4 and IPv6: with telnet on a terminal and on pipes, and with a plain socket.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::machine::{CELEBS, HELLO, Machine, Release};
use crate::support::{Mode, PATIENCE, PROMPT, expect, rest, wait_for, wait_until};

on_both_releases_in_both_modes!(
    hello_greets_telnet_with_the_time,
    hello_sends_one_line_and_closes,
    hello_uses_the_system_time_zone,
    celebs_serves_telnet_on_a_terminal,
    celebs_serves_telnet_on_pipes,
    ctrl_c_in_telnet_ends_a_celebs_session,
    celebs_answers_every_kind_of_name,
    celebs_waits_for_whole_lines_and_keeps_sessions_apart,
    single_bytes_do_not_extend_the_idle_timeout_of_celebs,
    telnet_reaches_both_services_by_name,
);

const LOOPBACKS: [&str; 2] = ["127.0.0.1", "::1"];

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
    for address in [HELLO, "[::1]:3333"] {
        assert_eq!(greeting(&machine, address), "Hello World:now\n");
        // hello does not wait until the client closes its sending half.
        let received = rest(machine.connect(address));
        assert!(
            received.starts_with("Hello World:") && received.ends_with('\n'),
            "{received:?}"
        );
        assert_eq!(received.matches('\n').count(), 1, "{received:?}");
    }
}

fn hello_uses_the_system_time_zone(release: Release, mode: Mode) {
    let machine = Machine::serving_in(release, mode);
    for zone in ["America/New_York", "Asia/Kolkata", "Etc/UTC"] {
        machine.run(&format!("ln -sf /usr/share/zoneinfo/{zone} /etc/localtime"));
        let received = || greeting(&machine, HELLO);
        match mode {
            Mode::PerConnection => assert_eq!(received(), "Hello World:now\n", "{zone}"),
            // The process reads the time zone once per second.
            Mode::Shared => wait_for(zone, || received() == "Hello World:now\n"),
        }
    }
    // A drop-in sets the time zone of one unit.
    let unit = mode.unit("hello");
    machine.write(
        &format!("/etc/systemd/system/{unit}.d/zone.conf"),
        "[Service]\nEnvironment=TZ=Asia/Tokyo\n",
    );
    machine.run("systemctl daemon-reload && systemctl restart hello.socket");
    let received = String::from_utf8(machine.converse(HELLO, b"")).unwrap();
    assert!(received.contains(" JST "), "{received:?}");
}

/// The answer of hello, with the time replaced by `now` if `date` printed the same time before and after.
fn greeting(machine: &Machine, address: &str) -> String {
    let date = || machine.run("LC_ALL=C date");
    let mut before = date();
    loop {
        let received = String::from_utf8(machine.converse(address, b"")).unwrap();
        let after = date();
        if before == after {
            return received.replace(&after, "now");
        }
        // The second changed in between.
        before = after;
    }
}

fn celebs_serves_telnet_on_a_terminal(release: Release, mode: Mode) {
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
            telnet.type_text(&format!("{name}\n"));
            telnet.expect(&format!(":{name}, "));
            telnet.expect(answer);
        }
        telnet.expect("Please type Linux celebs name below:");
        telnet.type_text("quit\n");
        let shown = telnet.ended();
        // The terminal echoes the input. Nothing else is between the echo and the answers.
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

fn celebs_serves_telnet_on_pipes(release: Release, mode: Mode) {
    let machine = Machine::serving_in(release, mode);
    for host in LOOPBACKS {
        let mut telnet = Client::telnet_at_pipes(&machine, host, "3334");
        telnet.expect(PROMPT);
        telnet.type_text("linus\n");
        telnet.expect(":linus, \ntorvalds\n");
        telnet.expect(PROMPT);
        telnet.type_text("quit\n");
        let shown = telnet.ended();
        let dialog = format!("{PROMPT}:linus, \ntorvalds\n{PROMPT}:quit, \n\nFinished\n");
        assert!(shown.contains(&dialog), "{shown}");
    }
}

fn ctrl_c_in_telnet_ends_a_celebs_session(release: Release, mode: Mode) {
    let machine = Machine::serving_in(release, mode);
    let mut telnet = Client::telnet_at_a_terminal(&machine, "localhost", "3334");
    telnet.expect("Please type Linux celebs name below:");
    telnet.type_text("linus\n");
    telnet.expect("torvalds");
    telnet.expect("Please type Linux celebs name below:");
    // telnet sends an interrupt (IAC IP) and DO TIMING-MARK, and discards all output until the server answers the
    // latter. celebs does not answer it, so telnet does not print "Finished".
    telnet.type_text("\x03");
    let shown = telnet.ended();
    assert!(
        shown.contains("Connection closed by foreign host."),
        "{shown}"
    );
    machine.journal_until("-t celebs -o cat", "the interrupt", |text| {
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
        for address in [CELEBS, "[::1]:3334"] {
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

fn celebs_waits_for_whole_lines_and_keeps_sessions_apart(release: Release, mode: Mode) {
    let machine = Machine::serving_in(release, mode);
    let mut clients: Vec<_> = (0..20).map(|_| machine.connect(CELEBS)).collect();
    for client in &mut clients {
        expect(client, PROMPT);
    }
    let instances = match mode {
        Mode::PerConnection => clients.len(),
        Mode::Shared => 0,
    };
    assert_eq!(machine.instances("celebs").len(), instances);
    // The line arrives in two pieces; celebs must not take the first for a name.
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
        assert_eq!(rest(client), "\nFinished\n");
    }
    machine.expect_nothing_left_of("celebs");
}

fn single_bytes_do_not_extend_the_idle_timeout_of_celebs(release: Release, mode: Mode) {
    let machine = Machine::serving_in(release, mode);
    machine.celebs_with(mode, "--idle-timeout 1s");
    let mut stream = machine.connect(CELEBS);
    expect(&mut stream, PROMPT);
    // Much less than the idle timeout. The timeout is for a line, not for a byte.
    let pace = Duration::from_millis(100);
    stream.set_read_timeout(Some(pace)).unwrap();
    let mut first = [0];
    let deadline = Instant::now() + PATIENCE;
    wait_until("the service sends", deadline, || {
        let _ = stream.write_all(b"x");
        match stream.read(&mut first) {
            Ok(count) => Some(count),
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => panic!("{error}"),
        }
    });
    assert_eq!(&first, b"T");
    expect(&mut stream, "imed out\n\nFinished\n");
    machine.journal_until("-t celebs -o cat", "the timeout", |text| {
        text.contains(" timed out: ")
    });
}

fn telnet_reaches_both_services_by_name(release: Release, mode: Mode) {
    let machine = Machine::serving_in(release, mode);
    // The names are in /etc/services, where the package adds them.
    let shown = Client::telnet_at_pipes(&machine, "localhost", "hello").ended();
    assert!(shown.contains("\nHello World:"), "{shown}");
    let mut telnet = Client::telnet_at_pipes(&machine, "localhost", "celebs");
    telnet.expect(PROMPT);
    telnet.type_text("quit\n");
    assert!(telnet.ended().contains(":quit, \n\nFinished\n"));
}
