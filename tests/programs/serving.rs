//! Starts a program with a connection, as inetd does, or with a listening socket, as systemd does.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt};

use crate::support::{Mode, PATIENCE, rest, wait_until};

pub const HELLO: &str = env!("CARGO_BIN_EXE_hello");
pub const CELEBS: &str = env!("CARGO_BIN_EXE_celebs");

/// A program that serves, with a clean environment.
pub struct Served {
    child: Child,
    mode: Mode,
}

/// Where the program's standard error goes.
pub enum Stderr {
    /// To the client, as xinetd has it.
    Client,
    /// To a socket that stands for the journal's stream.
    Journal(UnixStream),
}

impl Served {
    /// Starts the program with `connection` as standard input and output.
    pub fn start(program: &str, args: &[&str], connection: OwnedFd, stderr: Stderr) -> Served {
        let mut command = Command::new(program);
        command.args(args).env_clear().env("TZ", "UTC");
        match stderr {
            Stderr::Client => command.stderr(copy(&connection)),
            Stderr::Journal(stream) => {
                let stat = nix::sys::stat::fstat(&stream).unwrap();
                command
                    .env("JOURNAL_STREAM", format!("{}:{}", stat.st_dev, stat.st_ino))
                    .stderr(OwnedFd::from(stream))
            }
        };
        command.stdin(copy(&connection)).stdout(connection);
        Served {
            child: command.spawn().unwrap(),
            mode: Mode::PerConnection,
        }
    }

    /// Starts the program with `listener` as file descriptor 3, as systemd passes it.
    pub fn share(program: &str, args: &[&str], listener: OwnedFd) -> Served {
        Served::share_telling(program, args, listener, Stdio::null())
    }

    /// The same, with this standard error.
    pub fn share_telling(program: &str, args: &[&str], listener: OwnedFd, stderr: Stdio) -> Served {
        let child = Command::new("sh")
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 </dev/null", program])
            .args(args)
            .env_clear()
            .envs([
                ("TZ", "UTC"),
                ("LISTEN_FDS", "1"),
                ("PATH", "/usr/bin:/bin"),
            ])
            .stdin(listener)
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .unwrap();
        Served {
            child,
            mode: Mode::Shared,
        }
    }

    /// Sends SIGTERM, once the program has blocked it to read it from a signalfd.
    pub fn terminate(&self) {
        let deadline = Instant::now() + PATIENCE;
        wait_until("the program blocks SIGTERM", deadline, || {
            let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
            let blocked = status
                .lines()
                .find_map(|line| line.strip_prefix("SigBlk:"))
                .unwrap();
            let blocked = u64::from_str_radix(blocked.trim(), 16).unwrap();
            (blocked >> (nix::libc::SIGTERM - 1) & 1 == 1).then_some(())
        });
        let pid = nix::unistd::Pid::from_raw(self.child.id() as i32);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    }

    /// Waits until the program has exited; a shared one receives SIGTERM before.
    pub fn end(self) -> ExitStatus {
        if self.mode == Mode::Shared {
            self.terminate();
        }
        self.ended()
    }

    /// Waits until the program has exited by itself.
    pub fn ended(mut self) -> ExitStatus {
        self.wait()
    }

    /// The same, and keeps the handle.
    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        wait_until("the program exits", deadline, || {
            self.child.try_wait().unwrap()
        })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn copy(fd: &impl AsFd) -> Stdio {
    fd.as_fd().try_clone_to_owned().unwrap().into()
}

/// The address of the one TCP socket over IPv4 on which a program listens, once it does.
#[track_caller]
pub fn listening_address(pid: u32) -> SocketAddr {
    const LISTEN: &str = "0A";
    let deadline = Instant::now() + PATIENCE;
    wait_until("the program listens", deadline, || {
        let sockets: Vec<String> = fs::read_dir(format!("/proc/{pid}/fd"))
            .unwrap()
            .filter_map(|fd| {
                fs::read_link(fd.unwrap().path())
                    .ok()?
                    .into_os_string()
                    .into_string()
                    .ok()
            })
            .collect();
        let table = fs::read_to_string(format!("/proc/{pid}/net/tcp")).unwrap();
        table.lines().skip(1).find_map(|row| {
            let fields: Vec<&str> = row.split_whitespace().collect();
            let (local, state, inode) = (fields[1], fields[3], fields[9]);
            let own = sockets.contains(&format!("socket:[{inode}]"));
            let (_, port) = local.split_once(':').unwrap();
            let port = u16::from_str_radix(port, 16).unwrap();
            (own && state == LISTEN).then_some((Ipv4Addr::LOCALHOST, port).into())
        })
    })
}

/// A TCP connection over this loopback address: the client's end, and the one to serve.
pub fn tcp(address: &str) -> (TcpStream, OwnedFd) {
    let listener = TcpListener::bind((address, 0)).unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.set_write_timeout(Some(PATIENCE)).unwrap();
    (client, listener.accept().unwrap().0.into())
}

/// Sets options that have the kernel add control messages to each datagram, as a program may do.
pub fn add_control_messages(socket: &UdpSocket) {
    setsockopt(socket, sockopt::ReceiveTimestamp, &true).unwrap();
    setsockopt(socket, sockopt::Ipv4PacketInfo, &true).unwrap();
    setsockopt(socket, sockopt::IpRecvTos, &true).unwrap();
    setsockopt(socket, sockopt::Ipv4RecvTtl, &true).unwrap();
}

/// Serves a TCP connection over this loopback address. The standard error of a process for one
/// connection is the client too, as under xinetd.
pub fn serve_on(address: &str, mode: Mode, program: &str, args: &[&str]) -> (TcpStream, Served) {
    if mode == Mode::PerConnection {
        let (client, connection) = tcp(address);
        return (
            client,
            Served::start(program, args, connection, Stderr::Client),
        );
    }
    let listener = TcpListener::bind((address, 0)).unwrap();
    let target = listener.local_addr().unwrap();
    let served = Served::share(program, args, listener.into());
    let client = TcpStream::connect(target).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.set_write_timeout(Some(PATIENCE)).unwrap();
    (client, served)
}

/// The same over 127.0.0.1.
pub fn serve(mode: Mode, program: &str, args: &[&str]) -> (TcpStream, Served) {
    serve_on("127.0.0.1", mode, program, args)
}

/// The same over an AF_UNIX socket.
pub fn serve_unix(mode: Mode, program: &str, args: &[&str]) -> (UnixStream, Served) {
    if mode == Mode::PerConnection {
        let (client, connection) = UnixStream::pair().unwrap();
        let served = Served::start(program, args, connection.into(), Stderr::Client);
        return (client, served);
    }
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("serving-{}-{count}", std::process::id());
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let listener = UnixListener::bind(&path).unwrap();
    let served = Served::share(program, args, listener.into());
    let client = UnixStream::connect(&path).unwrap();
    fs::remove_file(&path).unwrap();
    (client, served)
}

/// Returns whether the client receives nothing for this long. Panics if the connection is reset. The read
/// timeout is [`PATIENCE`] afterwards.
#[track_caller]
pub fn stays_silent(client: &mut TcpStream, time: Duration) -> bool {
    client.set_read_timeout(Some(time)).unwrap();
    let read = client.read(&mut [0]);
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    match read {
        Ok(_) => false,
        Err(error) if error.kind() == ErrorKind::WouldBlock => true,
        Err(error) => panic!("{error} instead of silence"),
    }
}

/// Sends `input`, closes the sending half, and reads to the end.
pub fn exchange(mut client: TcpStream, input: &[u8]) -> String {
    client.write_all(input).unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    rest(client)
}
