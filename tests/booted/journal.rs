//! What the journal shows, and that it never stands in a client's way.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

use crate::machine::{Machine, Mode, Release};
use crate::shared::told;

on_both_releases!(
    records_of_200_short_connections_keep_their_unit_and_their_connection,
    an_ended_connection_leaves_one_record_and_systemd_none,
    a_drop_in_brings_debug_records_back,
    under_xinetd_the_record_goes_to_syslog_and_only_the_dialog_to_the_client,
);

on_both_releases_in_both_modes!(
    what_a_client_forges_ends_as_one_bounded_escaped_record,
    a_journald_that_is_stopped_delays_no_conversation,
);

const HELLO: &str = "127.0.0.1:3333";
const CELEBS: &str = "127.0.0.1:3334";

/// The fields of a record.
pub type Fields = HashMap<String, String>;

/// The records that these arguments find, once there are as many as expected.
#[track_caller]
pub fn records(machine: &Machine, arguments: &str, expected: usize) -> Vec<Fields> {
    let export = machine.journal_until(
        &format!("{arguments} -o export"),
        &format!("{expected} records"),
        |text| text.matches("\nMESSAGE=").count() >= expected,
    );
    let records: Vec<Fields> = export
        .split("\n\n")
        .map(|record| {
            let fields = record.lines().filter_map(|line| line.split_once('='));
            fields
                .map(|(name, value)| (name.into(), value.into()))
                .collect()
        })
        .filter(|record: &Fields| record.contains_key("MESSAGE"))
        .collect();
    assert_eq!(
        records.len(),
        expected,
        "records of journalctl {arguments}: {records:#?}"
    );
    records
}

fn records_of_200_short_connections_keep_their_unit_and_their_connection(release: Release) {
    let machine = Machine::serving(release);
    for _ in 0..200 {
        assert!(machine.converse(HELLO, b"").starts_with(b"Hello World:"));
    }
    for record in records(&machine, "-t hello", 200) {
        let unit = record
            .get("_SYSTEMD_UNIT")
            .expect("a record keeps its unit");
        let connection = record
            .get("CONNECTION")
            .expect("a record names its connection");
        assert_eq!(*unit, format!("hello@{connection}.service"));
        assert_eq!(record["PRIORITY"], "5");
        let message = &record["MESSAGE"];
        assert!(
            message.starts_with("127.0.0.1:") && message.contains(" served: "),
            "{message}"
        );
    }
}

fn an_ended_connection_leaves_one_record_and_systemd_none(release: Release) {
    let machine = Machine::serving(release);
    machine.converse(CELEBS, b"linus\nquit\n");
    records(&machine, "-t celebs", 2);
    // Whoever wrote it: systemd's own lines about the instance are not there.
    records(&machine, "_SYSTEMD_UNIT=init.scope UNIT=celebs.socket", 1);
    let all = machine.journal("-o cat -u 'celebs@*.service'");
    assert_eq!(all.lines().count(), 2, "{all}");
}

fn a_drop_in_brings_debug_records_back(release: Release) {
    let machine = Machine::serving(release);
    machine.write(
        "/etc/systemd/system/celebs@.service.d/debug.conf",
        "[Service]\nLogLevelMax=debug\nEnvironment=DEBUG_INVOCATION=1\n",
    );
    machine.run("systemctl daemon-reload");
    machine.converse(CELEBS, b"quit\n");
    machine.journal_until("-o cat -u 'celebs@*.service'", "debug records", |text| {
        text.contains(" connected\n") && text.contains(" quit: ") && text.contains("Started ")
    });
}

