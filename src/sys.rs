//! System calls and C library functions that neither nix nor the standard library wraps.
//!
//! This is the only module with unsafe code. Every function in it is safe to call with any
//! arguments.

pub(crate) mod isolation;
pub(crate) mod spawn;

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr;

use nix::errno::Errno;
use nix::libc;
use nix::unistd::Pid;

/// Copies the kernel's `struct tcp_info` of a TCP socket into `info` (TCP_INFO, see tcp(7)) and
/// returns how many bytes it wrote: fewer than `N` on a kernel whose structure is shorter.
///
/// # Errors
///
/// See getsockopt(2); EOPNOTSUPP for an AF_UNIX socket.
pub(crate) fn tcp_info<const N: usize>(
    socket: &impl AsFd,
    info: &mut [u8; N],
) -> nix::Result<usize> {
    let mut length = libc::socklen_t::try_from(N).map_err(|_| Errno::EINVAL)?;
    // SAFETY: `info` is valid for writes of `length` bytes, and the kernel writes no more than
    // that. `length` is valid for reads and writes. Both outlive the call.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    Errno::result(result).map(|_| length as usize)
}

/// Reaps a child that has exited, and returns its PID and its wait status, which waitpid(2)
/// describes. It does not wait: `None` means that the child still runs. A PID of -1 stands for any
/// child.
///
/// nix cannot reap a child that a real-time signal killed, because it has no name for the signal.
///
/// # Errors
///
/// See waitpid(2); ECHILD if there is no such child.
pub(crate) fn reap(pid: Pid) -> nix::Result<Option<(Pid, i32)>> {
    let mut status = 0;
    // SAFETY: `status` is valid for writes and outlives the call.
    let reaped = unsafe { libc::waitpid(pid.as_raw(), &raw mut status, libc::WNOHANG) };
    let reaped = Errno::result(reaped)?;
    Ok((reaped != 0).then(|| (Pid::from_raw(reaped), status)))
}

/// Looks up the TCP port of a service name by the system's rules (getaddrinfo(3), nsswitch.conf(5)).
/// `None` means that there is no such service. `name` must not be a number, which getaddrinfo
/// takes for the port itself.
///
/// # Errors
///
/// The lookup failed, and says nothing about the name.
pub(crate) fn service_port(name: &str) -> io::Result<Option<u16>> {
    let Ok(name) = CString::new(name) else {
        return Ok(None);
    };
    // Without a host every address is a loopback address; one family is enough for the port.
    let hints = libc::addrinfo {
        ai_flags: 0,
        ai_family: libc::AF_INET,
        ai_socktype: libc::SOCK_STREAM,
        ai_protocol: libc::IPPROTO_TCP,
        ai_addrlen: 0,
        ai_addr: ptr::null_mut(),
        ai_canonname: ptr::null_mut(),
        ai_next: ptr::null_mut(),
    };
    let mut list: *mut libc::addrinfo = ptr::null_mut();
    // SAFETY: `name` is a C string and `hints` an addrinfo whose unused fields are zero, as
    // getaddrinfo(3) asks. `list` is valid for writes. All of them outlive the call.
    let code =
        unsafe { libc::getaddrinfo(ptr::null(), name.as_ptr(), &raw const hints, &raw mut list) };
    match code {
        0 => {}
        libc::EAI_SERVICE | libc::EAI_NONAME => return Ok(None),
        libc::EAI_SYSTEM => return Err(io::Error::last_os_error()),
        libc::EAI_MEMORY => return Err(io::ErrorKind::OutOfMemory.into()),
        code => return Err(io::Error::other(format!("getaddrinfo error {code}"))),
    }
    // SAFETY: After success `list` points to at least one addrinfo, and the `ai_addr` of each points
    // to a sockaddr_in, because the hints ask for AF_INET alone.
    let port = unsafe { (*(*list).ai_addr.cast::<libc::sockaddr_in>()).sin_port };
    // SAFETY: getaddrinfo allocated `list`, and nothing points into it any more.
    unsafe { libc::freeaddrinfo(list) };
    Ok(Some(u16::from_be(port)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, UdpSocket};
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, ExitStatus, Stdio};

    #[test]
    fn tcp_info_reports_how_much_it_wrote_and_only_for_tcp() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(tcp_info(&listener, &mut [0; 8]), Ok(8));
        let longer = tcp_info(&listener, &mut [0; 4096]).unwrap();
        assert!((104..4096).contains(&longer), "{longer}");
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(tcp_info(&udp, &mut [0; 8]).is_err());
    }

    #[test]
    fn a_child_killed_by_a_real_time_signal_is_reaped_with_its_status() {
        let mut child = Command::new("sh")
            .args(["-c", &format!("read line; kill -{} $$", libc::SIGRTMIN())])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let pid = Pid::from_raw(child.id().try_into().unwrap());
        assert_eq!(reap(pid), Ok(None));
        drop(child.stdin.take());
        let (reaped, status) = loop {
            match reap(pid).unwrap() {
                Some(reaped) => break reaped,
                None => std::thread::yield_now(),
            }
        };
        assert_eq!(reaped, pid);
        let signal = ExitStatus::from_raw(status).signal();
        assert_eq!(signal, Some(libc::SIGRTMIN()));
        assert_eq!(reap(pid), Err(Errno::ECHILD));
        assert!(child.wait().is_err(), "it was reaped already");
    }

    #[test]
    fn a_service_name_has_its_tcp_port_and_an_unknown_one_has_none() {
        for name in ["no-such-service", "a\0b"] {
            assert_eq!(service_port(name).unwrap(), None, "{name:?}");
        }
        // A minimal system has no services database.
        let database = std::fs::read("/etc/services").unwrap_or_default();
        let port = crate::services::port(&database, b"ssh", b"tcp");
        assert_eq!(service_port("ssh").unwrap(), port);
    }
}
