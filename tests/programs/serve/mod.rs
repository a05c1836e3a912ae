//! `sockunit serve`: a program for each connection.

mod end;
mod limits;
mod program;
mod start;

use std::fs::{self, File};
use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::serving::Served;
use crate::support::{PATIENCE, rest, wait_until};
use crate::tool::SOCKUNIT;

/// `sockunit serve` at work, and the records that it has written.
struct Serve {
    address: SocketAddr,
    served: Served,
    told: PathBuf,
}

/// A path that nobody else has.
fn path(what: &str) -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("serve-{what}-{}-{count}", std::process::id());
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

impl Serve {
    /// With these options, a program for each who connects to the address.
    fn start(options: &[&str], program: &[&str]) -> Serve {
        Serve::start_by(&[], options, program)
    }

    /// A shell script for each.
    fn script(options: &[&str], script: &str) -> Serve {
        Serve::start(options, &["sh", "-c", script])
    }

    /// The same, started by a command that becomes it.
    fn start_by(by: &[&str], options: &[&str], program: &[&str]) -> Serve {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let told = path("told");
        let command = [by, &[SOCKUNIT, "serve"], options, &["--"], program].concat();
        let file = File::create(&told).unwrap();
        let served = Served::share_telling(command[0], &command[1..], listener.into(), file.into());
        Serve {
            address,
            served,
            told,
        }
    }

    fn connect(&self) -> TcpStream {
        let client = TcpStream::connect(self.address).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client.set_write_timeout(Some(PATIENCE)).unwrap();
        client
    }

    /// What a client is told that sends nothing.
    fn say(&self) -> String {
        rest(self.connect())
    }

    /// What it has written to standard error.
    fn told(&self) -> String {
        fs::read_to_string(&self.told).unwrap()
    }

    /// Waits until it has told this, and returns the line.
    #[track_caller]
    fn until_told(&self, words: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        wait_until(&format!("it tells {words:?}"), deadline, || {
            let told = self.told();
            let line = told.lines().find(|line| line.contains(words))?;
            Some(line.to_owned())
        })
    }

    /// The processes whose parent it is, ended ones included.
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
        wait_until("no child is left", deadline, || {
            self.children().is_empty().then_some(())
        });
    }

    /// Has it stop.
    fn end(&mut self) -> ExitStatus {
        self.served.terminate();
        self.served.wait()
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.told);
    }
}

/// The fields of /proc/PID/stat behind the name: state, parent, group, ...
fn stat(pid: i32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}

/// Waits until a process has ended.
#[track_caller]
fn until_ended(pid: i32) {
    let deadline = Instant::now() + PATIENCE;
    wait_until(&format!("process {pid} has ended"), deadline, || {
        stat(pid)
            .is_none_or(|fields| fields[0] == "Z")
            .then_some(())
    });
}

/// Reads a line.
#[track_caller]
fn line(client: &mut impl Read) -> String {
    let mut line = Vec::new();
    let mut byte = [0];
    while byte != *b"\n" {
        client.read_exact(&mut byte).unwrap();
        line.push(byte[0]);
    }
    String::from_utf8(line).unwrap().trim_end().to_owned()
}
