//! The same inetd.conf under the real openbsd-inetd, under xinetd with `-inetd_compat`, and as the units that
//! `sockunit import` writes for each of them.

use std::collections::BTreeMap;

use super::{answer, connected, datagram, whole, with_programs};
use crate::machine::{Machine, Release};
use crate::support::wait_for;

on_both_releases!(lines_of_inetd_conf_serve_as_under_the_program_that_reads_them);

const NAMES: [&str; 13] = [
    "plain", "dot", "colon", "four", "six", "local", "named", "root", "minute", "udp", "accept",
    "off", "missing",
];

/// The names have the ports from 4101 on.
const INETD: &str = "\
plain	stream	tcp	nowait	nobody	/usr/local/bin/show	show a \"b c\" $HOME 100%
dot	stream	tcp	nowait	nobody.daemon	/usr/local/bin/show	-show
colon	stream	tcp	nowait	nobody:daemon	/usr/local/bin/show	show
four	stream	tcp4	nowait	daemon	/usr/local/bin/count	count
six	stream	tcp6	nowait	daemon	/usr/local/bin/count	count
127.0.0.1:local	stream	tcp	nowait	daemon	/usr/local/bin/count	count
localhost:named	stream	tcp	nowait	daemon	/usr/local/bin/count	count
root	stream	tcp	nowait	root.daemon	/usr/local/bin/show	show
minute	stream	tcp4	nowait.3	daemon	/usr/local/bin/count	count
udp	dgram	udp	wait	daemon	/usr/local/bin/datagrams	datagrams a b
accept	stream	tcp	wait	daemon	/usr/local/bin/accepts	accepts
#<off># off	stream	tcp	nowait	daemon	/usr/local/bin/count	count
missing	stream	tcp	nowait	daemon	/usr/local/bin/missing	missing
4114	stream	tcp	nowait	daemon	/usr/local/bin/count	count
";

/// What does not apply to the services in inetd.conf, and what does.
const XINETD: &str =
    "defaults\n{\n\tonly_from = 192.0.2.1\n\tumask = 027\n\tlog_type = SYSLOG daemon info\n}\n";

/// What a program shows without its environment: the report says that it is systemd's.
fn process(shown: &str) -> String {
    let is_variable = |line: &&str| {
        let name = line.split_once('=').map(|(name, _)| name);
        name.is_some_and(|name| name.to_ascii_uppercase() == name || name == "inetd_dummy")
    };
    let lines = shown.lines().filter(|line| !is_variable(line));
    lines.collect::<Vec<_>>().join("\n")
}

/// What all clients see.
fn seen(machine: &Machine) -> BTreeMap<String, String> {
    let mut seen = BTreeMap::new();
    for host in ["127.0.0.1", "[::1]"] {
        for port in [4101, 4102, 4103, 4104, 4105, 4106, 4107, 4108, 4112, 4114] {
            let address = format!("{host}:{port}");
            let is_show = [4101, 4102, 4103, 4108].contains(&port);
            let sent = if is_show { &b""[..] } else { b"12345" };
            let answer = answer(connected(machine, &address), sent);
            seen.insert(address, process(&answer));
        }
        for number in 1..=2 {
            let answer = datagram(machine, &format!("{host}:0"), &format!("{host}:4110"));
            seen.insert(format!("{host}:4110 {number}"), answer);
        }
        for number in 1..=4 {
            let answer = whole(machine, &format!("{host}:4111"));
            seen.insert(format!("{host}:4111 {number}"), answer);
        }
    }
    for number in 1..=3 {
        let answer = answer(connected(machine, "127.0.0.1:4109"), b"12345");
        seen.insert(format!("4109 {number}"), answer);
    }
    seen
}

/// Compares the services under the program of a unit, and after they were imported. Returns what clients have seen, and
/// the report.
fn compare(machine: &Machine, unit: &str) -> (BTreeMap<String, String>, String) {
    machine.run(&format!("systemctl restart {unit}"));
    wait_for("it serves", || {
        connected(machine, "127.0.0.1:4101").is_some()
    });
    let before = seen(machine);
    let output = machine.output("sockunit import --apply --disable-old");
    let report = String::from_utf8(output.stdout).unwrap();
    machine.run(&format!("systemctl stop {unit}"));
    let imported = seen(machine);
    for (client, answer) in &before {
        assert_eq!(
            imported.get(client),
            Some(answer),
            "{unit} {client} {report}"
        );
    }
    machine.run("sockunit import --revert");
    assert_eq!(machine.run("cat /etc/inetd.conf") + "\n", INETD);
    (before, report)
}

fn lines_of_inetd_conf_serve_as_under_the_program_that_reads_them(release: Release) {
    let machine = with_programs(release);
    let ports = (4101..).zip(NAMES);
    let lines: String = ports
        .map(|(port, name)| format!("{name} {port}/tcp\n{name} {port}/udp\n"))
        .collect();
    machine.write("/root/services", &lines);
    machine.write("/etc/inetd.conf", INETD);
    machine.write("/etc/xinetd.conf", XINETD);
    machine.run(
        "cat /root/services >>/etc/services
         groupadd extra; usermod --append --groups extra nobody
         cd /opt/openbsd-inetd
         sed s,/usr/sbin/inetd,/opt/openbsd-inetd/usr/sbin/inetd, $(find . -name inetd.service) \
             >/etc/systemd/system/inetd.service
         systemctl daemon-reload",
    );

    let (inetd, report) = compare(&machine, "inetd.service");
    assert!(
        report.contains("plain: /etc/inetd.conf:1, read by inetd\n"),
        "{report}"
    );
    assert!(
        report.contains("there is no program /usr/local/bin/missing"),
        "{report}"
    );
    assert!(
        report.contains("units: off.service, off.socket; its socket is not"),
        "{report}"
    );
    assert!(report.contains("udp-udp6.socket"), "{report}");
    let served = |seen: &BTreeMap<String, String>| {
        let served = seen
            .values()
            .filter(|answer| !["", "refused"].contains(&answer.as_str()));
        served.count()
    };
    assert_eq!(served(&inetd), 29, "{inetd:#?}");
    assert_eq!(inetd["4109 3"], "", "{inetd:#?}");
    assert!(
        inetd["[::1]:4102"].contains("gid=1(daemon) groups=1(daemon)"),
        "{inetd:#?}"
    );

    // Debian 12 has a script, whose settings pass the option; Debian 13 has a unit, which does not.
    let drop_in = match release {
        Release::Bookworm => "",
        Release::Trixie => {
            "[Service]\nExecStart=\nExecStart=/usr/sbin/xinetd -dontfork -inetd_compat\n"
        }
    };
    machine.write("/etc/systemd/system/xinetd.service.d/compat.conf", drop_in);
    machine.run("rm /etc/systemd/system/inetd.service; systemctl daemon-reload");
    let (xinetd, report) = compare(&machine, "xinetd.service");
    assert!(report.contains("4114/tcp is not in the"), "{report}");
    let by = "plain: /etc/inetd.conf:1, read by xinetd with -inetd_compat\n";
    assert!(report.contains(by), "{report}");
    assert!(
        report.contains("only_from of defaults does not apply"),
        "{report}"
    );
    assert!(
        report.contains("xinetd takes nowait.3 for nowait"),
        "{report}"
    );
    assert!(xinetd["[::1]:4101"].contains("\n0027\n"), "{xinetd:#?}");
    assert_eq!(served(&xinetd), 18, "{xinetd:#?}");
}
