//! The sandbox levels as data: each is one value with its directives and what follows from them.
//!
//! sockunit-add(1) documents the levels. To add one, add a variant to [`Level`]; the compiler names
//! the places that have to know it.

use std::fmt;

use clap::ValueEnum;

use super::{Attachment, Kind};
use crate::systemd::Scope;

/// How much of the system the program cannot use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Level {
    /// No homes, devices, other processes or network of its own; a read-only file system
    #[default]
    Strict,
    /// No way to gain privileges, and limits; files and network as the user may
    Standard,
    /// No restrictions
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

/// What a level consists of.
#[derive(Debug, Clone, Copy)]
pub struct Sandbox {
    /// Homes are hidden; a program in one needs a bind mount.
    pub homes_hidden: bool,
    /// The service has a /tmp of its own, whichever user it runs as.
    pub tmp_hidden: bool,
    /// Root has no capabilities either, and system calls are those of the machine's own architecture.
    pub unprivileged: bool,
    groups: &'static [&'static Group],
}

impl Level {
    /// The level's sandbox.
    pub fn sandbox(self) -> Sandbox {
        match self {
            Level::Strict => Sandbox {
                homes_hidden: true,
                tmp_hidden: true,
                unprivileged: true,
                groups: &[
                    &PRIVILEGES,
                    &CAPABILITIES,
                    &PRIVATE_NETWORK,
                    &LISTENER_ONLY,
                    &PENDING_SIGNALS,
                    &SYSTEM_CALLS,
                    &NETWORK,
                    &CONTROL_GROUPS,
                    &FILES,
                    &SYSLOG_SOCKET,
                    &MANAGER_SOCKETS,
                    &MANAGER_SOCKETS_OF_USER,
                    &LIMITS,
                    &SHARED_LIMITS,
                ],
            },
            Level::Standard => Sandbox {
                homes_hidden: false,
                tmp_hidden: false,
                unprivileged: true,
                groups: &[
                    &PRIVILEGES,
                    &CAPABILITIES_OF_SYSTEM,
                    &USUAL_SOCKETS,
                    &LIMITS,
                    &SHARED_LIMITS,
                ],
            },
            Level::Off => Sandbox {
                homes_hidden: false,
                tmp_hidden: false,
                unprivileged: false,
                groups: &[],
            },
        }
    }
}

/// Directives that belong together.
#[derive(Debug)]
struct Group {
    /// Only for services of this kind.
    kind: Option<Kind>,
    /// Only for this service manager.
    scope: Option<Scope>,
    /// The lines of the `[Service]` section, with their comments. TASKS stands for the task limit of a
    /// shared service.
    text: &'static str,
}

const fn always(text: &'static str) -> Group {
    Group {
        kind: None,
        scope: None,
        text,
    }
}

const fn of_kind(kind: Kind, text: &'static str) -> Group {
    Group {
        kind: Some(kind),
        scope: None,
        text,
    }
}

const fn of_scope(scope: Scope, text: &'static str) -> Group {
    Group {
        kind: None,
        scope: Some(scope),
        text,
    }
}

/// The cheap part: it needs no mount namespace.
const PRIVILEGES: Group = always(
    "
# The program cannot gain privileges.
NoNewPrivileges=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
UMask=0077
",
);

const CAPABILITIES: Group = always("CapabilityBoundingSet=\n");

/// A user's service manager cannot drop capabilities without a user namespace.
const CAPABILITIES_OF_SYSTEM: Group = of_scope(Scope::System, "CapabilityBoundingSet=\n");

const USUAL_SOCKETS: Group =
    always("RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK\n");

/// An abstract AF_UNIX socket needs no file, but belongs to a network.
const PRIVATE_NETWORK: Group = always(
    "# For syslog(3). In a network of its own, the program reaches no other AF_UNIX sockets than those whose files it sees.
RestrictAddressFamilies=AF_UNIX
PrivateNetwork=yes
",
);

