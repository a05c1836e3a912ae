//! syslog(3)'s socket, for a connection that no systemd unit stands behind.

use std::io::Write;

use jiff::Timestamp;
use syslog::{Facility, LogFormat, Logger, LoggerBackend, Severity};

use super::Priority;
use crate::clock;

/// Records as datagrams to /dev/log, none of which is waited for.
pub struct Datagrams(Logger<LoggerBackend, Format>);

impl std::fmt::Debug for Datagrams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Datagrams")
    }
}

impl Datagrams {
    /// Connects to the socket; `None` where no syslog runs.
    pub fn connect(name: &'static str) -> Option<Datagrams> {
        let logger = syslog::unix(Format { name }).ok()?;
        match &logger.backend {
            LoggerBackend::Unix(socket) => socket.set_nonblocking(true),
            LoggerBackend::UnixStream(stream) => stream.get_ref().set_nonblocking(true),
            LoggerBackend::Udp(..) | LoggerBackend::Tcp(..) => return None,
        }
        .ok()?;
        Some(Datagrams(logger))
    }

    /// Whether syslog took the record.
    pub fn put(&mut self, priority: Priority, text: &str) -> bool {
        match priority {
            Priority::Error => self.0.err(text),
            Priority::Notice => self.0.notice(text),
            Priority::Debug => self.0.debug(text),
        }
        .is_ok()
    }
}

/// `<PRIORITY>Mmm dd hh:mm:ss NAME[PID]: TEXT`, as the C library writes it. The crate's own format
/// has the time in UTC, which a log in local time would show hours off.
#[derive(Debug, Clone)]
struct Format {
    name: &'static str,
}

impl LogFormat<&str> for Format {
    fn format<W: Write>(
        &self,
        socket: &mut W,
        severity: Severity,
        text: &str,
    ) -> Result<(), syslog::Error> {
        let priority = Facility::LOG_DAEMON as u8 | severity as u8;
        let time = Timestamp::now().to_zoned(clock::local_zone());
        let time = time.strftime("%b %e %H:%M:%S");
        let record = format!(
            "<{priority}>{time} {}[{}]: {text}",
            self.name,
            std::process::id()
        );
        // One call is one datagram.
        socket
            .write_all(record.as_bytes())
            .map_err(syslog::Error::Write)
    }
}
