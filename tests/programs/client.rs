//! `sockunit connect` at pipes, and servers for one connection.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crate::serving::{PATIENCE, wait_until};
use crate::tool::SOCKUNIT;

/// A server for one connection, which it hands to the closure.
pub struct Server {
    pub port: String,
    pub thread: JoinHandle<()>,
}

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

/// A client at work; it is ended when it is dropped.
pub struct Client {
    pub child: Child,
    pub stdin: Option<ChildStdin>,
    pub stdout: ChildStdout,
}

pub fn client(args: &[&str]) -> Client {
    let mut child = Command::new("env")
        // Whoever runs the tests in the background ignores the interrupt, and so would what they start.
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

    /// Waits for the end: the exit status, what else was shown, and what was complained of.
    pub fn end(mut self) -> (Option<i32>, Vec<u8>, String) {
        let mut shown = Vec::new();
        self.stdout.read_to_end(&mut shown).unwrap();
        let deadline = Instant::now() + PATIENCE;
        let status = wait_until("the client ends", deadline, || {
            self.child.try_wait().unwrap()
        });
        let mut told = String::new();
        self.child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut told)
            .unwrap();
        (status.code(), shown, told)
    }

    /// The most memory it has had, in KiB; nothing where it has ended.
    pub fn peak(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let peak = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))?;
        Some(peak.trim().trim_end_matches(" kB").parse().unwrap())
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asserts that the server closed, everything was shown and nothing complained of.
#[track_caller]
pub fn assert_proper(client: Client, shown: impl AsRef<[u8]>) {
    let (status, output, told) = client.end();
    assert_eq!(
        String::from_utf8_lossy(&output),
        String::from_utf8_lossy(shown.as_ref())
    );
    assert_eq!((status, told.as_str()), (Some(0), ""));
}
