//! The programs against shell scripts as a tutorial has them (tests/reference). The scripts run with a unit for each
//! connection, the programs in both modes. For ordinary input the bytes are equal; other differences are intended.

use std::io::{Read, Write};
use std::net::Shutdown;

use crate::lifecycle::attach;
use crate::machine::{CELEBS, HELLO, Machine, Release, repository};
use crate::support::{Mode, PROMPT};

on_both_releases_in_both_modes!(
    hello_answers_like_the_script,
    celebs_answers_ordinary_names_like_the_script,
    celebs_accepts_cr_lf_and_the_script_does_not,
    celebs_does_not_expand_names_and_the_script_does,
    celebs_ends_at_end_of_input_and_the_script_never_does,
);

/// Attaches the script in place of the program.
fn attach_reference(machine: &Machine, service: &str) {
    let script = repository()
        .join("tests/reference")
        .join(format!("{service}.sh"));
    let path = format!("/usr/local/bin/{service}.sh");
    machine.write(&path, &std::fs::read_to_string(script).unwrap());
    machine.run(&format!("chmod 755 {path}"));
    // The script cannot accept connections.
    machine.switch(&[service], Mode::PerConnection);
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

fn hello_answers_like_the_script(release: Release, mode: Mode) {
    let machine = Machine::serving_in(release, mode);
    // The time differs, so the test compares everything but the digits.
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

fn celebs_answers_ordinary_names_like_the_script(release: Release, mode: Mode) {
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

fn celebs_accepts_cr_lf_and_the_script_does_not(release: Release, mode: Mode) {
    let machine = Machine::serving_in(release, mode);
    let (program, script) = both(&machine, "celebs", CELEBS, &["linus\r\nquit\r\n"]);
    assert_eq!(
        program[0],
        format!("{PROMPT}:linus, \ntorvalds\n{PROMPT}:quit, \n\nFinished\n")
    );
    // For the script the carriage return is part of the name.
    assert_eq!(
        script[0],
        format!("{PROMPT}:linus\r, \nUnknown celeb\n{PROMPT}:quit\r, \n\nFinished\n")
    );
}

fn celebs_does_not_expand_names_and_the_script_does(release: Release, mode: Mode) {
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

    // An unquoted star expands to every file of the current directory of the server.
    assert_eq!(program[0], unknown("*"));
    assert!(
        script[0].contains(":bin ") && script[0].contains(" etc "),
        "{}",
        script[0]
    );
    // `echo -n -n` prints nothing: echo takes the name for an option.
    assert_eq!(program[1], unknown("-n"));
    assert_eq!(script[1], unknown(""));
    // `read` without -r removes a backslash ...
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
    // The script goes on asking after the end of input; the test reads 1000 questions.
    let cycle = format!("{PROMPT}:, \nUnknown celeb\n");
    let mut received = vec![0; format!("{PROMPT}:linus, \ntorvalds\n").len() + 1000 * cycle.len()];
    stream.read_exact(&mut received).unwrap();
    assert!(received.ends_with(cycle.repeat(1000).as_bytes()));
    drop(stream);
    // The script goes on after the client has closed, because systemd ignores SIGPIPE for it. The shell logs each write
    // that fails.
    machine.journal_until("-t celebs -o cat", "failed writes", |text| {
        text.contains("write error: Broken pipe")
    });
    assert_eq!(machine.instances("celebs").len(), 1);
    machine.run("systemctl kill --signal=KILL 'celebs@*.service'");
    machine.expect_nothing_left_of("celebs");
}
