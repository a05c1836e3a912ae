//! The sandbox levels as data: each is one value with its directives and what follows from them.
//!
//! sockunit-add(1) documents the levels. To add one, add a variant to [`Level`]; the compiler names
//! the places that have to know it.

use std::fmt;
use std::time::Duration;

use clap::ValueEnum;

use super::{Attachment, Kind};
use crate::clock::duration_word;
use crate::systemd::Scope;

const DAY: Duration = Duration::from_secs(24 * 3600);
/// How much longer than its time limit a connection may take to end.
const MARGIN: Duration = Duration::from_secs(60);

/// How much of the system the program cannot use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Level {
    /// No home directories, devices, other processes or network of its own; a read-only file system
    #[default]
    Strict,
    /// No way to gain privileges, and limits; files and network as the user may (a dynamic user may only
    /// read)
    Standard,
    /// For servers that start as root and drop privileges themselves: home directories, the network, and those of
    /// root's privileges that such a server needs
    Privileged,
    /// No restrictions but those of a dynamic user; with --user-name, none
    Off,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Level::Strict => "strict",
            Level::Standard => "standard",
            Level::Privileged => "privileged",
            Level::Off => "off",
        })
    }
}

/// What a level consists of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sandbox {
    /// Homes are hidden; a program in one needs a bind mount.
    pub homes_hidden: bool,
    /// The service has a /tmp of its own, whichever user it runs as.
    pub tmp_hidden: bool,
    /// Root has no capabilities either.
    pub unprivileged: bool,
    /// `sockunit serve` keeps the programs of different connections apart.
    pub isolated: bool,
    /// System calls are those of the machine's own architecture.
    pub native_only: bool,
    /// The program runs as root unless the user says otherwise.
    pub as_root: bool,
    groups: &'static [&'static Group],
}

impl Level {
    /// The level's sandbox.
    pub(crate) fn sandbox(self) -> Sandbox {
        match self {
            Level::Strict => Sandbox {
                homes_hidden: true,
                tmp_hidden: true,
                unprivileged: true,
                isolated: true,
                native_only: true,
                as_root: false,
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
                isolated: true,
                native_only: true,
                as_root: false,
                groups: &[
                    &PRIVILEGES,
                    &CAPABILITIES_OF_SYSTEM,
                    &USUAL_SOCKETS,
                    &NO_IO_URING,
                    &LIMITS,
                    &SHARED_LIMITS,
                ],
            },
            Level::Privileged => Sandbox {
                homes_hidden: false,
                tmp_hidden: true,
                unprivileged: false,
                isolated: true,
                native_only: true,
                as_root: true,
                groups: &[
                    &PRIVILEGES,
                    &CAPABILITIES_OF_SERVERS,
                    &USUAL_SOCKETS,
                    &CALLS_OF_SERVERS,
                    &FILES_OF_SERVERS,
                    &OWN_PROCESSES,
                    &ALL_PROCESSES,
                    &SYSLOG_SOCKET,
                    &MANAGER_SOCKETS,
                    &LIMITS,
                    &SHARED_LIMITS,
                ],
            },
            Level::Off => Sandbox {
                homes_hidden: false,
                tmp_hidden: false,
                unprivileged: false,
                isolated: false,
                native_only: false,
                as_root: false,
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
    /// shared service, and TIME for the time limit of a connection.
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

/// io_uring makes sockets that RestrictAddressFamilies= does not see.
const NO_IO_URING: Group = always("SystemCallFilter=~io_uring_setup:EPERM\n");

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

/// @aio includes io_uring. Shared memory and its like would outlive the connection. With PrivateUsers= the kernel
/// counts inotify instances and pending signals for root too, so that a program could use up those of root's processes.
const SYSTEM_CALLS: Group = always(
    "SystemCallFilter=~@aio @clock @cpu-emulation @debug @keyring @module @mount @obsolete @privileged @raw-io @reboot
SystemCallFilter=~@resources @swap msgget semget shmget inotify_init inotify_init1 userfaultfd
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

/// What servers need to become other users, to change their root, and to serve the files of users. vsftpd
/// listens on low ports too.
const CAPABILITIES_OF_SERVERS: Group = always(
    "CapabilityBoundingSet=CAP_SETUID CAP_SETGID CAP_SYS_CHROOT CAP_CHOWN CAP_FOWNER CAP_DAC_OVERRIDE CAP_KILL
CapabilityBoundingSet=CAP_AUDIT_WRITE CAP_NET_BIND_SERVICE
",
);

/// @privileged, without the calls that change user, group and root.
const CALLS_OF_SERVERS: Group = always(
    "SystemCallFilter=~@aio @clock @cpu-emulation @debug @keyring @module @mount @obsolete @raw-io @reboot @resources @swap
SystemCallFilter=~acct bpf fanotify_init open_by_handle_at quotactl setdomainname sethostname msgget semget shmget userfaultfd
# These are in @mount and @resources, and servers and PAM need them.
SystemCallFilter=chroot setpriority setrlimit
SystemCallErrorNumber=EPERM
",
);

const FILES_OF_SERVERS: Group = always(
    "
# The file system is read-only, except homes, /srv, mail and logs, and an empty /tmp. /run has only what logins need, and
# the empty directories that sshd and vsftpd use.
ProtectSystem=strict
ReadWritePaths=-/home -/root -/srv -/var/mail -/var/log
ReadOnlyPaths=-/var/log/journal
TemporaryFileSystem=/run:ro /run/sshd:ro,mode=0755 /run/vsftpd/empty:ro,mode=0755 /dev/shm:ro
InaccessiblePaths=-/dev/hugepages
BindReadOnlyPaths=-/run/systemd/resolve -/run/nscd
BindPaths=-/run/utmp
PrivateTmp=yes
PrivateMounts=yes
PrivateDevices=yes
PrivateIPC=yes
LimitMSGQUEUE=0
ProtectClock=yes
ProtectHostname=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
",
);

/// `invisible` hides nothing from the group root.
const OWN_PROCESSES: Group = of_kind(
    Kind::PerConnection,
    "# The program sees no other processes.
ProtectProc=ptraceable
",
);

const ALL_PROCESSES: Group = of_kind(
    Kind::Shared,
    "# A program that has become another user sees no processes of others. sockunit serve does: it stops those that
# programs leave, whatever their user.
ProtectProc=invisible
",
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
RuntimeMaxSec=TIME
",
);

const SHARED_LIMITS: Group = of_kind(
    Kind::Shared,
    "
# For all connections together, but for LimitNOFILE=, which is for each process. If the kernel kills one program for
# lack of memory, the others go on.
TasksMax=TASKS
MemoryMax=1G
OOMPolicy=continue
MemorySwapMax=0
LimitNOFILE=16384
LimitCORE=0
",
);

/// The lines of the `[Service]` section that make up the sandbox.
pub(super) fn lines(attachment: &Attachment, scope: Scope) -> String {
    let tasks = u64::from(attachment.max_connections) * 4 + 16;
    // Longer than --time-limit, at which sockunit serve stops the program in order.
    let asked = attachment.rules.time_limit.unwrap_or_default();
    let time = match asked < DAY {
        true => "1d".to_owned(),
        false => duration_word(asked + MARGIN),
    };
    let groups = attachment.level.sandbox().groups.iter();
    groups
        .filter(|group| group.kind.is_none_or(|kind| kind == attachment.kind))
        .filter(|group| group.scope.is_none_or(|of| of == scope))
        .map(|group| {
            group
                .text
                .replace("TASKS", &tasks.to_string())
                .replace("TIME", &time)
        })
        .collect()
}
