//! Parses inetd.conf(5), as openbsd-inetd and inetutils-inetd read it.

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Service {
    /// A name in the services database, or a port.
    pub(crate) name: String,
    /// The addresses that the service listens on; empty for all addresses.
    pub(crate) addresses: Vec<String>,
    /// `stream`, `dgram` and so on.
    pub(crate) socket_type: String,
    /// `tcp`, `udp6`, `unix`, `rpc/tcp` and so on, without the buffer sizes that may follow after a
    /// comma.
    pub(crate) protocol: String,
    /// `wait` or `nowait`, with the limit that may follow after a dot.
    pub(crate) wait: String,
    /// `USER` or `USER:GROUP`.
    pub(crate) user: String,
    /// The program and its arguments, `argv[0]` first.
    pub(crate) program: Vec<String>,
    /// Whether update-inetd(8) disabled it.
    pub(crate) disabled: bool,
    /// The line number, from 1.
    pub(crate) line: usize,
}

/// The prefix that update-inetd(8) disables a line with.
const DISABLED: &str = "#<off>#";

impl Service {
    pub(crate) fn is_tcp(&self) -> bool {
        self.protocol.starts_with("tcp")
    }
}

/// Parses a file. Other lines are ignored, and bytes that are not UTF-8 are replaced.
pub(crate) fn parse(bytes: &[u8]) -> Vec<Service> {
    let mut services = Vec::new();
    let mut default_addresses = Vec::new();
    for (index, bytes) in bytes.split(|&byte| byte == b'\n').enumerate() {
        let text = String::from_utf8_lossy(bytes);
        let (text, disabled) = match text.trim().strip_prefix(DISABLED) {
            Some(text) => (text.trim().to_string(), true),
            None => (text.trim().to_string(), false),
        };
        if text.starts_with('#') {
            continue;
        }
        let fields: Vec<&str> = text.split_whitespace().collect();
        match fields.as_slice() {
            // The default for the lines after it.
            [addresses] if addresses.ends_with(':') && !disabled => {
                default_addresses = list(addresses.trim_end_matches(':'));
            }
            [first, socket_type, protocol, wait, user, program @ ..] if !program.is_empty() => {
                let (addresses, name) = match first.rsplit_once(':') {
                    Some((addresses, name)) => (list(addresses), name),
                    None => (default_addresses.clone(), *first),
                };
                let protocol = protocol.split(',').next().unwrap_or_default();
                services.push(Service {
                    name: name.to_string(),
                    addresses,
                    socket_type: (*socket_type).to_string(),
                    protocol: protocol.to_string(),
                    wait: (*wait).to_string(),
                    user: (*user).to_string(),
                    program: program.iter().map(|word| (*word).to_string()).collect(),
                    disabled,
                    line: index + 1,
                });
            }
            _ => {}
        }
    }
    services
}

/// The addresses of a comma-separated list; empty if one of them is `*`.
fn list(text: &str) -> Vec<String> {
    let addresses: Vec<_> = text.split(',').map(str::to_string).collect();
    if addresses.iter().any(|address| address == "*") {
        return Vec::new();
    }
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXT: &str = "\
#:INTERNAL: Internal services
#discard stream tcp nowait root internal
hello stream tcp nowait nobody /usr/bin/hello hello
#<off># 3334\tstream\ttcp6,rcvbuf=16k\tnowait.40\tnobody:users\t/usr/bin/celebs\tcelebs -x
127.0.0.1,[::1]:finger stream tcp nowait root internal
192.0.2.1:
time dgram udp wait root internal
*:echo stream tcp nowait root internal
too short
";

    #[test]
    fn services_have_their_addresses_and_line_numbers() {
        let services = parse(TEXT.as_bytes());
        let names: Vec<_> = services.iter().map(|s| (s.name.as_str(), s.line)).collect();
        assert_eq!(
            names,
            [
                ("hello", 3),
                ("3334", 4),
                ("finger", 5),
                ("time", 7),
                ("echo", 8)
            ]
        );
        assert_eq!(services[0].program, ["/usr/bin/hello", "hello"]);
        assert!(!services[0].disabled && services[1].disabled);
        assert_eq!(services[1].protocol, "tcp6");
        assert_eq!(
            (services[1].wait.as_str(), services[1].user.as_str()),
            ("nowait.40", "nobody:users")
        );
        assert_eq!(services[2].addresses, ["127.0.0.1", "[::1]"]);
        assert_eq!(services[3].addresses, ["192.0.2.1"]);
        assert!(!services[3].is_tcp());
        assert!(services[4].addresses.is_empty());
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_parsed(bytes: Vec<u8>) {
            parse(&bytes);
        }

        #[test]
        fn any_fields_can_be_parsed(text in "(#<off>#|#|:|,|\\*|é|a|1| |\t|\n|tcp){0,60}") {
            parse(text.as_bytes());
        }
    }
}
