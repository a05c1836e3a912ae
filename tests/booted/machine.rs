//! A throwaway Debian system, by way of `packaging/machine`.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, SocketAddrV4, TcpStream};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, socket};

use crate::deb::deb;

/// How long anything may take that a test waits for. Long, because only a failing test ever waits it out.
pub const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    Bookworm,
    Trixie,
}

impl Release {
    fn name(self) -> &'static str {
        match self {
            Release::Bookworm => "bookworm",
            Release::Trixie => "trixie",
        }
    }
}

/// How a service's connections are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A unit for each connection, as installed.
    Single,
    /// One process for all: `Accept=no` in a drop-in for the socket.
    Shared,
}

impl Mode {
    /// The unit that runs a service's program; for single connections the template.
    pub fn unit(self, service: &str) -> String {
        match self {
            Mode::Single => format!("{service}@.service"),
            Mode::Shared => format!("{service}.service"),
        }
    }
}

/// A booted machine; dropping it ends and removes it.
pub struct Machine {
    name: String,
    leader: String,
}

impl Machine {
    /// Boots a fresh machine.
    pub fn start(release: Release) -> Machine {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        // tests/run removes what is called after it, also when this process is killed.
        let run =
            std::env::var("SOCKUNIT_TEST_RUN").unwrap_or_else(|_| std::process::id().to_string());
        let name = format!("test-{run}-{count}");
        let leader = said(Command::new(tool()).args(["start", &name, release.name()]));
        Machine { name, leader }
    }

    /// Boots a fresh machine and installs the package in it. No socket is started.
    pub fn installed(release: Release) -> Machine {
        let machine = Machine::start(release);
        // For most tests this is only the way to the services; dpkg alone takes half a second less than apt-get.
        let there = machine.copy_in(deb());
        machine.run(&format!("dpkg --install --force-unsafe-io {there}"));
        machine
    }

    /// As `installed`, with both sockets started.
    pub fn serving(release: Release) -> Machine {
        let machine = Machine::installed(release);
        machine.run("systemctl start hello.socket celebs.socket");
        machine
    }

    /// As `serving`, in a mode.
    pub fn serving_in(release: Release, mode: Mode) -> Machine {
        let machine = Machine::installed(release);
        machine.switch(&["hello", "celebs"], mode);
        machine
    }

    /// Switches services to a mode the way the README says, and starts them in it.
    pub fn switch(&self, services: &[&str], mode: Mode) {
        let mut sockets = String::new();
        for service in services {
            let drop_ins = format!("/etc/systemd/system/{service}.socket.d");
            match mode {
                Mode::Single => {
                    let _ = fs::remove_file(self.outside(&format!("{drop_ins}/override.conf")));
                }
                Mode::Shared => {
                    let drop_in = format!("{drop_ins}/override.conf");
                    self.write(&drop_in, "[Socket]\nAccept=no\n");
                }
            }
            sockets += &format!(" {service}.socket");
        }
        self.run(&format!(
            "systemctl daemon-reload && systemctl restart{sockets}"
        ));
    }

    /// Gives celebs other arguments, by a drop-in for the unit that runs it.
    pub fn celebs_with(&self, mode: Mode, arguments: &str) {
        let unit = mode.unit("celebs");
        self.write(
            &format!("/etc/systemd/system/{unit}.d/arguments.conf"),
            &format!("[Service]\nExecStart=\nExecStart=/usr/libexec/sockunit/celebs {arguments}\n"),
        );
        self.run("systemctl daemon-reload && systemctl restart celebs.socket");
    }

    /// Installs a .deb from this side as a user does, without a network.
    pub fn install(&self, deb: &Path) {
        let there = self.copy_in(deb);
        self.run(&format!("apt-get install --yes --quiet {there}"));
    }

    /// Puts a file from this side into the machine's /root, and returns its path there.
    pub fn copy_in(&self, file: &Path) -> String {
        let there = format!("/root/{}", file.file_name().unwrap().to_str().unwrap());
        fs::copy(file, self.outside(&there))
            .unwrap_or_else(|e| panic!("cannot copy {}: {e}", file.display()));
        there
    }

    /// Where a path of the machine is on this side. Not for /run, /tmp and the like: they are mounts inside it.
    pub fn outside(&self, path: &str) -> PathBuf {
        repository()
            .join("target/machines")
            .join(&self.name)
            .join("root")
            .join(path.trim_start_matches('/'))
    }

    /// Writes a file in the machine, with the folders above it.
    pub fn write(&self, path: &str, content: &str) {
        let outside = self.outside(path);
        fs::create_dir_all(outside.parent().unwrap()).unwrap();
        fs::write(outside, content).unwrap();
    }

    /// Runs a shell script in the machine and returns what happened, whatever it is.
    pub fn output(&self, script: &str) -> Output {
        self.command(script)
            .stdin(Stdio::null())
            .output()
            .expect("packaging/machine can be started")
    }

    /// Runs a shell script that has to succeed, and returns its standard output.
    #[track_caller]
    pub fn run(&self, script: &str) -> String {
        said(self.command(script).stdin(Stdio::null()))
    }

