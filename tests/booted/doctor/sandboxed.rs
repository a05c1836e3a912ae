//! Services whose sandbox keeps their programs from working. The hint has the lines of a drop-in, or says in words what
//! needs a path that only the journal has.

use super::broken::Broken;
use super::broken::Fixed::{By, ByItsCommands, ByItsLines};

/// Starts a service that programs connect to, on port 1PORT.
pub const BACKEND: &str = "systemd-run --quiet --unit backend-NAME socat TCP-LISTEN:1PORT,fork,reuseaddr,bind=127.0.0.1 EXEC:/bin/date
    until ss --no-header -tln 'sport = :1PORT' | grep -q 1PORT; do sleep 0.02; done";

/// A program that fails is not a failure of its unit.
pub const LENIENT: &str = "sed -i s/^ExecStart=/ExecStart=-/ UNITS/NAME@.service";

const CLOSED: &str = "127.0.0.1 port PORT accepts the connection and closes it without a byte";

/// A service with these directives, whose program answers if a command succeeds.
macro_rules! sandboxed {
    ($directives:literal, $command:literal) => {
        sandboxed!("", $directives, $command, ByItsLines)
    };
    ($directives:literal, $command:literal, $fixed:expr) => {
        sandboxed!("", $directives, $command, $fixed)
    };
    ($before:literal, $directives:literal, $command:literal, $fixed:expr) => {
        Broken {
            how: concat!(
                "LENIENT\nprintf '#!/bin/sh\\n%s && echo here\\n' '",
                $command,
                "' >PROGRAM\n",
                $before,
                "\nprintf '%s\\n' ",
                $directives,
                " >>UNITS/NAME@.service\nRELOAD"
            ),
            problem: CLOSED,
            held: 0,
            fixed: $fixed,
        }
    };
}

/// The same with one process for all connections.
macro_rules! shared {
    ($before:literal, $directives:literal, $command:literal) => {
        Broken {
            how: concat!(
                "printf '#!/bin/sh\\n%s && echo here\\n' '", $command, "' >PROGRAM\n", $before,
                "\nSHARED\nsed -i 's,^ExecStart=,ExecStart=/usr/bin/sockunit serve -- ,' UNITS/NAME.service\nprintf '%s\\n' ",
                $directives, " >>UNITS/NAME.service\nRELOAD\nsystemctl start NAME.service"
            ),
            problem: CLOSED,
            held: 0,
            fixed: ByItsLines,
        }
    };
}

