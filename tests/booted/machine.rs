//! A throwaway Debian system, which `packaging/machine` boots.

use std::fs::{self, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, socket};

use crate::deb::deb;
use crate::support::{Mode, PATIENCE, wait_for};

/// Where hello and celebs listen.
pub const HELLO: &str = "127.0.0.1:3333";
pub const CELEBS: &str = "127.0.0.1:3334";

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

impl Mode {
    /// The unit that runs the program of a service; a template if there is a unit for each connection.
    pub fn unit(self, service: &str) -> String {
        match self {
            Mode::PerConnection => format!("{service}@.service"),
            Mode::Shared => format!("{service}.service"),
        }
    }
}

/// A booted machine. Dropping it stops and removes it.
pub struct Machine {
    name: String,
    /// The process ID of its PID 1 outside the machine.
    leader: String,
}

impl Machine {
    /// Boots a fresh machine.
    pub fn start(release: Release) -> Machine {
        Machine::start_image(release.name(), None)
    }

    fn start_image(image: &str, package: Option<&Path>) -> Machine {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        // tests/run removes the machines with its own number, also after this process was killed.
        let run =
            std::env::var("SOCKUNIT_TEST_RUN").unwrap_or_else(|_| std::process::id().to_string());
        let name = format!("test-{run}-{count}");
        let leader = stdout_of(
            Command::new(tool())
                .args(["start", &name, image])
                .args(package),
        );
        Machine { name, leader }
    }

    /// Boots a fresh machine that has the package. No socket is started.
    pub fn installed(release: Release) -> Machine {
        Machine::start_image(release.name(), Some(deb()))
    }

    /// As `installed`, with Debian packages that ship socket units.
    #[cfg(feature = "sockets")]
    pub fn with_socket_packages(release: Release) -> Machine {
        Machine::start_image(&format!("{}-sockets", release.name()), Some(deb()))
    }

    /// As `installed`, with the files of Debian packages that have services for xinetd and inetd, for apt-get.
    #[cfg(feature = "superservers")]
    pub fn with_superserver_packages(release: Release) -> Machine {
        Machine::start_image(&format!("{}-superservers", release.name()), Some(deb()))
    }

    /// As `installed`, and starts both sockets.
    pub fn serving(release: Release) -> Machine {
        let machine = Machine::installed(release);
        machine.run("systemctl start hello.socket celebs.socket");
        machine
    }

    /// As `serving`, in the given mode.
    pub fn serving_in(release: Release, mode: Mode) -> Machine {
        let machine = Machine::installed(release);
        machine.switch(&["hello", "celebs"], mode);
        machine
    }

    /// Switches services to a mode with the drop-in of the README, and restarts their sockets.
    pub fn switch(&self, services: &[&str], mode: Mode) {
        let mut sockets = String::new();
        for service in services {
            let drop_in = format!("/etc/systemd/system/{service}.socket.d/override.conf");
            match mode {
                Mode::PerConnection => match fs::remove_file(self.outside(&drop_in)) {
                    Err(error) if error.kind() != ErrorKind::NotFound => {
                        panic!("{drop_in}: {error}")
                    }
                    _ => {}
                },
                Mode::Shared => self.write(&drop_in, "[Socket]\nAccept=no\n"),
            }
            sockets += &format!(" {service}.socket");
        }
        self.run(&format!(
            "systemctl daemon-reload && systemctl restart{sockets}"
        ));
    }

    /// Restarts celebs with other arguments, through a drop-in.
    pub fn celebs_with(&self, mode: Mode, arguments: &str) {
        let unit = mode.unit("celebs");
        self.write(
            &format!("/etc/systemd/system/{unit}.d/arguments.conf"),
            &format!("[Service]\nExecStart=\nExecStart=/usr/libexec/sockunit/celebs {arguments}\n"),
        );
        self.run("systemctl daemon-reload && systemctl restart celebs.socket");
    }

    /// Installs a .deb with apt-get, as a user does, but without a network.
    pub fn install(&self, deb: &Path) {
        let there = self.copy_in(deb);
        self.run(&format!("apt-get install --yes --quiet {there}"));
    }

    /// Copies a file from outside into the machine's /root; returns its path there.
    pub fn copy_in(&self, file: &Path) -> String {
        let there = format!("/root/{}", file.file_name().unwrap().to_str().unwrap());
        fs::copy(file, self.outside(&there))
            .unwrap_or_else(|e| panic!("cannot copy {}: {e}", file.display()));
        there
    }

    /// The path outside of a path in the machine. It does not hold for /run, /tmp and other mounts in the machine.
    pub fn outside(&self, path: &str) -> PathBuf {
        repository()
            .join("target/machines")
            .join(&self.name)
            .join("root")
            .join(path.trim_start_matches('/'))
    }

    /// Writes a file in the machine and creates its parent directories.
    pub fn write(&self, path: &str, content: &str) {
        let outside = self.outside(path);
        fs::create_dir_all(outside.parent().unwrap()).unwrap();
        fs::write(outside, content).unwrap();
    }

    /// Writes a program in the machine, which everybody may execute.
    pub fn program(&self, path: &str, content: &str) {
        self.write(path, content);
        fs::set_permissions(self.outside(path), Permissions::from_mode(0o755)).unwrap();
    }

