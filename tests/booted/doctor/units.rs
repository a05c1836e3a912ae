//! Services that are broken by what their unit files say, and notes about those that work.

use super::broken::Broken;
use super::broken::Fixed::{By, ByItsCommands};
use super::{Case, Report, attach, examine};
use crate::machine::{Machine, Release};

on_both_releases!(
    what_does_not_keep_clients_from_being_served_is_a_note,
    the_services_own_rules_about_clients_are_named,
);

pub const BROKEN: &[Broken] = &[
    // The cause that is nearest to what the client sees.
    Broken {
        how: "sed -i /StandardError/d UNITS/NAME@.service
              echo TriggerLimitBurst=2 >>UNITS/NAME.socket; echo TriggerLimitIntervalSec=1h >>UNITS/NAME.socket; RELOAD
              until systemctl is-failed --quiet NAME.socket; do sockunit connect 127.0.0.1 PORT || :; done >/dev/null 2>&1",
        problem: "NAME.socket has reached its trigger limit",
        held: 0,
        fixed: ByItsCommands,
    },
    // What systemd ignores.
    Broken {
        how: "sed -i s/^ExecStart=/ExecStrat=/ UNITS/NAME@.service; systemctl daemon-reload",
        problem: "NAME@.service sets no ExecStart=",
        held: 0,
        fixed: By("sed -i s/^ExecStrat=/ExecStart=/ UNITS/NAME@.service; systemctl daemon-reload"),
    },
    Broken {
        how: "sed -i 's/^\\[Service/[Servce/' UNITS/NAME@.service; systemctl daemon-reload",
        problem: "NAME@.service sets no ExecStart=",
        held: 0,
        fixed: By("sed -i 's/^\\[Servce/[Service/' UNITS/NAME@.service; systemctl daemon-reload"),
    },
    Broken {
        how: "sed -i 's/^\\[Socket/[Sockt/' UNITS/NAME.socket; RELOAD || :",
        problem: "NAME.socket does not set Accept=yes",
        held: 0,
        fixed: By("sed -i 's/^\\[Sockt/[Socket/' UNITS/NAME.socket; RELOAD"),
    },
    Broken {
        how: "sed -i s/^Accept=/Acept=/ UNITS/NAME.socket; RELOAD || :",
        problem: "NAME.socket does not set Accept=yes: systemd starts NAME.service, which does not exist",
        held: 0,
        fixed: By("sed -i s/^Acept=/Accept=/ UNITS/NAME.socket; RELOAD"),
    },
    Broken {
        how: "mkdir UNITS/NAME@.service.d; printf '[Service]\\nUser=\\n' >UNITS/NAME@.service.d/more.conf
              mv UNITS/NAME@.service /root/away; systemctl daemon-reload",
        problem: "systemd starts NAME@.service, which does not exist",
        held: 0,
        fixed: By("mv /root/away UNITS/NAME@.service; systemctl daemon-reload"),
    },
    Broken {
        how: "mkdir UNITS/NAME.socket.d; printf '[Socket]\\nMaxConnections=9\\n' >UNITS/NAME.socket.d/more.conf
              systemctl stop NAME.socket; mv UNITS/NAME.socket /root/away.socket; systemctl daemon-reload",
        problem: "there is no NAME.socket, only a drop-in for it: UNITS/NAME.socket.d/more.conf",
        held: 0,
        fixed: By("mv /root/away.socket UNITS/NAME.socket; systemctl daemon-reload"),
    },
    // A drop-in, left by an earlier service, that moves the port away from the one that clients use.
    Broken {
        how: "echo 'NAME PORT/tcp' >>/etc/services
              mkdir UNITS/NAME.socket.d; printf '[Socket]\\nListenStream=\\nListenStream=127.0.0.1:1PORT\\n' >UNITS/NAME.socket.d/port.conf; RELOAD",
        problem: "NAME is port PORT, and NAME.socket listens on 1PORT",
        held: 0,
        fixed: By("rm -r UNITS/NAME.socket.d; RELOAD"),
    },
    Broken {
        how: "systemctl stop NAME.socket; sed -i '1i [Unit]\\nConditionPathExists=/srv/NAME.on' UNITS/NAME.socket; systemctl daemon-reload",
        problem: "NAME.socket is inactive: a condition in its [Unit] section is not met",
        held: 0,
        fixed: By("touch /srv/NAME.on"),
    },
    // Addresses.
    Broken {
        how: "sed -i 's/^ListenStream=.*/ListenStream=[::]:PORT\\nListenStream=0.0.0.0:PORT/' UNITS/NAME.socket; RELOAD || :",
        problem: "NAME.socket listens on port PORT twice",
        held: 0,
        fixed: ByItsCommands,
    },
    Broken {
        how: "sed -i 's/^ListenStream=.*/ListenStream=0.0.0.0:PORT\\nListenStream=PORT/' UNITS/NAME.socket; RELOAD || :",
        problem: "NAME.socket listens on port PORT twice",
        held: 0,
        fixed: ByItsCommands,
    },
    Broken {
        how: "mkdir UNITS/NAME.socket.d; printf '[Socket]\\nListenStream=\\nListenStream=127.0.0.1:1PORT\\n' >UNITS/NAME.socket.d/port.conf
              RELOAD; rm -r UNITS/NAME.socket.d; systemctl daemon-reload",
        problem: "NAME.socket does not listen on 127.0.0.1:PORT: it was started with other addresses",
        held: 0,
        fixed: ByItsCommands,
    },
];

