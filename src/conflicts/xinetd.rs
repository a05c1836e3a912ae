//! Parses xinetd.conf(5).

/// The content of one file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Config {
    /// The parts, in the order of the file.
    pub(crate) items: Vec<Item>,
    /// The numbers of the lines that belong to no part, from 1.
    pub(crate) unknown_lines: Vec<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    /// `service NAME { … }`
    Service(Block),
    /// `defaults { … }`
    Defaults(Block),
    /// `include FILE`, with its line number
    Include(String, usize),
    /// `includedir DIRECTORY`, with its line number
    IncludeDir(String, usize),
}

/// The attributes between two braces.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Block {
    /// The service name; empty for the defaults.
    pub(crate) name: String,
    /// The number of its first line, from 1.
    pub(crate) line: usize,
    pub(crate) attributes: Vec<Attribute>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attribute {
    pub(crate) key: String,
    pub(crate) operator: Operator,
    pub(crate) values: Vec<String>,
    /// The line number, from 1.
    pub(crate) line: usize,
}

/// How an attribute changes the values of the same attribute before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    /// `=`
    Set,
    /// `+=`
    Add,
    /// `-=`
    Remove,
}

impl Config {
    /// Parses a file. Unknown lines are in [`Config::unknown_lines`], and bytes that are not UTF-8 are
    /// replaced.
    pub(crate) fn parse(bytes: &[u8]) -> Config {
        let mut config = Config::default();
        let mut open: Option<Item> = None;
        for (index, bytes) in bytes.split(|&byte| byte == b'\n').enumerate() {
            let line = index + 1;
            let text = String::from_utf8_lossy(bytes);
            let text = text.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            if let Some(item) = &mut open {
                match text {
                    "{" => {}
                    "}" => config.items.extend(open.take()),
                    _ => match (attribute(text, line), item) {
                        (Some(attribute), Item::Service(block) | Item::Defaults(block)) => {
                            block.attributes.push(attribute);
                        }
                        _ => config.unknown_lines.push(line),
                    },
                }
                continue;
            }
            match item(text, line) {
                Some(item @ (Item::Service(_) | Item::Defaults(_))) => open = Some(item),
                Some(item) => config.items.push(item),
                None => config.unknown_lines.push(line),
            }
        }
        // If the last closing brace is missing, the block ends with the file.
        config.items.extend(open);
        config
    }
}

impl Block {
    /// The first value of the last such attribute.
    pub(crate) fn value(&self, key: &str) -> Option<&str> {
        let attribute = self.attributes.iter().rfind(|a| a.key == key)?;
        attribute.values.first().map(String::as_str)
    }

    /// All values of an attribute, after `+=` and `-=`.
    pub(crate) fn values(&self, key: &str) -> Vec<&str> {
        let mut values: Vec<&str> = Vec::new();
        for attribute in self.attributes.iter().filter(|a| a.key == key) {
            let these = attribute.values.iter().map(String::as_str);
            match attribute.operator {
                Operator::Set => values = these.collect(),
                Operator::Add => values.extend(these),
                Operator::Remove => values.retain(|value| !these.clone().any(|v| v == *value)),
            }
        }
        values
    }

    /// The line number of an attribute, or of the block if it does not have the attribute.
    pub(crate) fn line_of(&self, key: &str) -> usize {
        let attribute = self.attributes.iter().rfind(|a| a.key == key);
        attribute.map_or(self.line, |attribute| attribute.line)
    }

    /// The id, which distinguishes services of one name.
    pub(crate) fn id(&self) -> &str {
        self.value("id").unwrap_or(&self.name)
    }

    /// Whether it is for TCP. Without `protocol`, a stream service is.
    pub(crate) fn is_tcp(&self) -> bool {
        match (self.value("protocol"), self.value("socket_type")) {
            (Some(protocol), _) => protocol == "tcp",
            (None, socket_type) => socket_type.is_none_or(|kind| kind == "stream"),
        }
    }

    /// Whether the block itself disables the service.
    pub(crate) fn is_disabled(&self) -> bool {
        self.value("disable")
            .is_some_and(|value| value.eq_ignore_ascii_case("yes"))
    }
}

/// The part that begins on a line outside of braces.
fn item(text: &str, line: usize) -> Option<Item> {
    let text = text.trim_end_matches(|c: char| c == '{' || c.is_whitespace());
    let (keyword, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let rest = rest.trim();
    let block = Block {
        name: rest.to_string(),
        line,
        attributes: Vec::new(),
    };
    match keyword {
        "defaults" if rest.is_empty() => Some(Item::Defaults(block)),
        _ if rest.is_empty() => None,
        "service" => Some(Item::Service(block)),
        "include" => Some(Item::Include(rest.to_string(), line)),
        "includedir" => Some(Item::IncludeDir(rest.to_string(), line)),
        _ => None,
    }
}

fn attribute(text: &str, line: usize) -> Option<Attribute> {
    let (key, values) = text.split_once('=')?;
    let (key, operator) = match (key.strip_suffix('+'), key.strip_suffix('-')) {
        (Some(key), _) => (key, Operator::Add),
        (_, Some(key)) => (key, Operator::Remove),
        _ => (key, Operator::Set),
    };
    let key = key.trim();
    (!key.is_empty()).then(|| Attribute {
        key: key.to_string(),
        operator,
        values: values.split_whitespace().map(str::to_string).collect(),
        line,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXT: &str = "\
# the defaults
defaults
{
	disabled = a b
	disabled += c
	disabled -= a
}
service hello {
	# a script
	port		= 3333
	type = UNLISTED INTERNAL
	server_args = -x a=b
}
includedir /etc/xinetd.d
include more
nonsense
service time
{
	id = time-dgram
	protocol = udp
	disable = yes
	wrong
";

    #[test]
    fn blocks_and_includes_have_their_line_numbers() {
        let config = Config::parse(TEXT.as_bytes());
        assert_eq!(config.unknown_lines, [16, 22]);
        let [
            Item::Defaults(defaults),
            Item::Service(hello),
            Item::IncludeDir(dir, 14),
            Item::Include(file, 15),
            Item::Service(time),
        ] = config.items.as_slice()
        else {
            panic!("{config:?}");
        };
        assert_eq!(defaults.values("disabled"), ["b", "c"]);
        assert_eq!(
            (hello.name.as_str(), hello.id(), hello.line),
            ("hello", "hello", 8)
        );
        assert_eq!(
            (hello.value("port"), hello.line_of("port")),
            (Some("3333"), 10)
        );
        assert_eq!(hello.values("server_args"), ["-x", "a=b"]);
        assert!(hello.is_tcp() && !hello.is_disabled());
        assert_eq!((dir.as_str(), file.as_str()), ("/etc/xinetd.d", "more"));
        assert_eq!((time.name.as_str(), time.id()), ("time", "time-dgram"));
        assert!(!time.is_tcp() && time.is_disabled());
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_parsed(bytes: Vec<u8>) {
            Config::parse(&bytes);
        }

        #[test]
        fn any_lines_can_be_parsed(
            text in "(service|defaults|include|\\{|\\}|=|\\+=|#|é| |a|\n){0,40}",
        ) {
            Config::parse(text.as_bytes());
        }
    }
}
