//! The names of units.

/// Everything that systemd takes for a unit's type.
const TYPES: [&str; 11] = [
    "service",
    "socket",
    "target",
    "device",
    "mount",
    "automount",
    "swap",
    "timer",
    "path",
    "slice",
    "scope",
];

/// The longest name.
const LONGEST: usize = 255;

/// A unit's name, taken apart: `prefix@instance.type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnitName<'a> {
    /// What is before the `@` or the type.
    pub prefix: &'a str,
    /// What is behind the `@`, the empty text for a template; `None` where there is no `@`.
    pub instance: Option<&'a str>,
    /// The type, without its dot.
    pub kind: &'a str,
}

impl<'a> UnitName<'a> {
    /// Takes a name apart; `None` where systemd would not take it for a unit's.
    pub fn parse(name: &'a str) -> Option<UnitName<'a>> {
        let (stem, kind) = name.rsplit_once('.')?;
        let (prefix, instance) = match stem.split_once('@') {
            Some((prefix, instance)) => (prefix, Some(instance)),
            None => (stem, None),
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || ":-_.\\".contains(c);
        let valid = name.len() <= LONGEST
            && TYPES.contains(&kind)
            && !prefix.is_empty()
            && prefix.chars().all(plain)
            && instance.is_none_or(|instance| instance.chars().all(|c| plain(c) || c == '@'));
        valid.then_some(UnitName {
            prefix,
            instance,
            kind,
        })
    }

    /// Whether instances are made of it.
    pub fn is_template(&self) -> bool {
        self.instance == Some("")
    }

    /// The template that this is an instance of.
    pub fn template(&self) -> Option<String> {
        let instance = self.instance?;
        (!instance.is_empty()).then(|| format!("{}@.{}", self.prefix, self.kind))
    }

    /// The name for the drop-ins of all units whose prefix begins so; of a template that is one
    /// without the `@`, as systemd has it.
    pub(super) fn shortened(&self, prefix: &str) -> String {
        match self.instance {
            Some(instance) if !instance.is_empty() => format!("{prefix}@{instance}.{}", self.kind),
            _ => format!("{prefix}.{}", self.kind),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_taken_apart_and_what_is_none_is_refused() {
        let name = UnitName::parse("a-b@1:2@x.service").unwrap();
        assert_eq!(
            (name.prefix, name.instance, name.kind),
            ("a-b", Some("1:2@x"), "service")
        );
        assert_eq!(name.template().as_deref(), Some("a-b@.service"));
        assert!(UnitName::parse("a@.socket").unwrap().is_template());
        assert_eq!(UnitName::parse("a@.socket").unwrap().template(), None);
        let long = format!("{}.socket", "x".repeat(249));
        for name in [
            "",
            "hello",
            ".socket",
            "@x.service",
            "a b.socket",
            "a.conf",
            "é.socket",
            &long,
        ] {
            assert_eq!(UnitName::parse(name), None, "{name}");
        }
    }
}