/// How a service that works is changed, and what doctor notes about it.
const NOTES: &[(&str, &str)] = &[
    (
        "sed -i /StandardError/d UNITS/NAME@.service",
        "NAME@.service does not set StandardError=journal: the program's error messages go to the client",
    ),
    (
        "echo ExecStrat=/bin/true >>UNITS/NAME@.service",
        "UNITS/NAME@.service:6: ExecStrat=/bin/true: systemd reports \"Unknown key",
    ),
    (
        "echo ProtectHome=of >>UNITS/NAME@.service",
        "UNITS/NAME@.service:6: ProtectHome=of: systemd reports \"Failed to parse",
    ),
    (
        "echo 'StandardInput socket' >>UNITS/NAME@.service",
        "UNITS/NAME@.service:6: systemd reports \"Missing '='",
    ),
    (
        "printf '[Servce]\\nRestart=no\\n' >>UNITS/NAME@.service",
        "UNITS/NAME@.service:6: systemd reports \"Unknown section 'Servce'",
    ),
    (
        "mkdir UNITS/NAME@.service.d; printf '[Socket]\\nMaxConnections=9\\n' >UNITS/NAME@.service.d/more.conf",
        "UNITS/NAME@.service.d/more.conf:1: systemd reports \"Unknown section 'Socket'",
    ),
    (
        "mkdir UNITS/NAME.socket.d; printf '[Service]\\nUser=root\\n' >UNITS/NAME.socket.d/more.conf",
        "UNITS/NAME.socket.d/more.conf:1: systemd reports \"Unknown section 'Service'",
    ),
    (
        "mkdir UNITS/NAME.socket.d; printf '[Socket\\nListenStream=1\\n' >UNITS/NAME.socket.d/more.conf",
        "UNITS/NAME.socket.d/more.conf:1: systemd reports \"Invalid section header",
    ),
    (
        "mkdir UNITS/NAME.service.d; printf '[Service]\\nUser=root\\n' >UNITS/NAME.service.d/user.conf",
        "UNITS/NAME.service.d/user.conf is a drop-in for NAME.service, and the socket starts NAME@.service: it has no effect",
    ),
    (
        "mkdir UNITS/NAME.socket.d; printf '[Socket]\\nListenStream=\\nListenStream=127.0.0.1:1PORT\\n' >UNITS/NAME.socket.d/port.conf",
        "UNITS/NAME.socket.d/port.conf:3: ListenStream=127.0.0.1:1PORT replaces the addresses of UNITS/NAME.socket",
    ),
];

fn what_does_not_keep_clients_from_being_served_is_a_note(release: Release) {
    let machine = Machine::installed(release);
    for (index, (how, note)) in NOTES.iter().enumerate() {
        let case = Case::of(index);
        let begin = attach(&machine, &case);
        machine.run(&case.fill(&format!("{how}\n{begin}")));
        let Report {
            works,
            passed,
            problem,
        } = examine(&machine, &case);
        assert!(works, "{how}: {problem:#?}");
        let note = case.fill(note);
        let noted = passed.iter().any(|text| text.contains(&note));
        assert!(noted, "expected {note}, found {passed:#?}");
    }
    // What is ignored is named before the problem that it leads to.
    let case = Case::of(NOTES.len());
    let begin = attach(&machine, &case);
    machine.run(&case.fill(&format!(
        "{begin}\nsed -i s/^ExecStart=/ExecStrat=/ UNITS/NAME@.service; systemctl daemon-reload"
    )));
    let found = examine(&machine, &case);
    let noted = found
        .passed
        .iter()
        .any(|text| text.contains("2: ExecStrat=/"));
    assert!(noted && !found.works, "{:#?}", found.passed);
}

