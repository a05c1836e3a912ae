//! `sockunit try`: the program of a service in its own sandbox.

use super::{Case, attach};
use crate::machine::{Machine, Release};

on_both_releases!(a_program_is_tried_in_the_sandbox_of_its_own_unit_and_nothing_is_left);

/// Files and units, without those that any connection leaves.
const STATE: &str = "find /etc /run/systemd/system /run/systemd/transient /srv /tmp /usr/local /var/lib/case0 -xdev -printf '%p %M %U %s %l\\n' | sort
    systemctl list-units --all --plain --no-legend --full '*try*' 'case*' | grep -v '@.*service' | tr -s ' ' || :";

fn a_program_is_tried_in_the_sandbox_of_its_own_unit_and_nothing_is_left(release: Release) {
    let machine = Machine::installed(release);
    let tried = |name: &str, options: &str| {
        let output = machine.output(&format!("sockunit try {name} {options} 2>&1"));
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
        )
    };
    let case = Case::of(0);
    let begin = attach(&machine, &case);
    machine.run(&case.fill(&format!(
        "{begin}\nsed -i '1i [Unit]\\nRequires=no-such.service' UNITS/NAME@.service
         printf '%s\\n' 'StateDirectory=%p' 'RuntimeDirectory=%p' ProtectSystem=strict >>UNITS/NAME@.service
         RELOAD; systemctl stop NAME.socket"
    )));
    let program = "#!/bin/sh\nread -r line; echo \"$line of $REMOTE_ADDR in $STATE_DIRECTORY\"; echo x >/tmp/NAME || exit 3\n";
    machine.write(&case.fill("PROGRAM"), &case.fill(program));
    machine.run(&case.fill("install -d -o nobody -g nogroup /var/lib/NAME"));
    let before = machine.run(STATE);
    // Its socket is not active, and what keeps it from working is shown.
    let (status, printed) = tried("case0", "--send hello");
    let expected = case.fill(
        "NAME@.service sends:
    \"hello of 127.0.0.1 in /var/lib/NAME\"
it writes to standard error and the journal:
    \"PROGRAM: 2: cannot create /tmp/NAME: Read-only file system\"
its program ended with exit status 3
",
    );
    assert_eq!((status, printed.as_str()), (Some(1), expected.as_str()));
    // A line that may help is tried.
    let (status, printed) = tried("case0@.service", "--send=hello --property PrivateTmp=yes");
    assert_eq!(status, Some(0), "{printed}");
    let last = "it writes nothing to standard error and the journal\nits program ended with exit status 0\n";
    assert!(printed.ends_with(last), "{printed}");
    let (status, printed) = tried("case0", "--property 'a b'");
    assert!(
        status == Some(2) && printed.contains("KEY=VALUE"),
        "{printed}"
    );
    // What it sends only at the end of its input, and a program that cannot be executed.
    let (_, printed) = tried("case0", "");
    assert!(printed.contains("stdbuf -oL"), "{printed}");
    let (status, printed) = tried("case0", "--property User=no-such-user");
    assert!(
        status == Some(1) && printed.contains("the user or group cannot be set"),
        "{printed}"
    );
    let after = machine.run(STATE);
    let changed = |one: &str, other: &str| -> Vec<String> {
        let lines = one
            .lines()
            .filter(|line| !other.lines().any(|other| other == *line));
        lines.map(str::to_string).collect()
    };
    let (gone, new) = (changed(&before, &after), changed(&after, &before));
    assert!(
        gone.is_empty() && new.is_empty(),
        "gone: {gone:?}, new: {new:?}"
    );

    // An interrupt leaves nothing either.
    machine.run("timeout --signal=TERM 1 sockunit try case0 && exit 1 || exit 0");
    let (gone, new) = (
        changed(&before, &machine.run(STATE)),
        changed(&machine.run(STATE), &before),
    );
    assert!(
        gone.is_empty() && new.is_empty(),
        "gone: {gone:?}, new: {new:?}"
    );

    // A unit that does not exist, and a caller who may not.
    let (status, printed) = tried("nothing", "");
    assert!(
        status == Some(1) && printed.starts_with("sockunit: there is no nothing.socket"),
        "{printed}"
    );
    let output = machine
        .output("setpriv --reuid=nobody --regid=nogroup --clear-groups sockunit try case0 2>&1");
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(
        printed.contains("permission denied") && printed.contains("hint: run this as root"),
        "{printed}"
    );

    // One process for all connections, while it serves others; and a path.
    machine.run("sockunit add all 4020 --shared -- /bin/sh -c 'read -r line; echo \"to $line\"; echo there >&2; exit 4'");
    let served = || machine.converse("127.0.0.1:4020", b"a\n");
    assert_eq!(served(), b"to a\n");
    let pid = machine.property("all.service", "MainPID");
    let (status, printed) = tried("all", "--send you");
    assert_eq!(status, Some(0), "{printed}");
    assert!(
        printed.starts_with("all.service sends:\n    \"to you\"\n"),
        "{printed}"
    );
    assert!(
        printed.contains("    \"there\"\n")
            && printed.ends_with("its program was still running, and was stopped\n"),
        "{printed}"
    );
    assert_eq!(served(), b"to a\n");
    assert_eq!(machine.property("all.service", "MainPID"), pid);
    machine.run(
        "sockunit add path 4021 --listen /run/path.sock -- /bin/sh -c 'echo here; kill -KILL $$'",
    );
    let (status, printed) = tried("path", "");
    assert!(
        status == Some(1) && printed.starts_with("path@.service sends:\n    \"here\"\n"),
        "{printed}"
    );
    assert!(
        printed.ends_with("its program was killed by signal 9\n"),
        "{printed}"
    );
    let left = machine.run("systemctl list-units --all --plain --no-legend 'sockunit-try*'; ls /run/systemd/system /run/*.sock");
    assert!(!left.contains("sockunit-try"), "{left}");

    // A user's own.
    machine.run(
        "useradd --create-home --shell /bin/sh you; systemctl start user@$(id -u you).service",
    );
    machine.run("su - you -c 'sockunit add mine 4022 --user -- /bin/echo here'");
    let printed = machine.run("su - you -c 'sockunit try --user mine'");
    assert!(
        printed.starts_with("mine@.service sends:\n    \"here\"\n"),
        "{printed}"
    );
    assert!(
        printed.ends_with("its program ended with exit status 0") && !printed.contains("Started"),
        "{printed}"
    );

    // Root as after sudo -E.
    let root = "HOME=/home/you XDG_RUNTIME_DIR=/run/user/$(id -u you)";
    let output = machine.output(&format!("{root} sockunit try --user mine"));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        error.contains(": belongs to another user\nhint: run this as the user"),
        "{error}"
    );
}
