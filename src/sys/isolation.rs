//! Keeps processes of one user apart: Landlock domains and a system call filter.

use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;

use nix::errno::Errno;
use nix::libc;

/// The version of Landlock that can restrict signals (Linux 6.12).
const SIGNALS: libc::c_long = 6;
/// The version of Landlock whose domains need not restrict anything but tracing (Linux 5.19).
const REFER: libc::c_long = 2;

const CREATE_RULESET_VERSION: u32 = 1;
const RULE_PATH_BENEATH: u32 = 1;
const ACCESS_FS_REFER: u64 = 1 << 13;
const SCOPE_ABSTRACT_UNIX_SOCKET: u64 = 1;
const SCOPE_SIGNAL: u64 = 1 << 1;

/// The AUDIT_ARCH of linux/audit.h for which the filter below is made: that of this program. System calls of other
/// architectures have other numbers; the units permit those of the machine's own architecture alone. `None` if it is
/// not known here.
const AUDIT_ARCHITECTURE: Option<u32> = if cfg!(target_arch = "x86_64") {
    Some(0xC000_003E)
} else if cfg!(target_arch = "x86") {
    Some(0x4000_0003)
} else if cfg!(target_arch = "aarch64") {
    Some(0xC000_00B7)
} else if cfg!(all(target_arch = "arm", target_endian = "little")) {
    Some(0x4000_0028)
} else if cfg!(all(target_arch = "powerpc64", target_endian = "little")) {
    Some(0xC000_0015)
} else if cfg!(target_arch = "s390x") {
    Some(0x8000_0016)
} else if cfg!(target_arch = "riscv64") {
    Some(0xC000_00F3)
} else if cfg!(target_arch = "loongarch64") {
    Some(0xC000_0102)
} else {
    None
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
    ruleset_of_version(create(ptr::null(), 0, CREATE_RULESET_VERSION)?)
}

fn create(
    attributes: *const RulesetAttributes,
    size: usize,
    flags: u32,
) -> nix::Result<libc::c_long> {
    // SAFETY: `attributes` is null, or valid for reads of `size` bytes.
    let result =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, attributes, size, flags) };
    Errno::result(result)
}

