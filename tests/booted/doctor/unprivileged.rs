//! `sockunit doctor` without root: on a user's own services, and on those of the system.

use super::{Case, attach};
use crate::machine::{Machine, Release};

on_both_releases!(a_users_own_services_are_checked_without_root);

fn a_users_own_services_are_checked_without_root(release: Release) {
    let machine = Machine::installed(release);
    machine.run(
        "useradd --create-home --shell /bin/sh you
         systemctl start user@$(id -u you).service",
    );
    let units = "/home/you/.config/systemd/user";
    machine.write(
        &format!("{units}/tick.socket"),
        "[Socket]\nListenStream=127.0.0.1:4000\nAccept=yes\n",
    );
    machine.write(
        &format!("{units}/tick@.service"),
        "[Service]\nExecStart=/home/you/tick\nStandardInput=socket\nStandardError=journal\n",
    );
    machine.program("/home/you/tick", "#!/bin/sh\necho here\necho there >&2\n");
    let as_you = |script: &str| machine.output(&format!("su - you -c '{script}' 2>&1"));
    let printed = |script: &str| String::from_utf8(as_you(script).stdout).unwrap();
    machine.run("chown -R you: /home/you");
    let first = printed("sockunit doctor --user tick");
    assert!(
        first.contains("problem: tick.socket is inactive")
            && first.ends_with("    systemctl --user start tick.socket\n"),
        "{first}"
    );
    let start = "XDG_RUNTIME_DIR=/run/user/$(id -u) systemctl --user";
    printed(&format!("{start} daemon-reload; {start} start tick.socket"));
    let second = as_you("sockunit doctor --user tick");
    let report = String::from_utf8_lossy(&second.stdout);
    assert!(second.status.success(), "{report}");
    assert!(report.ends_with("answers \"here\"\n"), "{report}");

    machine.run("systemctl stop user@$(id -u you).service");
    let away = machine.output(
        "setpriv --reuid=you --regid=you --init-groups env -i HOME=/home/you PATH=/usr/bin:/bin sockunit doctor --user tick",
    );
    let report = String::from_utf8_lossy(&away.stdout);
    assert!(
        report.contains(
            "problem: your service manager does not run: nothing listens for tick.socket"
        ),
        "{report}"
    );
    machine.write(
        &format!("{units}/tick.socket"),
        "[Socket]\nListenStream=127.0.0.1:400\nAccept=yes\n",
    );
    let third = printed("sockunit doctor --user tick");
    assert!(
        third.contains(&format!(
            "problem: {units}/tick.socket:2: port 400 is below 1024, and only root can listen on it"
        )),
        "{third}"
    );
    // The user can look at the services of the system too, but not at the journal.
    machine.run("systemctl start hello.socket");
    let fourth = as_you("sockunit doctor hello");
    let report = String::from_utf8_lossy(&fourth.stdout);
    assert_eq!(fourth.status.code(), Some(3), "{report}");
    assert!(report.contains("answers \"Hello World:"), "{report}");
    let last = "not checked: what the program writes to the journal (run this as root, or join the group systemd-journal)\n";
    assert!(report.ends_with(last), "{report}");
    // What the user cannot read is not reported as a problem.
    for (change, shown) in [
        (
            "chmod 600 UNITS/secret.socket",
            "not checked: secret.socket cannot be read: UNITS/secret.socket: permission denied",
        ),
        (
            "chmod 600 UNITS/secret@.service",
            "not checked: secret@.service cannot be read: ",
        ),
        (
            "install -m 711 /bin/echo PROGRAM",
            "not checked: PROGRAM cannot be read: ",
        ),
        (
            "printf 'ListenStream=\\nListenStream=/run/secret.sock\\nSocketMode=0600\\n' >>UNITS/secret.socket; RELOAD",
            "not checked: cannot connect: /run/secret.sock: permission denied",
        ),
    ] {
        let case = Case {
            name: "secret".into(),
            port: 4010,
        };
        machine.run("rm -f /etc/systemd/system/secret* /usr/local/bin/secret");
        machine.run(&format!(
            "{}\n{}",
            attach(&machine, &case),
            case.fill(change)
        ));
        let output = as_you("sockunit doctor secret");
        let report = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(3), "{change}: {report}");
        assert!(report.contains(&case.fill(shown)), "{change}: {report}");
        assert!(!report.contains("problem: "), "{change}: {report}");
    }
}
