//! The lines of the services database.

/// A line with an entry, whether sockunit wrote it or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EntryLine<'a> {
    /// The line number, from 1.
    pub(crate) number: usize,
    pub(crate) name: &'a [u8],
    /// The port; `None` if the field is not a number from 0 to 65535.
    pub(crate) port: Option<u16>,
    /// `tcp`, `udp` and so on.
    pub(crate) protocol: &'a [u8],
    pub(crate) aliases: Vec<&'a [u8]>,
    /// The whole line, with its comment.
    pub(crate) text: &'a [u8],
}

impl EntryLine<'_> {
    /// Whether `name` is the name or an alias of the service.
    pub(crate) fn is_named(&self, name: &[u8]) -> bool {
        self.name == name || self.aliases.contains(&name)
    }

    pub(crate) fn is_tcp(&self) -> bool {
        self.protocol == b"tcp"
    }
}

/// Parses the database. Lines without a service and a port are left out.
pub(crate) fn lines(text: &[u8]) -> impl Iterator<Item = EntryLine<'_>> {
    let lines = text.split(|&byte| byte == b'\n').zip(1..);
    lines.filter_map(|(text, number)| line(text, number))
}

/// The port of a name or an alias for a protocol.
pub(crate) fn port(text: &[u8], name: &[u8], protocol: &[u8]) -> Option<u16> {
    lines(text)
        .find(|line| line.is_named(name) && line.protocol == protocol)
        .and_then(|line| line.port)
}

pub(super) fn line(text: &[u8], number: usize) -> Option<EntryLine<'_>> {
    let code = text.split(|&byte| byte == b'#').next().unwrap_or_default();
    let mut fields = code
        .split(u8::is_ascii_whitespace)
        .filter(|field| !field.is_empty());
    let name = fields.next()?;
    let mut port_and_protocol = fields.next()?.splitn(2, |&byte| byte == b'/');
    let port = std::str::from_utf8(port_and_protocol.next()?).ok()?;
    Some(EntryLine {
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
    fn a_line_has_a_name_a_port_a_protocol_and_aliases() {
        let lines: Vec<_> = lines(TEXT).collect();
        assert_eq!(lines.len(), 4);
        assert_eq!(lines[0].number, 2);
        assert!(lines[0].is_named(b"http") && lines[0].is_named(b"www"));
        assert!(!lines[0].is_named(b"web"));
        assert_eq!((lines[0].port, lines[0].is_tcp()), (Some(80), true));
        assert_eq!((lines[3].number, lines[3].port), (6, None));
    }

    #[test]
    fn a_port_is_found_by_name_or_alias_and_protocol() {
        assert_eq!(port(TEXT, b"www", b"tcp"), Some(80));
        assert_eq!(port(TEXT, b"dns", b"udp"), Some(53));
        assert_eq!(port(TEXT, b"www", b"udp"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_parsed(text: Vec<u8>) {
            lines(&text).count();
        }
    }
}
