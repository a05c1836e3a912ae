//! The journal's native protocol, for a process that lives on and serves many connections: its
//! records carry fields, and the socket tells the unit.

use std::os::unix::net::UnixDatagram;

use super::Priority;

const SOCKET: &str = "/run/systemd/journal/socket";

/// Records as datagrams to journald, none of which is waited for.
#[derive(Debug)]
pub struct Datagrams {
    socket: UnixDatagram,
    name: &'static str,
}

impl Datagrams {
    /// Connects to the socket; `None` where no journald runs, or the sandbox hides it.
    pub fn connect(name: &'static str) -> Option<Datagrams> {
        let socket = UnixDatagram::unbound().ok()?;
        socket.connect(SOCKET).ok()?;
        socket.set_nonblocking(true).ok()?;
        Some(Datagrams { socket, name })
    }

    /// Whether journald took the record.
    pub fn put(&self, priority: Priority, text: &str, fields: &[(&str, &str)]) -> bool {
        self.socket
            .send(record(self.name, priority, text, fields).as_bytes())
            .is_ok()
    }
}

/// A record as the protocol has it: a line a field. No value here has a line end in it.
fn record(name: &str, priority: Priority, text: &str, fields: &[(&str, &str)]) -> String {
    let mut record = format!(
        "MESSAGE={text}\nPRIORITY={}\nSYSLOG_FACILITY=3\nSYSLOG_IDENTIFIER={name}\n",
        priority as u8
    );
    for (field, value) in fields.iter().filter(|(_, value)| !value.is_empty()) {
        record.extend([field, "=", value, "\n"]);
    }
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_a_line_a_field_and_empty_ones_are_left_out() {
        let fields = [("CONNECTION", "7-peer"), ("REMOTE_ADDR", "")];
        assert_eq!(
            record("hello", Priority::Notice, "served", &fields),
            "MESSAGE=served\nPRIORITY=5\nSYSLOG_FACILITY=3\nSYSLOG_IDENTIFIER=hello\n\
             CONNECTION=7-peer\n"
        );
    }
}