pub const BROKEN: &[Broken] = &[
    // A write to /tmp.
    sandboxed!("TemporaryFileSystem='/home:ro /tmp:ro' PrivateTmp=yes", "echo x >/tmp/NAME.x"),
    sandboxed!("ProtectSystem=strict", "echo x >/tmp/NAME.x"),
    sandboxed!("ReadOnlyPaths=/tmp", "echo x >/tmp/NAME.x"),
    sandboxed!("ProtectSystem=strict TemporaryFileSystem='/tmp:ro /var/tmp:ro'", "echo x >/var/tmp/NAME.x"),
    shared!("", "ProtectSystem=strict TemporaryFileSystem=/tmp:ro", "echo x >/tmp/NAME.x"),
    // A write elsewhere: the program has to use the directory that it gets.
    sandboxed!(
        "mkdir -m 777 /srv/NAME.d",
        "ProtectSystem=strict",
        "echo x >${STATE_DIRECTORY:-/srv/NAME.d}/x",
        By("echo StateDirectory=NAME >>UNITS/NAME@.service; systemctl daemon-reload")
    ),
    sandboxed!(
        "mkdir -m 777 /srv/NAME.d",
        "ReadOnlyPaths=/srv",
        "echo x >/srv/NAME.d/x",
        By("echo ReadWritePaths=/srv/NAME.d >>UNITS/NAME@.service; systemctl daemon-reload")
    ),
    // The network.
    sandboxed!("BACKEND", "RestrictAddressFamilies=AF_UNIX", "socat -u TCP:127.0.0.1:1PORT - >/dev/null", ByItsLines),
    sandboxed!("BACKEND", "RestrictAddressFamilies=~AF_INET", "socat -u TCP:127.0.0.1:1PORT - >/dev/null", ByItsLines),
    sandboxed!("BACKEND", "PrivateNetwork=yes", "socat -u TCP:127.0.0.1:1PORT - >/dev/null", ByItsLines),
    sandboxed!(
        "BACKEND",
        "PrivateNetwork=yes IPAddressDeny=any RestrictAddressFamilies=AF_UNIX",
        "socat -u TCP:127.0.0.1:1PORT - >/dev/null",
        ByItsLines
    ),
    sandboxed!(
        "",
        "PrivateNetwork=yes",
        "socat -u TCP:203.0.113.9:22,connect-timeout=2 - >/dev/null",
        By("sed -i 's/^socat.*/echo here/' PROGRAM")
    ),
    shared!("BACKEND", "PrivateNetwork=yes", "socat -u TCP:127.0.0.1:1PORT - >/dev/null"),
    shared!("BACKEND", "RestrictAddressFamilies=AF_UNIX", "socat -u TCP:127.0.0.1:1PORT - >/dev/null"),
    // Hidden paths.
    sandboxed!("echo x >/dev/NAME; chmod 644 /dev/NAME", "PrivateDevices=yes", "cat /dev/NAME >/dev/null", ByItsLines),
    sandboxed!(
        "mkdir -p -m 755 /home/you; echo x >/home/you/NAME.txt",
        "ProtectHome=tmpfs",
        "cat /home/you/NAME.txt >/dev/null",
        By("echo BindReadOnlyPaths=/home/you/NAME.txt >>UNITS/NAME@.service; systemctl daemon-reload")
    ),
    sandboxed!(
        "mkdir -p -m 755 /home/you; echo x >/home/you/NAME.txt",
        "ProtectHome=yes",
        "cat /home/you/NAME.txt >/dev/null",
        By("printf '%s\\n' ProtectHome=tmpfs BindReadOnlyPaths=/home/you/NAME.txt >>UNITS/NAME@.service; systemctl daemon-reload")
    ),
    sandboxed!(
        "echo x >/run/NAME.txt",
        "TemporaryFileSystem=/run:ro",
        "cat /run/NAME.txt >/dev/null",
        By("echo BindReadOnlyPaths=/run/NAME.txt >>UNITS/NAME@.service; systemctl daemon-reload")
    ),
    sandboxed!(
        "echo x >/tmp/NAME.txt",
        "PrivateTmp=yes",
        "cat /tmp/NAME.txt >/dev/null",
        By("echo BindReadOnlyPaths=/tmp/NAME.txt >>UNITS/NAME@.service; systemctl daemon-reload")
    ),
    sandboxed!(
        "echo x >/srv/NAME.txt",
        "InaccessiblePaths='/srv /media'",
        "cat /srv/NAME.txt >/dev/null",
        By("printf '%s\\n' InaccessiblePaths= InaccessiblePaths=/media >>UNITS/NAME@.service; systemctl daemon-reload")
    ),
    // Privileges.
    sandboxed!("User=root CapabilityBoundingSet=CAP_CHOWN", "setpriv --reuid=daemon --regid=daemon --clear-groups true"),
    sandboxed!("User=root PrivateUsers=yes", "setpriv --reuid=daemon --regid=daemon --clear-groups true"),
    sandboxed!("User=root SystemCallFilter=~@privileged SystemCallErrorNumber=EPERM", "chroot / true"),
    sandboxed!("User=root SystemCallFilter=~@privileged SystemCallErrorNumber=EPERM", "setpriv --reuid=daemon --regid=daemon --clear-groups true"),
    sandboxed!("RestrictSUIDSGID=yes", "touch /var/tmp/NAME && chmod u+s /var/tmp/NAME"),
    sandboxed!("User=root RestrictNamespaces=yes", "unshare --uts true"),
    // It does not start as root.
    sandboxed!(
        "",
        "CapabilityBoundingSet=CAP_CHOWN",
        "setpriv --reuid=daemon --regid=daemon --clear-groups true",
        By("printf '%s\\n' User=root CapabilityBoundingSet=~ >>UNITS/NAME@.service; systemctl daemon-reload")
    ),
    shared!("", "User=root CapabilityBoundingSet=CAP_CHOWN", "setpriv --reuid=daemon --regid=daemon --clear-groups true"),
    // Limits.
    sandboxed!("LimitNOFILE=20", "perl -e \"for (0..50) { open(\\$f[\\$_], q(<), q(/dev/null)) or die qq(open: \\$!\\n) }\""),
    // The kernel counts the processes of a user, on all machines that it runs.
    sandboxed!("useradd --uid $(shuf -i 40000-59999 -n 1) user-NAME", "User=user-NAME LimitNPROC=1", "true | true", ByItsLines),
    sandboxed!(
        "LimitAS=20M",
        "perl -e \"\\$x = q(x) x 50_000_000\"",
        By("echo LimitAS=500M >>UNITS/NAME@.service; systemctl daemon-reload")
    ),
    sandboxed!("LimitFSIZE=1000", "head -c 2000 /dev/zero >/var/tmp/NAME"),
    // The filter kills the program, as systemd reports.
    Broken {
        how: "printf '#!/bin/sh\\nchmod 700 /var/tmp && echo here\\n' >PROGRAM; echo 'SystemCallFilter=~chmod fchmodat fchmodat2' >>UNITS/NAME@.service
              sed -i s/User=.*/User=root/ UNITS/NAME@.service; RELOAD",
        problem: "failed: exit status 159: its program was killed by signal 31",
        held: 0,
        fixed: ByItsCommands,
    },
    // A program in a home.
    Broken {
        how: "mkdir -p -m 755 /home/you && cp PROGRAM /home/you/NAME.sh
              sed -i s,^ExecStart=.*,ExecStart=-/home/you/NAME.sh, UNITS/NAME@.service
              echo ProtectHome=yes >>UNITS/NAME@.service; systemctl daemon-reload",
        problem: "/home/you/NAME.sh is in a home directory, and home directories are hidden from NAME@.service",
        held: 0,
        fixed: ByItsCommands,
    },
    Broken {
        how: "mkdir -p -m 755 /home/you && cp PROGRAM /home/you/NAME.sh
              sed -i s,^ExecStart=.*,ExecStart=-/home/you/NAME.sh, UNITS/NAME@.service
              echo 'InaccessiblePaths=/home /srv' >>UNITS/NAME@.service; systemctl daemon-reload",
        problem: "/home/you/NAME.sh is in a home directory, and home directories are hidden from NAME@.service",
        held: 0,
        fixed: ByItsCommands,
    },
    // A drop-in that systemd reads after doctor.conf.
    Broken {
        how: "mkdir UNITS/NAME@.service.d; printf '[Service]\\nStandardOutput=journal\\n' >UNITS/NAME@.service.d/local.conf; systemctl daemon-reload",
        problem: "NAME@.service sets StandardOutput=journal",
        held: 0,
        fixed: ByItsCommands,
    },
];
