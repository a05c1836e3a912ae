//! What the services log, and that logging does not delay a session.

use std::collections::HashMap;
use std::io::Write;
use std::time::{Duration, Instant};

use crate::machine::{CELEBS, HELLO, Machine, Release};
use crate::shared::count_ended;
use crate::support::{Mode, PROMPT, rest, wait_for};

on_both_releases!(
    entries_of_200_short_connections_have_unit_and_connection,
    systemd_logs_nothing_about_a_connection,
    a_drop_in_adds_three_entries_for_each_connection,
    under_xinetd_entries_go_to_syslog_and_not_to_the_client,
    every_entry_of_a_shared_service_is_written_or_counted_as_dropped,
);

on_both_releases_in_both_modes!(
    forged_fields_are_logged_as_one_escaped_entry,
    a_stopped_journald_delays_no_session,
);

/// The fields of a log entry.
pub type Fields = HashMap<String, String>;

/// The log entries that journalctl finds. Waits until there are as many as expected, and asserts that there are no more.
#[track_caller]
pub fn entries(machine: &Machine, arguments: &str, expected: usize) -> Vec<Fields> {
    let export = machine.journal_until(
        &format!("{arguments} -o export"),
        &format!("{expected} entries"),
        |text| text.matches("\nMESSAGE=").count() >= expected,
    );
    let entries: Vec<Fields> = export
        .split("\n\n")
        .map(|entry| {
            let fields = entry.lines().filter_map(|line| line.split_once('='));
            fields
                .map(|(name, value)| (name.into(), value.into()))
                .collect()
        })
        .filter(|entry: &Fields| entry.contains_key("MESSAGE"))
        .collect();
    assert_eq!(
        entries.len(),
        expected,
        "journalctl {arguments}: {entries:#?}"
    );
    entries
}

fn entries_of_200_short_connections_have_unit_and_connection(release: Release) {
    let machine = Machine::serving(release);
    for _ in 0..200 {
        assert!(machine.converse(HELLO, b"").starts_with(b"Hello World:"));
    }
    for entry in entries(&machine, "-t hello", 200) {
        let unit = entry.get("_SYSTEMD_UNIT").expect("the entry has the unit");
        let connection = entry
            .get("CONNECTION")
            .expect("the entry has the connection");
        assert_eq!(*unit, format!("hello@{connection}.service"));
        assert_eq!(entry["PRIORITY"], "5");
        let message = &entry["MESSAGE"];
        assert!(
            message.starts_with("127.0.0.1:") && message.contains(" served: "),
            "{message}"
        );
    }
}

fn systemd_logs_nothing_about_a_connection(release: Release) {
    let machine = Machine::serving(release);
    machine.converse(CELEBS, b"linus\nquit\n");
    entries(&machine, "-t celebs", 2);
    // journalctl -u also finds what systemd logs about the instances.
    let all = machine.journal("-o cat -u 'celebs@*.service'");
    assert_eq!(all.lines().count(), 2, "{all}");
}

fn a_drop_in_adds_three_entries_for_each_connection(release: Release) {
    let machine = Machine::serving(release);
    machine.write(
        "/etc/systemd/system/celebs@.service.d/info.conf",
        "[Service]\nLogLevelMax=info\nEnvironment=DEBUG_INVOCATION=1\n",
    );
    machine.run("systemctl daemon-reload");
    machine.converse(CELEBS, b"quit\n");
    let journal = "-b -o cat -p debug -u 'celebs@*.service'";
    let parts = [" connected\n", " quit: ", "Started ", "Deactivated "];
    let entries = machine.journal_until(journal, "all entries", |text| {
        parts.iter().all(|part| text.contains(part))
    });
    // LogLevelMax=debug would add dozens.
    assert_eq!(entries.lines().count(), parts.len(), "{entries}");
}

fn forged_fields_are_logged_as_one_escaped_entry(release: Release, mode: Mode) {
    let machine = Machine::serving_in(release, mode);
    let mut sent = b"x\r<0>forged\x1b[2J\x1b]0;title\x07\xff\xff\0\n".to_vec();
    // Fields in the native protocol of the journal.
    sent.extend(b"MESSAGE=forged\rCONNECTION=1-forged\r_UID=0\n");
    sent.extend(vec![b'y'; 3 << 20]);
    sent.extend(b"\nquit\n");
    machine.converse(CELEBS, &sent);
    let entries = entries(&machine, "-t celebs -p debug", 4);
    let connection = entries[0]["CONNECTION"].clone();
    assert!(!connection.is_empty());
    let messages: Vec<String> = entries
        .into_iter()
        .map(|entry| {
            assert_eq!(entry["PRIORITY"], "5");
            assert_eq!(entry["CONNECTION"], connection);
            entry["MESSAGE"].split_once(' ').unwrap().1.into()
        })
        .collect();
    assert_eq!(
        messages[0],
        r#"asked "x\r<0>forged\u{1b}[2J\u{1b}]0;title\u{7}\xff\0", answered "Unknown celeb""#
    );
    assert_eq!(
        messages[1],
        r#"asked "MESSAGE=forged\rCONNECTION=1-forged\r_UID=0", answered "Unknown celeb""#
    );
    assert_eq!(messages[2], "asked a name of more than 1024 bytes");
    assert!(messages[3].starts_with("quit: "), "{}", messages[3]);
}

