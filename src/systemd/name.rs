//! Unit names.

use std::fmt;

/// The unit types of systemd.
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

/// The maximum length of a unit name, in bytes.
const MAX_LENGTH: usize = 255;

/// The parts of a unit name, `prefix@instance.type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UnitName<'a> {
    pub(crate) prefix: &'a str,
    /// The empty string for a template; `None` if the name has no `@`.
    pub(crate) instance: Option<&'a str>,
    /// The type, without its dot.
    pub(crate) kind: &'a str,
}

impl<'a> UnitName<'a> {
    /// Parses a name; `None` if it is not a valid unit name.
    pub(crate) fn parse(name: &'a str) -> Option<UnitName<'a>> {
        let (stem, kind) = name.rsplit_once('.')?;
        let (prefix, instance) = match stem.split_once('@') {
            Some((prefix, instance)) => (prefix, Some(instance)),
            None => (stem, None),
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || ":-_.\\".contains(c);
        let valid = name.len() <= MAX_LENGTH
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

    pub(crate) fn is_template(&self) -> bool {
        self.instance == Some("")
    }

    /// The template of an instance; `None` for other units.
    pub(crate) fn template(&self) -> Option<String> {
        let instance = self.instance?;
        (!instance.is_empty()).then(|| format!("{}@.{}", self.prefix, self.kind))
    }

    /// An instance of a template; `None` for other units.
    pub(crate) fn with_instance(&self, instance: &str) -> Option<String> {
        self.is_template()
            .then(|| format!("{}@{instance}.{}", self.prefix, self.kind))
    }

    /// The name whose drop-ins apply to all units that begin with `prefix`. systemd shortens a
    /// template to a name without `@`.
    pub(super) fn shortened(&self, prefix: &str) -> String {
        match self.instance {
            Some(instance) if !instance.is_empty() => format!("{prefix}@{instance}.{}", self.kind),
            _ => format!("{prefix}.{}", self.kind),
        }
    }
}

/// The units that a service of this name may have, whatever its kind, in the order of removal: the service unit, which
/// records what there is to remove, goes last.
pub(crate) fn service_units(name: impl fmt::Display) -> [String; 3] {
    [
        format!("{name}.socket"),
        format!("{name}.service"),
        format!("{name}@.service"),
    ]
}

/// The service that a socket would start with this value of `Accept=`, and not with the other one:
/// `NAME@.service` for `NAME.service`, and the other way round. `None` if `service` is not of the other kind.
pub(crate) fn other_service(service: &str, accept: bool) -> Option<String> {
    match accept {
        true => {
            let name = service.strip_suffix(".service")?;
            (!name.ends_with('@')).then(|| format!("{name}@.service"))
        }
        false => {
            let name = service.strip_suffix("@.service")?;
            Some(format!("{name}.service"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_valid_name_is_split_into_its_parts_and_an_invalid_one_is_rejected() {
        let name = UnitName::parse("a-b@1:2@x.service").unwrap();
        assert_eq!(
            (name.prefix, name.instance, name.kind),
            ("a-b", Some("1:2@x"), "service")
        );
        assert_eq!(name.template().as_deref(), Some("a-b@.service"));
        assert_eq!(name.with_instance("3"), None);
        let template = UnitName::parse("a-b@.service").unwrap();
        let instance = template.with_instance("3");
        assert_eq!(instance.as_deref(), Some("a-b@3.service"));
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

    #[test]
    fn only_the_end_of_a_service_changes_with_the_value_of_accept() {
        for (shared, template) in [
            ("a.service", "a@.service"),
            ("a.service.service", "a.service@.service"),
            ("a@.b.service", "a@.b@.service"),
        ] {
            assert_eq!(other_service(shared, true).as_deref(), Some(template));
            assert_eq!(other_service(template, false).as_deref(), Some(shared));
        }
        for (service, accept) in [
            ("a@.service", true),
            ("a.service", false),
            ("a@b.service", false),
            ("a.socket", true),
            ("a@.socket", false),
            ("a", true),
        ] {
            assert_eq!(other_service(service, accept), None, "{service}");
        }
    }
}
