//! Log entries and their sinks.
//!
//! Logging never delays a session, breaks it or sends anything to its client. If the sink does not
//! accept an entry at once, the entry is dropped and counted, and the count is logged later.

mod count;
mod escape;
mod journal_datagram;
mod journal_stream;
mod plain;
mod reason;
mod syslog;
mod throttle;

use std::io::Write;
use std::os::fd::BorrowedFd;

pub(crate) use count::Count;
pub(crate) use escape::escape;
pub(crate) use plain::{Plain, is_unprintable};
pub(crate) use reason::reason;
pub(crate) use throttle::Throttle;

use self::journal_datagram::JournalSocket;
use self::journal_stream::JournalStream;
use self::syslog::SyslogSocket;
use crate::hint::Hint;

/// Returns whether this descriptor is the stream to the journal that JOURNAL_STREAM names.
pub(crate) fn is_journal(fd: BorrowedFd<'_>) -> bool {
    journal_stream::is_stream(fd, std::env::var_os("JOURNAL_STREAM"))
}

/// The priority of a log entry, with the numbers of syslog(3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Priority {
    /// The program failed.
    Error = 3,
    /// What a program writes to standard error.
    Warning = 4,
    /// The entries of every connection.
    Notice = 5,
    /// For diagnosis: written only if DEBUG_INVOCATION=1 is set, which systemd sets too. With
    /// LogLevelMax=debug, systemd 257 and 252 would add dozens of entries of their own.
    Info = 6,
}

/// How a program whose standard error is the journal's stream writes its entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JournalProtocol {
    /// Lines with a `<N>` prefix on standard error. journald knows the unit of these even if the
    /// process lives for milliseconds only; datagrams lose it now and then.
    Stream,
    /// Datagrams to journald's native socket, which have fields. If the socket cannot be reached,
    /// the stream.
    Native,
}

/// A log with one identifier.
#[derive(Debug)]
pub(crate) struct Log {
    identifier: &'static str,
    sink: Sink,
    /// The highest priority number that is written. This is not left to LogLevelMax=: a journald
    /// that lags behind forgets a unit's LogLevelMax= once the unit has ended.
    max_priority: Priority,
    /// Entries that the sink did not accept.
    dropped: u64,
}

#[derive(Debug)]
enum Sink {
    /// The journal's stream on standard error.
    JournalStream(JournalStream),
    /// The journal's native socket.
    JournalSocket(JournalSocket),
    /// The datagram socket of syslog(3).
    Syslog(SyslogSocket),
    /// Standard error, as plain text.
    Stderr,
    /// No syslog daemon runs, and standard error may be the client.
    Discard,
}

impl Log {
    /// Opens the log of a program. `on_socket` says whether its standard input or output is a
    /// socket: then its standard error may be the client too.
    pub(crate) fn open(
        identifier: &'static str,
        on_socket: bool,
        stderr: BorrowedFd<'_>,
        protocol: JournalProtocol,
    ) -> Log {
        let sink = if is_journal(stderr) {
            Sink::JournalStream(JournalStream::default())
        } else if on_socket {
            SyslogSocket::connect(identifier).map_or(Sink::Discard, Sink::Syslog)
        } else {
            Sink::Stderr
        };
        let debug = std::env::var_os("DEBUG_INVOCATION").is_some_and(|set| set == "1");
        let mut log = Log {
            identifier,
            sink,
            max_priority: match debug {
                true => Priority::Info,
                false => Priority::Notice,
            },
            dropped: 0,
        };
        if protocol == JournalProtocol::Native {
            log.use_journal_socket();
        }
        log
    }

    /// Writes nothing below the priority of errors from now on.
    pub(crate) fn write_only_errors(&mut self) {
        self.max_priority = Priority::Error;
    }