fn ruleset_of_version(version: libc::c_long) -> nix::Result<OwnedFd> {
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

/// The system calls that change the scheduling of a process or a thread, or move its memory. The first argument tells
/// which; 0 is the caller.
const OF_PROCESS: [libc::c_long; 6] = [
    libc::SYS_sched_setaffinity,
    libc::SYS_sched_setattr,
    libc::SYS_sched_setparam,
    libc::SYS_sched_setscheduler,
    MIGRATE_PAGES,
    libc::SYS_move_pages,
];
/// The libc crate lacks SYS_migrate_pages for 32-bit ARM.
#[cfg(target_arch = "arm")]
const MIGRATE_PAGES: libc::c_long = 400;
#[cfg(not(target_arch = "arm"))]
const MIGRATE_PAGES: libc::c_long = libc::SYS_migrate_pages;
/// LoongArch has only prlimit64.
#[cfg(target_arch = "loongarch64")]
const SETRLIMIT: Option<libc::c_long> = None;
#[cfg(not(target_arch = "loongarch64"))]
const SETRLIMIT: Option<libc::c_long> = Some(libc::SYS_setrlimit);
/// PRIO_PROCESS of setpriority(2).
const PRIORITY_OF_PROCESS: u32 = 0;
/// IOPRIO_WHO_PROCESS of ioprio_set(2).
const IO_PRIORITY_OF_PROCESS: u32 = 1;

/// A system call filter that keeps a process from reading and changing the resource limits of others
/// (prlimit(2)): a limit on processor time would end them. Nor can it change the scheduling and the I/O priority of
/// others. It cannot change its own limit on file locks either, which is the tag of its connection.
///
/// A filter cannot know the threads of a process. Of its own threads, a process can therefore change the calling one
/// alone, and those that this one starts then.
///
/// # Errors
///
/// There is no filter for the architecture.
pub(crate) fn limits_filter() -> nix::Result<Vec<libc::sock_filter>> {
    let architecture = AUDIT_ARCHITECTURE.ok_or(Errno::EOPNOTSUPP)?;
    let refuse = action(libc::SECCOMP_RET_ERRNO | Errno::EPERM as u32);
    let allow = action(libc::SECCOMP_RET_ALLOW);
    // Jumps count the instructions that they skip.
    let mut filter = vec![
        load(ARCHITECTURE),
        jump(architecture, 1, 0),
        allow,
        load(NUMBER),
    ];
    // setrlimit(resource, new limit)
    if let Some(setrlimit) = SETRLIMIT {
        filter.extend([
            jump(setrlimit as u32, 0, 4),
            load(low(0)),
            jump(libc::RLIMIT_LOCKS, 0, 1),
            refuse,
            allow,
        ]);
    }
    // prlimit64(process, resource, new limit, old limit)
    filter.extend([
        jump(libc::SYS_prlimit64 as u32, 0, 10),
        load(low(0)),
        jump(0, 0, 6),
        load(low(1)),
        jump(libc::RLIMIT_LOCKS, 0, 5),
        load(low(2)),
        jump(0, 0, 2),
        load(high(2)),
        jump(0, 1, 0),
        refuse,
        allow,
    ]);
    // setpriority(kind, process, priority) and ioprio_set(kind, process, priority)
    filter.extend(only(libc::SYS_setpriority, &[PRIORITY_OF_PROCESS, 0]));
    filter.extend(only(libc::SYS_ioprio_set, &[IO_PRIORITY_OF_PROCESS, 0]));
    for call in OF_PROCESS {
        filter.extend(only(call, &[0]));
    }
    filter.push(allow);
    Ok(filter)
}

/// Allows a system call only if its first arguments are these, which are numbers of 32 bits. Other calls go on behind
/// these instructions.
fn only(call: libc::c_long, arguments: &[u32]) -> Vec<libc::sock_filter> {
    let compared: Vec<_> = (0u32..).zip(arguments).collect();
    // For each argument two instructions, and the two actions.
    let length = 2 * compared.len() as u8 + 2;
    let mut filter = vec![jump(call as u32, 0, length)];
    for (index, value) in compared {
        filter.push(load(low(index)));
        let refuse = length - filter.len() as u8;
        filter.push(jump(*value, 0, refuse - 1));
    }
    filter.push(action(libc::SECCOMP_RET_ALLOW));
    filter.push(action(libc::SECCOMP_RET_ERRNO | Errno::EPERM as u32));
    filter
}

/// The offset of the number of the system call in `struct seccomp_data`.
const NUMBER: u32 = 0;
/// The offset of its architecture.
const ARCHITECTURE: u32 = 4;

/// The offset of the lower half of an argument.
const fn low(argument: u32) -> u32 {
    16 + 8 * argument + if cfg!(target_endian = "big") { 4 } else { 0 }
}

/// The offset of the upper half of an argument.
const fn high(argument: u32) -> u32 {
    16 + 8 * argument + if cfg!(target_endian = "big") { 0 } else { 4 }
}

const fn statement(code: u32, k: u32) -> libc::sock_filter {
    libc::sock_filter {
        code: code as u16,
        jt: 0,
        jf: 0,
        k,
    }
}

const fn load(offset: u32) -> libc::sock_filter {
    statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset)
}

const fn jump(value: u32, equal: u8, other: u8) -> libc::sock_filter {
    libc::sock_filter {
        jt: equal,
        jf: other,
        ..statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, value)
    }
}

