//! The socket of syslog(3), for a connection that was not started by systemd.

use std::io::Write;

use jiff::Timestamp;
use syslog::{Facility, LogFormat, Logger, LoggerBackend, Severity};

use super::Priority;
use crate::clock;

/// A socket to /dev/log that never blocks.
pub(super) struct SyslogSocket(Logger<LoggerBackend, Format>);

impl std::fmt::Debug for SyslogSocket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SyslogSocket")
    }
}

impl SyslogSocket {
    /// Connects to the syslog daemon; `None` if none runs.
    pub(super) fn connect(identifier: &'static str) -> Option<SyslogSocket> {
        let logger = syslog::unix(Format { identifier }).ok()?;
        match &logger.backend {
            LoggerBackend::Unix(socket) => socket.set_nonblocking(true),
            LoggerBackend::UnixStream(stream) => stream.get_ref().set_nonblocking(true),
            LoggerBackend::Udp(..) | LoggerBackend::Tcp(..) => return None,
        }
        .ok()?;
        Some(SyslogSocket(logger))
    }

    /// Sends an entry; returns whether the daemon accepted it.
    pub(super) fn put(&mut self, priority: Priority, message: &str) -> bool {
        match priority {
            Priority::Error => self.0.err(message),
            Priority::Warning => self.0.warning(message),
            Priority::Notice => self.0.notice(message),
            Priority::Info => self.0.info(message),
        }
        .is_ok()
    }
}

/// `<PRIORITY>Mmm dd hh:mm:ss IDENTIFIER[PID]: MESSAGE`, as the C library writes it. The format of
/// the crate has the time in UTC, which would be hours off in a log in local time.
#[derive(Debug, Clone)]
struct Format {
    identifier: &'static str,
}

impl LogFormat<&str> for Format {
    fn format<W: Write>(
        &self,
        socket: &mut W,
        severity: Severity,
        message: &str,
    ) -> Result<(), syslog::Error> {
        let priority = Facility::LOG_DAEMON as u8 | severity as u8;
        let time = Timestamp::now().to_zoned(clock::local_zone());
        let time = time.strftime("%b %e %H:%M:%S");
        let entry = format!(
            "<{priority}>{time} {}[{}]: {message}",
            self.identifier,
            std::process::id()
        );
        // One write is one datagram.
        socket
            .write_all(entry.as_bytes())
            .map_err(syslog::Error::Write)
    }
}
