//! `sockunit connect` with the installed services, compared with telnet, nc, ncat and socat.

use std::net::TcpStream;

use crate::client::Client;
use crate::deb::deb;
use crate::machine::{CELEBS, Machine, Release};
use crate::support::{Mode, PROMPT, expect};

on_both_releases!(
    a_refused_connection_is_reported_with_each_address,
    an_unknown_service_name_is_reported,
    a_connection_above_the_limit_is_reported,
    an_unreachable_address_is_reported,
);

on_both_releases_in_both_modes!(
    services_are_reached_by_name_and_by_port_over_both_loopbacks,
    a_pipeline_prints_the_whole_session,
    the_client_exits_at_the_awaited_line,
    a_terminal_shows_the_prompt_and_ctrl_c_ends_the_client,
    telnet_nc_ncat_and_socat_print_the_same,
);

/// The output of a client, which must succeed and write no error.
#[track_caller]
fn shown(machine: &Machine, command: &str) -> String {
    let output = machine.output(command);
    let stdout = String::from_utf8(output.stdout).unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        (output.status.code(), &*stderr),
        (Some(0), ""),
        "{command}:\n{stdout}"
    );
    stdout
}

/// The error of a client and its hint, without the prefix `sockunit: `; it prints nothing else.
#[track_caller]
fn complaint(machine: &Machine, command: &str) -> String {
    let output = machine.output(command);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        (
            output.status.code(),
            &*String::from_utf8_lossy(&output.stdout)
        ),
        (Some(1), ""),
        "{command}: {stderr}"
    );
    // The commands of the hint have lines of their own.
    let commands = stderr.lines().filter(|line| line.starts_with("    "));
    assert_eq!(
        stderr.lines().count() - commands.count(),
        2,
        "{command}: {stderr}"
    );
    assert!(stderr.contains("\nhint: "), "{command}: {stderr}");
    let error = stderr.strip_prefix("sockunit: ");
    error
        .expect("an error begins with the program's name")
        .trim_end()
        .to_string()
}

fn services_are_reached_by_name_and_by_port_over_both_loopbacks(release: Release, mode: Mode) {
    let machine = Machine::serving_in(release, mode);
    for to in [
        "hello",
        "3333",
        "localhost hello",
        "127.0.0.1 hello",
        "127.0.0.1 3333",
        "::1 hello",
        "::1 3333",
    ] {
        let line = shown(&machine, &format!("sockunit connect {to}"));
        assert!(
            line.starts_with("Hello World:") && line.ends_with('\n') && line.lines().count() == 1,
            "{to}: {line:?}"
        );
    }
    for to in ["celebs", "localhost celebs", "127.0.0.1 3334", "::1 celebs"] {
        // Standard input is /dev/null.
        assert_eq!(
            shown(&machine, &format!("sockunit connect {to}")),
            format!("{PROMPT}\nFinished\n"),
            "{to}"
        );
    }
    machine.expect_nothing_left_of("hello");
    machine.expect_nothing_left_of("celebs");
}

fn a_pipeline_prints_the_whole_session(release: Release, mode: Mode) {
    let machine = Machine::serving_in(release, mode);
    for (typed, session) in [
        (
            r"linus\nquit\n",
            "P:linus, \ntorvalds\nP:quit, \n\nFinished\n",
        ),
        (
            r"richard\nmaddog\nwho\n\nquit\n",
            "P:richard, \nstallman\nP:maddog, \nhall\nP:who, \nUnknown celeb\n\
             P:, \nUnknown celeb\nP:quit, \n\nFinished\n",
        ),
        // The input ends without quit and without a line end.
        (r"linus", "P:linus, \ntorvalds\nP\nFinished\n"),
        // Input after quit.
        (r"quit\nnever asked\n", "P:quit, \n\nFinished\n"),
    ] {
        assert_eq!(
            shown(
                &machine,
                &format!("printf '{typed}' | sockunit connect celebs")
            ),
            session.replace('P', PROMPT),
            "{typed}"
        );
    }
    // More than all buffers hold, in both directions.
    let names = 20_000;
    let script = format!("{{ yes linus | head -{names}; echo quit; }} | sockunit connect celebs");
    assert_eq!(
        shown(&machine, &script),
        format!(
            "{}{PROMPT}:quit, \n\nFinished\n",
            format!("{PROMPT}:linus, \ntorvalds\n").repeat(names)
        )
    );
}

