//! The configuration of inetd, read from its bytes, as openbsd-inetd and inetutils-inetd have it.

/// One service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Its name in the services database, or its port.
    pub name: String,
    /// The addresses that it is bound to; none where it is bound to all.
    pub addresses: Vec<String>,
    /// `stream`, `dgram` and so on.
    pub socket_type: String,
    /// `tcp`, `udp6`, `unix`, `rpc/tcp` and so on, without the sizes of buffers behind a comma.
    pub protocol: String,
    /// `wait` or `nowait`, with what is behind a dot.
    pub wait: String,
    /// The user, and the group where one is named.
    pub user: String,
    /// The program and its arguments, its own name first.
    pub program: Vec<String>,
    /// Whether update-inetd switched it off.
    pub disabled: bool,
    /// Its line.
    pub line: usize,
}

/// The mark of update-inetd for a line that it switched off.
const OFF: &str = "#<off>#";

impl Service {
    /// Whether it is for TCP.
    pub fn is_tcp(&self) -> bool {
        self.protocol.starts_with("tcp")
    }
}

/// Reads a file; what is no service of inetd's says nothing. Bytes that are not UTF-8 are
/// replaced.
pub fn parse(bytes: &[u8]) -> Vec<Service> {
    let mut services = Vec::new();
    let mut everywhere = Vec::new();
    for (index, bytes) in bytes.split(|&byte| byte == b'\n').enumerate() {
        let text = String::from_utf8_lossy(bytes);
        let (text, disabled) = match text.trim().strip_prefix(OFF) {
            Some(text) => (text.trim().to_string(), true),
            None => (text.trim().to_string(), false),
        };
        if text.starts_with('#') {
            continue;
        }
        let fields: Vec<&str> = text.split_whitespace().collect();
        match fields.as_slice() {
            // For the lines behind it.
            [addresses] if addresses.ends_with(':') && !disabled => {
                everywhere = list(addresses.trim_end_matches(':'));
            }
            [first, socket_type, protocol, wait, user, program @ ..] if !program.is_empty() => {
                let (addresses, name) = match first.rsplit_once(':') {
                    Some((addresses, name)) => (list(addresses), name),
                    None => (everywhere.clone(), *first),
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

/// The addresses of a list with commas; none where one of them is every address.
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
    fn services_are_read_with_their_addresses_and_lines() {
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
        fn any_bytes_can_be_read(bytes: Vec<u8>) {
            parse(&bytes);
        }

        #[test]
        fn any_fields_can_be_read(text in "(#<off>#|#|:|,|\\*|é|a|1| |\t|\n|tcp){0,60}") {
            parse(text.as_bytes());
        }
    }
}
