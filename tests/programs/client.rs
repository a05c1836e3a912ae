//! `sockunit connect` with pipes as standard input and output, and servers for one connection.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::support::{PATIENCE, rest, wait_for, wait_until};
use crate::tool::SOCKUNIT;

/// A server for one connection.
pub struct Server {
    pub port: String,
    pub thread: JoinHandle<()>,
}

/// Starts a server that passes its connection to `serve`.
pub fn server(serve: impl FnOnce(TcpStream) + Send + 'static) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let thread = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        serve(stream);
    });
    Server { port, thread }
}

/// A running client. Dropping it kills the process.
pub struct Client {
    pub child: Child,
    pub stdin: Option<ChildStdin>,
    pub stdout: ChildStdout,
}

/// Starts `sockunit connect`.
pub fn client(args: &[&str]) -> Client {
    let mut child = Command::new("env")
        // A shell ignores SIGINT for what it runs in the background, and child processes inherit that.
        .args(["--default-signal=INT", SOCKUNIT])
        .arg("connect")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take().unwrap());
    Client {
        child,
        stdin,
        stdout,
    }
}

impl Client {
    pub fn type_line(&mut self, line: &str) {
        self.stdin
            .as_mut()
            .unwrap()
            .write_all(line.as_bytes())
            .unwrap();
    }

    /// Waits until the client exits; returns its exit status, the rest of its standard output, and its standard error.
    pub fn end(mut self) -> (Option<i32>, Vec<u8>, String) {
        let mut output = Vec::new();
        self.stdout.read_to_end(&mut output).unwrap();
        let deadline = Instant::now() + PATIENCE;
        let status = wait_until("the client exits", deadline, || {
            self.child.try_wait().unwrap()
        });
        let errors = rest(self.child.stderr.take().unwrap());
        (status.code(), output, errors)
    }

    /// Waits until the client sleeps and uses no processor time: it moves no data, and it does not spin.
    pub fn wait_until_blocked(&self) {
        wait_for("the client is blocked", || {
            let before = self.proc_file("schedstat");
            // A client that moves data is scheduled within this time.
            thread::sleep(Duration::from_millis(200));
            let stat = self.proc_file("stat");
            let (_, state) = stat.rsplit_once(") ").unwrap();
            state.starts_with('S') && self.proc_file("schedstat") == before
        });
    }

    /// The peak resident memory in KiB, without that of the program's own file; `None` after the client has exited.
    pub fn peak(&self) -> Option<u64> {
        let status = self.proc_file("status");
        let value = |name: &str| -> Option<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.trim().trim_end_matches(" kB").parse().unwrap())
        };
        Some(value("VmHWM:")?.saturating_sub(value("RssFile:")?))
    }

    fn proc_file(&self, name: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{name}", self.child.id())).unwrap()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until the client exits; asserts that it printed the rest, succeeded and wrote no error.
#[track_caller]
pub fn assert_proper(client: Client, expected: impl AsRef<[u8]>) {
    let (status, output, errors) = client.end();
    assert_eq!(
        String::from_utf8_lossy(&output),
        String::from_utf8_lossy(expected.as_ref())
    );
    assert_eq!((status, errors.as_str()), (Some(0), ""));
}
