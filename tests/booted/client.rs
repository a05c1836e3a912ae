//! A real client in a machine, telnet or another, fed as a person feeds it: the next line when the answer is there.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Instant;

use crate::machine::{Machine, PATIENCE};

pub struct Client {
    child: Child,
    typed: ChildStdin,
    shown: Receiver<Vec<u8>>,
    /// All that it has shown.
    transcript: String,
    /// How much of that `expect` has passed.
    passed: usize,
}

impl Client {
    /// Telnet with its standard input and output at pipes, as a script uses it.
    pub fn telnet_at_pipes(machine: &Machine, host: &str, port: &str) -> Client {
        Client::at_pipes(machine, &format!("telnet {host} {port}"))
    }

    /// Telnet at a terminal, as a person uses it: what is typed is echoed, and Ctrl-C is a signal.
    pub fn telnet_at_a_terminal(machine: &Machine, host: &str, port: &str) -> Client {
        Client::at_a_terminal(machine, &format!("telnet {host} {port}"))
    }

    /// A command with its standard input and output at pipes.
    pub fn at_pipes(machine: &Machine, command: &str) -> Client {
        Client::spawn(machine, &format!("exec {command} 2>&1"))
    }

    /// A command at a terminal.
    pub fn at_a_terminal(machine: &Machine, command: &str) -> Client {
        // Whoever runs the tests in the background ignores the interrupt, and so would what they start.
        Client::spawn(
            machine,
            &format!("exec env --default-signal=INT script -qec '{command}' /dev/null"),
        )
    }

    fn spawn(machine: &Machine, script: &str) -> Client {
        let mut child = machine.spawn(script);
        let typed = child.stdin.take().unwrap();
        let (sender, shown) = channel();
        let mut stdout = child.stdout.take().unwrap();
        thread::spawn(move || relay(&mut stdout, &sender));
        Client {
            child,
            typed,
            shown,
            transcript: String::new(),
            passed: 0,
        }
    }

    /// Waits until it has shown a text after the last one expected.
    #[track_caller]
    pub fn expect(&mut self, text: &str) {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.transcript[self.passed..].find(text) {
                self.passed += at + text.len();
                return;
            }
            match self
                .shown
                .recv_timeout(until.saturating_duration_since(Instant::now()))
            {
                Ok(bytes) => self.take(&bytes),
                Err(why) => panic!(
                    "the client never showed {text:?} ({why}), but:\n{}",
                    self.transcript
                ),
            }
        }
    }

    /// Types something.
    #[track_caller]
    pub fn say(&mut self, text: &str) {
        self.typed.write_all(text.as_bytes()).unwrap();
    }

    /// Waits until it ends by itself, and returns all that it has shown, without the terminal's carriage returns.
    #[track_caller]
    pub fn ended(mut self) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            match self
                .shown
                .recv_timeout(until.saturating_duration_since(Instant::now()))
            {
                Ok(bytes) => self.take(&bytes),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    panic!("the client did not end after:\n{}", self.transcript)
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
        // Does nothing where it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn relay(from: &mut impl Read, to: &Sender<Vec<u8>>) {
    let mut buffer = [0; 4096];
    while let Ok(count) = from.read(&mut buffer) {
        if count == 0 || to.send(buffer[..count].to_vec()).is_err() {
            return;
        }
    }
}