    /// Switches from the journal's stream to its native socket, if that can be reached: the
    /// entries of a process that serves many connections have fields.
    pub(crate) fn use_journal_socket(&mut self) {
        if let (Sink::JournalStream(_), Some(socket)) =
            (&self.sink, JournalSocket::connect(self.identifier))
        {
            self.sink = Sink::JournalSocket(socket);
        }
    }

    /// Returns whether entries go to the journal as lines on standard error that start with their
    /// priority. Then nothing else may write there.
    pub(crate) fn has_priority_prefixes(&self) -> bool {
        matches!(self.sink, Sink::JournalStream(_))
    }

    /// Writes an entry.
    pub(crate) fn write(&mut self, priority: Priority, message: &str) {
        self.write_with(priority, message, &[]);
    }

    /// Writes an entry with fields; sinks other than the journal's socket ignore the fields. Field
    /// names are the journal's: capital letters, digits and underscores.
    pub(crate) fn write_with(
        &mut self,
        priority: Priority,
        message: &str,
        fields: &[(&str, &str)],
    ) {
        self.report_dropped();
        if !self.put(priority, message, fields) {
            self.dropped += 1;
        }
    }

    /// Returns whether entries were dropped since the last report.
    pub(crate) fn has_dropped(&self) -> bool {
        self.dropped > 0
    }

    /// Logs how many entries were dropped. Writing an entry does this too.
    pub(crate) fn report_dropped(&mut self) {
        if self.dropped > 0 {
            let entries = match self.dropped {
                1 => "log entry",
                _ => "log entries",
            };
            let message = format!(
                "dropped {} {entries} that the sink did not accept",
                self.dropped
            );
            if self.put(Priority::Notice, &message, &[]) {
                self.dropped = 0;
            }
        }
    }

    /// Writes why a command fails, and what to do about it. At a command line, that is under the name of the command,
    /// whatever the identifier, and the hint has lines of its own.
    pub(crate) fn write_failure(
        &mut self,
        command: &'static str,
        message: &str,
        hint: Option<&Hint>,
    ) {
        if let Sink::Stderr = self.sink {
            self.identifier = command;
            self.write(Priority::Error, message);
            if let Some(hint) = hint {
                let _ = std::io::stderr().write_all(format!("{hint}\n").as_bytes());
            }
            return;
        }
        let hint = hint.map_or(String::new(), |hint| format!("; {}", hint.in_one_line()));
        self.write(Priority::Error, &format!("{message}{hint}"));
    }

    /// Writes an entry at priority notice.
    pub(crate) fn notice(&mut self, message: &str) {
        self.write(Priority::Notice, message);
    }

    /// Writes an entry at priority warning, and returns false if the sink does not accept it now.
    pub(crate) fn try_warning(&mut self, message: &str) -> bool {
        self.report_dropped();
        self.put(Priority::Warning, message, &[])
    }

    /// Returns false if the sink did not accept the entry.
    fn put(&mut self, priority: Priority, message: &str, fields: &[(&str, &str)]) -> bool {
        if priority > self.max_priority {
            return true;
        }
        let message = one_line(message);
        match &mut self.sink {
            Sink::JournalStream(stream) => stream.put(std::io::stderr(), priority, &message),
            Sink::JournalSocket(socket) => socket.put(priority, &message, fields),
            Sink::Syslog(socket) => socket.put(priority, &message),
            Sink::Stderr => {
                // If standard error is closed, the entry is lost.
                let line = format!("{}: {message}\n", self.identifier);
                let _ = std::io::stderr().write_all(line.as_bytes());
                true
            }
            Sink::Discard => true,
        }
    }
}

/// An entry is one line, whatever the text of an error or of a program contains. journald ends lines of its stream
/// at NUL bytes too, and reads the priority of each. So do syslog daemons with a stream socket.
fn one_line(message: &str) -> String {
    message.replace(['\n', '\r', '\0'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_contains_nothing_that_a_sink_takes_for_its_end() {
        assert_eq!(
            one_line("one\n<0>two\r\n<0>three\0<0>four"),
            "one <0>two  <0>three <0>four"
        );
    }
}
