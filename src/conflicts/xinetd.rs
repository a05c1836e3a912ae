//! The configuration of xinetd, read from its bytes.

/// What one file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// Its parts in their order.
    pub items: Vec<Item>,
    /// The lines that are none of them.
    pub strange: Vec<usize>,
}

/// A part of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// `service NAME { … }`
    Service(Block),
    /// `defaults { … }`
    Defaults(Block),
    /// `include FILE`
    Include(String, usize),
    /// `includedir FOLDER`
    IncludeDir(String, usize),
}

/// What is between braces.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Block {
    /// The service's name; empty for the defaults.
    pub name: String,
    /// The line on which it begins.
    pub line: usize,
    /// Its attributes in their order.
    pub attributes: Vec<Attribute>,
}

/// One attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// Its name.
    pub key: String,
    /// How the values go with those that are there already.
    pub operator: Operator,
    /// Its values, which blanks part.
    pub values: Vec<String>,
    /// Its line.
    pub line: usize,
}

/// How the values of an attribute go with those that are there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `=`
    Set,
    /// `+=`
    Add,
    /// `-=`
    Remove,
}

impl Config {
    /// Reads a file. Nothing in it is an error: lines that are none of xinetd's are told in
    /// [`Config::strange`]. Bytes that are not UTF-8 are replaced.
    pub fn parse(bytes: &[u8]) -> Config {
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
                        _ => config.strange.push(line),
                    },
                }
                continue;
            }
            match item(text, line) {
                Some(item @ (Item::Service(_) | Item::Defaults(_))) => open = Some(item),
                Some(item) => config.items.push(item),
                None => config.strange.push(line),
            }
        }
        // The last brace is missing.
        config.items.extend(open);
        config
    }
}

impl Block {
    /// The first value of an attribute that has one.
    pub fn value(&self, key: &str) -> Option<&str> {
        let attribute = self.attributes.iter().rfind(|a| a.key == key)?;
        attribute.values.first().map(String::as_str)
    }

    /// All values that an attribute ends up with.
    pub fn values(&self, key: &str) -> Vec<&str> {
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

    /// The line of an attribute, or of the block where it has none.
    pub fn line_of(&self, key: &str) -> usize {
        let attribute = self.attributes.iter().rfind(|a| a.key == key);
        attribute.map_or(self.line, |attribute| attribute.line)
    }

    /// The name that tells services of one name apart.
    pub fn id(&self) -> &str {
        self.value("id").unwrap_or(&self.name)
    }

    /// Whether it is for TCP: where nothing else says so, a service of streams.
    pub fn is_tcp(&self) -> bool {
        match (self.value("protocol"), self.value("socket_type")) {
            (Some(protocol), _) => protocol == "tcp",
            (None, socket_type) => socket_type.is_none_or(|kind| kind == "stream"),
        }
    }

    /// Whether it is switched off by itself.
    pub fn is_disabled(&self) -> bool {
        self.value("disable")
            .is_some_and(|value| value.eq_ignore_ascii_case("yes"))
    }
}

/// What begins on a line outside of braces.
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
    fn blocks_and_includes_are_read_with_their_lines() {
        let config = Config::parse(TEXT.as_bytes());
        assert_eq!(config.strange, [16, 22]);
        let [
            Item::Defaults(defaults),
            Item::Service(hello),
            Item::IncludeDir(folder, 14),
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
        assert_eq!((folder.as_str(), file.as_str()), ("/etc/xinetd.d", "more"));
        assert_eq!((time.name.as_str(), time.id()), ("time", "time-dgram"));
        assert!(!time.is_tcp() && time.is_disabled());
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_read(bytes: Vec<u8>) {
            Config::parse(&bytes);
        }

        #[test]
        fn any_lines_can_be_read(
            text in "(service|defaults|include|\\{|\\}|=|\\+=|#|é| |a|\n){0,40}",
        ) {
            Config::parse(text.as_bytes());
        }
    }
}
