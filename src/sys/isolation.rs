//! Keeps processes of one user apart: Landlock domains and a system call filter.

use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;

use nix::errno::Errno;
use nix::libc;

/// The version of Landlock that can restrict signals (Linux 6.12).
const SIGNALS: i64 = 6;
/// The version of Landlock whose domains need not restrict anything but tracing (Linux 5.19).
const REFER: i64 = 2;

const CREATE_RULESET_VERSION: u32 = 1;
const RULE_PATH_BENEATH: u32 = 1;
const ACCESS_FS_REFER: u64 = 1 << 13;
const SCOPE_ABSTRACT_UNIX_SOCKET: u64 = 1;
const SCOPE_SIGNAL: u64 = 1 << 1;

/// AUDIT_ARCH of the architectures for which the filter below is made. System calls of others have
/// other numbers; the units permit those of the machine's own architecture alone.
const AUDIT_ARCHITECTURE: u32 = if cfg!(target_arch = "x86_64") {
    0xC000_003E
} else if cfg!(target_arch = "aarch64") {
    0xC000_00B7
} else if cfg!(target_arch = "riscv64") {
    0xC000_00F3
} else {
    0
};

/// `struct landlock_ruleset_attr`.
#[repr(C)]
struct RulesetAttributes {
    handled_access_fs: u64,
    handled_access_net: u64,
    scoped: u64,
}

/// `struct landlock_path_beneath_attr`.
#[repr(C, packed)]
struct PathBeneath {
    allowed_access: u64,
    parent_fd: i32,
}

/// Makes a Landlock ruleset. A process that gets a domain of it cannot trace processes outside of the
/// domain or read their memory and, from Linux 6.12 on, send them signals or connect to their abstract
/// sockets. It can use files as before.
///
/// # Errors
///
/// The kernel has no Landlock, or an older one than that of Linux 5.19.
pub(crate) fn ruleset() -> nix::Result<OwnedFd> {
    let create = |attributes: *const RulesetAttributes, size: usize, flags: u32| {
        // SAFETY: `attributes` is null, or valid for reads of `size` bytes.
        let result =
            unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, attributes, size, flags) };
        Errno::result(result)
    };
    let version = create(ptr::null(), 0, CREATE_RULESET_VERSION)?;
    if version < REFER {
        return Err(Errno::EOPNOTSUPP);
    }
    let signals = version >= SIGNALS;
    let attributes = RulesetAttributes {
        // A ruleset has to restrict something. The rule below allows it again.
        handled_access_fs: if signals { 0 } else { ACCESS_FS_REFER },
        handled_access_net: 0,
        scoped: SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL,
    };
    let size = match signals {
        true => size_of::<RulesetAttributes>(),
        false => size_of::<u64>(),
    };
    let ruleset = create(&raw const attributes, size, 0)?;
    let ruleset = i32::try_from(ruleset).map_err(|_| Errno::EBADF)?;
    // SAFETY: The kernel returned this descriptor, which nothing else owns. It has FD_CLOEXEC.
    let ruleset = unsafe { OwnedFd::from_raw_fd(ruleset) };
    if !signals {
        let root = File::open("/").map_err(|_| Errno::ENOENT)?;
        let rule = PathBeneath {
            allowed_access: ACCESS_FS_REFER,
            parent_fd: root.as_raw_fd(),
        };
        // SAFETY: `rule` is valid for reads and outlives the call, as do both descriptors.
        let result = unsafe {
            libc::syscall(
                libc::SYS_landlock_add_rule,
                ruleset.as_raw_fd(),
                RULE_PATH_BENEATH,
                &raw const rule,
                0u32,
            )
        };
        Errno::result(result)?;
    }
    Ok(ruleset)
}

/// The number of instructions of [`limits_filter`].
pub(crate) const FILTER_LENGTH: usize = 17;

/// A system call filter that keeps a process from reading and changing the resource limits of others
/// (prlimit(2)): a limit on processor time would end them. It cannot change its own limit on file locks
/// either, which is the tag of its connection.
pub(crate) fn limits_filter() -> [libc::sock_filter; FILTER_LENGTH] {
    // Offsets in struct seccomp_data.
    const NUMBER: u32 = 0;
    const ARCHITECTURE: u32 = 4;
    const fn low(argument: u32) -> u32 {
        16 + 8 * argument + if cfg!(target_endian = "big") { 4 } else { 0 }
    }
    const fn high(argument: u32) -> u32 {
        16 + 8 * argument + if cfg!(target_endian = "big") { 0 } else { 4 }
    }
    let statement = |code: u32, k: u32| libc::sock_filter {
        code: code as u16,
        jt: 0,
        jf: 0,
        k,
    };
    let load = |offset| statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset);
    let jump = |value, equal, other| libc::sock_filter {
        jt: equal,
        jf: other,
        ..statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, value)
    };
    let action = |action| statement(libc::BPF_RET | libc::BPF_K, action);
    // Jumps count the instructions that they skip.
    [
        load(ARCHITECTURE),
        jump(AUDIT_ARCHITECTURE, 0, 14),
        load(NUMBER),
        jump(libc::SYS_setrlimit as u32, 9, 0),
        jump(libc::SYS_prlimit64 as u32, 0, 11),
        // prlimit64(process, resource, new limit, old limit)
        load(low(0)),
        jump(0, 0, 8),
        load(low(1)),
        jump(libc::RLIMIT_LOCKS, 0, 7),
        load(low(2)),
        jump(0, 0, 4),
        load(high(2)),
        jump(0, 3, 2),
        // setrlimit(resource, new limit)
        load(low(0)),
        jump(libc::RLIMIT_LOCKS, 0, 1),
        action(libc::SECCOMP_RET_ERRNO | Errno::EPERM as u32),
        action(libc::SECCOMP_RET_ALLOW),
    ]
}