fn the_client_exits_at_the_awaited_line(release: Release, mode: Mode) {
    let machine = Machine::serving_in(release, mode);
    assert_eq!(
        shown(
            &machine,
            r"printf 'quit\n' | sockunit connect --until Finished celebs"
        ),
        format!("{PROMPT}:quit, \n\nFinished\n")
    );
    // The client exits although the session and its standard input are open.
    let mut client = Client::at_pipes(&machine, "sockunit connect --until torvalds celebs");
    client.expect(PROMPT);
    client.type_text("linus\n");
    assert_eq!(client.ended(), format!("{PROMPT}:linus, \ntorvalds\n"));

    let output = machine.output(r"printf 'quit\n' | sockunit connect --until stallman celebs");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "sockunit: the server closed the connection before it sent the line stallman\n"
    );
}

fn a_terminal_shows_the_prompt_and_ctrl_c_ends_the_client(release: Release, mode: Mode) {
    let machine = Machine::serving_in(release, mode);
    let mut client = Client::at_a_terminal(&machine, "sockunit connect celebs");
    client.expect("Please type Linux celebs name below:");
    client.type_text("linus\n");
    client.expect(":linus, ");
    client.expect("torvalds");
    client.expect("Please type Linux celebs name below:");
    client.type_text("\x03");
    let shown = client.ended();
    assert!(!shown.contains("Finished"), "{shown}");
    machine.journal_until("-t celebs -o cat", "the end of the session", |text| {
        text.contains(" end of input: 6 bytes received, ")
    });

    let mut client = Client::at_a_terminal(&machine, "sockunit connect celebs");
    client.expect("Please type Linux celebs name below:");
    client.type_text("quit\n");
    assert!(
        client
            .ended()
            .ends_with(&format!("{PROMPT}quit\n:quit, \n\nFinished\n"))
    );
    // After Ctrl-D the client prints what the service still sends.
    let mut client = Client::at_a_terminal(&machine, "sockunit connect celebs");
    client.expect("Please type Linux celebs name below:");
    client.type_text("\x04");
    assert!(client.ended().ends_with("\n\nFinished\n"));
    machine.expect_nothing_left_of("celebs");
}

/// What telnet prints of a session, without its own messages. telnet exits at the end of its input, so each line is typed
/// after its prompt.
fn by_telnet(machine: &Machine, service: &str, typed: &str) -> String {
    let mut telnet = Client::telnet_at_pipes(machine, "localhost", service);
    for line in typed.split_inclusive('\n') {
        telnet.expect(PROMPT);
        telnet.type_text(line);
    }
    let shown = telnet.ended();
    let (_, session) = shown.split_once("Escape character is '^]'.\n").unwrap();
    session
        .replace("Connection closed by foreign host.\n", "")
        .to_string()
}

fn telnet_nc_ncat_and_socat_print_the_same(release: Release, mode: Mode) {
    let machine = Machine::serving_in(release, mode);
    // By default socat exits half a second after the end of its input.
    let others = [
        "nc -N localhost celebs",
        "nc -N 127.0.0.1 3334",
        // ncat takes no service names.
        "ncat localhost 3334",
        "ncat -4 127.0.0.1 3334",
        "socat -t 60 - TCP4:localhost:celebs",
        "socat -t 60 - TCP6:[::1]:3334",
    ];
    for typed in [
        "linus\nquit\n",
        "richard\nmaddog\nLinus\n\n  alan   cox \n*\nquit\n",
        "queen\n",
    ] {
        machine.write("/root/typed", typed);
        let ours = shown(&machine, "sockunit connect celebs </root/typed");
        assert!(ours.ends_with("\n\nFinished\n"), "{ours:?}");
        for other in others {
            assert_eq!(
                shown(&machine, &format!("{other} </root/typed")),
                ours,
                "{other}"
            );
        }
        assert_eq!(by_telnet(&machine, "celebs", typed), ours);
    }
    // Without a last line end; telnet cannot send that.
    machine.write("/root/typed", "linus\nrichard");
    let ours = shown(&machine, "sockunit connect celebs </root/typed");
    assert!(ours.contains(":richard, \nstallman\n"), "{ours:?}");
    for other in others {
        assert_eq!(shown(&machine, &format!("{other} </root/typed")), ours);
    }

    let form = |line: String| line.replace(|c: char| c.is_ascii_digit(), "0");
    let ours = form(shown(&machine, "sockunit connect hello"));
    for other in [
        "nc -N localhost hello </dev/null",
        "ncat ::1 3333 </dev/null",
        "socat - TCP4:localhost:hello",
    ] {
        assert_eq!(form(shown(&machine, other)), ours, "{other}");
    }
    assert_eq!(form(by_telnet(&machine, "hello", "")), ours);
}

