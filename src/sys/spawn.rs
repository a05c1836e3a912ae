//! Starts programs as posix_spawn(3) does, and does what that cannot do between clone(2) and execve(2).

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::os::fd::RawFd;
use std::ptr;

use nix::errno::Errno;
use nix::libc;
use nix::unistd::Pid;

/// The size of the stack on which the child calls execve, in bytes.
const STACK: usize = 64 * 1024;

/// A program, and what its process does before it executes it.
#[derive(Debug)]
pub(crate) struct NewProcess<'a> {
    /// The program.
    pub(crate) path: &'a CStr,
    /// Its arguments, its name included.
    pub(crate) arguments: &'a [CString],
    /// Its environment, in two parts.
    pub(crate) environment: [&'a [CString]; 2],
    /// Standard input and output.
    pub(crate) stdio: RawFd,
    /// Standard error, unless it is inherited.
    pub(crate) stderr: Option<RawFd>,
    /// Descriptors to close.
    pub(crate) close: &'a [RawFd],
    /// The limit on file locks (RLIMIT_LOCKS), which the kernel ignores.
    pub(crate) tag: u64,
    /// Whether the process gets a session of its own, and not only a process group. A process of a session can lower the
    /// share of processor time of all of it, through /proc/self/autogroup.
    pub(crate) session: bool,
    /// A Landlock ruleset, of which the process gets a domain of its own.
    pub(crate) ruleset: Option<RawFd>,
    /// A system call filter.
    pub(crate) filter: Option<&'a [libc::sock_filter]>,
}

/// What the child reads, and the error that it writes.
struct Shared<'a> {
    process: &'a NewProcess<'a>,
    arguments: Vec<*const c_char>,
    environment: Vec<*const c_char>,
    filter: Option<libc::sock_fprog>,
    errno: c_int,
}

/// Starts a program in a process group of its own, with no signal blocked or ignored. Returns when it
/// is executed.
///
/// # Errors
///
/// Those of clone(2), execve(2), landlock_restrict_self(2) and seccomp(2).
pub(crate) fn spawn(process: &NewProcess<'_>) -> nix::Result<Pid> {
    let pointers = |texts: &mut dyn Iterator<Item = &CString>| -> Vec<*const c_char> {
        let pointers = texts.map(|text| text.as_ptr());
        pointers.chain([ptr::null()]).collect()
    };
    let mut shared = Shared {
        process,
        arguments: pointers(&mut process.arguments.iter()),
        environment: pointers(&mut process.environment.iter().copied().flatten()),
        filter: process.filter.map(|filter| libc::sock_fprog {
            len: filter.len() as u16,
            // The kernel only reads it.
            filter: filter.as_ptr().cast_mut(),
        }),
        errno: 0,
    };
    let mut stack: Vec<u8> = Vec::with_capacity(STACK);
    let mut all = signal_set();
    let mut mask = signal_set();
    // SAFETY: The sets are valid for reads and writes.
    unsafe {
        libc::sigfillset(&raw mut all);
        // The child shares this thread's memory and must not run a signal handler in it.
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut mask);
    }
    // SAFETY: The stack is STACK bytes long, aligned below, and used by the child alone. CLONE_VFORK
    // suspends this thread until the child has executed the program or exited, so that `stack` and
    // `shared` outlive its use of them. `run` does not return, allocates nothing and cannot panic.
    let pid = unsafe {
        let top = stack.as_mut_ptr().add(STACK);
        let top = top.sub(top as usize % 16);
        libc::clone(
            run,
            top.cast(),
            libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD,
            (&raw mut shared).cast(),
        )
    };
    let pid = Errno::result(pid);
    // SAFETY: The set is valid for reads.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const mask, ptr::null_mut()) };
    let pid = pid?;
    if shared.errno != 0 {
        // SAFETY: A null pointer for the status is allowed. Another thread may have reaped the child.
        unsafe { libc::waitpid(pid, ptr::null_mut(), 0) };
        return Err(Errno::from_raw(shared.errno));
    }
    Ok(Pid::from_raw(pid))
}

fn signal_set() -> libc::sigset_t {
    // SAFETY: All-zero is a valid sigset_t, the empty set.
    unsafe { std::mem::zeroed() }
}

