//! Records, and where they go. Logging never delays, breaks or leaks into a conversation: a
//! record that its sink does not take at once is counted, and the count is told later.

mod allowance;
mod escape;
mod journal_datagram;
mod journal_stream;
mod plain;
mod syslog;

use std::io::Write;
use std::os::fd::BorrowedFd;

pub use allowance::Allowance;
pub use escape::escape;
pub use plain::{Plain, is_unprintable};

/// Whether this descriptor is the journal's stream.
pub fn is_journal(fd: BorrowedFd<'_>) -> bool {
    journal_stream::is_stream(fd, std::env::var_os("JOURNAL_STREAM"))
}

/// How urgent a record is, as syslog(3) numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// The program could not do its work.
    Error = 3,
    /// What every connection leaves.
    Notice = 5,
    /// For whoever looks for a fault, and asks for it with DEBUG_INVOCATION=1 as systemd does.
    Debug = 7,
}

/// A log under one name.
#[derive(Debug)]
pub struct Log {
    name: &'static str,
    sink: Sink,
    /// The least urgent records that are wanted. A journald that is behind forgets a unit's LogLevelMax=
    /// once the unit has ended, so that what nobody wants is not left to it.
    least: Priority,
    lost: u64,
}

#[derive(Debug)]
enum Sink {
    /// The journal's stream on standard error.
    Journal(journal_stream::Stream),
    /// The journal's own socket.
    Native(journal_datagram::Datagrams),
    /// The datagram socket of syslog(3).
    Syslog(syslog::Datagrams),
    /// Standard error, for a person.
    Terminal,
    /// No syslog runs, and standard error may be the client.
    Nowhere,
}

impl Log {
    /// The log of a program called `name`; `on_socket` says whether its standard input or output
    /// is a socket, so that its standard error may be one too.
    ///
    /// The journal is taken where standard error is its stream: it keeps the unit of a process
    /// that lives for milliseconds, which datagrams lose now and then.
    pub fn open(name: &'static str, on_socket: bool, stderr: BorrowedFd<'_>) -> Log {
        let sink = if is_journal(stderr) {
            Sink::Journal(journal_stream::Stream::default())
        } else if on_socket {
            syslog::Datagrams::connect(name).map_or(Sink::Nowhere, Sink::Syslog)
        } else {
            Sink::Terminal
        };
        let debug = std::env::var_os("DEBUG_INVOCATION").is_some_and(|set| set == "1");
        Log {
            name,
            sink,
            least: match debug {
                true => Priority::Debug,
                false => Priority::Notice,
            },
            lost: 0,
        }
    }

    /// The log from here on is that of a process which serves many connections: where it goes to
    /// the journal, its records have fields.
    pub fn serve_many(&mut self) {
        if let (Sink::Journal(_), Some(datagrams)) =
            (&self.sink, journal_datagram::Datagrams::connect(self.name))
        {
            self.sink = Sink::Native(datagrams);
        }
    }

    /// Writes a record.
    pub fn write(&mut self, priority: Priority, text: &str) {
        self.write_with(priority, text, &[]);
    }

    /// Writes a record with fields, where the sink has fields. Their names are the journal's:
    /// capital letters and underscores.
    pub fn write_with(&mut self, priority: Priority, text: &str, fields: &[(&str, &str)]) {
        self.tell_lost();
        if !self.put(priority, text, fields) {
            self.lost += 1;
        }
    }

    /// Whether records were lost of which nothing is told yet.
    pub fn has_lost(&self) -> bool {
        self.lost > 0
    }

    /// Tells how many records were lost. Writing a record does so too.
    pub fn tell_lost(&mut self) {
        if self.lost > 0 {
            let told = format!("{} records were lost: the log did not take them", self.lost);
            if self.put(Priority::Notice, &told, &[]) {
                self.lost = 0;
            }
        }
    }

    /// Writes a record at priority notice.
    pub fn notice(&mut self, text: &str) {
        self.write(Priority::Notice, text);
    }

    /// Whether the sink took the record, or has no use for it.
    fn put(&mut self, priority: Priority, text: &str, fields: &[(&str, &str)]) -> bool {
        if priority > self.least {
            return true;
        }
        // One record is one line, whatever an error's text holds.
        let text = text.replace(['\n', '\r'], " ");
        match &mut self.sink {
            Sink::Journal(stream) => stream.put(std::io::stderr(), priority, &text),
            Sink::Native(datagrams) => datagrams.put(priority, &text, fields),
            Sink::Syslog(datagrams) => datagrams.put(priority, &text),
            Sink::Terminal => {
                // A person who closed standard error does not want it.
                let line = format!("{}: {text}\n", self.name);
                let _ = std::io::stderr().write_all(line.as_bytes());
                true
            }
            Sink::Nowhere => true,
        }
    }
}
