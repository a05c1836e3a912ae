//! The programs against shell scripts as a tutorial would have them (tests/reference), which talk under the units for
//! single connections; the programs do in both modes. For ordinary input the bytes are equal; where they differ, they differ on purpose.

use std::io::{Read, Write};
use std::net::Shutdown;

use crate::lifecycle::attach;
use crate::machine::{Machine, Mode, Release, repository};

on_both_releases_in_both_modes!(
    hello_says_what_the_script_says,
    celebs_says_what_the_script_says_to_ordinary_names,
    celebs_takes_line_ends_of_telnet_and_the_script_does_not,
    celebs_gives_no_meaning_to_a_name_and_the_script_does,
    celebs_ends_at_end_of_input_and_the_script_never_does,
);

const HELLO: &str = "127.0.0.1:3333";
const CELEBS: &str = "127.0.0.1:3334";
const PROMPT: &str = "Please type Linux celebs name below:\n";

/// Puts the script in the place of the program.
fn attach_reference(machine: &Machine, service: &str) {
    let script = repository()
        .join("tests/reference")
        .join(format!("{service}.sh"));
    let path = format!("/usr/local/bin/{service}.sh");
    machine.write(&path, &std::fs::read_to_string(script).unwrap());
    machine.run(&format!("chmod 755 {path}"));
    // A script knows nothing of listening sockets.
    machine.switch(&[service], Mode::Single);
    attach(machine, service, &path);
}

/// The answers of the program and of the script to the same bytes.
fn both(
    machine: &Machine,
    service: &str,
    address: &str,
    inputs: &[&str],
) -> (Vec<String>, Vec<String>) {
    let ask = || -> Vec<String> {
        inputs
            .iter()
            .map(|sent| String::from_utf8(machine.converse(address, sent.as_bytes())).unwrap())
            .collect()
    };
    let program = ask();
    attach_reference(machine, service);
    (program, ask())
}

fn hello_says_what_the_script_says(release: Release, mode: Mode) {
    let machine = Machine::serving_in(release, mode);
    // The seconds go on in between, so the time is compared by its form and by all that is not a digit.
    let form = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "0");
    for zone in ["Etc/UTC", "America/New_York", "Asia/Kolkata"] {
        machine.run(&format!(
            "ln -sf /usr/share/zoneinfo/{zone} /etc/localtime
             rm -rf /etc/systemd/system/hello@.service.d"
        ));
        machine.switch(&["hello"], mode);
        let (program, script) = both(&machine, "hello", HELLO, &[""]);
        assert_eq!(form(&program[0]), form(&script[0]), "{zone}");
    }
}

fn celebs_says_what_the_script_says_to_ordinary_names(release: Release, mode: Mode) {
    let machine = Machine::serving_in(release, mode);
    let inputs = [
        "richard\nlinus\nmaddog\nquit\n",
        "bill\nLinus\n\n\nq\n",
        "  linus  \n\tmaddog\nlinus   torvalds\n a  b \tc \nquit  now\n",
        "linus torvalds\n1024\ncafé\n#;|&<>\n$HOME\n`id`\n\"linus\"\n'linus'\nquit\n",
        "queen\n",
    ];
    let (program, script) = both(&machine, "celebs", CELEBS, &inputs);
    for (sent, (program, script)) in inputs.iter().zip(program.iter().zip(&script)) {
        assert_eq!(program, script, "sent: {sent:?}");
    }
    assert!(program[0].contains("torvalds"), "{}", program[0]);
}

fn celebs_takes_line_ends_of_telnet_and_the_script_does_not(release: Release, mode: Mode) {
    let machine = Machine::serving_in(release, mode);
    let (program, script) = both(&machine, "celebs", CELEBS, &["linus\r\nquit\r\n"]);
    assert_eq!(
        program[0],
        format!("{PROMPT}:linus, \ntorvalds\n{PROMPT}:quit, \n\nFinished\n")
    );
    // To the script the carriage return is part of the name, so it knows nobody.
    assert_eq!(
        script[0],
        format!("{PROMPT}:linus\r, \nUnknown celeb\n{PROMPT}:quit\r, \n\nFinished\n")
    );
}

fn celebs_gives_no_meaning_to_a_name_and_the_script_does(release: Release, mode: Mode) {
    let machine = Machine::serving_in(release, mode);
    let inputs = [
        "*\nquit\n",
        "-n\nquit\n",
        "li\\nus\nquit\n",
        "lin\\\nus\nquit\n",
    ];
    let (program, script) = both(&machine, "celebs", CELEBS, &inputs);
    let unknown =
        |name: &str| format!("{PROMPT}:{name}, \nUnknown celeb\n{PROMPT}:quit, \n\nFinished\n");

    // Unquoted, a star is every file of the current directory: the client looks around in the server.
    assert_eq!(program[0], unknown("*"));
    assert!(
        script[0].contains(":bin ") && script[0].contains(" etc "),
        "{}",
        script[0]
    );
    // `echo -n -n` prints nothing: the name has become an option.
    assert_eq!(program[1], unknown("-n"));
    assert_eq!(script[1], unknown(""));
    // `read` without -r takes a backslash away ...
    assert_eq!(program[2], unknown("li\\nus"));
    assert_eq!(
        script[2],
        unknown("linus").replace("Unknown celeb", "torvalds")
    );
    // ... and one at the end of a line joins the next line to it.
    let two = format!(
        "{PROMPT}:lin\\, \nUnknown celeb\n{PROMPT}:us, \nUnknown celeb\n{PROMPT}:quit, \n\nFinished\n"
    );
    assert_eq!(program[3], two);
    assert_eq!(
        script[3],
        unknown("linus").replace("Unknown celeb", "torvalds")
    );
}

fn celebs_ends_at_end_of_input_and_the_script_never_does(release: Release, mode: Mode) {
    let machine = Machine::serving_in(release, mode);
    let received = machine.converse(CELEBS, b"linus\n");
    assert_eq!(
        String::from_utf8_lossy(&received),
        format!("{PROMPT}:linus, \ntorvalds\n{PROMPT}\nFinished\n")
    );
    machine.expect_nothing_left_of("celebs");

    attach_reference(&machine, "celebs");
    let mut stream = machine.connect(CELEBS);
    stream.write_all(b"linus\n").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    // It asks the client that has said its last word again and again; this test stops listening after 1000 times.
    let cycle = format!("{PROMPT}:, \nUnknown celeb\n");
    let mut received = vec![0; format!("{PROMPT}:linus, \ntorvalds\n").len() + 1000 * cycle.len()];
    stream.read_exact(&mut received).unwrap();
    assert!(received.ends_with(cycle.repeat(1000).as_bytes()));
    drop(stream);
    // It does not even end when the client has gone, because systemd has SIGPIPE ignored. What it says into the
    // journal then is about each write that failed.
    machine.journal_until("-t celebs -o cat", "failed writes", |text| {
        text.contains("write error: Broken pipe")
    });
    assert_eq!(machine.instances("celebs").len(), 1);
    machine.run("systemctl kill --signal=KILL 'celebs@*.service'");
    machine.expect_nothing_left_of("celebs");
}
