//! What a program at the end of a connection cannot do, by level.

use std::fmt;

use clap::ValueEnum;

use super::{Attachment, Kind};
use crate::systemd::Scope;

/// How much is taken away from a program. sockunit(1) says what each level takes and costs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Level {
    /// No homes, devices, network of its own, other processes or place to write
    #[default]
    Strict,
    /// No way to gain privileges, and limits; files and network as the user may
    Standard,
    /// Nothing is taken away
    Off,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Level::Strict => "strict",
            Level::Standard => "standard",
            Level::Off => "off",
        })
    }
}

/// The cheap part of the sandbox: what needs no mounts.
const NO_PRIVILEGES: &str = "
# No way to gain privileges, nor sockets but those of the network and of this machine.
NoNewPrivileges=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
UMask=0077
";

/// What the user's own service manager has no means for without a user namespace.
const NO_CAPABILITIES: &str = "CapabilityBoundingSet=\n";

const ANY_SOCKETS: &str = "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK\n";

/// A file system without homes or a place to write, other users' memory or processes.
const NOTHING_IN_VIEW: &str = "
# In a user namespace of its own it cannot read another's memory, though it may be the same user.
PrivateUsers=yes
# No homes in view, nothing of running services, and no place to write: where /proc is mounted anew, as below,
# ProtectSystem= leaves /run writable,
# and systemd 252 the homes. BindReadOnlyPaths= brings something into view, BindPaths= to write to as well.
ProtectSystem=strict
ProtectHome=tmpfs
TemporaryFileSystem=/home:ro /root:ro /run:ro /run/user:ro /dev/shm:ro /tmp:ro /var/tmp:ro
LimitMSGQUEUE=0
PrivateMounts=yes
PrivateDevices=yes
# No other processes.
ProtectProc=invisible
ProtectClock=yes
ProtectHostname=yes
";

/// For one connection: nothing but what it was handed. @aio holds io_uring, which makes sockets by
/// other ways; shared memory and its kin outlive the connection.
const NOTHING_BUT_THE_CONNECTION: &str = "RestrictAddressFamilies=none
SystemCallFilter=~@aio @clock @cpu-emulation @debug @keyring @module @mount @obsolete @privileged @raw-io @reboot
SystemCallFilter=~@resources @swap msgget semget shmget
SystemCallErrorNumber=EPERM
";

/// For all connections, in a process that is paid for once: it speaks to the journal and to systemd.
const NOTHING_BUT_THE_LISTENER: &str = "RestrictAddressFamilies=AF_UNIX
PrivateNetwork=yes
PrivateIPC=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
RemoveIPC=yes
SystemCallFilter=~@aio @clock @cpu-emulation @debug @keyring @module @mount @obsolete @privileged @raw-io @reboot
SystemCallFilter=~@resources @swap msgget semget shmget
SystemCallErrorNumber=EPERM
";

/// What has no effect in the user's own service manager.
const NO_NETWORK: &str = "IPAddressDeny=any\nDevicePolicy=closed\n";

/// For each connection.
const LIMITS: &str = "
# For each connection.
TasksMax=32
MemoryMax=128M
MemorySwapMax=0
LimitNOFILE=256
LimitCORE=0
RuntimeMaxSec=1d
";

/// The sockets of the journal and of the service manager, for a process that speaks to both.
fn spoken_to(scope: Scope) -> String {
    let manager = match scope {
        Scope::System => "/run",
        Scope::User => "%t",
    };
    format!("BindReadOnlyPaths=/run/systemd/journal {manager}/systemd/notify\n")
}

/// The lines of the `[Service]` section that make up the sandbox.
pub fn lines(attachment: &Attachment, scope: Scope) -> String {
    let system = scope == Scope::System;
    let single = attachment.kind == Kind::Single;
    let mut text = String::new();
    if attachment.level == Level::Off {
        return text;
    }
    text += NO_PRIVILEGES;
    let strict = attachment.level == Level::Strict;
    if system || strict {
        text += NO_CAPABILITIES;
    }
    if strict {
        text += match single {
            true => NOTHING_BUT_THE_CONNECTION,
            false => NOTHING_BUT_THE_LISTENER,
        };
        text += match (system, single) {
            (true, _) => NO_NETWORK,
            // The groups of processes are the user's own, who could leave them.
            (false, true) => "ProtectControlGroups=yes\n",
            (false, false) => "",
        };
        text += NOTHING_IN_VIEW;
        if !single {
            text += &spoken_to(scope);
        }
    } else {
        text += ANY_SOCKETS;
    }
    if single {
        text += LIMITS;
    } else {
        let most = u64::from(attachment.max_connections);
        text += &format!(
            "
# For all connections.
TasksMax={}
MemoryMax=1G
MemorySwapMax=0
LimitNOFILE=16384
LimitCORE=0
",
            most * 4 + 16
        );
    }
    text
}