/// Starts xinetd with celebs on port 4444, and with a wrong argument for celebs on port 4445.
fn start_xinetd(machine: &Machine) {
    machine.write(
        "/etc/xinetd.d/celebs",
        "service celebs-by-xinetd\n{\n type = UNLISTED\n port = 4444\n bind = 127.0.0.1\n \
         socket_type = stream\n protocol = tcp\n wait = no\n user = nobody\n \
         server = /usr/libexec/sockunit/celebs\n}\n\
         service mistake-by-xinetd\n{\n type = UNLISTED\n port = 4445\n bind = 127.0.0.1\n \
         socket_type = stream\n protocol = tcp\n wait = no\n user = nobody\n \
         server = /usr/libexec/sockunit/celebs\n server_args = --idle-timeout soon\n}\n",
    );
    machine.run("systemctl start xinetd.service");
    wait_for("xinetd listens", || {
        machine
            .run("ss --no-header --listening --tcp --numeric 'sport = :4445'")
            .contains("4445")
    });
}

fn under_xinetd_entries_go_to_syslog_and_not_to_the_client(release: Release) {
    let machine = Machine::installed(release);
    start_xinetd(&machine);
    let output = machine.converse("127.0.0.1:4444", b"maddog\nquit\n");
    assert_eq!(
        String::from_utf8_lossy(&output),
        format!("{PROMPT}:maddog, \nhall\n{PROMPT}:quit, \n\nFinished\n")
    );
    let logged = entries(&machine, "-t celebs", 2);
    assert!(logged[0]["MESSAGE"].ends_with(r#" asked "maddog", answered "hall""#));
    assert!(logged[1]["MESSAGE"].contains(" quit: 12 bytes received, "));
    for entry in logged {
        assert_eq!(entry["_TRANSPORT"], "syslog");
        assert_eq!(entry["PRIORITY"], "5");
        assert_eq!(entry["SYSLOG_FACILITY"], "3");
        assert!(entry.contains_key("SYSLOG_PID"));
    }

    assert_eq!(
        machine.converse("127.0.0.1:4445", b""),
        b"",
        "the client does not get the usage error"
    );
    let logged = entries(&machine, "-t celebs -p err", 1);
    assert!(logged[0]["MESSAGE"].contains("give a duration such as 30s"));
}

fn a_stopped_journald_delays_no_session(release: Release, mode: Mode) {
    let machine = Machine::serving_in(release, mode);
    let mut addresses = vec![CELEBS];
    if mode == Mode::PerConnection {
        start_xinetd(&machine);
        addresses.push("127.0.0.1:4444");
    }
    let converse = |address| {
        let begun = Instant::now();
        let stream = machine.connect(address);
        // More log entries than the socket buffers hold while journald does not read.
        let names = "linus\n".repeat(2000);
        let mut writer = stream.try_clone().unwrap();
        let writing = std::thread::spawn(move || {
            writer.write_all(names.as_bytes()).unwrap();
            writer.write_all(b"quit\n").unwrap();
        });
        let output = rest(stream);
        writing.join().unwrap();
        assert!(output.ends_with(":quit, \n\nFinished\n"));
        begun.elapsed()
    };
    let journald = machine.property("systemd-journald.service", "MainPID");
    machine.run(&format!("kill -STOP {journald}"));
    // A session that waits for journald would not end at all.
    for address in addresses {
        for _ in 0..20 {
            assert!(converse(address) < Duration::from_secs(20));
        }
    }
    machine.run(&format!("kill -CONT {journald}"));
    // A shared process whose queue was full logs the number of lost entries with the next entry.
    machine.converse(CELEBS, b"quit\n");
    machine.journal_until(
        "-t celebs -o cat",
        "the entries that were queued",
        |text| match mode {
            Mode::PerConnection => text.matches(" quit: 12005 bytes received, ").count() >= 20,
            Mode::Shared => {
                count_ended(text, "quit") == 21 || text.contains(" that the sink did not accept")
            }
        },
    );
}

fn every_entry_of_a_shared_service_is_written_or_counted_as_dropped(release: Release) {
    /// Fewer than are logged singly in a second, and more than journald's queue holds.
    const CONNECTIONS: usize = 150;
    const QUEUE: &str = "10";
    let machine = Machine::installed(release);
    machine.switch(&["hello"], Mode::Shared);
    machine.in_network(|| std::fs::write("/proc/sys/net/unix/max_dgram_qlen", QUEUE).unwrap());
    machine.run(
        "systemctl restart systemd-journald.socket systemd-journald-dev-log.socket systemd-journald
         sockunit add --shared all 4002 -- /bin/cat",
    );
    // The last number is that of the connections before: `add` makes one too.
    let services = [
        ("hello", HELLO, " served: ", 1),
        ("all", "127.0.0.1:4002", " exited 0: ", 2),
    ];
    for (service, address, ended, before) in services {
        machine.converse(address, b"");
        let arguments = format!("-t {service} -o cat");
        machine.journal_until(&arguments, "the entries of before", |text| {
            text.matches(ended).count() == before
        });
    }
    let journald = machine.property("systemd-journald.service", "MainPID");
    machine.run(&format!("kill -STOP {journald}"));
    for (_, address, ..) in services {
        for _ in 0..CONNECTIONS {
            machine.converse(address, b"");
        }
    }
    machine.run(&format!("kill -CONT {journald}"));
    for (service, _, ended, before) in services {
        let sums = |text: &str| {
            let dropped = text.lines().filter_map(|line| {
                let (_, rest) = line.split_once("dropped ")?;
                let (count, _) = rest.split_once(" log entr")?;
                count.parse::<usize>().ok()
            });
            (text.matches(ended).count(), dropped.sum::<usize>())
        };
        let expected = before + CONNECTIONS;
        let text = machine.journal_until(
            &format!("-t {service} -o cat"),
            "all entries, or their number",
            |text| {
                let (written, dropped) = sums(text);
                written + dropped >= expected
            },
        );
        let (written, dropped) = sums(&text);
        assert_eq!(written + dropped, expected, "{service}: {text}");
        assert!(dropped > 0, "{service}: {text}");
    }
}
