//! Services that are broken, each in a way of its own.

/// What is done to a service that works, and what the doctor has to say of it.
pub struct Broken {
    /// A shell script. NAME is the service, PORT its port.
    pub how: &'static str,
    /// A part of the sentence.
    pub told: &'static str,
    /// How many connections are held meanwhile.
    pub held: usize,
    /// What mends it.
    pub mended: Mended,
}

pub enum Mended {
    /// The doctor's own commands.
    ByItsCommands,
    /// It is for a person to do: this, and then the doctor's commands, where it has some.
    By(&'static str),
}

use Mended::{By, ByItsCommands};

pub const RELOAD: &str = "systemctl daemon-reload && systemctl restart NAME.socket";

/// Has one process serve all connections.
pub const SHARED: &str = "sed s/NAME@/NAME/ UNITS/NAME@.service >UNITS/NAME.service
    sed -i /Accept/d UNITS/NAME.socket; sed -i /StandardInput/d UNITS/NAME.service";

pub const BROKEN: &[Broken] = &[
    // Unit files.
    Broken {
        how: "systemctl stop NAME.socket && rm UNITS/NAME.socket && systemctl daemon-reload",
        told: "there is no NAME.socket in any folder of units",
        held: 0,
        mended: By("cp /root/NAME.socket UNITS && systemctl daemon-reload && systemctl start NAME.socket"),
    },
    Broken {
        how: "systemctl stop NAME.socket && mv UNITS/NAME.socket UNITS/NAME && systemctl daemon-reload",
        told: "there is no NAME.socket",
        held: 0,
        mended: ByItsCommands,
    },
    Broken {
        how: "systemctl stop NAME.socket && mkdir -p /usr/local/lib/systemd/system \
              && mv UNITS/NAME.socket /usr/local/lib/systemd/system && systemctl daemon-reload && systemctl mask NAME.socket",
        told: "NAME.socket is masked by UNITS/NAME.socket",
        held: 0,
        mended: ByItsCommands,
    },
    Broken {
        how: "sed -i 's/^\\[Socket\\]/[Socket/' UNITS/NAME.socket && systemctl daemon-reload",
        told: "UNITS/NAME.socket:1: a section header without ]",
        held: 0,
        mended: By("sed -i 's/^\\[Socket/[Socket]/' UNITS/NAME.socket && systemctl daemon-reload && systemctl restart NAME.socket"),
    },
    Broken {
        how: "echo 'StandardInput socket' >>UNITS/NAME@.service && systemctl daemon-reload",
        told: "neither [Section] nor Key=value",
        held: 0,
        mended: By("sed -i '$d' UNITS/NAME@.service && systemctl daemon-reload"),
    },
    Broken {
        how: "sed -i /Accept/d UNITS/NAME.socket && systemctl daemon-reload && systemctl restart NAME.socket || :",
        told: "NAME.socket does not say Accept=yes",
        held: 0,
        mended: ByItsCommands,
    },
    Broken {
        how: "mv UNITS/NAME@.service UNITS/NAME.service && systemctl daemon-reload && systemctl restart NAME.socket || :",
        told: "says Accept=yes, so that systemd starts NAME@.service, and there is none",
        held: 0,
        mended: ByItsCommands,
    },
    Broken {
        how: "sed -i 's/^MaxConnections=.*/MaxConnections=30/' UNITS/NAME.socket && touch -d '1 second' UNITS/NAME.socket",
        told: "NAME.socket was changed on disk after systemd had read it",
        held: 0,
        mended: ByItsCommands,
    },
    Broken {
        how: "mkdir UNITS/NAME.socket.d && printf '[Socket]\\nMaxConnections=30\\n' >UNITS/NAME.socket.d/more.conf",
        told: "so that",
        held: 0,
        mended: ByItsCommands,
    },
    Broken {
        how: "mkdir UNITS/NAME@.service.d && printf '[Service]\\nExecStart=-PROGRAM\\n' >UNITS/NAME@.service.d/other.conf; systemctl daemon-reload",
        told: "NAME@.service says two times what is to be started",
        held: 0,
        mended: ByItsCommands,
    },
    Broken {
        how: "systemctl stop NAME.socket && mkdir -p /usr/local/lib/systemd/system \
              && mv UNITS/NAME.socket /usr/local/lib/systemd/system && systemctl daemon-reload && systemctl mask --runtime NAME.socket",
        told: "NAME.socket is masked by /run/systemd/system/NAME.socket",
        held: 0,
        mended: ByItsCommands,
    },
    // Addresses and ports.
    Broken {
        how: "mkdir UNITS/NAME.socket.d && printf '[Socket]\\nListenStream=\\n' >UNITS/NAME.socket.d/none.conf; RELOAD || :",
        told: "NAME.socket listens nowhere",
        held: 0,
        mended: By("rm -r UNITS/NAME.socket.d; RELOAD"),
    },
    Broken {
        how: "sed -i s/127.0.0.1:/localhost:/ UNITS/NAME.socket; RELOAD || :",
        told: "localhost:PORT is no address",
        held: 0,
        mended: By("sed -i s/localhost:/127.0.0.1:/ UNITS/NAME.socket; RELOAD"),
    },
    Broken {
        how: "mkdir UNITS/NAME.socket.d && printf '[Socket]\\nListenStream=PORT\\n' >UNITS/NAME.socket.d/network.conf; RELOAD || :",
        told: "NAME.socket wants port PORT twice",
        held: 0,
        mended: ByItsCommands,
    },
    Broken {
        how: "sed -i s/127.0.0.1:/192.0.2.7:/ UNITS/NAME.socket; RELOAD || :",
        told: "this machine has no address 192.0.2.7",
        held: 0,
        mended: By("ip address add 192.0.2.7/32 dev lo"),
    },
    Broken {
        how: "echo 'NAME PORT/tcp' >>/etc/services; sed -i 's/:PORT/:1PORT/' UNITS/NAME.socket; RELOAD",
        told: "says that NAME is port PORT, and NAME.socket listens on 1PORT",
        held: 0,
        mended: ByItsCommands,
    },
    Broken {
        how: "systemctl stop NAME.socket; systemd-run --quiet --unit squatter-NAME socat TCP-LISTEN:PORT,fork,bind=127.0.0.1 EXEC:cat
              until ss --no-header -tln 'sport = :PORT' | grep -q PORT; do sleep 0.02; done
              systemctl start NAME.socket || :",
        told: "port PORT is taken, so that NAME.socket cannot listen on 127.0.0.1:PORT",
        held: 0,
        mended: ByItsCommands,
    },
    Broken {
        how: "sed s/127.0.0.1/0.0.0.0/ UNITS/NAME.socket >UNITS/other-NAME.socket; cp UNITS/NAME@.service UNITS/other-NAME@.service
              systemctl stop NAME.socket; systemctl daemon-reload; systemctl start other-NAME.socket; systemctl start NAME.socket || :",
        told: "port PORT is taken",
        held: 0,
        mended: ByItsCommands,
    },
    Broken {
        how: "sed -i s/:PORT/:1PORT/ UNITS/NAME.socket; systemctl daemon-reload",
        told: "is to listen on 127.0.0.1:1PORT, and does not",
        held: 0,
        mended: ByItsCommands,
    },
    Broken {
        how: "systemctl stop NAME.socket",
        told: "NAME.socket is inactive: it was not started, or was stopped",
        held: 0,
        mended: ByItsCommands,
    },
    Broken {
        how: "echo TriggerLimitBurst=2 >>UNITS/NAME.socket; echo TriggerLimitIntervalSec=1h >>UNITS/NAME.socket; RELOAD
              while sockunit connect 127.0.0.1 PORT; do :; done >/dev/null 2>&1
              until systemctl is-failed --quiet NAME.socket; do sockunit connect 127.0.0.1 PORT || :; done 2>/dev/null",
        told: "NAME.socket was taken down by its trigger limit",
        held: 0,
        mended: ByItsCommands,
    },
    // Users.
    Broken {
        how: "sed -i s/^User=.*/User=user-NAME/ UNITS/NAME@.service; systemctl daemon-reload",
        told: "there is no user user-NAME",
        held: 0,
        mended: ByItsCommands,
    },
    Broken {
        how: "echo Group=group-NAME >>UNITS/NAME@.service; systemctl daemon-reload",
        told: "there is no group group-NAME",
        held: 0,
        mended: ByItsCommands,
    },
    Broken {
        how: "echo SocketUser=owner-NAME >>UNITS/NAME.socket; RELOAD || :",
        told: "there is no user owner-NAME",
        held: 0,
        mended: ByItsCommands,
    },
    // The program.
    Broken {
        how: "mv PROGRAM PROGRAM.away",
        told: "there is no file PROGRAM",
        held: 0,
        mended: By("mv PROGRAM.away PROGRAM"),
    },
    Broken {
        how: "chmod 644 PROGRAM",
        told: "PROGRAM cannot be executed by the user nobody",
        held: 0,
        mended: ByItsCommands,
    },
    Broken {
        how: "mkdir -m 700 /srv/NAME && mv PROGRAM /srv/NAME/program && sed -i s,^ExecStart=.*,ExecStart=/srv/NAME/program, UNITS/NAME@.service
              systemctl daemon-reload",
        told: "/srv/NAME is a directory that the user nobody cannot pass",
        held: 0,
        mended: ByItsCommands,
    },
    Broken {
        how: "sed -i 's/$/\\r/' PROGRAM",
        told: "PROGRAM:1: the #! line ends in CR LF",
        held: 0,
        mended: ByItsCommands,
    },
    Broken {
        how: "sed -i '1s,.*,#!/usr/bin/no-such-shell,' PROGRAM",
        told: "PROGRAM:1: its interpreter: there is no file /usr/bin/no-such-shell",
        held: 0,
        mended: By("sed -i '1s,.*,#!/bin/sh,' PROGRAM"),
    },
    Broken {
        how: "sed -i 1d PROGRAM",
        told: "PROGRAM:1: the first line does not begin with #!",
        held: 0,
        mended: By("sed -i '1i #!/bin/sh' PROGRAM"),
    },
    Broken {
        how: "mkdir -p /home/you && chmod 700 /home/you && cp PROGRAM /home/you/NAME.sh
              sed -i s,^ExecStart=.*,ExecStart=-/home/you/NAME.sh, UNITS/NAME@.service
              echo ProtectHome=tmpfs >>UNITS/NAME@.service; systemctl daemon-reload",
        told: "/home/you/NAME.sh lies in a home, and NAME@.service sees no homes",
        held: 0,
        mended: ByItsCommands,
    },
    // Where standard input, output and error go.
    Broken {
        how: "sed -i /StandardInput/d UNITS/NAME@.service; systemctl daemon-reload",
        told: "NAME@.service does not say StandardInput=socket",
        held: 0,
        mended: ByItsCommands,
    },
    Broken {
        how: "echo StandardOutput=journal >>UNITS/NAME@.service; systemctl daemon-reload",
        told: "NAME@.service says StandardOutput=journal",
        held: 0,
        mended: ByItsCommands,
    },
    Broken {
        how: "sed -i /StandardError/d UNITS/NAME@.service; systemctl daemon-reload",
        told: "NAME@.service does not say StandardError=journal",
        held: 0,
        mended: ByItsCommands,
    },
    Broken {
        how: "sed s/NAME@/NAME/ UNITS/NAME@.service >UNITS/NAME.service; sed -i /Accept/d UNITS/NAME.socket
              sed -i /StandardInput/d UNITS/NAME.service; RELOAD",
        told: "PROGRAM knows nothing of listening sockets",
        held: 0,
        mended: By("sed -i 's,^ExecStart=,ExecStart=/usr/bin/sockunit serve -- ,' UNITS/NAME.service; systemctl daemon-reload; systemctl restart NAME.socket"),
    },
    // Limits.
    Broken {
        how: "sed -i s/^MaxConnections=.*/MaxConnections=2/ UNITS/NAME.socket; echo exec cat >>PROGRAM; RELOAD",
        told: "NAME.socket has 2 connections, and takes no more than 2",
        held: 2,
        mended: ByItsCommands,
    },
    Broken {
        how: "echo MaxConnectionsPerSource=2 >>UNITS/NAME.socket; echo exec cat >>PROGRAM; RELOAD",
        told: "127.0.0.1 has 2 connections to NAME.socket, and gets no more than 2",
        held: 2,
        mended: ByItsCommands,
    },
    // What the program does.
    Broken {
        how: "printf '#!/bin/sh\\necho \"the disk of NAME is full\" >&2\\nexit 3\\n' >PROGRAM; sockunit connect 127.0.0.1 PORT 2>/dev/null || :
              until systemctl list-units --all --plain --no-legend 'NAME@*' | grep -q failed; do sleep 0.02; done",
        told: "failed: its program ended with exit status 3",
        held: 0,
        mended: By("cp /root/NAME PROGRAM"),
    },
    Broken {
        how: "printf '#!/bin/sh\\nexit 0\\n' >PROGRAM",
        told: "127.0.0.1 port PORT was connected, and closed without a byte",
        held: 0,
        mended: By("cp /root/NAME PROGRAM"),
    },
    Broken {
        how: "sed -i '2i echo connected >>/tmp/NAME.log' PROGRAM; echo by hand >/tmp/NAME.log",
        told: "the program may not write or read /tmp/NAME.log: it runs as the user nobody",
        held: 0,
        mended: ByItsCommands,
    },
    Broken {
        how: "sed -i '2i echo connected >>/tmp/NAME.log' PROGRAM; echo ProtectSystem=strict >>UNITS/NAME@.service; systemctl daemon-reload",
        told: "the program cannot write /tmp/NAME.log: in the sandbox of NAME@.service the file system is read-only",
        held: 0,
        mended: ByItsCommands,
    },
    Broken {
        how: "printf '#!/bin/sh\\n: $LISTEN_FDS\\necho \"no database\" >&2\\nexit 1\\n' >PROGRAM; sed s/NAME@/NAME/ UNITS/NAME@.service >UNITS/NAME.service
              sed -i /Accept/d UNITS/NAME.socket; sed -i /StandardInput/d UNITS/NAME.service; RELOAD
              sockunit connect 127.0.0.1 PORT 2>/dev/null || :
              until systemctl is-failed --quiet NAME.socket; do sleep 0.02; done",
        told: "NAME.socket was given up, because NAME.service ended too often",
        held: 0,
        mended: By("sed -i 's/^Accept.*//; $aAccept=yes' UNITS/NAME.socket; rm UNITS/NAME.service; cp /root/NAME PROGRAM; systemctl daemon-reload"),
    },
    // One process for all connections.
    Broken {
        how: "SHARED
              sed -i 's,^ExecStart=,ExecStart=/usr/bin/sockunit serve --banner /nowhere -- ,; $aRestart=on-failure\\nRestartSec=1h' UNITS/NAME.service
              sed -i '1i [Unit]\\nStartLimitIntervalSec=0' UNITS/NAME.service; RELOAD; sockunit connect 127.0.0.1 PORT --idle-timeout 1ms 2>/dev/null || :
              until systemctl show -p SubState --value NAME.service | grep -q auto-restart; do sleep 0.02; done",
        told: "NAME.service ends, and systemd starts it again: its program ended with exit status 1",
        held: 0,
        mended: By("sed -i 's,--banner /nowhere,,' UNITS/NAME.service"),
    },
    Broken {
        how: "SHARED
              printf '#!/bin/sh\\n: $LISTEN_FDS\\nexec sleep infinity\\n' >PROGRAM; RELOAD; systemctl start NAME.service",
        told: "NAME.service accepts nobody: connections wait for it, 1 by now",
        held: 0,
        mended: By("printf '#!/bin/sh\\n: $LISTEN_FDS\\nexec /usr/bin/sockunit serve -- /bin/echo here\\n' >PROGRAM"),
    },
    Broken {
        how: "SHARED
              printf '#!/bin/sh\\n[ -n \"$LISTEN_FDS\" ] || exec sleep infinity\\nexec /usr/bin/sockunit serve -- /bin/echo here\\n' >PROGRAM
              systemctl stop NAME.socket; systemctl daemon-reload; systemctl start NAME.service",
        told: "NAME.socket is inactive, and NAME.service runs without it",
        held: 0,
        mended: ByItsCommands,
    },
    // What is somebody else's stays that.
    Broken {
        how: "printf '#!/bin/sh\\ngrep root /etc/shadow || :\\n' >PROGRAM",
        told: "the program may not write or read /etc/shadow: it runs as the user nobody",
        held: 0,
        mended: By("cp /root/NAME PROGRAM"),
    },
    Broken {
        how: "echo 'echo connected >>/var/log/NAME.log' >/srv/NAME.sh; echo by hand >/var/log/NAME.log; sed -i '2i . /srv/NAME.sh' PROGRAM",
        told: "the program may not write or read /var/log/NAME.log: it runs as the user nobody",
        held: 0,
        mended: ByItsCommands,
    },
];