fn the_services_own_rules_about_clients_are_named(release: Release) {
    let machine = Machine::installed(release);
    let doctor = |name: &str| {
        let output = machine.output(&format!("sockunit doctor {name}"));
        let printed = String::from_utf8(output.stdout).unwrap();
        (
            output.status.code(),
            printed.lines().last().unwrap().to_string(),
            printed,
        )
    };
    let case = Case::of(0);
    let begin = attach(&machine, &case);
    machine.run(&case.fill(&format!(
        "echo IPAddressDeny=any >>UNITS/NAME.socket\n{begin}"
    )));
    let connected = machine.output("sockunit connect --timeout 2s 127.0.0.1 4000");
    let (status, _, printed) = doctor(&case.name);
    if connected.status.success() {
        // This machine has no cgroup BPF.
        assert_eq!(status, Some(0), "{printed}");
        let note = "note: NAME.socket denies 127.0.0.1, and that address was accepted: this system does not apply IPAddressDeny=";
        assert!(printed.contains(&case.fill(note)), "{printed}");
    } else {
        let problem = "problem: NAME.socket accepts no client: its IPAddressDeny= denies all";
        assert!(printed.contains(&case.fill(problem)), "{printed}");
    }
    // The same, where the kernel certainly drops the packets.
    machine.run(&case.fill(
        "ip address add 198.51.100.9/32 dev lo
         ip rule add pref 1 table local; ip rule del pref 0; ip rule add pref 0 to 198.51.100.9 blackhole
         sed -i s/127.0.0.1/198.51.100.9/ UNITS/NAME.socket; RELOAD",
    ));
    let (status, _, printed) = doctor(&case.name);
    assert_eq!(status, Some(1), "{printed}");
    let problem = "problem: NAME.socket accepts no client: its IPAddressDeny= denies all, and there is no IPAddressAllow=
    UNITS/NAME.socket:5: IPAddressDeny=any\n";
    assert!(printed.contains(&case.fill(problem)), "{printed}");
    machine.run(&case.fill("echo IPAddressAllow=192.0.2.0/24 >>UNITS/NAME.socket; RELOAD"));
    let (status, last, _) = doctor(&case.name);
    let unchecked =
        "not checked: NAME.socket denies 198.51.100.9, and doctor cannot connect as a client: ";
    assert!(last.starts_with(&case.fill(unchecked)), "{last}");
    assert_eq!(status, Some(3), "{last}");

    // A service behind a proxy.
    machine.run("sockunit add proxied 4001 --accept-proxy 127.0.0.0/8 -- /bin/echo here");
    let (status, last, printed) = doctor("proxied");
    assert_eq!(
        (status, last.ends_with(" answers \"here\"")),
        (Some(0), true),
        "{printed}"
    );
    let note = "note: proxied@.service accepts connections only from 127.0.0.0/8, with a header of the PROXY protocol; doctor \
        connects from 127.0.0.1 and sends one that names no client\n";
    assert!(printed.contains(note), "{printed}");
    machine.run("sockunit remove proxied; sockunit add proxied 4001 --accept-proxy 192.0.2.7 -- /bin/echo here");
    let (status, last, _) = doctor("proxied");
    let unchecked = "not checked: proxied@.service accepts connections only from 192.0.2.7, with a header of the PROXY \
        protocol, and refuses doctor, which connects from 127.0.0.1: ";
    assert!(status == Some(3) && last.starts_with(unchecked), "{last}");
    machine.run("sockunit remove proxied");

    for (name, options) in [
        ("some", "--allow 192.0.2.0/24"),
        ("others", "--deny=127.0.0.0/8"),
    ] {
        machine.run(&format!("sockunit add {name} 4001 --shared -- /bin/cat"));
        machine.write(
            &format!("/etc/systemd/system/{name}.service.d/rules.conf"),
            &format!(
                "[Service]\nExecStart=\nExecStart=/usr/bin/sockunit serve {options} -- /bin/cat\n"
            ),
        );
        machine.run(&format!(
            "systemctl daemon-reload; systemctl restart {name}.socket"
        ));
        let (status, last, _) = doctor(name);
        let unchecked = format!(
            "not checked: {name}.service refuses 127.0.0.1, and doctor cannot connect as a client: "
        );
        assert!(
            last.starts_with(&unchecked) && last.contains(options),
            "{last}"
        );
        assert_eq!(status, Some(3), "{last}");
        machine.run(&format!("sockunit remove {name}"));
    }
}
