//! A client program in a machine, such as telnet. The tests type the next line when the answer has arrived, as a person
//! does.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Instant;

use crate::machine::Machine;
use crate::support::PATIENCE;

pub struct Client {
    child: Child,
    stdin: ChildStdin,
    stdout: Receiver<Vec<u8>>,
    /// Everything that the client has printed.
    transcript: String,
    /// The end of the last text that `expect` found in the transcript.
    passed: usize,
}

impl Client {
    /// telnet with pipes as standard input and output, as a script runs it.
    pub fn telnet_at_pipes(machine: &Machine, host: &str, port: &str) -> Client {
        Client::at_pipes(machine, &format!("telnet {host} {port}"))
    }

    /// telnet on a terminal, as a person uses it: the terminal echoes input, and Ctrl-C is a signal.
    pub fn telnet_at_a_terminal(machine: &Machine, host: &str, port: &str) -> Client {
        Client::at_a_terminal(machine, &format!("telnet {host} {port}"))
    }

    /// A command with pipes as standard input and output.
    pub fn at_pipes(machine: &Machine, command: &str) -> Client {
        Client::spawn(machine, &format!("exec {command} 2>&1"))
    }

    /// A command on a terminal.
    pub fn at_a_terminal(machine: &Machine, command: &str) -> Client {
        // A shell ignores SIGINT for what it runs in the background, and child processes inherit that.
        Client::spawn(
            machine,
            &format!("exec env --default-signal=INT script -qec '{command}' /dev/null"),
        )
    }

    fn spawn(machine: &Machine, script: &str) -> Client {
        let mut child = machine.spawn(script);
        let stdin = child.stdin.take().unwrap();
        let (sender, stdout) = channel();
        let mut output = child.stdout.take().unwrap();
        thread::spawn(move || relay(&mut output, &sender));
        Client {
            child,
            stdin,
            stdout,
            transcript: String::new(),
            passed: 0,
        }
    }

    /// Waits until the client has printed a text after the last one expected.
    #[track_caller]
    pub fn expect(&mut self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.transcript[self.passed..].find(text) {
                self.passed += at + text.len();
                return;
            }
            match self
                .stdout
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            {
                Ok(bytes) => self.take(&bytes),
                Err(why) => panic!(
                    "the client did not print {text:?} ({why}), but:\n{}",
                    self.transcript
                ),
            }
        }
    }

    /// Types a text.
    #[track_caller]
    pub fn type_text(&mut self, text: &str) {
        self.stdin.write_all(text.as_bytes()).unwrap();
    }

    /// Waits until the client exits; returns everything that it has printed, without the carriage returns of the terminal.
    #[track_caller]
    pub fn ended(mut self) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self
                .stdout
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            {
                Ok(bytes) => self.take(&bytes),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    panic!("the client did not exit after:\n{}", self.transcript)
                }
            }
        }
        self.child.wait().unwrap();
        std::mem::take(&mut self.transcript).replace('\r', "")
    }

    fn take(&mut self, bytes: &[u8]) {
        self.transcript.push_str(&String::from_utf8_lossy(bytes));
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Does nothing if the client has exited.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn relay(from: &mut impl Read, to: &Sender<Vec<u8>>) {
    let mut buffer = [0; 4096];
    loop {
        let count = from.read(&mut buffer).expect("the pipe is readable");
        if count == 0 || to.send(buffer[..count].to_vec()).is_err() {
            return;
        }
    }
}
