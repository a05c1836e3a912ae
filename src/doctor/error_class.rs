//! The classes of error messages, as a table: what they mean, and which directives can cause them.

use super::sandbox::{Restriction, any, switch};
use crate::systemd::journalctl::Entry;

/// A class of errors.
#[derive(Debug, Clone, Copy)]
pub(super) struct Class {
    /// Texts of the C library or of programs; a message of the class has one of them ...
    pub texts: &'static [&'static str],
    /// ... and one of these, if there are any.
    pub with: &'static [&'static str],
    /// What it means if a directive of the unit can be the cause.
    pub means: &'static str,
    /// The directives.
    pub causes: &'static [Restriction],
    /// How they are lifted.
    pub fix: Fix,
    /// What to do if the unit has none of these directives. Without a text, the class is not meant.
    pub otherwise: &'static str,
}

/// How the directives of a class are lifted.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fix {
    /// All together, by their lines.
    Together,
    /// One of them is enough.
    OneOf,
    /// By what only the user can know.
    Words(&'static str),
    /// Together, if the program runs as root; otherwise by this.
    ForRoot(&'static str),
}

const CAPABILITIES: Restriction = any("CapabilityBoundingSet", &["CapabilityBoundingSet=~"]);
/// The system call filter.
pub(super) const CALLS: Restriction = any("SystemCallFilter", &["SystemCallFilter="]);
const DYNAMIC_USER: Restriction = switch("DynamicUser", &[]);
const NO_NETWORK: Restriction = switch("PrivateNetwork", &["PrivateNetwork=no"]);

const fn over(key: &'static str, places: &'static [&'static str]) -> Restriction {
    Restriction::Paths {
        key,
        places,
        lift: &[],
    }
}

const HOMES: &[&str] = &["/home", "/root", "/run/user"];
const TMP: &[&str] = &["/tmp", "/var/tmp"];
const RUN: &[&str] = &["/run"];
const VISIBLE: &str = "BindReadOnlyPaths=PATH in a drop-in makes a path visible, and BindPaths=PATH visible and writable";

/// More specific classes come first.
pub(super) const CLASSES: &[Class] = &[
    Class {
        texts: &["no new privileges"],
        with: &[],
        means: "sudo and other set-user-ID programs get no privileges in this sandbox",
        causes: &[switch("NoNewPrivileges", &["NoNewPrivileges=no"])],
        fix: Fix::Together,
        otherwise: "",
    },
    Class {
        texts: &[
            "setuid",
            "setgid",
            "setgroups",
            "initgroups",
            "setresuid",
            "setresgid",
            "seteuid",
            "setegid",
            "setreuid",
            "setregid",
            "chroot",
        ],
        with: &[
            "not permitted",
            "Invalid argument",
            "failed",
            "cannot",
            "can't",
            "unable",
        ],
        means: "the program is not allowed to become another user or change its root directory",
        causes: &[
            any(
                "CapabilityBoundingSet",
                &["CapabilityBoundingSet=CAP_SETUID CAP_SETGID CAP_SYS_CHROOT"],
            ),
            any(
                "SystemCallFilter",
                &["SystemCallFilter=@setuid capset chroot"],
            ),
            switch("PrivateUsers", &["PrivateUsers=no"]),
            any("User", &[]),
            DYNAMIC_USER,
        ],
        fix: Fix::ForRoot(
            "a server that becomes another user has to start as root, without User= and DynamicUser=, and \
                           with the capabilities for it, as under sockunit add --sandbox privileged",
        ),
        otherwise: "",
    },
    Class {
        texts: &["Address family not supported"],
        with: &[],
        means: "the program is not allowed to create sockets of this address family",
        causes: &[any(
            "RestrictAddressFamilies",
            &[
                "RestrictAddressFamilies=",
                "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
            ],
        )],
        fix: Fix::Together,
        otherwise: "the kernel does not support this address family",
    },
    Class {
        texts: &["Connection refused"],
        with: &[],
        means: "the program cannot reach other services on this machine",
        causes: &[
            NO_NETWORK,
            any("IPAddressDeny", &["IPAddressAllow=localhost"]),
        ],
        fix: Fix::Together,
        otherwise: "the service that the program connects to does not listen",
    },
    Class {
        texts: &[
            "Network is unreachable",
            "Connection timed out",
            "No route to host",
            "Temporary failure in name resolution",
        ],
        with: &[],
        means: "the program has no network besides its connection",
        causes: &[NO_NETWORK, any("IPAddressDeny", &["IPAddressDeny="])],
        fix: Fix::Together,
        otherwise: "this machine has no route to the address that the program connects to",
    },
    Class {
        texts: &[
            "No such file or directory",
            "Operation not permitted",
            "Permission denied",
        ],
        with: &["/dev/"],
        means: "most devices are hidden from the program",
        causes: &[
            switch("PrivateDevices", &["PrivateDevices=no"]),
            any("DevicePolicy", &["DevicePolicy=auto"]),
        ],
        fix: Fix::Together,
        otherwise: "",
    },
    Class {
        texts: &["No such file or directory", "Permission denied"],
        with: &["/home/", "/root/", "/run/user/"],
        means: "home directories are hidden from the program",
        causes: &[
            switch("ProtectHome", &[]),
            over("TemporaryFileSystem", HOMES),
            over("InaccessiblePaths", HOMES),
        ],
        fix: Fix::Words(
            "ProtectHome=tmpfs with BindReadOnlyPaths=PATH in a drop-in makes a path in a home visible, and BindPaths=PATH \
              visible and writable",
        ),
        otherwise: "",
    },
    Class {
        texts: &["Read-only file system"],
        with: &["/tmp/"],
        means: "the program cannot write to /tmp and /var/tmp",
        causes: &[
            Restriction::Paths {
                key: "TemporaryFileSystem",
                places: TMP,
                lift: &["PrivateTmp=yes"],
            },
            Restriction::Paths {
                key: "ReadOnlyPaths",
                places: TMP,
                lift: &["PrivateTmp=yes"],
            },
            switch("ProtectSystem", &["PrivateTmp=yes"]),
        ],
        fix: Fix::Together,
        otherwise: "",
    },
    Class {
        texts: &["No such file or directory"],
        with: &["/tmp/"],
        means: "the program does not see the files of others in /tmp and /var/tmp",
        causes: &[
            switch("PrivateTmp", &[]),
            DYNAMIC_USER,
            over("TemporaryFileSystem", TMP),
        ],
        fix: Fix::Words(VISIBLE),
        otherwise: "",
    },
    Class {
        texts: &["No such file or directory"],
        with: &["/run/"],
        means: "the files of running services are hidden from the program",
        causes: &[over("TemporaryFileSystem", RUN)],
        fix: Fix::Words(VISIBLE),
        otherwise: "",
    },
    Class {
        texts: &["Read-only file system"],
        with: &[],
        means: "the program writes where its sandbox makes the file system read-only",
        causes: &[
            switch("ProtectSystem", &[]),
            any("ReadOnlyPaths", &[]),
            any("TemporaryFileSystem", &[]),
            switch("ProtectHome", &[]),
            DYNAMIC_USER,
            switch("ProtectKernelTunables", &[]),
            switch("ProtectControlGroups", &[]),
        ],
        fix: Fix::Words(
            "StateDirectory=NAME gives the program the directory /var/lib/NAME to write to, which is $STATE_DIRECTORY; \
              ReadWritePaths=PATH, or BindPaths=PATH below TemporaryFileSystem=, makes a path writable",
        ),
        otherwise: "the file system itself is read-only",
    },
    Class {
        texts: &["Too many open files"],
        with: &[],
        means: "the program cannot open more files",
        causes: &[any("LimitNOFILE", &["LimitNOFILE=65536"])],
        fix: Fix::Together,
        otherwise: "",
    },
    Class {
        texts: &[
            "Cannot fork",
            "fork: ",
            "start new thread",
            "pthread_create",
            "Resource temporarily unavailable",
        ],
        with: &[],
        means: "the program cannot start more processes or threads",
        causes: &[
            any("TasksMax", &["TasksMax=4096"]),
            any("LimitNPROC", &["LimitNPROC=4096"]),
        ],
        fix: Fix::Together,
        otherwise: "",
    },
    Class {
        texts: &[
            "Cannot allocate memory",
            "Out of memory",
            "out of memory",
            "emory exhausted",
            "MemoryError",
            "bad_alloc",
        ],
        with: &[],
        means: "the program cannot get more memory",
        causes: &[any("LimitAS", &[]), any("LimitDATA", &[])],
        fix: Fix::Words("a larger value in a drop-in allows it"),
        otherwise: "",
    },
    Class {
        texts: &["File too large", "File size limit exceeded"],
        with: &[],
        means: "the program cannot write a larger file",
        causes: &[any("LimitFSIZE", &["LimitFSIZE=infinity"])],
        fix: Fix::Together,
        otherwise: "",
    },
    Class {
        texts: &["Operation not permitted"],
        with: &[],
        means: "the program cannot use a system call or a privilege",
        causes: &[
            CALLS,
            CAPABILITIES,
            switch("NoNewPrivileges", &["NoNewPrivileges=no"]),
            switch("RestrictSUIDSGID", &["RestrictSUIDSGID=no"]),
            switch("RestrictNamespaces", &["RestrictNamespaces=no"]),
            switch("RestrictRealtime", &["RestrictRealtime=no"]),
            switch("LockPersonality", &["LockPersonality=no"]),
            switch("PrivateUsers", &["PrivateUsers=no"]),
            switch("ProtectClock", &["ProtectClock=no"]),
            switch("ProtectHostname", &["ProtectHostname=no"]),
            switch("ProtectKernelModules", &["ProtectKernelModules=no"]),
            switch("ProtectKernelLogs", &["ProtectKernelLogs=no"]),
            switch("MemoryDenyWriteExecute", &["MemoryDenyWriteExecute=no"]),
        ],
        fix: Fix::OneOf,
        otherwise: "the service's user cannot do this: see User= and DynamicUser=",
    },
    Class {
        texts: &["No such file or directory", "Permission denied"],
        with: &[],
        means: "paths are hidden from the program",
        causes: &[
            any("InaccessiblePaths", &[]),
            any("NoExecPaths", &[]),
            any("RootDirectory", &[]),
        ],
        fix: Fix::Words(
            "a drop-in that repeats the list without the path makes it visible, after an empty assignment",
        ),
        otherwise: "",
    },
    Class {
        texts: &["Permission denied"],
        with: &[],
        means: "",
        causes: &[],
        fix: Fix::Together,
        otherwise: "the service's user cannot access a file: see which user that is (User= or DynamicUser=); a log file \
                    is not needed, because standard error goes to the journal",
    },
];

impl Class {
    /// Whether an entry is of this class. Some programs, sockunit among them, write the reasons of errors in lower case.
    pub(super) fn has(&self, entry: &Entry) -> bool {
        let message = entry.message.as_deref().unwrap_or_default();
        let message = message.to_ascii_lowercase();
        let has = |text: &&str| message.contains(&text.to_ascii_lowercase());
        let any = |texts: &[&str]| texts.iter().any(has);
        any(self.texts) && (self.with.is_empty() || any(self.with))
    }
}
