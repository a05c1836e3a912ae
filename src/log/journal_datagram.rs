//! The journal's native protocol, for a process that serves many connections: entries have fields,
//! and journald finds the unit by the sender's process.

use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;

use super::Priority;

const SOCKET: &str = "/run/systemd/journal/socket";

/// A socket to journald that never blocks.
#[derive(Debug)]
pub(super) struct JournalSocket {
    socket: UnixDatagram,
    identifier: &'static str,
}

impl JournalSocket {
    /// Connects to journald; `None` if it does not run, or the sandbox hides its socket.
    pub(super) fn connect(identifier: &'static str) -> Option<JournalSocket> {
        let socket = UnixDatagram::unbound().ok()?;
        socket.connect(SOCKET).ok()?;
        socket.set_nonblocking(true).ok()?;
        Some(JournalSocket { socket, identifier })
    }

    /// Sends an entry; returns whether journald accepted it.
    pub(super) fn put(&self, priority: Priority, message: &str, fields: &[(&str, &str)]) -> bool {
        let entry = entry(self.identifier, priority, message, fields);
        match self.socket.send(entry.as_bytes()) {
            Ok(_) => true,
            Err(error) if error.kind() == ErrorKind::WouldBlock => false,
            // systemd has made a new socket, because systemd-journald.socket was restarted.
            Err(_) => {
                self.socket.connect(SOCKET).is_ok() && self.socket.send(entry.as_bytes()).is_ok()
            }
        }
    }
}

/// An entry in the native protocol: one line per field. No value here contains a line end.
fn entry(identifier: &str, priority: Priority, message: &str, fields: &[(&str, &str)]) -> String {
    let mut entry = format!(
        "MESSAGE={message}\nPRIORITY={}\nSYSLOG_FACILITY=3\nSYSLOG_IDENTIFIER={identifier}\n",
        priority as u8
    );
    for (field, value) in fields.iter().filter(|(_, value)| !value.is_empty()) {
        entry.extend([field, "=", value, "\n"]);
    }
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_has_one_line_per_field_and_no_empty_fields() {
        let fields = [("CONNECTION", "7-peer"), ("REMOTE_ADDR", "")];
        assert_eq!(
            entry("hello", Priority::Notice, "served", &fields),
            "MESSAGE=served\nPRIORITY=5\nSYSLOG_FACILITY=3\nSYSLOG_IDENTIFIER=hello\n\
             CONNECTION=7-peer\n"
        );
    }
}
