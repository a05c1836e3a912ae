//! `sockunit serve`.

mod end;
mod limits;
mod one;
mod processes;
mod program;
mod proxy;
mod sources;
mod start;
mod wait;

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, socket};

use crate::serving::Served;
use crate::support::{PATIENCE, line, rest, wait_until};
use crate::tool::SOCKUNIT;

/// A running `sockunit serve`, and its log.
struct Serve {
    address: SocketAddr,
    served: Served,
    log: PathBuf,
}

/// A unique path.
fn path(what: &str) -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("serve-{what}-{}-{count}", std::process::id());
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

impl Serve {
    /// Starts it with these options and this program.
    fn start(options: &[&str], program: &[&str]) -> Serve {
        Serve::start_by(&[], options, program)
    }

    /// Starts it with a shell script as the program.
    fn script(options: &[&str], script: &str) -> Serve {
        Serve::start(options, &["sh", "-c", script])
    }

    /// Starts it through a command that executes its arguments.
    fn start_by(by: &[&str], options: &[&str], program: &[&str]) -> Serve {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let log = path("log");
        let command = [by, &[SOCKUNIT, "serve"], options, &["--"], program].concat();
        let file = File::create(&log).unwrap();
        let served = Served::share_telling(command[0], &command[1..], listener.into(), file.into());
        Serve {
            address,
            served,
            log,
        }
    }

    fn connect(&self) -> TcpStream {
        let client = TcpStream::connect(self.address).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client.set_write_timeout(Some(PATIENCE)).unwrap();
        client
    }

    /// Connects from 127.0.0.SOURCE.
    fn connect_from(&self, source: u8) -> TcpStream {
        let fd = socket(
            AddressFamily::Inet,
            SockType::Stream,
            SockFlag::SOCK_CLOEXEC,
            None,
        )
        .unwrap();
        let source = SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, source), 0);
        bind(fd.as_raw_fd(), &SockaddrIn::from(source)).unwrap();
        let SocketAddr::V4(address) = self.address else {
            panic!("{}", self.address);
        };
        connect(fd.as_raw_fd(), &SockaddrIn::from(address)).unwrap();
        let client = TcpStream::from(fd);
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client
    }

    /// Connects, sends nothing, and reads to the end.
    fn say(&self) -> String {
        rest(self.connect())
    }

    /// What it has logged.
    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Waits for a log entry that contains this text, and returns it.
    #[track_caller]
    fn until_logged(&self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        wait_until(&format!("the log contains {text:?}"), deadline, || {
            let log = self.log();
            let line = log.lines().find(|line| line.contains(text))?;
            Some(line.to_owned())
        })
    }

    /// Its child processes, zombies included.
    fn children(&self) -> Vec<i32> {
        let own = self.served.pid().to_string();
        let numbers = fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
        numbers
            .filter(|pid: &i32| stat(*pid).is_some_and(|fields| fields[1] == own))
            .collect()
    }

    #[track_caller]
    fn until_childless(&self) {
        let deadline = Instant::now() + PATIENCE;
        wait_until("there is no child process", deadline, || {
            self.children().is_empty().then_some(())
        });
    }

    /// Sends SIGTERM, and waits until it has exited.
    fn end(&mut self) -> ExitStatus {
        self.served.terminate();
        self.served.wait()
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.log);
    }
}

/// The fields of /proc/PID/stat behind the name: state, parent, group, ...
fn stat(pid: i32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}

/// Waits until a process has ended or is a zombie.
#[track_caller]
fn until_ended(pid: i32) {
    let deadline = Instant::now() + PATIENCE;
    wait_until(&format!("process {pid} has ended"), deadline, || {
        stat(pid)
            .is_none_or(|fields| fields[0] == "Z")
            .then_some(())
    });
}
