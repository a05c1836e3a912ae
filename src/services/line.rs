//! The lines of the database, whoever wrote them.

/// What one line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line<'a> {
    /// Its number, from 1.
    pub number: usize,
    /// The service's name.
    pub name: &'a [u8],
    /// Its port; `None` where no port is to be read there.
    pub port: Option<u16>,
    /// The protocol: `tcp`, `udp`.
    pub protocol: &'a [u8],
    /// Its other names.
    pub aliases: Vec<&'a [u8]>,
    /// All of it, with its comment.
    pub text: &'a [u8],
}

impl Line<'_> {
    /// Whether the service has this name, as its first or as another.
    pub fn is_named(&self, name: &[u8]) -> bool {
        self.name == name || self.aliases.contains(&name)
    }

    /// Whether it is for TCP.
    pub fn is_tcp(&self) -> bool {
        self.protocol == b"tcp"
    }
}

/// Reads the database; lines that name no service and no port say nothing.
pub fn lines(text: &[u8]) -> impl Iterator<Item = Line<'_>> {
    let lines = text.split(|&byte| byte == b'\n').zip(1..);
    lines.filter_map(|(text, number)| line(text, number))
}

/// The port that a name has for a protocol.
pub fn port(text: &[u8], name: &[u8], protocol: &[u8]) -> Option<u16> {
    lines(text)
        .find(|line| line.is_named(name) && line.protocol == protocol)
        .and_then(|line| line.port)
}

pub(super) fn line(text: &[u8], number: usize) -> Option<Line<'_>> {
    let code = text.split(|&byte| byte == b'#').next().unwrap_or_default();
    let mut fields = code
        .split(u8::is_ascii_whitespace)
        .filter(|field| !field.is_empty());
    let name = fields.next()?;
    let mut port_and_protocol = fields.next()?.splitn(2, |&byte| byte == b'/');
    let port = std::str::from_utf8(port_and_protocol.next()?).ok()?;
    Some(Line {
        number,
        name,
        port: port.parse().ok(),
        protocol: port_and_protocol.next().unwrap_or_default(),
        aliases: fields.collect(),
        text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXT: &[u8] =
        b"# x 1/tcp\nhttp 80/tcp www # web\ndns 53/tcp\ndns 53/udp\nodd\nodd x/tcp\n";

    #[test]
    fn a_line_has_a_name_a_port_a_protocol_and_other_names() {
        let lines: Vec<_> = lines(TEXT).collect();
        assert_eq!(lines.len(), 4);
        assert_eq!(lines[0].number, 2);
        assert!(lines[0].is_named(b"http") && lines[0].is_named(b"www"));
        assert!(!lines[0].is_named(b"web"));
        assert_eq!((lines[0].port, lines[0].is_tcp()), (Some(80), true));
        assert_eq!((lines[3].number, lines[3].port), (6, None));
    }

    #[test]
    fn a_port_is_found_by_any_name_of_its_protocol() {
        assert_eq!(port(TEXT, b"www", b"tcp"), Some(80));
        assert_eq!(port(TEXT, b"dns", b"udp"), Some(53));
        assert_eq!(port(TEXT, b"www", b"udp"), None);
    }

    proptest! {
        #[test]
        fn any_text_has_lines(text: Vec<u8>) {
            lines(&text).count();
        }
    }
}