/// What a shared service can afford.
const LISTENER_ONLY: Group = of_kind(
    Kind::Shared,
    "PrivateIPC=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
RemoveIPC=yes
LimitSIGPENDING=1024
",
);

const PENDING_SIGNALS: Group = of_kind(Kind::PerConnection, "LimitSIGPENDING=64\n");

/// @aio includes io_uring, which makes sockets that RestrictAddressFamilies= does not see. Shared memory
/// and its like would outlive the connection. With PrivateUsers= the kernel counts inotify instances
/// and pending signals for root too, so that a program could use up those of root's processes.
const SYSTEM_CALLS: Group = always(
    "SystemCallFilter=~@aio @clock @cpu-emulation @debug @keyring @module @mount @obsolete @privileged @raw-io @reboot
SystemCallFilter=~@resources @swap msgget semget shmget inotify_init inotify_init1
SystemCallErrorNumber=EPERM
",
);

/// A user's service manager cannot enforce these.
const NETWORK: Group = of_scope(Scope::System, "IPAddressDeny=any\nDevicePolicy=closed\n");

/// The user owns the control groups, and could move processes out of them.
const CONTROL_GROUPS: Group = Group {
    kind: Some(Kind::PerConnection),
    scope: Some(Scope::User),
    text: "ProtectControlGroups=yes\n",
};

const FILES: Group = always(
    "
# A user namespace keeps the program from the memory of others, even if they run as the same user.
PrivateUsers=yes
# Homes and the files of running services are hidden, and the file system is read-only. ProtectSystem= alone leaves
# /run writable, and on systemd 252 the homes, because /proc is mounted again (below). BindReadOnlyPaths= makes a path
# visible, BindPaths= visible and writable. Without /dev/pts, the program cannot use up the terminals of the system.
ProtectSystem=strict
ProtectHome=tmpfs
TemporaryFileSystem=/home:ro /root:ro /run:ro /run/user:ro /dev/shm:ro /dev/pts:ro /tmp:ro /var/tmp:ro
LimitMSGQUEUE=0
PrivateMounts=yes
PrivateDevices=yes
# The program sees no other processes.
ProtectProc=invisible
ProtectClock=yes
ProtectHostname=yes
",
);

/// The socket that /dev/log names.
const SYSLOG_SOCKET: Group = of_kind(
    Kind::PerConnection,
    "BindReadOnlyPaths=/run/systemd/journal/dev-log\n",
);

/// `sockunit serve` logs and notifies systemd through them.
const MANAGER_SOCKETS: Group = Group {
    kind: Some(Kind::Shared),
    scope: Some(Scope::System),
    text: "BindReadOnlyPaths=/run/systemd/journal /run/systemd/notify\n",
};

const MANAGER_SOCKETS_OF_USER: Group = Group {
    kind: Some(Kind::Shared),
    scope: Some(Scope::User),
    text: "BindReadOnlyPaths=/run/systemd/journal %t/systemd/notify\n",
};

const LIMITS: Group = of_kind(
    Kind::PerConnection,
    "
# For each connection.
TasksMax=32
MemoryMax=128M
MemorySwapMax=0
LimitNOFILE=256
LimitCORE=0
RuntimeMaxSec=1d
",
);

const SHARED_LIMITS: Group = of_kind(
    Kind::Shared,
    "
# For all connections together. If the kernel kills one program for lack of memory, the others go on.
TasksMax=TASKS
MemoryMax=1G
OOMPolicy=continue
MemorySwapMax=0
LimitNOFILE=16384
LimitCORE=0
",
);

/// The lines of the `[Service]` section that make up the sandbox.
pub fn lines(attachment: &Attachment, scope: Scope) -> String {
    let tasks = u64::from(attachment.max_connections) * 4 + 16;
    let groups = attachment.level.sandbox().groups.iter();
    groups
        .filter(|group| group.kind.is_none_or(|kind| kind == attachment.kind))
        .filter(|group| group.scope.is_none_or(|of| of == scope))
        .map(|group| group.text.replace("TASKS", &tasks.to_string()))
        .collect()
}