const fn action(action: u32) -> libc::sock_filter {
    statement(libc::BPF_RET | libc::BPF_K, action)
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::{fs, io};

    use nix::sys::signal::kill;
    use nix::unistd::Pid;

    use super::*;
    use crate::tree::Tree;

    /// Returns whether the filter allows a system call of this architecture.
    fn allows(architecture: u32, call: libc::c_long, arguments: [u64; 3]) -> bool {
        let filter = limits_filter().unwrap();
        let mut data = Vec::from((call as u32).to_ne_bytes());
        data.extend(architecture.to_ne_bytes());
        data.extend(0u64.to_ne_bytes());
        data.extend(arguments.iter().flat_map(|argument| argument.to_ne_bytes()));
        let (mut at, mut value) = (0, 0);
        loop {
            let instruction = filter[at];
            at += 1;
            match u32::from(instruction.code) & 7 {
                libc::BPF_LD => {
                    let offset = instruction.k as usize;
                    value = u32::from_ne_bytes(data[offset..offset + 4].try_into().unwrap());
                }
                libc::BPF_RET => return instruction.k == libc::SECCOMP_RET_ALLOW,
                _ if value == instruction.k => at += usize::from(instruction.jt),
                _ => at += usize::from(instruction.jf),
            }
        }
    }

    #[test]
    fn a_process_can_change_itself_and_no_other() {
        const LOCKS: u64 = libc::RLIMIT_LOCKS as u64;
        const CPU: u64 = libc::RLIMIT_CPU as u64;
        const POINTER: u64 = 1 << 40;
        let mut cases = vec![
            (libc::SYS_read, [7, LOCKS, 7], true),
            (libc::SYS_sched_getaffinity, [7, 0, 0], true),
            (libc::SYS_prlimit64, [0, CPU, POINTER], true),
            (libc::SYS_prlimit64, [0, LOCKS, 0], true),
            (libc::SYS_prlimit64, [0, LOCKS, POINTER], false),
            (libc::SYS_prlimit64, [0, LOCKS, 16], false),
            (libc::SYS_prlimit64, [7, CPU, POINTER], false),
            (libc::SYS_prlimit64, [7, CPU, 0], false),
            // PRIO_PROCESS, PRIO_PGRP and PRIO_USER; those of ioprio_set are one more.
            (libc::SYS_setpriority, [0, 0, 19], true),
            (libc::SYS_setpriority, [0, 7, 19], false),
            (libc::SYS_setpriority, [1, 0, 19], false),
            (libc::SYS_setpriority, [2, 0, 19], false),
            (libc::SYS_ioprio_set, [1, 0, 3 << 13], true),
            (libc::SYS_ioprio_set, [1, 7, 3 << 13], false),
            (libc::SYS_ioprio_set, [2, 0, 3 << 13], false),
            (libc::SYS_ioprio_set, [3, 0, 3 << 13], false),
        ];
        if let Some(call) = SETRLIMIT {
            cases.push((call, [CPU, POINTER, 0], true));
            cases.push((call, [LOCKS, POINTER, 0], false));
        }
        for call in OF_PROCESS {
            cases.push((call, [0, 8, POINTER], true));
            // The kernel ignores the upper half of a process ID.
            cases.push((call, [1 << 32, 8, POINTER], true));
            cases.push((call, [7, 8, POINTER], false));
            cases.push((call, [u64::MAX, 8, POINTER], false));
        }
        let own = AUDIT_ARCHITECTURE.unwrap();
        for (call, arguments, allowed) in cases {
            let verdict = allows(own, call, arguments);
            assert_eq!(verdict, allowed, "{call} {arguments:?}");
        }
        assert!(allows(!own, libc::SYS_setpriority, [1, 0, 19]));
    }

    /// Puts this thread into a domain of this ruleset.
    fn restrict(ruleset: &OwnedFd) {
        nix::sys::prctl::set_no_new_privs().unwrap();
        let call = libc::SYS_landlock_restrict_self;
        // SAFETY: The call takes two numbers.
        let result = unsafe { libc::syscall(call, ruleset.as_raw_fd(), 0u32) };
        Errno::result(result).unwrap();
    }

    #[test]
    fn each_version_of_landlock_keeps_processes_apart_and_files_usable() {
        assert_eq!(ruleset_of_version(1).unwrap_err(), Errno::EOPNOTSUPP);
        let tree = Tree::new("landlock");
        let newest = create(ptr::null(), 0, CREATE_RULESET_VERSION).unwrap();
        let versions = [(REFER, Ok(())), (SIGNALS, Err(Errno::EPERM))];
        for (version, signalled) in versions
            .into_iter()
            .filter(|(version, _)| *version <= newest)
        {
            tree.write("one/file", "x").write("other/old", "x");
            let mut process = Command::new("sleep").arg("100").spawn().unwrap();
            let pid = process.id();
            let memory = format!("/proc/{pid}/mem");
            File::open(&memory).unwrap();
            // The domain is that of a thread.
            let restricted = std::thread::scope(|scope| {
                let found = scope.spawn(|| {
                    restrict(&ruleset_of_version(version).unwrap());
                    let opened = File::open(&memory).map_err(|error| error.kind());
                    let signal = kill(Pid::from_raw(pid as i32), None);
                    let moved = fs::rename(tree.path("one/file"), tree.path("other/file"));
                    (opened.err(), signal, moved.is_ok())
                });
                found.join()
            });
            process.kill().unwrap();
            process.wait().unwrap();
            let denied = Some(io::ErrorKind::PermissionDenied);
            assert_eq!(restricted.unwrap(), (denied, signalled, true), "{version}");
        }
    }

    #[test]
    fn there_is_a_filter_for_the_architecture_of_the_build() {
        assert!(limits_filter().is_ok());
    }
}