    /// Runs a shell script in the machine; its exit status may be any.
    pub fn output(&self, script: &str) -> Output {
        self.command(script)
            .stdin(Stdio::null())
            .output()
            .expect("packaging/machine starts")
    }

    /// Runs a shell script that must succeed; returns its standard output.
    #[track_caller]
    pub fn run(&self, script: &str) -> String {
        stdout_of(self.command(script).stdin(Stdio::null()))
    }

    /// A shell script in the machine, for tests that choose its standard input and output.
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

    /// Reboots the machine and waits until it runs again. The disk is kept.
    pub fn reboot(&mut self) {
        self.leader = stdout_of(Command::new(tool()).args(["reboot", &self.name]));
    }

    /// Runs a closure in the machine's network namespace. A socket keeps the namespace that it was created in.
    pub fn in_network<T: Send>(&self, closure: impl FnOnce() -> T + Send) -> T {
        self.in_namespace("ns/net", closure)
    }

    /// Runs a closure in a network namespace, given by its file below /proc/PID.
    fn in_namespace<T: Send>(&self, file: &str, closure: impl FnOnce() -> T + Send) -> T {
        let namespace = fs::File::open(format!("/proc/{}/{file}", self.leader))
            .expect("the machine is running");
        // setns moves one thread, and this thread ends with the closure.
        thread::scope(|scope| {
            scope
                .spawn(|| {
                    setns(namespace, CloneFlags::CLONE_NEWNET)
                        .expect("entering a network namespace needs root");
                    closure()
                })
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Connects to an address in the machine, such as `127.0.0.1:3333` or `[::1]:3333`.
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

    /// Connects from the given loopback address.
    pub fn connect_from(&self, source: Ipv4Addr, address: &str) -> TcpStream {
        let address = address.parse().unwrap();
        self.in_network(|| connection(source.into(), address))
    }

    /// Connects from an address of a network namespace that `ip netns` has made in the machine.
    pub fn connect_beside(&self, name: &str, source: IpAddr, address: SocketAddr) -> TcpStream {
        let file = format!("root/run/netns/{name}");
        self.in_namespace(&file, || connection(source, address))
    }

    /// Sends bytes, closes the sending half, and returns everything that the service sent.
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

    /// What journalctl prints, after journald has written everything that it received.
    pub fn journal(&self, arguments: &str) -> String {
        self.run(&format!(
            "journalctl --sync && journalctl --quiet --no-pager {arguments}"
        ))
    }

    /// Waits until the output of journalctl satisfies a condition; returns the output.
    #[track_caller]
    pub fn journal_until(
        &self,
        arguments: &str,
        what: &str,
        mut holds: impl FnMut(&str) -> bool,
    ) -> String {
        let mut journal = String::new();
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            journal = self.journal(arguments);
            if holds(&journal) {
                return journal;
            }
            thread::sleep(Duration::from_millis(50));
        }
        panic!("journalctl {arguments} did not print {what}, but:\n{journal}");
    }

    /// A property of a unit, as `systemctl show` prints it.
    #[track_caller]
    pub fn property(&self, unit: &str, property: &str) -> String {
        self.run(&format!(
            "systemctl show --property {property} --value '{unit}'"
        ))
    }

    /// The processes that pgrep finds, one per line.
    #[track_caller]
    pub fn pgrep(&self, arguments: &str) -> String {
        // Exit status 1 means that no process matches.
        self.run(&format!("pgrep {arguments} || [ $? -eq 1 ]"))
    }

    /// Whether the cgroups of the machine have a controller. Says so if not, because tests then check less.
    pub fn has_controller(&self, controller: &str) -> bool {
        let controllers = self.run("cat /sys/fs/cgroup/cgroup.controllers");
        let has = controllers.split_whitespace().any(|c| c == controller);
        if !has {
            eprintln!("NOT CHECKED: limits that need the cgroup controller {controller}");
        }
        has
    }

    /// The loaded instances of a template, including failed ones.
    pub fn instances(&self, template: &str) -> Vec<String> {
        self.run(&format!(
            "systemctl list-units --all --plain --no-legend '{template}@*.service'"
        ))
        .lines()
        .filter_map(|line| line.split_whitespace().next().map(str::to_string))
        .collect()
    }

    /// Waits until no instance of a template is loaded, and asserts that no unit of the machine has failed.
    #[track_caller]
    pub fn expect_nothing_left_of(&self, template: &str) {
        wait_for(&format!("no {template}@ instance is loaded"), || {
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
        // A second panic would hide the message of the test.
        if !thread::panicking() {
            assert!(
                stopped.unwrap().success(),
                "packaging/machine stop {}",
                self.name
            );
        }
    }
}

fn connection(source: IpAddr, address: SocketAddr) -> TcpStream {
    let family = match source {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    };
    let fd = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
    let source = SockaddrStorage::from(SocketAddr::new(source, 0));
    bind(fd.as_raw_fd(), &source).unwrap();
    connect(fd.as_raw_fd(), &SockaddrStorage::from(address)).unwrap();
    let stream = TcpStream::from(fd);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn tool() -> PathBuf {
    repository().join("packaging/machine")
}

/// Runs a command that must succeed; returns its standard output without the last line end.
#[track_caller]
pub fn stdout_of(command: &mut Command) -> String {
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