fn what_a_client_forges_ends_as_one_bounded_escaped_record(release: Release, mode: Mode) {
    let machine = Machine::serving_in(release, mode);
    let mut sent = b"x\r<0>forged\x1b[2J\x1b]0;title\x07\xff\xff\0\n".to_vec();
    // As the journal's own protocol would have another field, or another record.
    sent.extend(b"MESSAGE=forged\rCONNECTION=1-forged\r_UID=0\n");
    sent.extend(vec![b'y'; 3 << 20]);
    sent.extend(b"\nquit\n");
    machine.converse(CELEBS, &sent);
    let told = records(&machine, "-t celebs -p debug", 4);
    let connection = told[0]["CONNECTION"].clone();
    assert!(!connection.is_empty());
    let messages: Vec<String> = told
        .into_iter()
        .map(|record| {
            assert_eq!(record["PRIORITY"], "5");
            assert_eq!(record["CONNECTION"], connection);
            record["MESSAGE"].split_once(' ').unwrap().1.into()
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

/// Serves celebs by xinetd, on a port of its own.
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
    crate::machine::wait_until("xinetd listens", || {
        machine
            .run("ss --no-header --listening --tcp --numeric 'sport = :4445'")
            .contains("4445")
    });
}

fn under_xinetd_the_record_goes_to_syslog_and_only_the_dialog_to_the_client(release: Release) {
    let machine = Machine::installed(release);
    start_xinetd(&machine);
    let output = machine.converse("127.0.0.1:4444", b"maddog\nquit\n");
    let prompt = "Please type Linux celebs name below:\n";
    assert_eq!(
        String::from_utf8_lossy(&output),
        format!("{prompt}:maddog, \nhall\n{prompt}:quit, \n\nFinished\n")
    );
    let told = records(&machine, "-t celebs", 2);
    assert!(told[0]["MESSAGE"].ends_with(r#" asked "maddog", answered "hall""#));
    assert!(told[1]["MESSAGE"].contains(" quit: 12 bytes received, "));
    for record in told {
        assert_eq!(record["_TRANSPORT"], "syslog");
        assert_eq!(record["PRIORITY"], "5");
        assert_eq!(record["SYSLOG_FACILITY"], "3");
        assert!(record.contains_key("SYSLOG_PID"));
    }

    assert_eq!(
        machine.converse("127.0.0.1:4445", b""),
        b"",
        "a mistake is not for the client"
    );
    let told = records(&machine, "-t celebs -p err", 1);
    assert!(told[0]["MESSAGE"].contains("give a duration such as 30s"));
}

fn a_journald_that_is_stopped_delays_no_conversation(release: Release, mode: Mode) {
    let machine = Machine::serving_in(release, mode);
    let mut addresses = vec![CELEBS];
    if mode == Mode::Single {
        start_xinetd(&machine);
        addresses.push("127.0.0.1:4444");
    }
    let converse = |address| {
        let begun = Instant::now();
        let mut stream = machine.connect(address);
        // More names than any queue of a journal that reads nothing could hold.
        let names = "linus\n".repeat(2000);
        let mut writer = stream.try_clone().unwrap();
        let writing = std::thread::spawn(move || {
            writer.write_all(names.as_bytes()).unwrap();
            writer.write_all(b"quit\n").unwrap();
        });
        let mut output = String::new();
        stream.read_to_string(&mut output).unwrap();
        writing.join().unwrap();
        assert!(output.ends_with(":quit, \n\nFinished\n"));
        begun.elapsed()
    };
    machine.run("kill -STOP $(systemctl show --property MainPID --value systemd-journald.service)");
    // The test would take minutes if anything waited for journald; it says nothing of speed.
    for address in addresses {
        for _ in 0..20 {
            assert!(converse(address) < Duration::from_secs(20));
        }
    }
    machine.run("kill -CONT $(systemctl show --property MainPID --value systemd-journald.service)");
    // The queue of one process's records may have been full; it tells so with the next.
    machine.converse(CELEBS, b"quit\n");
    machine.journal_until(
        "-t celebs -o cat",
        "the records that had to wait",
        |text| match mode {
            Mode::Single => text.matches(" quit: 12005 bytes received, ").count() >= 20,
            Mode::Shared => {
                told(text, "quit") == 21 || text.contains(" that the sink did not accept")
            }
        },
    );
}
