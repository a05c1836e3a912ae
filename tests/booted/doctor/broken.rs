//! Broken services, each in its own way.

/// How a working service is broken, and what doctor has to report.
pub struct Broken {
    /// A shell script. NAME is the service, PORT its port.
    pub how: &'static str,
    /// A part of the problem's text.
    pub problem: &'static str,
    /// How many connections are open while doctor runs.
    pub held: usize,
    /// How it is fixed.
    pub fixed: Fixed,
}

pub enum Fixed {
    /// The commands that doctor prints.
    ByItsCommands,
    /// The lines of a drop-in that the hint has. There is no command for them, because the program chooses the hint.
    ByItsLines,
    /// This script, and then the commands that doctor prints, if any.
    By(&'static str),
}

use Fixed::{By, ByItsCommands};

pub const RELOAD: &str = "systemctl daemon-reload && systemctl restart NAME.socket";

/// Makes it a shared service.
pub const SHARED: &str = "sed s/NAME@/NAME/ UNITS/NAME@.service >UNITS/NAME.service
    sed -i /Accept/d UNITS/NAME.socket; sed -i /StandardInput/d UNITS/NAME.service";

pub const BROKEN: &[Broken] = &[
    // Unit files.
    Broken {
        how: "systemctl stop NAME.socket && rm UNITS/NAME.socket && systemctl daemon-reload",
        problem: "there is no NAME.socket in any unit directory",
        held: 0,
        fixed: By("cp /root/NAME.socket UNITS && systemctl daemon-reload && systemctl start NAME.socket"),
    },
    Broken {
        how: "systemctl stop NAME.socket && mv UNITS/NAME.socket UNITS/NAME && systemctl daemon-reload",
        problem: "there is no NAME.socket",
        held: 0,
        fixed: ByItsCommands,
    },
    Broken {
        how: "systemctl stop NAME.socket && mkdir -p /usr/local/lib/systemd/system \
              && mv UNITS/NAME.socket /usr/local/lib/systemd/system && systemctl daemon-reload && systemctl mask NAME.socket",
        problem: "NAME.socket is masked by UNITS/NAME.socket",
        held: 0,
        fixed: ByItsCommands,
    },
    Broken {
        how: "sed -i 's/^\\[Socket\\]/[Socket/' UNITS/NAME.socket && systemctl daemon-reload",
        problem: "UNITS/NAME.socket:1: a section header without ]",
        held: 0,
        fixed: By("sed -i 's/^\\[Socket/[Socket]/' UNITS/NAME.socket && systemctl daemon-reload && systemctl restart NAME.socket"),
    },
    Broken {
        how: "sed -i /Accept/d UNITS/NAME.socket && systemctl daemon-reload && systemctl restart NAME.socket || :",
        problem: "NAME.socket does not set Accept=yes",
        held: 0,
        fixed: ByItsCommands,
    },
    Broken {
        how: "mv UNITS/NAME@.service UNITS/NAME.service && systemctl daemon-reload && systemctl restart NAME.socket || :",
        problem: "sets Accept=yes: systemd starts NAME@.service, which does not exist",
        held: 0,
        fixed: ByItsCommands,
    },
    Broken {
        how: "sed -i 's/^MaxConnections=.*/MaxConnections=30/' UNITS/NAME.socket && touch -d '1 second' UNITS/NAME.socket",
        problem: "NAME.socket has changed on disk since systemd read it",
        held: 0,
        fixed: ByItsCommands,
    },
    Broken {
        how: "mkdir UNITS/NAME.socket.d && printf '[Socket]\\nMaxConnections=30\\n' >UNITS/NAME.socket.d/more.conf",
        problem: "no effect yet",
        held: 0,
        fixed: ByItsCommands,
    },
    Broken {
        how: "mkdir UNITS/NAME@.service.d && printf '[Service]\\nExecStart=-PROGRAM\\n' >UNITS/NAME@.service.d/other.conf; systemctl daemon-reload",
        problem: "NAME@.service has two ExecStart= lines",
        held: 0,
        fixed: ByItsCommands,
    },
    Broken {
        how: "systemctl stop NAME.socket && mkdir -p /usr/local/lib/systemd/system \
              && mv UNITS/NAME.socket /usr/local/lib/systemd/system && systemctl daemon-reload && systemctl mask --runtime NAME.socket",
        problem: "NAME.socket is masked by /run/systemd/system/NAME.socket",
        held: 0,
        fixed: ByItsCommands,
    },
    // Addresses and ports.
    Broken {
        how: "mkdir UNITS/NAME.socket.d && printf '[Socket]\\nListenStream=\\n' >UNITS/NAME.socket.d/none.conf; RELOAD || :",
        problem: "NAME.socket has no address",
        held: 0,
        fixed: By("rm -r UNITS/NAME.socket.d; RELOAD"),
    },
    Broken {
        how: "sed -i s/127.0.0.1:/localhost:/ UNITS/NAME.socket; RELOAD || :",
        problem: "localhost:PORT is not an address",
        held: 0,
        fixed: By("sed -i s/localhost:/127.0.0.1:/ UNITS/NAME.socket; RELOAD"),
    },
    Broken {
        how: "mkdir UNITS/NAME.socket.d && printf '[Socket]\\nListenStream=PORT\\n' >UNITS/NAME.socket.d/network.conf; RELOAD || :",
        problem: "NAME.socket listens on port PORT twice",
        held: 0,
        fixed: ByItsCommands,
    },
    Broken {
        how: "sed -i s/127.0.0.1:/192.0.2.7:/ UNITS/NAME.socket; RELOAD || :",
        problem: "this machine has no address 192.0.2.7",
        held: 0,
        fixed: By("ip address add 192.0.2.7/32 dev lo"),
    },
    Broken {
        how: "echo 'NAME PORT/tcp' >>/etc/services; sed -i 's/:PORT/:1PORT/' UNITS/NAME.socket; RELOAD",
        problem: "NAME is port PORT, and NAME.socket listens on 1PORT",
        held: 0,
        fixed: ByItsCommands,
    },
    Broken {
        how: "systemctl stop NAME.socket; systemd-run --quiet --unit squatter-NAME socat TCP-LISTEN:PORT,fork,bind=127.0.0.1 EXEC:cat
              until ss --no-header -tln 'sport = :PORT' | grep -q PORT; do sleep 0.02; done
              systemctl start NAME.socket || :",
        problem: "port PORT is in use: NAME.socket cannot listen on 127.0.0.1:PORT",
        held: 0,
        fixed: ByItsCommands,
    },
    Broken {
        how: "sed s/127.0.0.1/0.0.0.0/ UNITS/NAME.socket >UNITS/other-NAME.socket; cp UNITS/NAME@.service UNITS/other-NAME@.service
              systemctl stop NAME.socket; systemctl daemon-reload; systemctl start other-NAME.socket; systemctl start NAME.socket || :",
        problem: "port PORT is in use",
        held: 0,
        fixed: ByItsCommands,
    },
    Broken {
        how: "sed -i s/:PORT/:1PORT/ UNITS/NAME.socket; systemctl daemon-reload",
        problem: "NAME.socket does not listen on 127.0.0.1:1PORT",
        held: 0,
        fixed: ByItsCommands,
    },
    Broken {
        how: "systemctl stop NAME.socket",
        problem: "NAME.socket is inactive: it was not started, or was stopped",
        held: 0,
        fixed: ByItsCommands,
    },
    Broken {
        how: "echo TriggerLimitBurst=2 >>UNITS/NAME.socket; echo TriggerLimitIntervalSec=1h >>UNITS/NAME.socket; RELOAD
              while sockunit connect 127.0.0.1 PORT; do :; done >/dev/null 2>&1
              until systemctl is-failed --quiet NAME.socket; do sockunit connect 127.0.0.1 PORT || :; done 2>/dev/null",
        problem: "NAME.socket has reached its trigger limit",
        held: 0,
        fixed: ByItsCommands,
    },
    // Users.
    Broken {
        how: "sed -i s/^User=.*/User=user-NAME/ UNITS/NAME@.service; systemctl daemon-reload",
        problem: "the user user-NAME does not exist",
        held: 0,
        fixed: ByItsCommands,
    },
    Broken {
        how: "echo Group=group-NAME >>UNITS/NAME@.service; systemctl daemon-reload",
        problem: "the group group-NAME does not exist",
        held: 0,
        fixed: ByItsCommands,
    },
    Broken {
        how: "echo SocketUser=owner-NAME >>UNITS/NAME.socket; RELOAD || :",
        problem: "the user owner-NAME does not exist",
        held: 0,
        fixed: ByItsCommands,
    },
    // The program.
    Broken {
        how: "mv PROGRAM PROGRAM.away",
        problem: "PROGRAM does not exist",
        held: 0,
        fixed: By("mv PROGRAM.away PROGRAM"),
    },
    Broken {
        how: "chmod 644 PROGRAM",
        problem: "PROGRAM cannot be executed by the user nobody",
        held: 0,
        fixed: ByItsCommands,
    },
    Broken {
        how: "mkdir -m 700 /srv/NAME && mv PROGRAM /srv/NAME/program && sed -i s,^ExecStart=.*,ExecStart=/srv/NAME/program, UNITS/NAME@.service
              systemctl daemon-reload",
        problem: "/srv/NAME is a directory that the user nobody cannot search",
        held: 0,
        fixed: ByItsCommands,
    },
    Broken {
        how: "sed -i 's/$/\\r/' PROGRAM",
        problem: "PROGRAM:1: the #! line ends in CR LF",
        held: 0,
        fixed: ByItsCommands,
    },
    Broken {
        how: "sed -i '1s,.*,#!/usr/bin/no-such-shell,' PROGRAM",
        problem: "PROGRAM:1: its interpreter: /usr/bin/no-such-shell does not exist",
        held: 0,
        fixed: By("sed -i '1s,.*,#!/bin/sh,' PROGRAM"),
    },
    Broken {
        how: "sed -i 1d PROGRAM",
        problem: "PROGRAM:1: the first line does not begin with #!",
        held: 0,
        fixed: ByItsCommands,
    },
    Broken {
        how: "mkdir -p /home/you && chmod 700 /home/you && cp PROGRAM /home/you/NAME.sh
              sed -i s,^ExecStart=.*,ExecStart=-/home/you/NAME.sh, UNITS/NAME@.service
              echo ProtectHome=tmpfs >>UNITS/NAME@.service; systemctl daemon-reload",
        problem: "/home/you/NAME.sh is in a home directory, and home directories are hidden from NAME@.service",
        held: 0,
        fixed: ByItsCommands,
    },
    // Where standard input, output and error go.
    Broken {
        how: "sed -i /StandardInput/d UNITS/NAME@.service; systemctl daemon-reload",
        problem: "NAME@.service does not set StandardInput=socket",
        held: 0,
        fixed: ByItsCommands,
    },
    Broken {
        how: "echo StandardOutput=journal >>UNITS/NAME@.service; systemctl daemon-reload",
        problem: "NAME@.service sets StandardOutput=journal",
        held: 0,
        fixed: ByItsCommands,
    },
    Broken {
        how: "sed s/NAME@/NAME/ UNITS/NAME@.service >UNITS/NAME.service; sed -i /Accept/d UNITS/NAME.socket
              sed -i /StandardInput/d UNITS/NAME.service; RELOAD; sockunit connect 127.0.0.1 PORT >/dev/null 2>&1 || :
              until systemctl is-failed --quiet NAME.socket; do sleep 0.02; done",
        problem: "NAME.socket has failed, because NAME.service ended too often",
        held: 0,
        fixed: By("sed -i 's,^ExecStart=,ExecStart=/usr/bin/sockunit serve -- ,' UNITS/NAME.service; systemctl daemon-reload"),
    },
    // Limits.
    Broken {
        how: "sed -i s/^MaxConnections=.*/MaxConnections=2/ UNITS/NAME.socket; echo exec cat >>PROGRAM; RELOAD",
        problem: "NAME.socket has reached its concurrency limit: 2 connections",
        held: 2,
        fixed: ByItsCommands,
    },
    Broken {
        how: "echo MaxConnectionsPerSource=2 >>UNITS/NAME.socket; echo exec cat >>PROGRAM; RELOAD",
        problem: "127.0.0.1 has reached the per-source limit of NAME.socket: 2 connections",
        held: 2,
        fixed: ByItsCommands,
    },
    // What the program does.
    Broken {
        how: "printf '#!/bin/sh\\necho \"the disk of NAME is full\" >&2\\nexit 3\\n' >PROGRAM; sockunit connect 127.0.0.1 PORT 2>/dev/null || :
              until systemctl list-units --all --plain --no-legend 'NAME@*' | grep -q failed; do sleep 0.02; done",
        problem: "failed: its program ended with exit status 3",
        held: 0,
        fixed: By("cp /root/NAME PROGRAM"),
    },
    // sockunit serve shows the failure of its program.
    Broken {
        how: "printf '#!/bin/sh\\nexit 3\\n' >PROGRAM; sed -i 's,^ExecStart=.*,ExecStart=/usr/bin/sockunit serve -- PROGRAM,' UNITS/NAME@.service
              systemctl daemon-reload; sockunit connect 127.0.0.1 PORT 2>/dev/null || :
              until systemctl list-units --all --plain --no-legend 'NAME@*' | grep -q failed; do sleep 0.02; done",
        problem: "failed: its program ended with exit status 3",
        held: 0,
        fixed: By("cp /root/NAME PROGRAM"),
    },
    Broken {
        how: "printf '#!/bin/sh\\nkill -SEGV $$\\n' >PROGRAM; sed -i 's,^ExecStart=.*,ExecStart=/usr/bin/sockunit serve -- PROGRAM,' UNITS/NAME@.service
              systemctl daemon-reload; sockunit connect 127.0.0.1 PORT 2>/dev/null || :
              until systemctl list-units --all --plain --no-legend 'NAME@*' | grep -q failed; do sleep 0.02; done",
        problem: "failed: exit status 139: its program was killed by signal 11",
        held: 0,
        fixed: By("cp /root/NAME PROGRAM"),
    },
    Broken {
        how: "printf '#!/bin/sh\\nexit 0\\n' >PROGRAM",
        problem: "127.0.0.1 port PORT accepts the connection and closes it without a byte",
        held: 0,
        fixed: By("cp /root/NAME PROGRAM"),
    },
    Broken {
        how: "printf '#!/bin/sh\\n: $LISTEN_FDS\\necho \"no database\" >&2\\nexit 1\\n' >PROGRAM; sed s/NAME@/NAME/ UNITS/NAME@.service >UNITS/NAME.service
              sed -i /Accept/d UNITS/NAME.socket; sed -i /StandardInput/d UNITS/NAME.service; RELOAD
              sockunit connect 127.0.0.1 PORT 2>/dev/null || :
              until systemctl is-failed --quiet NAME.socket; do sleep 0.02; done",
        problem: "NAME.socket has failed, because NAME.service ended too often",
        held: 0,
        fixed: By("sed -i 's/^Accept.*//; $aAccept=yes' UNITS/NAME.socket; rm UNITS/NAME.service; cp /root/NAME PROGRAM; systemctl daemon-reload"),
    },
    // One process for all connections.
    Broken {
        how: "SHARED
              sed -i 's,^ExecStart=,ExecStart=/usr/bin/sockunit serve --banner /nowhere -- ,; $aRestart=on-failure\\nRestartSec=1h' UNITS/NAME.service
              sed -i '1i [Unit]\\nStartLimitIntervalSec=0' UNITS/NAME.service; RELOAD; sockunit connect 127.0.0.1 PORT --idle-timeout 1ms 2>/dev/null || :
              until systemctl show -p SubState --value NAME.service | grep -q auto-restart; do sleep 0.02; done",
        problem: "NAME.service ends, and systemd restarts it: its program ended with exit status 1",
        held: 0,
        fixed: By("sed -i 's,--banner /nowhere,,' UNITS/NAME.service"),
    },
    Broken {
        how: "SHARED
              printf '#!/bin/sh\\n: $LISTEN_FDS\\nexec sleep infinity\\n' >PROGRAM; RELOAD; systemctl start NAME.service",
        problem: "NAME.service does not accept connections: 1 in the listen backlog",
        held: 0,
        fixed: By("printf '#!/bin/sh\\n: $LISTEN_FDS\\nexec /usr/bin/sockunit serve -- /bin/echo here\\n' >PROGRAM"),
    },
    Broken {
        how: "SHARED
              printf '#!/bin/sh\\n[ -n \"$LISTEN_FDS\" ] || exec sleep infinity\\nexec /usr/bin/sockunit serve -- /bin/echo here\\n' >PROGRAM
              systemctl stop NAME.socket; systemctl daemon-reload; systemctl start NAME.service",
        problem: "NAME.socket is inactive, and NAME.service runs: systemd does not start a socket whose service runs",
        held: 0,
        fixed: ByItsCommands,
    },
];