/// The child. It calls only async-signal-safe functions.
extern "C" fn run(shared: *mut c_void) -> c_int {
    // SAFETY: `spawn` passes a pointer to its `Shared`, and does not use it while this runs.
    let shared = unsafe { &mut *shared.cast::<Shared<'_>>() };
    let process = shared.process;
    // The kernel's struct sigaction: a null pointer is SIG_DFL. sigaction(3) refuses signals 32 and 33,
    // which posix_spawn(3) leaves ignored.
    let default = [0u64; 8];
    // SAFETY: Each pointer is valid for its call: `default` and `none` are locals, the strings, the filter and the
    // arrays of pointers, which end with a null pointer, belong to `shared`.
    unsafe {
        for signal in 1..=libc::SIGRTMAX() {
            // Fails for those that cannot be ignored anyway.
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                default.as_ptr(),
                ptr::null_mut::<c_void>(),
                size_of::<u64>(),
            );
        }
        match process.session {
            true => libc::setsid(),
            false => libc::setpgid(0, 0),
        };
        let mut failed = libc::dup2(process.stdio, 0) < 0 || libc::dup2(process.stdio, 1) < 0;
        if let Some(fd) = process.stderr {
            failed = failed || libc::dup2(fd, 2) < 0;
        }
        for fd in process.close {
            libc::close(*fd);
        }
        let limit = libc::rlimit64 {
            rlim_cur: process.tag,
            rlim_max: process.tag,
        };
        // Fails if the limit is lower already.
        libc::setrlimit64(libc::RLIMIT_LOCKS, &raw const limit);
        if let Some(ruleset) = process.ruleset {
            failed = failed || libc::syscall(libc::SYS_landlock_restrict_self, ruleset, 0) < 0;
        }
        if let Some(filter) = &shared.filter {
            let mode = libc::SECCOMP_MODE_FILTER as libc::c_ulong;
            failed = failed || libc::prctl(libc::PR_SET_SECCOMP, mode, ptr::from_ref(filter)) < 0;
        }
        if !failed {
            let none = signal_set();
            libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut());
            libc::execve(
                process.path.as_ptr(),
                shared.arguments.as_ptr(),
                shared.environment.as_ptr(),
            );
        }
        shared.errno = Errno::last_raw();
        libc::_exit(127)
    }
}

/// The limit on file locks of a process, which [`spawn`] sets as a tag.
///
/// # Errors
///
/// See prlimit(2): the process does not exist, or is another user's.
pub(crate) fn tag(pid: Pid) -> nix::Result<u64> {
    let mut limit = libc::rlimit64 {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is valid for writes and outlives the call; no new limit is set.
    let result = unsafe {
        libc::prlimit64(
            pid.as_raw(),
            libc::RLIMIT_LOCKS,
            ptr::null(),
            &raw mut limit,
        )
    };
    Errno::result(result).map(|_| limit.rlim_cur)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    fn start(path: &CStr, script: &str, tag: u64) -> (UnixStream, nix::Result<Pid>) {
        let (own, stdio) = UnixStream::pair().unwrap();
        let arguments = ["sh", "-c", script].map(|text| CString::new(text).unwrap());
        let environment = [c"A=1".to_owned()];
        let pid = spawn(&NewProcess {
            path,
            arguments: &arguments,
            environment: [&environment, &[c"B=2".to_owned()]],
            stdio: stdio.as_raw_fd(),
            stderr: None,
            close: &[],
            tag,
            session: false,
            ruleset: None,
            filter: None,
        });
        (own, pid)
    }

    #[test]
    fn a_program_is_executed_with_its_environment_signals_group_and_tag() {
        // A shell blocks signals while it waits for a child; grep, executed in its place, has what it was started with.
        let script = "echo $A $B; read x; exec grep -E '^Sig(Blk|Ign)' /proc/self/status";
        let (mut own, pid) = start(c"/bin/sh", script, 4711);
        let pid = pid.unwrap();
        assert_eq!(tag(pid), Ok(4711));
        assert_eq!(nix::unistd::getpgid(Some(pid)), Ok(pid));
        own.shutdown(std::net::Shutdown::Write).unwrap();
        let mut text = String::new();
        own.read_to_string(&mut text).unwrap();
        let zero = "0".repeat(16);
        assert_eq!(text, format!("1 2\nSigBlk:\t{zero}\nSigIgn:\t{zero}\n"));
        nix::sys::wait::waitpid(pid, None).unwrap();
        assert_eq!(tag(pid), Err(Errno::ESRCH));
    }

    #[test]
    fn a_program_that_cannot_be_executed_is_an_error_and_leaves_no_child() {
        let (_, pid) = start(c"/nonexistent", "", 4711);
        assert_eq!(pid, Err(Errno::ENOENT));
    }
}