    /// A shell script in the machine, for tests that keep its ends.
    pub fn command(&self, script: &str) -> Command {
        let mut command = Command::new(tool());
        command.args(["exec", &self.name, "--", "sh", "-e", "-c", script]);
        command
    }

    pub fn spawn(&self, script: &str) -> Child {
        self.command(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Reboots the machine and waits until it runs again. Its disk is kept.
    pub fn reboot(&mut self) {
        self.leader = said(Command::new(tool()).args(["reboot", &self.name]));
    }

    /// Runs a closure in the machine's network. A socket made there stays there, whoever uses it.
    pub fn in_network<T: Send>(&self, closure: impl FnOnce() -> T + Send) -> T {
        let namespace =
            fs::File::open(format!("/proc/{}/ns/net", self.leader)).expect("the machine runs");
        // A thread of its own: it moves alone and does not come back.
        thread::scope(|scope| {
            scope
                .spawn(|| {
                    setns(namespace, CloneFlags::CLONE_NEWNET)
                        .expect("root may enter the machine's network");
                    closure()
                })
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// A connection to an address in the machine, such as `127.0.0.1:3333` or `[::1]:3333`.
    #[track_caller]
    pub fn connect(&self, address: &str) -> TcpStream {
        let parsed: SocketAddr = address.parse().unwrap();
        let stream = self
            .in_network(|| TcpStream::connect_timeout(&parsed, PATIENCE))
            .unwrap_or_else(|e| panic!("cannot connect to {address}: {e}"));
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// The same from another of the loopback addresses than 127.0.0.1.
    pub fn connect_from(&self, source: Ipv4Addr, address: &str) -> TcpStream {
        let address: SocketAddrV4 = address.parse().unwrap();
        let stream = self.in_network(|| {
            let fd = socket(
                AddressFamily::Inet,
                SockType::Stream,
                SockFlag::SOCK_CLOEXEC,
                None,
            )
            .unwrap();
            let source = SocketAddrV4::new(source, 0);
            bind(fd.as_raw_fd(), &SockaddrIn::from(source)).unwrap();
            connect(fd.as_raw_fd(), &SockaddrIn::from(address)).unwrap();
            TcpStream::from(fd)
        });
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends bytes, ends its own half, and returns everything that came back.
    #[track_caller]
    pub fn converse(&self, address: &str, sent: &[u8]) -> Vec<u8> {
        let mut stream = self.connect(address);
        stream.write_all(sent).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut received = Vec::new();
        stream
            .read_to_end(&mut received)
            .unwrap_or_else(|e| panic!("{address}: {e}, after {received:?}"));
        received
    }

    /// What journalctl shows for these arguments, after all that journald has received is written.
    pub fn journal(&self, arguments: &str) -> String {
        self.run(&format!(
            "journalctl --sync && journalctl --quiet --no-pager {arguments}"
        ))
    }

    /// Waits until the journal, asked so, satisfies a condition, and returns it.
    #[track_caller]
    pub fn journal_until(
        &self,
        arguments: &str,
        what: &str,
        mut holds: impl FnMut(&str) -> bool,
    ) -> String {
        let mut journal = String::new();
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            journal = self.journal(arguments);
            if holds(&journal) {
                return journal;
            }
            thread::sleep(Duration::from_millis(50));
        }
        panic!("journalctl {arguments} never showed {what}; it shows:\n{journal}");
    }

    /// The instances of a template that are loaded, failed ones included.
    pub fn instances(&self, template: &str) -> Vec<String> {
        self.run(&format!(
            "systemctl list-units --all --plain --no-legend '{template}@*.service'"
        ))
        .lines()
        .filter_map(|line| line.split_whitespace().next().map(str::to_string))
        .collect()
    }

    /// Waits until no instance of a template is left, and checks that none of the machine's units has failed.
    #[track_caller]
    pub fn expect_nothing_left_of(&self, template: &str) {
        wait_until(&format!("no {template}@ instance is loaded"), || {
            self.instances(template).is_empty()
        });
        assert_eq!(
            self.run("systemctl --failed --plain --no-legend"),
            "",
            "failed units"
        );
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let stopped = Command::new(tool()).args(["stop", &self.name]).status();
        // While a test fails, its own message matters more.
        if !thread::panicking() {
            assert!(
                stopped.unwrap().success(),
                "packaging/machine stop {}",
                self.name
            );
        }
    }
}

/// Waits until a condition holds.
#[track_caller]
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !condition() {
        assert!(
            Instant::now() < until,
            "waited {PATIENCE:?} in vain for this: {what}"
        );
        thread::sleep(Duration::from_millis(20));
    }
}

pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn tool() -> PathBuf {
    repository().join("packaging/machine")
}

/// Runs a command that has to succeed, and returns what it printed, without the last line end.
#[track_caller]
pub fn said(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{command:?}: {}\nstdout:\n{stdout}\nstderr:\n{stderr}",
        output.status
    );
    stdout.trim_end_matches('\n').to_string()
}