fn a_refused_connection_is_reported_with_each_address(release: Release) {
    let machine = Machine::installed(release);
    for (to, place, addresses) in [
        (
            "127.0.0.1 hello",
            "127.0.0.1 hello",
            "127.0.0.1:3333: connection refused",
        ),
        (
            "::1 3334",
            "::1 port 3334",
            "[::1]:3334: connection refused",
        ),
    ] {
        assert_eq!(
            complaint(&machine, &format!("sockunit connect {to}")),
            format!(
                "cannot connect: {place}: {addresses}\nhint: start the service \
                 (systemctl start NAME.socket), or see where it listens (ss -tln)"
            )
        );
    }
    // The error has every address of the name.
    let stderr = complaint(&machine, "sockunit connect celebs");
    assert!(
        stderr.starts_with("cannot connect: localhost celebs: ")
            && stderr.contains("127.0.0.1:3334: connection refused")
            && stderr.contains("systemctl start NAME.socket"),
        "{stderr}"
    );
    // The command in the error helps.
    machine.run("systemctl start celebs.socket");
    assert_eq!(
        shown(&machine, "sockunit connect celebs"),
        format!("{PROMPT}\nFinished\n")
    );
}

fn an_unknown_service_name_is_reported(release: Release) {
    let machine = Machine::start(release);
    machine.run("echo sockunit sockunit/services-entries boolean false | debconf-set-selections");
    machine.install(deb());
    machine.run("systemctl start hello.socket celebs.socket");
    for to in ["hello", "localhost hello", "::1 hello"] {
        assert_eq!(
            complaint(&machine, &format!("sockunit connect {to}")),
            "unknown service: hello: not in the services database (/etc/services)\n\
             hint: give the port number, or add the name as root\n    sockunit services add hello PORT"
        );
    }
    // Both hints help.
    assert!(shown(&machine, "sockunit connect 3333").starts_with("Hello World:"));
    machine.run("sockunit services add hello 3333");
    assert!(shown(&machine, "sockunit connect hello").starts_with("Hello World:"));
}

fn a_connection_above_the_limit_is_reported(release: Release) {
    let machine = Machine::serving(release);
    let mut clients: Vec<TcpStream> = (0..64).map(|_| machine.connect(CELEBS)).collect();
    for client in &mut clients {
        expect(client, PROMPT);
    }
    // systemd closes the connection at once, before or after the client sends something.
    for typed in ["</dev/null", "</root/typed"] {
        machine.write("/root/typed", "linus\nquit\n");
        let stderr = complaint(
            &machine,
            &format!("sockunit connect 127.0.0.1 celebs {typed}"),
        );
        assert!(
            (stderr.starts_with("the server closed the connection without sending anything\n")
                || stderr.contains(": connection reset by peer\n"))
                && stderr.ends_with(
                    "hint: a limit on connections is reached, or the program failed or sent nothing; find out which\n    \
                     sudo sockunit doctor celebs"
                ),
            "{stderr}"
        );
    }
    // The limit is per source address.
    assert_eq!(
        shown(&machine, "sockunit connect ::1 celebs"),
        format!("{PROMPT}\nFinished\n")
    );
    drop(clients);
    machine.expect_nothing_left_of("celebs");
    assert_eq!(
        shown(&machine, "sockunit connect 127.0.0.1 celebs"),
        format!("{PROMPT}\nFinished\n")
    );
}

fn an_unreachable_address_is_reported(release: Release) {
    let machine = Machine::serving(release);
    // The machine has only the loopback device.
    for (address, place) in [
        ("192.0.2.1", "192.0.2.1:3333"),
        ("2001:db8::1", "[2001:db8::1]:3333"),
    ] {
        assert_eq!(
            complaint(&machine, &format!("sockunit connect {address} 3333")),
            format!(
                "cannot connect: {address} port 3333: {place}: network is unreachable\n\
                 hint: check the address, and this machine's routes (ip route)"
            )
        );
    }
}
